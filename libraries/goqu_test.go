package libraries_test

import (
	"context"
	"testing"

	"github.com/doug-martin/goqu/v9"
	_ "github.com/doug-martin/goqu/v9/dialect/sqlite3"
	"github.com/doug-martin/goqu/v9/exec"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/libraries"
)

// The parameter of New, and that of queries without a Database. The first requires Begin
// and BeginTx to return a *sql.Tx.
var (
	_ goqu.SQLDatabase = (*otelpool.DB)(nil)
	_ exec.DbExecutor  = (*otelpool.DB)(nil)
)

func TestGoqu_EveryDatasetIsMeasuredOnce(t *testing.T) {
	p := libraries.Open(t)
	db := goqu.New("sqlite3", p.DB)
	sorted := goqu.C("id").Asc()

	insert := func(ctx context.Context) error {
		_, err := db.Insert("items").Rows(goqu.Record{"name": "a"}).Executor().ExecContext(ctx)
		return err
	}
	value := func(ctx context.Context) error {
		var name string
		_, err := db.From("items").Select("name").Order(sorted).ScanValContext(ctx, &name)
		return wantNames([]string{name}, err, "a")
	}
	values := func(ctx context.Context) error {
		var got []string
		err := db.From("items").Select("name").Order(sorted).ScanValsContext(ctx, &got)
		return wantNames(got, err, "a")
	}
	queryRow := func(ctx context.Context) error {
		var name string
		err := db.QueryRowContext(ctx, "SELECT name FROM items").Scan(&name)
		return wantNames([]string{name}, err, "a")
	}
	prepare := func(ctx context.Context) error {
		stmt, err := db.PrepareContext(ctx, "SELECT name FROM items")
		if err != nil {
			return err
		}
		return stmt.Close()
	}
	begin := func(ctx context.Context) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		return tx.Rollback()
	}

	p.Play(t,
		libraries.Step{Name: "create", Acquires: 1, Do: func(ctx context.Context) error {
			_, err := db.ExecContext(ctx, schema)
			return err
		}},
		libraries.Step{Name: "insert", Acquires: 1, Do: insert},
		libraries.Step{Name: "value", Acquires: 1, Do: value},
		libraries.Step{Name: "values", Acquires: 1, Do: values},
		libraries.Step{Name: "row", Acquires: 1, Do: queryRow},
		libraries.Step{Name: "prepare", Acquires: 1, Do: prepare},
		libraries.Step{Name: "begin", Acquires: 1, Do: begin},
		libraries.Step{Name: "transaction", Acquires: 1, Do: func(ctx context.Context) error {
			return db.WithTx(func(tx *goqu.TxDatabase) error {
				if _, err := tx.Insert("items").Rows(goqu.Record{"name": "b"}).Executor().ExecContext(ctx); err != nil {
					return err
				}
				var got []string
				err := tx.From("items").Select("name").Order(sorted).ScanValsContext(ctx, &got)
				return wantNames(got, err, "a", "b")
			})
		}},
	)
	p.Refuse(t,
		libraries.Step{Name: "insert", Do: insert},
		libraries.Step{Name: "value", Do: value},
		libraries.Step{Name: "values", Do: values},
		libraries.Step{Name: "row", Do: queryRow},
		libraries.Step{Name: "prepare", Do: prepare},
		libraries.Step{Name: "begin", Do: begin},
	)
}
