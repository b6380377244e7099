package dbtest_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otelpool/otelpool/dbtest/server"
)

// worker is a part of a program that continues after errors.
type worker struct {
	succeeded, failed atomic.Int64
}

func (w *worker) run(t *testing.T, s backend, db *sql.DB, stop <-chan struct{}) {
	for n := int64(0); ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		if err := s.round(t.Context(), db, n); err != nil {
			if errors.Is(err, errWrong) {
				t.Error(err)
			}
			w.failed.Add(1)
			time.Sleep(time.Millisecond) // leaves CPU time for the server to start
			continue
		}
		w.succeeded.Add(1)
	}
}

var errWrong = errors.New("the database returned a wrong value")

// round runs a query or, each third time, a transaction.
func (s backend) round(ctx context.Context, db *sql.DB, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var back int64
	if n%3 > 0 {
		err := db.QueryRowContext(ctx, s.sql("SELECT CAST(? AS DECIMAL)"), n).Scan(&back)
		if err == nil && back != n {
			err = errWrong
		}
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := tx.QueryRowContext(ctx, "SELECT 1").Scan(&back); err != nil {
		return err
	}
	return tx.Commit()
}

func TestPool_RecoversFromRestartsUnderLoadWithConsistentCounts(t *testing.T) {
	starts := map[string]func(testing.TB, ...string) *server.Instance{
		"mysql": server.MariaDB, "postgresql": server.PostgreSQL,
	}
	each(t, served, func(t *testing.T, s backend) {
		in := starts[s.system](t)
		tel := newTelemetry()
		db := s.wrapped(t, in.DSN(), tel)
		db.SetMaxOpenConns(6)
		db.SetMaxIdleConns(3)

		workers := make([]worker, 4)
		stop := make(chan struct{})
		var running sync.WaitGroup
		for i := range workers {
			running.Go(func() { workers[i].run(t, s, db, stop) })
		}
		defer running.Wait()
		halt := sync.OnceFunc(func() { close(stop) })
		defer halt()

		// more waits until each worker's counter has increased.
		more := func(what string, counted func(*worker) *atomic.Int64) {
			t.Helper()
			var before [4]int64
			for i := range workers {
				before[i] = counted(&workers[i]).Load()
			}
			until(t, what, func() bool {
				for i := range workers {
					if counted(&workers[i]).Load() < before[i]+5 {
						return false
					}
				}
				return true
			})
		}
		succeeded := func(w *worker) *atomic.Int64 { return &w.succeeded }
		failed := func(w *worker) *atomic.Int64 { return &w.failed }

		more("the workers work", succeeded)
		for _, end := range []struct {
			name string
			f    func() error
		}{{"stop", in.Stop}, {"crash", in.Kill}} {
			if err := end.f(); err != nil {
				t.Fatal(err)
			}
			more("each worker fails after the "+end.name, failed)
			if err := in.Start(); err != nil {
				t.Fatal(err)
			}
			more("each worker works after the "+end.name, succeeded)
		}
		halt()
		running.Wait()

		atRest(t, db)
		tel.balance(t, db)
		var held int64
		for i := range workers {
			held += workers[i].succeeded.Load()
		}
		snap := inspect(t, db)
		if acquired := sum(snap.Acquired); acquired < held {
			t.Errorf("%d acquires for %d successes", acquired, held)
		}
		dials := by(tel.metrics(t)["db.client.connection.create_time"], "error.type")
		if int64(dials[""]) != snap.Opened || len(dials) < 2 {
			t.Errorf("dials by error are %v, %d connections were opened", dials, snap.Opened)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		tel.balance(t, db)
		if snap := inspect(t, db); snap.Open != 0 {
			t.Errorf("%d are open after Close", snap.Open)
		}
		t.Logf("opened %d, closed %v, retried %v, acquired %v, dials %v", snap.Opened, snap.Closed, snap.Retries, snap.Acquired, dials)
	})
}
