package libraries_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/libraries"
)

// The parameters of sqlx's functions that do not return rows. Queryer and Ext return
// types of sqlx with fields that only sqlx can set, and sqlx.DB contains a *sql.DB.
var (
	_ sqlx.Execer          = (*otelpool.DB)(nil)
	_ sqlx.ExecerContext   = (*otelpool.DB)(nil)
	_ sqlx.Preparer        = (*otelpool.DB)(nil)
	_ sqlx.PreparerContext = (*otelpool.DB)(nil)
)

// item is a row of the table.
type item struct {
	ID   int64
	Name string
}

func namesOf(list []item) (names []string) {
	for _, i := range list {
		names = append(names, i.Name)
	}
	return names
}

func TestSqlx_FunctionsThatAcceptADBAreMeasuredOnce(t *testing.T) {
	p := libraries.Open(t)
	mapper := sqlx.NewDb(p.DB.DB, "sqlite").Mapper
	scan := func(ctx context.Context) error {
		rows, err := p.QueryContext(ctx, "SELECT * FROM items")
		if err != nil {
			return err
		}
		var got []item
		err = sqlx.StructScan(rows, &got)
		return wantNames(namesOf(got), err, "a")
	}
	load := func(ctx context.Context) error {
		_, err := sqlx.LoadFileContext(ctx, p.DB, "schema.sql")
		return err
	}
	prepare := func(ctx context.Context) error {
		stmt, err := sqlx.PreparexContext(ctx, p.DB, "SELECT * FROM items")
		if err != nil {
			return err
		}
		defer stmt.Close()
		var got []item
		err = stmt.SelectContext(ctx, &got)
		return wantNames(namesOf(got), err, "a")
	}

	p.Play(t,
		libraries.Step{Name: "load a file", Acquires: 1, Do: load},
		libraries.Step{Name: "exec", Acquires: 1, Do: func(ctx context.Context) error {
			sqlx.MustExecContext(ctx, p.DB, "INSERT INTO items (name) VALUES (?)", "a")
			return nil
		}},
		libraries.Step{Name: "scan", Acquires: 1, Do: scan},
		libraries.Step{Name: "prepare and select", Acquires: 2, Do: prepare},
		libraries.Step{Name: "transaction", Acquires: 1, Do: func(ctx context.Context) error {
			tx, err := p.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			x := sqlx.Tx{Tx: tx, Mapper: mapper}
			if _, err := x.ExecContext(ctx, "INSERT INTO items (name) VALUES (?)", "b"); err != nil {
				return err
			}
			var got []item
			err = x.SelectContext(ctx, &got, "SELECT * FROM items ORDER BY id")
			if err := wantNames(namesOf(got), err, "a", "b"); err != nil {
				return err
			}
			return tx.Commit()
		}},
	)
	p.Refuse(t,
		libraries.Step{Name: "load a file", Do: load},
		libraries.Step{Name: "scan", Do: scan},
		libraries.Step{Name: "prepare", Do: prepare},
	)
}

func TestSqlx_ADBIsMeasuredAsItsPlainDB(t *testing.T) {
	p := libraries.Open(t)
	db := sqlx.NewDb(p.DB.DB, "sqlite")
	selects := func(ctx context.Context) error {
		var got []item
		err := db.SelectContext(ctx, &got, "SELECT * FROM items")
		return wantNames(namesOf(got), err, "a")
	}

	p.Play(t,
		createItems(p),
		libraries.Step{Name: "named exec", Acquires: 1, Do: func(ctx context.Context) error {
			_, err := db.NamedExecContext(ctx, "INSERT INTO items (name) VALUES (:name)", item{Name: "a"})
			return err
		}},
		libraries.Step{Name: "select", Acquires: 1, Do: selects},
		libraries.Step{Name: "transaction", Acquires: 1, Do: func(ctx context.Context) error {
			tx, err := db.BeginTxx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			var got []item
			err = tx.SelectContext(ctx, &got, "SELECT * FROM items")
			return wantNames(namesOf(got), err, "a")
		}},
		// The otelpool.DB is not called, so there is no AcquireError and no failed acquire.
		libraries.Step{Name: "select for a canceled caller", Do: func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			if err := selects(ctx); err != context.Canceled { //nolint:errorlint // sqlx returns the error of database/sql
				return fmt.Errorf("got %w, want %w", err, context.Canceled)
			}
			return nil
		}},
	)
}
