package libraries_test

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/libraries"
	"github.com/otelpool/otelpool/libraries/items"
)

var _ items.DBTX = (*otelpool.DB)(nil)

// schema is the schema from which sqlc generated package items.
//
//go:embed schema.sql
var schema string

// createItems creates the table, for libraries that cannot do it themselves.
func createItems(p *libraries.Pool) libraries.Step {
	return libraries.Step{Name: "create", Acquires: 1, Do: func(ctx context.Context) error {
		_, err := p.ExecContext(ctx, schema)
		return err
	}}
}

// wantNames compares the items that a library read.
func wantNames(got []string, err error, want ...string) error {
	if err == nil && !slices.Equal(got, want) {
		return fmt.Errorf("read %q, want %q", got, want)
	}
	return err
}

func TestSQLC_EveryQueryIsMeasuredOnce(t *testing.T) {
	p := libraries.Open(t)
	q := items.New(p.DB)

	add := func(ctx context.Context) error { return q.Add(ctx, "a") }
	count := func(ctx context.Context) error {
		n, err := q.Count(ctx)
		if err == nil && n != 1 {
			return fmt.Errorf("counted %d, want 1", n)
		}
		return err
	}
	names := func(ctx context.Context) error {
		got, err := q.Names(ctx)
		return wantNames(got, err, "a")
	}
	transaction := func(ctx context.Context) error {
		tx, err := p.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		in := q.WithTx(tx)
		if err := in.Add(ctx, "b"); err != nil {
			return err
		}
		got, err := in.Names(ctx)
		if err := wantNames(got, err, "a", "b"); err != nil {
			return err
		}
		return tx.Commit()
	}

	p.Play(t,
		createItems(p),
		libraries.Step{Name: "exec", Acquires: 1, Do: add},
		libraries.Step{Name: "one", Acquires: 1, Do: count},
		libraries.Step{Name: "many", Acquires: 1, Do: names},
		libraries.Step{Name: "transaction", Acquires: 1, Do: transaction},
	)
	p.Refuse(t,
		libraries.Step{Name: "exec", Do: add},
		libraries.Step{Name: "one", Do: count},
		libraries.Step{Name: "many", Do: names},
		libraries.Step{Name: "transaction", Do: transaction},
		libraries.Step{Name: "prepare", Do: func(ctx context.Context) error {
			_, err := items.Prepare(ctx, p.DB)
			return err
		}},
	)
}

func TestSQLC_PreparedQueriesAreMeasuredWhenPreparedAndRun(t *testing.T) {
	p := libraries.Open(t)
	var q *items.Queries

	p.Play(t,
		createItems(p),
		libraries.Step{Name: "prepare", Acquires: 3, Do: func(ctx context.Context) (err error) {
			q, err = items.Prepare(ctx, p.DB)
			return err
		}},
		libraries.Step{Name: "exec", Acquires: 1, Do: func(ctx context.Context) error { return q.Add(ctx, "a") }},
		libraries.Step{Name: "many", Acquires: 1, Do: func(ctx context.Context) error {
			got, err := q.Names(ctx)
			return wantNames(got, err, "a")
		}},
		libraries.Step{Name: "transaction", Acquires: 1, Do: func(ctx context.Context) error {
			tx, err := p.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			return errors.Join(q.WithTx(tx).Add(ctx, "b"), tx.Commit())
		}},
		libraries.Step{Name: "close", Do: func(context.Context) error { return q.Close() }},
	)
}
