package faults_test

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// restart is what may happen to a program while its server stops, crashes and starts
// again: its callers' errors, and the types and classes in the telemetry. A run has only
// some of them: it depends on what each worker does at the time.
type restart struct {
	callers []string
	failed  []string // error.type and class
	retried []string
	closed  []string // reason, class and error.type
}

var restarts = map[string]restart{
	"mysql": {
		callers: []string{"mysql.ErrInvalidConn", "driver.ErrBadConn", "*net.OpError ECONNREFUSED", "*net.OpError ECONNRESET"},
		failed:  []string{"bad_connection network", "*errors.errorString network", "*net.OpError dial_refused", "*net.OpError network"},
		retried: []string{"bad_connection network"},
		closed:  []string{"bad network bad_connection", "bad network *errors.errorString"},
	},
	"pgx": {
		callers: []string{
			"*pgconn.PgError 57P01", "*pgconn.connLockError", "io.ErrUnexpectedEOF", "*net.OpError ECONNRESET",
			"*pgconn.ConnectError 57P03", "*pgconn.ConnectError ECONNREFUSED", "*pgconn.ConnectError ECONNRESET",
		},
		failed: []string{
			"57P01 killed", "*pgconn.connLockError killed", "*pgconn.connLockError network", "*errors.errorString network", "*net.OpError network",
			"57P03 server_starting", "*pgconn.ConnectError dial_refused", "*pgconn.ConnectError network",
		},
		retried: []string{"bad_connection killed", "bad_connection network"},
		closed:  []string{"bad killed 57P01", "bad killed bad_connection", "bad network bad_connection"},
	},
	"postgres": {
		callers: []string{"driver.ErrBadConn", "*net.OpError ECONNRESET", "*net.OpError ECONNREFUSED", "*pq.Error 57P03"},
		failed: []string{
			"bad_connection killed", "bad_connection network", "*net.OpError network", "*net.OpError killed",
			"57P03 server_starting", "*net.OpError dial_refused",
		},
		retried: []string{"bad_connection killed", "bad_connection network"},
		closed: []string{
			"bad killed bad_connection", "bad network bad_connection", "bad network *net.OpError", "bad killed *net.OpError",
		},
	},
}

// program runs workers that continue after errors.
type program struct {
	workers [4]worker
	running sync.WaitGroup

	mu   sync.Mutex // guards errs
	errs map[string]bool
}

// worker counts the results of one worker.
type worker struct {
	mu                sync.Mutex // guards the fields below
	succeeded, failed int
}

func (w *worker) get(failed bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if failed {
		return w.failed
	}
	return w.succeeded
}

func (p *program) run(ctx context.Context, db *sql.DB, stop <-chan struct{}) {
	for i := range p.workers {
		p.running.Go(func() {
			w := &p.workers[i]
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond): // leaves CPU time for the server
				}
				ctx, cancel := context.WithTimeout(ctx, time.Minute)
				var err error
				if n%3 > 0 {
					err = readAll(ctx, db, "SELECT 1")
				} else {
					err = inTx(ctx, db, (*sql.Tx).Commit)
				}
				cancel()
				w.mu.Lock()
				if err == nil {
					w.succeeded++
				} else {
					w.failed++
				}
				w.mu.Unlock()
				if err != nil {
					p.mu.Lock()
					p.errs[brief(err)] = true
					p.mu.Unlock()
				}
			}
		})
	}
}

// restartUnderLoad stops and starts a server, and then crashes and starts it, while two
// programs run: one on the bare driver, one through otelpool.
func restartUnderLoad(t *testing.T, s backend) {
	in := s.fragile.Instance(t)
	tel := newTelemetry()
	dsn := s.dsn(target{addr: in.Addr, user: plain})
	wrapped, err := otelpool.Open(s.driver, dsn, append(tel.options(), s.adapters()...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wrapped.Close() })
	dbs := []*sql.DB{s.open(t, dsn), wrapped}

	stop := make(chan struct{})
	programs := make([]*program, len(dbs))
	for i, db := range dbs {
		db.SetMaxOpenConns(2) // the server allows no more
		programs[i] = &program{errs: map[string]bool{}}
		programs[i].run(t.Context(), db, stop)
		defer programs[i].running.Wait()
	}
	halt := sync.OnceFunc(func() { close(stop) })
	defer halt()

	// more waits until each worker has had some more failures, or successes.
	more := func(failed bool) {
		t.Helper()
		var before []int
		var workers []*worker
		for _, p := range programs {
			for i := range p.workers {
				workers = append(workers, &p.workers[i])
				before = append(before, p.workers[i].get(failed))
			}
		}
		st := stage{T: t}
		st.until("each worker has more results", func() bool {
			for i, w := range workers {
				if w.get(failed) < before[i]+3 {
					return false
				}
			}
			return true
		})
	}
	more(false)
	for _, end := range []func() error{in.Stop, in.Kill} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		more(true)
		if err := in.Start(); err != nil {
			t.Fatal(err)
		}
		more(false)
	}
	halt()
	for i, p := range programs {
		p.running.Wait()
		st := stage{T: t, db: dbs[i]}
		st.atRest()
		for _, one := range slices.Sorted(maps.Keys(p.errs)) {
			if !slices.Contains(restarts[s.driver].callers, one) {
				// Only logged: it is the driver's error, and the list may not be complete.
				t.Logf("%s got an error that is not listed: %s", []string{"callers on the bare driver", "callers"}[i], one)
			}
		}
	}

	tel.balance(t, wrapped)
	// The dials of database/sql's opener have no span, and the workers have no span for
	// events. So only metrics and closed connections are compared.
	var failed, retried, closed []string
	for _, l := range tel.failures(t) {
		failed = append(failed, afterWords(l, 2))
	}
	for _, l := range tel.retried(t) {
		retried = append(retried, afterWords(l, 1))
	}
	for _, l := range closedConns(t, wrapped) {
		closed = append(closed, afterWords(l, 1))
	}
	if len(failed) == 0 || len(closed) == 0 {
		t.Errorf("failures %q and closes %q, want some of both after two restarts", failed, closed)
	}
	among(t, "failed", failed, restarts[s.driver].failed)
	among(t, "retried", retried, restarts[s.driver].retried)
	among(t, "closed", closed, restarts[s.driver].closed)
	if err := wrapped.Close(); err != nil {
		t.Error(err)
	}
	tel.balance(t, wrapped)
}

// afterWords returns a line without its first n words.
func afterWords(l string, n int) string { return strings.Join(strings.Fields(l)[n:], " ") }

// among checks that every class in got is also in listed. The error type of a class
// depends on timing; types that are not listed are only logged.
func among(t *testing.T, what string, got, listed []string) {
	t.Helper()
	class := func(l string) string { return strings.Fields(l)[1] }
	slices.Sort(got)
	for _, one := range slices.Compact(got) {
		switch {
		case class(one) == string(poolinfo.ClassBadConnection): // the driver reports no more
			t.Logf("%s: %q", what, one)
		case !slices.ContainsFunc(listed, func(l string) bool { return class(l) == class(one) }):
			t.Errorf("%s: the class of %q is not one of %q", what, one, listed)
		case !slices.Contains(listed, one):
			t.Logf("%s: %q is not listed", what, one)
		}
	}
}
