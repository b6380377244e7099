package libraries_test

import (
	"context"
	"testing"

	"github.com/Masterminds/squirrel"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/libraries"
)

// The parameters of RunWith, of functions like ExecContextWith, and of NewStmtCache. A
// QueryRower returns a type of squirrel, which no *sql.DB does; RunWith and the wrappers
// make one from a StdSql.
var (
	_ squirrel.BaseRunner      = (*otelpool.DB)(nil)
	_ squirrel.StdSql          = (*otelpool.DB)(nil)
	_ squirrel.StdSqlCtx       = (*otelpool.DB)(nil)
	_ squirrel.Execer          = (*otelpool.DB)(nil)
	_ squirrel.ExecerContext   = (*otelpool.DB)(nil)
	_ squirrel.Queryer         = (*otelpool.DB)(nil)
	_ squirrel.QueryerContext  = (*otelpool.DB)(nil)
	_ squirrel.Preparer        = (*otelpool.DB)(nil)
	_ squirrel.PreparerContext = (*otelpool.DB)(nil)
)

var (
	addA  = squirrel.Insert("items").Columns("name").Values("a")
	first = squirrel.Select("name").From("items").OrderBy("id").Limit(1)
	names = squirrel.Select("name").From("items").OrderBy("id")
)

// read reads all names that a builder selects.
func read(ctx context.Context, b squirrel.SelectBuilder) ([]string, error) {
	return scan(b.QueryContext(ctx))
}

func TestSquirrel_EveryBuilderIsMeasuredOnce(t *testing.T) {
	p := libraries.Open(t)

	insert := func(ctx context.Context) error {
		_, err := addA.RunWith(p.DB).ExecContext(ctx)
		return err
	}
	queryRow := func(ctx context.Context) error {
		var name string
		err := first.RunWith(p.DB).QueryRowContext(ctx).Scan(&name)
		return wantNames([]string{name}, err, "a")
	}
	query := func(ctx context.Context) error {
		got, err := read(ctx, names.RunWith(p.DB))
		return wantNames(got, err, "a", "a")
	}

	p.Play(t,
		createItems(p),
		libraries.Step{Name: "insert", Acquires: 1, Do: insert},
		libraries.Step{Name: "insert without a context", Acquires: 1, Do: func(context.Context) error {
			_, err := addA.RunWith(p.DB).Exec()
			return err
		}},
		libraries.Step{Name: "row", Acquires: 1, Do: queryRow},
		libraries.Step{Name: "row without a context", Acquires: 1, Do: func(context.Context) error {
			var name string
			err := first.RunWith(p.DB).QueryRow().Scan(&name)
			return wantNames([]string{name}, err, "a")
		}},
		libraries.Step{Name: "row of a wrapped runner", Acquires: 1, Do: func(ctx context.Context) error {
			var name string
			err := squirrel.QueryRowContextWith(ctx, squirrel.WrapStdSqlCtx(p.DB), first).Scan(&name)
			return wantNames([]string{name}, err, "a")
		}},
		libraries.Step{Name: "rows", Acquires: 1, Do: query},
		libraries.Step{Name: "transaction", Acquires: 1, Do: func(ctx context.Context) error {
			tx, err := p.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			if _, err := addA.RunWith(tx).ExecContext(ctx); err != nil {
				return err
			}
			got, err := read(ctx, names.RunWith(tx))
			if err := wantNames(got, err, "a", "a", "a"); err != nil {
				return err
			}
			return tx.Commit()
		}},
	)
	p.Refuse(t,
		libraries.Step{Name: "insert", Do: insert},
		libraries.Step{Name: "row", Do: queryRow},
		libraries.Step{Name: "rows", Do: query},
	)
}

func TestSquirrel_TheStatementCacheIsMeasuredWhenItPreparesAndRuns(t *testing.T) {
	p := libraries.Open(t)
	cache := squirrel.NewStmtCache(p.DB)
	insert := func(ctx context.Context) error {
		_, err := addA.RunWith(cache).ExecContext(ctx)
		return err
	}

	p.Refuse(t, libraries.Step{Name: "prepare", Do: insert})
	p.Play(t,
		createItems(p),
		libraries.Step{Name: "first insert", Acquires: 2, Do: insert},
		libraries.Step{Name: "second insert", Acquires: 1, Do: insert},
		libraries.Step{Name: "clear", Do: func(context.Context) error { return cache.Clear() }},
	)
}
