package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

// timed runs a test in virtual time on a DB of one connection over a fake driver.
func timed(t *testing.T, cfg fakedb.Config, test func(*testing.T, *otelpool.DB, *fakedb.DB, *telemetry), opts ...otelpool.Option) {
	t.Helper()
	bubble(t, cfg, func(t *testing.T, plain *sql.DB, fake *fakedb.DB, seen *telemetry) {
		db, err := otelpool.NewDB(plain)
		noError(t, err)
		db.SetMaxOpenConns(1)
		test(t, db, fake, seen)
	}, opts...)
}

// pooled is what acquires connections: a *sql.DB or a *otelpool.DB.
type pooled interface {
	handle
	Conn(ctx context.Context) (*sql.Conn, error)
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
	PingContext(ctx context.Context) error
	Prepare(query string) (*sql.Stmt, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

var (
	_ pooled = (*sql.DB)(nil)
	_ pooled = (*otelpool.DB)(nil)
)

// hold acquires a connection and releases it after d. It returns the call site, as an
// AcquireError shows it.
func hold(t *testing.T, db *otelpool.DB, ctx context.Context, d time.Duration) (site string) { //nolint:revive // t comes first in a test
	t.Helper()
	_, _, line, _ := runtime.Caller(0)
	c, err := db.Conn(ctx)
	noError(t, err)
	time.AfterFunc(d, func() { _ = c.Close() })
	return fmt.Sprintf("db_test.go:%d", line+1)
}

// acquiring lists the methods that acquire a connection. Each call releases it at once.
var acquiring = map[string]func(context.Context, *otelpool.DB) error{
	"Exec":         func(_ context.Context, db *otelpool.DB) error { _, err := db.Exec("x"); return err },
	"ExecContext":  func(ctx context.Context, db *otelpool.DB) error { _, err := db.ExecContext(ctx, "x"); return err },
	"Query":        func(_ context.Context, db *otelpool.DB) error { return closed(db.Query("x")) },
	"QueryContext": func(ctx context.Context, db *otelpool.DB) error { return closed(db.QueryContext(ctx, "x")) },
	"QueryRow":     func(_ context.Context, db *otelpool.DB) error { return db.QueryRow("x").Scan(new(int)) },
	"QueryRowContext": func(ctx context.Context, db *otelpool.DB) error {
		return db.QueryRowContext(ctx, "x").Scan(new(int))
	},
	"Prepare":        func(_ context.Context, db *otelpool.DB) error { return closed(db.Prepare("x")) },
	"PrepareContext": func(ctx context.Context, db *otelpool.DB) error { return closed(db.PrepareContext(ctx, "x")) },
	"Begin":          func(_ context.Context, db *otelpool.DB) error { return rolledBack(db.Begin()) },
	"BeginTx":        func(ctx context.Context, db *otelpool.DB) error { return rolledBack(db.BeginTx(ctx, nil)) },
	"Conn":           func(ctx context.Context, db *otelpool.DB) error { return closed(db.Conn(ctx)) },
	"Ping":           func(_ context.Context, db *otelpool.DB) error { return db.Ping() },
	"PingContext":    func(ctx context.Context, db *otelpool.DB) error { return db.PingContext(ctx) },
}

func closed[C interface{ Close() error }](c C, err error) error {
	if err != nil {
		return err
	}
	return c.Close()
}

func rolledBack(tx *sql.Tx, err error) error {
	if err != nil {
		return err
	}
	return tx.Rollback()
}

func TestDB_CoversEveryMethodOfSQLDB(t *testing.T) {
	others := []string{
		"Close", "Driver", "SetConnMaxIdleTime", "SetConnMaxLifetime", "SetMaxIdleConns", "SetMaxOpenConns", "Stats",
	}
	var got []string
	for m := range reflect.TypeFor[*sql.DB]().Methods() {
		got = append(got, m.Name)
	}
	want := slices.Sorted(slices.Values(slices.AppendSeq(others, maps.Keys(acquiring))))
	if !slices.Equal(got, want) {
		t.Errorf("*sql.DB has the methods %v, want %v", got, want)
	}
}

func TestDB_RecordsTheWaitOfEveryMethodThatAcquires(t *testing.T) {
	for name, call := range acquiring {
		t.Run(name, func(t *testing.T) {
			timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
				hold(t, db, t.Context(), 300*ms)
				time.Sleep(50 * ms)
				noError(t, call(t.Context(), db))
				seen.wantHistogram(t, "db.client.connection.wait_time", map[string]hist{"": {2, 250 * ms}}, errorType)
				seen.wantQueue(t, 0, 0, 250*ms)
			})
		})
	}
}

// wantQueue fails unless pending callers wait, the first of them for oldest, and all callers
// together have waited for waited.
func (s *telemetry) wantQueue(t testing.TB, pending int64, oldest, waited time.Duration) {
	t.Helper()
	type queue struct {
		pending        int64
		oldest, waited time.Duration
	}
	one := func(name string) float64 { return s.sums(t, name)[""] }
	got := queue{
		int64(one("db.client.connection.pending_requests")),
		seconds(one("otelpool.connection.oldest_wait")), seconds(one("otelpool.connection.waited")),
	}
	if want := (queue{pending, oldest, waited}); got != want {
		t.Errorf("at %v: got %+v, want %+v", time.Since(bubbleStart), got, want)
	}
}

// bubbleStart is the time at which a bubble starts.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestDB_QueueMetricsAreExactAtEachMoment(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
		fake.On(fakedb.Exec, fakedb.Sleep(100*ms))
		seen.wantQueue(t, 0, 0, 0)
		hold(t, db, t.Context(), 500*ms)
		seen.wantQueue(t, 0, 0, 0)
		time.Sleep(100 * ms) // at 100ms
		go execOK(t, db.DB, context.Background())
		synctest.Wait()
		seen.wantQueue(t, 0, 0, 0) // calls of the plain *sql.DB are not counted
		go func() { _, _ = db.Exec("x") }()
		synctest.Wait()
		seen.wantQueue(t, 1, 0, 0)
		time.Sleep(100 * ms) // 200ms
		seen.wantQueue(t, 1, 100*ms, 100*ms)
		ctx, cancel := context.WithTimeout(context.Background(), 250*ms)
		defer cancel()
		go func() { _, _ = db.ExecContext(ctx, "x") }()
		time.Sleep(100 * ms) // 300ms
		seen.wantQueue(t, 2, 200*ms, 300*ms)
		time.Sleep(175 * ms) // 475ms: one timed out at 450
		seen.wantQueue(t, 1, 375*ms, (375+250)*ms)
		time.Sleep(50 * ms) // 525ms: the connection was released at 500, to the plain *sql.DB's caller or to ours
		time.Sleep(time.Second)
		waited := seconds(seen.sums(t, "otelpool.connection.waited")[""])
		if waited != 650*ms && waited != 750*ms {
			t.Errorf("waited %v in all, want 250ms and 400ms or 500ms", waited)
		}
		seen.wantQueue(t, 0, 0, waited)
	})
}

func TestDB_QueueMetricsAreExactHoweverTheCallEnds(t *testing.T) {
	type moment struct {
		at      time.Duration
		pending int64
		oldest  time.Duration
		waited  time.Duration
	}
	for _, test := range []struct {
		name    string
		setUp   func(context.CancelFunc, *otelpool.DB, *fakedb.DB)
		holds   bool // the only connection is held for the first 300ms
		moments []moment
	}{
		{
			name: "a dial in the background", holds: true,
			setUp:   func(_ context.CancelFunc, db *otelpool.DB, _ *fakedb.DB) { db.SetConnMaxLifetime(100 * ms) },
			moments: []moment{{299 * ms, 1, 299 * ms, 299 * ms}, {329 * ms, 1, 329 * ms, 329 * ms}, {331 * ms, 0, 0, 330 * ms}},
		},
		{
			name: "a connection that turns out bad in the call",
			setUp: func(_ context.CancelFunc, _ *otelpool.DB, fake *fakedb.DB) {
				fake.On(fakedb.Exec, func(context.Context, string) error {
					fake.On(fakedb.Exec, nil)
					time.Sleep(5 * ms)
					return driver.ErrBadConn
				})
			},
			moments: []moment{{4 * ms, 0, 0, 0}, {6 * ms, 1, 6 * ms, ms}, {34 * ms, 1, 34 * ms, 29 * ms}, {36 * ms, 0, 0, 30 * ms}},
		},
		{
			name: "a connection that turns out bad at the reset",
			setUp: func(_ context.CancelFunc, _ *otelpool.DB, fake *fakedb.DB) {
				fake.On(fakedb.Reset, func(context.Context, string) error { time.Sleep(5 * ms); return driver.ErrBadConn })
			},
			moments: []moment{{4 * ms, 1, 4 * ms, 4 * ms}, {34 * ms, 1, 34 * ms, 34 * ms}, {36 * ms, 0, 0, 35 * ms}},
		},
		{
			name: "a canceled context", holds: true,
			setUp:   func(cancel context.CancelFunc, _ *otelpool.DB, _ *fakedb.DB) { time.AfterFunc(50*ms, cancel) },
			moments: []moment{{49 * ms, 1, 49 * ms, 49 * ms}, {51 * ms, 0, 0, 50 * ms}},
		},
		{
			name: "DB.Close", holds: true,
			setUp: func(_ context.CancelFunc, db *otelpool.DB, _ *fakedb.DB) {
				time.AfterFunc(50*ms, func() { db.Close() })
			},
			moments: []moment{{49 * ms, 1, 49 * ms, 49 * ms}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := full
			cfg.Dial = 30 * ms
			timed(t, cfg, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
				noError(t, db.DB.Ping())
				if test.holds {
					hold(t, db, t.Context(), 300*ms)
				}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				test.setUp(cancel, db, fake)
				start := time.Now()
				go func() { _, _ = db.ExecContext(ctx, "x") }()
				for _, m := range test.moments {
					time.Sleep(m.at - time.Since(start))
					seen.wantQueue(t, m.pending, m.oldest, m.waited)
				}
				time.Sleep(time.Second)
			})
		})
	}
}

func TestDB_QueueMetricsGrowWhileNoCallerGetsAConnection(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		const callers = 7
		c, err := db.Conn(t.Context())
		noError(t, err)
		for range callers {
			go func() { _, _ = db.Exec("x") }()
		}
		synctest.Wait()
		for elapsed := time.Duration(0); elapsed < 20*time.Second; elapsed += time.Second {
			seen.wantQueue(t, callers, elapsed, callers*elapsed)
			time.Sleep(time.Second)
		}
		noError(t, c.Close())
	})
}

// acquireLine formats the span of an acquire: duration, status, the parts of the wait and the
// source of the connection.
func acquireLine(r sdktrace.ReadOnlySpan) string {
	line := spanLine(r)
	attrs := attributes(r.Attributes())
	for _, part := range []string{"queued", "dialed", "reset", "retried"} {
		if d, _ := attrs[attribute.Key("otelpool.wait."+part)].(float64); d > 0 {
			line += fmt.Sprint(" ", part, " ", seconds(d))
		}
	}
	if s, ok := attrs[source]; ok {
		line += fmt.Sprint(" ", s)
	}
	return line
}

func TestDB_WaitTimesAreExact(t *testing.T) {
	bad := func(fake *fakedb.DB, op fakedb.Op, d time.Duration, times int) {
		fake.On(op, func(context.Context, string) error {
			if times == 0 {
				return nil
			}
			times--
			time.Sleep(d)
			return driver.ErrBadConn
		})
	}
	refused := errors.New("refused")
	for _, test := range []struct {
		name  string
		setUp func(*testing.T, *otelpool.DB)
		do    func(*testing.T, *otelpool.DB, *fakedb.DB) error // the acquire under test
		want  hist
		typ   string // error.type
		lines []string
	}{
		{
			name: "an idle connection", want: hist{1, 0},
			do: func(_ *testing.T, db *otelpool.DB, _ *fakedb.DB) error { _, err := db.Exec("x"); return err },
		},
		{
			name: "a dial by the caller", want: hist{2, 30 * ms}, lines: []string{"acquire 30ms dialed 30ms new"},
			do: func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) error {
				db.SetMaxOpenConns(2)
				hold(t, db, t.Context(), time.Second)
				_, err := db.Exec("x")
				return err
			},
		},
		{
			name: "a reset", want: hist{1, 7 * ms}, lines: []string{"acquire 7ms reset 7ms reused"},
			do: func(_ *testing.T, db *otelpool.DB, fake *fakedb.DB) error {
				fake.On(fakedb.Reset, fakedb.Sleep(7*ms))
				_, err := db.Exec("x")
				return err
			},
		},
		{
			name: "a connection that is released", want: hist{2, 307 * ms}, lines: []string{"acquire 307ms queued 300ms reset 7ms reused"},
			do: func(t *testing.T, db *otelpool.DB, fake *fakedb.DB) error {
				hold(t, db, t.Context(), 300*ms)
				fake.On(fakedb.Reset, fakedb.Sleep(7*ms))
				_, err := db.Exec("x")
				return err
			},
		},
		{
			name: "a dial in the background", want: hist{2, 330 * ms}, lines: []string{"acquire 330ms queued 300ms dialed 30ms opener"},
			do: func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) error {
				db.SetConnMaxLifetime(100 * ms) // the connection is closed at its release
				hold(t, db, t.Context(), 300*ms)
				_, err := db.Exec("x")
				return err
			},
		},
		{
			name: "DB.Conn, dialed in the background", want: hist{2, 330 * ms}, lines: []string{"acquire 330ms queued 300ms dialed 30ms opener"},
			do: func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) error {
				db.SetConnMaxLifetime(100 * ms)
				hold(t, db, t.Context(), 300*ms)
				c, err := db.Conn(t.Context())
				noError(t, err)
				time.Sleep(time.Hour) // the wait has ended
				return c.Close()
			},
		},
		{
			name: "two connections that turn out bad at the reset", want: hist{1, 40 * ms}, lines: []string{"acquire 40ms dialed 30ms reset 10ms new"},
			setUp: leaveTwoIdle,
			do: func(_ *testing.T, db *otelpool.DB, fake *fakedb.DB) error {
				bad(fake, fakedb.Reset, 5*ms, 2)
				_, err := db.Exec("x")
				return err
			},
		},
		{
			name: "two connections that turn out bad in the call", want: hist{1, 40 * ms}, lines: []string{"acquire 40ms dialed 30ms retried 10ms new"},
			setUp: leaveTwoIdle,
			do: func(_ *testing.T, db *otelpool.DB, fake *fakedb.DB) error {
				bad(fake, fakedb.Exec, 5*ms, 2)
				_, err := db.Exec("x")
				return err
			},
		},
		{
			name: "a connection that turns out bad in the call, then a queue", want: hist{2, 275 * ms}, lines: []string{"acquire 275ms queued 270ms retried 5ms reused"},
			setUp: leaveTwoIdle,
			do: func(t *testing.T, db *otelpool.DB, fake *fakedb.DB) error {
				c, err := db.DB.Conn(t.Context())
				noError(t, err)
				time.AfterFunc(275*ms, func() { _ = c.Close() })
				bad(fake, fakedb.Exec, 5*ms, 1)
				openNoReplacement(db, fake, 1)
				_, err = db.Exec("x")
				return err
			},
		},
		{
			name: "a deadline", want: hist{1, 250 * ms}, typ: "deadline_exceeded",
			lines: []string{"acquire 250ms Error error.type=deadline_exceeded queued 250ms"},
			do: func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) error {
				hold(t, db, t.Context(), time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 250*ms)
				defer cancel()
				_, err := db.ExecContext(ctx, "x")
				return wantError(err, context.DeadlineExceeded, poolinfo.CauseDeadline, 250*ms)
			},
		},
		{
			name: "a deadline while dialing", want: hist{1, 10 * ms}, typ: "deadline_exceeded",
			lines: []string{"acquire 10ms Error error.type=deadline_exceeded dialed 10ms"},
			do: func(t *testing.T, db *otelpool.DB, fake *fakedb.DB) error {
				db.SetMaxOpenConns(2)
				hold(t, db, t.Context(), time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 10*ms)
				defer cancel()
				fake.On(fakedb.Connect, func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
				_, err := db.ExecContext(ctx, "x")
				return wantError(err, context.DeadlineExceeded, poolinfo.CauseDeadline, 10*ms)
			},
		},
		{
			name: "a canceled context", want: hist{1, 250 * ms}, typ: "canceled",
			lines: []string{"acquire 250ms error.type=canceled queued 250ms"},
			do: func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) error {
				hold(t, db, t.Context(), time.Second)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(250*ms, cancel)
				_, err := db.BeginTx(ctx, nil)
				return wantError(err, context.Canceled, poolinfo.CauseCanceled, 250*ms)
			},
		},
		{
			name: "a context that ended before the call", want: hist{1, 0}, typ: "canceled",
			lines: []string{"acquire 0s error.type=canceled"},
			do: func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) error {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				return wantError(db.PingContext(ctx), context.Canceled, poolinfo.CauseCanceled, 0)
			},
		},
		{
			name: "DB.Close while waiting", want: hist{1, 250 * ms}, typ: "pool_closed",
			lines: []string{"acquire 250ms Error error.type=pool_closed queued 250ms"},
			do: func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) error {
				hold(t, db, t.Context(), time.Second)
				time.AfterFunc(250*ms, func() { db.Close() })
				_, err := db.Conn(t.Context())
				return wantError(err, closedError(db), poolinfo.CausePoolClosed, 250*ms)
			},
		},
		{
			name: "a dial by the caller that fails", want: hist{1, 30 * ms}, typ: "*errors.errorString",
			lines: []string{"acquire 30ms Error error.type=*errors.errorString dialed 30ms"},
			do: func(t *testing.T, db *otelpool.DB, fake *fakedb.DB) error {
				db.SetMaxOpenConns(2)
				hold(t, db, t.Context(), time.Second)
				fake.Fail(fakedb.Connect, 1, refused)
				return wantError(db.QueryRow("x").Scan(), refused, poolinfo.CauseDial, 30*ms)
			},
		},
		{
			name: "a dial in the background that fails", want: hist{1, 330 * ms}, typ: "*errors.errorString",
			lines: []string{"acquire 330ms Error error.type=*errors.errorString queued 330ms"},
			do: func(t *testing.T, db *otelpool.DB, fake *fakedb.DB) error {
				db.SetConnMaxLifetime(100 * ms)
				hold(t, db, t.Context(), 300*ms)
				fake.Fail(fakedb.Connect, 1, refused)
				_, err := db.Query("x")
				return wantError(err, refused, poolinfo.CauseBackgroundDial, 330*ms)
			},
		},
		{
			name: "dials that all fail with ErrBadConn", want: hist{1, 90 * ms}, typ: "bad_connection",
			lines: []string{"acquire 90ms Error error.type=bad_connection dialed 90ms"},
			do: func(_ *testing.T, db *otelpool.DB, fake *fakedb.DB) error {
				db.SetMaxOpenConns(2)
				c, err := db.Conn(context.Background())
				if err != nil {
					return err
				}
				defer c.Close()
				fake.On(fakedb.Connect, func(context.Context, string) error { return driver.ErrBadConn })
				return wantError(db.Ping(), driver.ErrBadConn, poolinfo.CauseDial, 90*ms)
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := full
			cfg.Dial = 30 * ms
			timed(t, cfg, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
				noError(t, db.DB.Ping())
				if test.setUp != nil {
					test.setUp(t, db)
				}
				before := seen.histogram(t, "db.client.connection.wait_time", errorType)
				skip := len(seen.ended())
				noError(t, test.do(t, db, fake))
				got := seen.histogram(t, "db.client.connection.wait_time", errorType)
				old := before[test.typ]
				if h := (hist{got[test.typ].count - old.count, got[test.typ].sum - old.sum}); h != test.want {
					t.Errorf("got %v, want %v", h, test.want)
				}
				var lines []string
				for _, s := range seen.ended()[skip:] {
					if s.Name() == "acquire" {
						lines = append(lines, acquireLine(s))
					}
				}
				if !slices.Equal(lines, test.lines) {
					t.Errorf("got %v, want %v", lines, test.lines)
				}
			})
		})
	}
}

// leaveTwoIdle opens two connections and releases them.
func leaveTwoIdle(t *testing.T, db *otelpool.DB) {
	t.Helper()
	db.SetMaxOpenConns(2)
	db.SetMaxIdleConns(2)
	a, err := db.DB.Conn(t.Context())
	noError(t, err)
	b, err := db.DB.Conn(t.Context())
	noError(t, err)
	noError(t, errors.Join(a.Close(), b.Close()))
}

// openNoReplacement lowers the limit of open connections with each close, starting at limit,
// so that database/sql does not replace the closed connection.
func openNoReplacement(db *otelpool.DB, fake *fakedb.DB, limit int) {
	fake.On(fakedb.Close, func(context.Context, string) error {
		db.SetMaxOpenConns(limit)
		limit--
		return nil
	})
}

// closedError returns the error of database/sql for a closed DB.
func closedError(db *otelpool.DB) error { return db.DB.Ping() }

// wantError returns an error unless err is an AcquireError with the given cause and wait that
// unwraps to below.
func wantError(err, below error, cause poolinfo.Cause, waited time.Duration) error {
	var e *otelpool.AcquireError
	if !errors.As(err, &e) {
		return fmt.Errorf("got %w, want an AcquireError", err)
	}
	if e.Unwrap() != below || e.Cause != cause || e.Waited != waited { //nolint:errorlint // the same error, not one like it
		return fmt.Errorf("got %w (%s after %v), want %w (%s after %v)", e.Unwrap(), e.Cause, e.Waited, below, cause, waited)
	}
	return nil
}

func TestDB_ReturnsErrorsAfterTheAcquireUnchanged(t *testing.T) {
	failure := errors.New("no such table")
	for name, call := range acquiring {
		if name == "Conn" {
			continue // it makes no call of the driver after the acquire
		}
		for _, want := range []error{failure, driver.ErrBadConn} {
			t.Run(fmt.Sprint(name, ", ", want), func(t *testing.T) {
				timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, _ *telemetry) {
					for _, op := range []fakedb.Op{fakedb.Exec, fakedb.Query, fakedb.Prepare, fakedb.Begin, fakedb.Ping} {
						fake.On(op, func(context.Context, string) error { return want })
					}
					if err := call(t.Context(), db); err != want { //nolint:errorlint // the same error, not one like it
						t.Errorf("got %v, want %v", err, want)
					}
				})
			})
		}
	}
}

func TestDB_ArgumentErrorIsNotAnAcquireError(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		for range 2 { // on a connection that was dialed in the background, and on one that is reused
			db.SetConnMaxLifetime(100 * ms)
			hold(t, db, t.Context(), 300*ms)
			_, err := db.Exec("x", make(chan int))
			var e *otelpool.AcquireError
			if want := "sql: converting argument $1 type: unsupported type chan int, a chan"; err == nil || err.Error() != want || errors.As(err, &e) {
				t.Errorf("got %v, want %s", err, want)
			}
			db.SetConnMaxLifetime(0)
		}
		seen.wantHistogram(t, "db.client.connection.wait_time", map[string]hist{"": {4, 600 * ms}}, errorType)
	})
}

func TestDB_BackgroundDialMayFailWithAnUncomparableError(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, _ *telemetry) {
		db.SetConnMaxLifetime(100 * ms)
		hold(t, db, t.Context(), 300*ms)
		fake.Fail(fakedb.Connect, 1, listError{"no"})
		var e *otelpool.AcquireError
		if err := db.Ping(); !errors.As(err, &e) || e.Cause != poolinfo.CauseBackgroundDial {
			t.Errorf("got %v, want an AcquireError of a dial in the background", err)
		}
	})
}

func TestDB_QueryRowMayFailWithAnUncomparableError(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, _ *telemetry) {
		fake.Fail(fakedb.Query, 1, listError{"no"})
		err := db.QueryRow("x").Scan(new(int))
		if !reflect.DeepEqual(err, listError{"no"}) {
			t.Errorf("got %#v, want the driver's error", err)
		}
	})
}

func TestDB_QueryRowReturnsTheAcquireErrorWithoutAConnection(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
		hold(t, db, t.Context(), time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		row := db.QueryRowContext(ctx, "x")
		var e *otelpool.AcquireError
		if err := row.Err(); !errors.As(err, &e) || row.Scan(new(int)) != err { //nolint:errorlint // the same error, not one like it
			t.Errorf("got %v", err)
		}
		if !e.Timeout() {
			t.Error("an AcquireError of a deadline is not a timeout")
		}
		noError(t, db.Close())
		if err := db.QueryRow("x").Err(); !errors.As(err, &e) || e.Cause != poolinfo.CausePoolClosed || e.Timeout() {
			t.Errorf("got %v", err)
		}
		if n := fake.Opened(); n != 1 {
			t.Errorf("%d connections were opened, want 1", n)
		}
	})
}

func TestAcquireError_CauseIsThatOfTheLastAttempt(t *testing.T) {
	refused := errors.New("refused")
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, _ *telemetry) {
		db.SetMaxOpenConns(2)
		db.SetConnMaxLifetime(100 * ms)
		hold(t, db, t.Context(), 300*ms)
		fake.On(fakedb.Connect, func(context.Context, string) error {
			fake.On(fakedb.Connect, func(context.Context, string) error { return refused })
			db.SetMaxOpenConns(1) // the next attempt waits for a dial in the background
			return driver.ErrBadConn
		})
		if err := wantError(db.Ping(), refused, poolinfo.CauseBackgroundDial, 300*ms); err != nil {
			t.Error(err)
		}
	})
}

func TestDB_DriverPanicEndsTheWait(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
		db.SetMaxOpenConns(2)
		for _, op := range []fakedb.Op{fakedb.Connect, fakedb.Exec} {
			fake.On(op, func(context.Context, string) error { panic(op) })
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%v did not panic", op)
					}
				}()
				_, _ = db.Exec("x")
			}()
			fake.On(op, nil)
		}
		seen.wantQueue(t, 0, 0, 0)
		// The call whose statement panicked had acquired a connection.
		seen.wantHistogram(t, "db.client.connection.wait_time", map[string]hist{"": {1, 0}}, errorType)
	})
}

var callerFrames = regexp.MustCompile(` from \S+:\d+`)

func TestAcquireError_DescribesThePool(t *testing.T) {
	refused := errors.New("dial tcp 10.0.0.7:3306:\nconnect: connection refused")
	for cause, test := range map[poolinfo.Cause]struct {
		call func(*testing.T, *otelpool.DB, *fakedb.DB) error
		want string
	}{
		poolinfo.CauseDeadline: {
			want: "otelpool: no connection from pool shop: the deadline passed after 5s; 1/1 held, 0 idle, 0 dialing, 1 more waiting; " +
				"longest: 5m5s (idle for 5m5s) at SITE: context deadline exceeded",
			call: func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) error {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				go func() { _ = db.Ping() }()
				return db.PingContext(ctx)
			},
		},
		poolinfo.CauseCanceled: {
			want: "otelpool: no connection from pool shop: the caller canceled after 1.5ms; 1/1 held, 0 idle, 0 dialing, 0 more waiting; " +
				"longest: 5m0s (idle for 5m0s) at SITE: context canceled",
			call: func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) error {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(1500*time.Microsecond, cancel)
				return db.PingContext(ctx)
			},
		},
		poolinfo.CausePoolClosed: {
			want: "otelpool: no connection from pool shop: it was closed, after a wait of 0s; 1/1 held, 0 idle, 0 dialing, 0 more waiting; " +
				"longest: 5m0s (idle for 5m0s) at SITE: sql: database is closed",
			call: func(_ *testing.T, db *otelpool.DB, _ *fakedb.DB) error {
				db.Close()
				return db.Ping()
			},
		},
		poolinfo.CauseDial: {
			want: "otelpool: no connection from pool shop: dialing failed after 0s; 1 held, no limit, 0 idle, 0 dialing, 0 more waiting; " +
				"longest: 5m0s (idle for 5m0s) at SITE: dial tcp 10.0.0.7:3306: connect: connection refused",
			call: func(_ *testing.T, db *otelpool.DB, fake *fakedb.DB) error {
				db.SetMaxOpenConns(0)
				fake.Fail(fakedb.Connect, 1, refused)
				return db.Ping()
			},
		},
		poolinfo.CauseBackgroundDial: {
			want: "otelpool: no connection from pool shop: a dial in the background failed, after a wait of 10m0s; 0/1 held, 0 idle, 0 dialing, 0 more waiting" +
				": dial tcp 10.0.0.7:3306: connect: connection refused",
			call: func(_ *testing.T, db *otelpool.DB, fake *fakedb.DB) error {
				db.SetConnMaxLifetime(time.Second)
				fake.Fail(fakedb.Connect, 1, refused)
				return db.Ping()
			},
		},
		poolinfo.CauseBadConn: {
			want: "otelpool: no connection from pool shop: every connection tried was bad (after 200ms); 1/1 held, 0 idle, 0 dialing, 0 more waiting; " +
				"longest: 5m0.2s (idle for 5m0.2s) at SITE: driver: bad connection",
			call: func(t *testing.T, db *otelpool.DB, fake *fakedb.DB) error {
				db.SetMaxOpenConns(4)
				idle, err := db.Conn(t.Context())
				noError(t, err)
				hold(t, db, t.Context(), 100*ms)
				hold(t, db, t.Context(), 200*ms)
				noError(t, idle.Close())
				openNoReplacement(db, fake, 3)
				fake.On(fakedb.Reset, func(context.Context, string) error { return driver.ErrBadConn })
				return db.Ping()
			},
		},
	} {
		t.Run(string(cause), func(t *testing.T) {
			timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, _ *telemetry) {
				site := hold(t, db, t.Context(), 15*time.Minute)
				time.Sleep(5 * time.Minute)
				err := test.call(t, db, fake)
				want := strings.Replace(test.want, "SITE", site, 1)
				if err == nil || callerFrames.ReplaceAllString(err.Error(), "") != want {
					t.Errorf("got\n%v\nwant\n%s", err, want)
				}
				var e *otelpool.AcquireError
				if errors.As(err, &e) && e.Cause != cause {
					t.Errorf("got cause %s", e.Cause)
				}
			})
		})
	}
}

func TestAcquireError_HoldersHaveTheirPhase(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, _ *telemetry) {
		db.SetMaxOpenConns(4)
		fake.On(fakedb.Ping, fakedb.Sleep(time.Minute))
		defer time.Sleep(time.Hour)
		c, err := db.Conn(t.Context())
		noError(t, err)
		defer c.Close()
		time.Sleep(time.Second)
		tx, err := db.Begin()
		noError(t, err)
		defer tx.Rollback()
		time.Sleep(time.Second)
		rows, err := tx.Query("x")
		noError(t, err)
		noError(t, rows.Close())
		rows, err = db.Query("x")
		noError(t, err)
		defer rows.Close()
		time.Sleep(time.Second)
		go func() { _ = db.Ping() }()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var e *otelpool.AcquireError
		if err := db.PingContext(ctx); !errors.As(err, &e) {
			t.Fatalf("got %v, want an AcquireError", err)
		}
		var got []string
		for _, h := range e.Holders {
			text, _, _ := strings.Cut(h.String(), " at ")
			got = append(got, text)
			if f := h.CallSite.Frames(); len(f) == 0 || !strings.Contains(f[0].Function, t.Name()) {
				t.Errorf("connection %d has the call site %v", h.ConnID, f)
			}
		}
		want := []string{
			"5s (idle for 5s)", "4s (transaction idle for 3s)", "3s (rows open for 3s)", "2s (executing for 2s)",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestAcquireError_HoldersHaveCallSitesOnceHalfThePoolIsHeld(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, _ *telemetry) {
		const limit = 6
		fake.On(fakedb.Ping, fakedb.Sleep(time.Minute))
		defer time.Sleep(time.Hour)
		db.SetMaxOpenConns(limit)
		for range limit {
			go func() { _ = db.Ping() }()
			time.Sleep(time.Second)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var e *otelpool.AcquireError
		if err := db.PingContext(ctx); !errors.As(err, &e) {
			t.Fatalf("got %v, want an AcquireError", err)
		}
		var got []bool
		for _, h := range e.Holders { // the five longest holds
			got = append(got, h.CallSite.Frames() != nil)
		}
		if want := []bool{false, false, false, true, true}; !slices.Equal(got, want) {
			t.Errorf("call sites: got %v, want %v", got, want)
		}
	})
}

func TestWithoutCallers_CapturesNoCallSite(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, _ *telemetry) {
		hold(t, db, t.Context(), time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var e *otelpool.AcquireError
		if err := db.PingContext(ctx); !errors.As(err, &e) {
			t.Fatalf("got %v, want an AcquireError", err)
		}
		if len(e.Holders) != 1 || e.Holders[0].CallSite.Frames() != nil || e.Holders[0].String() != "1s (idle for 1s)" {
			t.Errorf("got %v, want one holder without a call site", e.Holders)
		}
	}, otelpool.WithoutCallers())
}

func TestDB_CountsTimeoutsAndCancelsSeparately(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		hold(t, db, t.Context(), time.Hour)
		for i := range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if i < 2 {
				time.AfterFunc(ms, cancel)
			}
			_ = db.PingContext(ctx)
			cancel()
		}
		seen.wantSums(t, "db.client.connection.timeouts", map[string]int64{"": 3}, errorType)
		seen.wantSums(t, "otelpool.connection.cancels", map[string]int64{"": 2}, errorType)
	})
}

func TestOpenDB_HasNoQueueMetricsWithoutADB(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		execOK(t, db, t.Context())
		for _, name := range []string{
			"db.client.connection.pending_requests", "db.client.connection.timeouts", "db.client.connection.idle.max",
			"otelpool.connection.waited", "otelpool.connection.oldest_wait", "otelpool.connection.cancels",
		} {
			seen.wantSums(t, name, map[string]int64{})
		}
	})
}

func TestDB_ObservesTheIdleLimitOnceItIsSet(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		const name = "db.client.connection.idle.max"
		seen.wantSums(t, name, map[string]int64{})
		db.SetMaxOpenConns(10)
		db.SetMaxIdleConns(7)
		seen.wantSums(t, name, map[string]int64{"": 7})
		db.SetMaxOpenConns(3) // lowers the idle limit too, permanently
		seen.wantSums(t, name, map[string]int64{"": 3})
		db.SetMaxOpenConns(10)
		seen.wantSums(t, name, map[string]int64{"": 3})
		db.SetMaxIdleConns(9)
		db.SetMaxOpenConns(2)
		db.SetMaxOpenConns(10)
		seen.wantSums(t, name, map[string]int64{"": 2})
		db.SetMaxIdleConns(-1)
		seen.wantSums(t, name, map[string]int64{"": 0})
	})
}

func TestAcquireSpan_LinksToTheHolders(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		const limit = 12
		db.SetMaxOpenConns(limit)
		spans := map[trace.SpanID]int{}
		var first trace.Span
		for i := range limit {
			ctx, span := seen.caller()
			defer span.End()
			if i == 0 {
				first = span
			}
			spans[span.SpanContext().SpanID()] = i
			d := time.Hour
			if i == 5 {
				d = 10 * time.Second
			}
			if i == 3 { // one span holds two connections
				spans[first.SpanContext().SpanID()] = 0
				ctx = trace.ContextWithSpan(ctx, first)
			}
			hold(t, db, ctx, d)
			time.Sleep(ms)
		}
		ctx, caller := seen.caller()
		_, err := db.ExecContext(ctx, "x")
		noError(t, err)
		caller.End()
		var got [][]int
		for _, s := range seen.ended() {
			if s.Name() != "acquire" {
				continue
			}
			if s.Parent().SpanID() != caller.SpanContext().SpanID() || s.SpanKind() != trace.SpanKindInternal {
				t.Errorf("the acquire is a %v span with parent %v", s.SpanKind(), s.Parent())
			}
			links := []int{}
			for _, l := range s.Links() {
				links = append(links, spans[l.SpanContext.SpanID()])
			}
			got = append(got, links)
		}
		// Span 5 released the connection that the caller got.
		if want := [][]int{{0, 1, 2, 4, 5, 6, 7, 8}}; !reflect.DeepEqual(got, want) {
			t.Errorf("got links to the holders %v, want %v", got, want)
		}
	})
}

func TestAcquireSpan_LinksToASampledHolderBehindUnsampledOnes(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		const limit = 20
		db.SetMaxOpenConns(limit)
		never := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())).Tracer("holder")
		for range limit - 1 {
			ctx, _ := never.Start(t.Context(), "holder")
			hold(t, db, ctx, time.Hour)
			time.Sleep(ms)
		}
		ctx, holder := seen.caller()
		defer holder.End()
		hold(t, db, ctx, time.Hour)
		wantLinks(t, db, seen, holder)
	})
}

func TestAcquireSpan_LinksToTheHolderOfAClosedConnection(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		db.SetConnMaxLifetime(100 * ms)
		ctx, holder := seen.caller()
		defer holder.End()
		hold(t, db, ctx, 500*ms)
		wantLinks(t, db, seen, holder)
	})
}

// wantLinks acquires a connection, waiting for up to a second, and fails unless the span of
// the acquire has exactly one link, to the holder's span.
func wantLinks(t *testing.T, db *otelpool.DB, seen *telemetry, holder trace.Span) {
	t.Helper()
	ctx, caller := seen.caller()
	defer caller.End()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = db.PingContext(ctx)
	for _, s := range seen.ended() {
		if s.Name() == "acquire" {
			if l := s.Links(); len(l) != 1 || l[0].SpanContext.SpanID() != holder.SpanContext().SpanID() {
				t.Errorf("got links %v, want one to %v", l, holder.SpanContext().SpanID())
			}
		}
	}
}

func TestReleasedEvent_HasTheWaitersOfTheHold(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
		ctx, holder := seen.caller()
		c, err := db.Conn(ctx)
		noError(t, err)
		time.Sleep(time.Second)
		limited, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		go func() { _ = db.PingContext(limited) }() // times out after 3s
		go func() { _ = db.Ping() }()               // waits for 9s
		time.Sleep(9 * time.Second)
		noError(t, c.Close())
		synctest.Wait()
		holder.End()
		events := seen.spans.Ended()[len(seen.spans.Ended())-1].Events()
		got := attributes(events[len(events)-1].Attributes)
		want := map[attribute.Key]any{
			"otelpool.connection.id": int64(1), "otelpool.held": 10.0, "otelpool.waiters": int64(2), "otelpool.waited": 12.0,
		}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestWithAcquireSpanThreshold_DecidesWhichAcquiresAreSpans(t *testing.T) {
	for _, test := range []struct {
		opts []otelpool.Option
		want []string
	}{
		{nil, []string{"acquire 1ms", "acquire 1.5ms Error error.type=deadline_exceeded"}},
		{[]otelpool.Option{otelpool.WithAcquireSpanThreshold(2 * ms)}, []string{"acquire 1.5ms Error error.type=deadline_exceeded"}},
		{[]otelpool.Option{otelpool.WithAcquireSpanThreshold(0)}, []string{"acquire 0s", "acquire 999µs", "acquire 0s", "acquire 1ms", "acquire 0s", "acquire 1.5ms Error error.type=deadline_exceeded"}},
		{[]otelpool.Option{otelpool.WithAcquireSpanThreshold(-1)}, nil},
	} {
		timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
			for _, d := range []time.Duration{999 * time.Microsecond, ms} {
				hold(t, db, t.Context(), d)
				noError(t, db.Ping())
			}
			hold(t, db, t.Context(), time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Microsecond)
			defer cancel()
			_ = db.PingContext(ctx)
			var got []string
			for _, s := range seen.ended() {
				if s.Name() == "acquire" {
					got = append(got, spanLine(s))
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		}, test.opts...)
	}
}

func TestNewDB_RefusesADBThatIsNotItsOwn(t *testing.T) {
	foreign := sql.OpenDB(fakedb.New(full).Connector())
	defer foreign.Close()
	shared := otelpool.NewConnector(fakedb.New(full).Connector())
	mine, other := sql.OpenDB(shared), sql.OpenDB(shared)
	defer mine.Close()
	defer other.Close()
	noError(t, otelpool.Watch(mine))
	for db, want := range map[*sql.DB]string{
		nil:     "otelpool: the *sql.DB is nil",
		foreign: "otelpool: this *sql.DB was not opened through otelpool: its driver is a " + fmt.Sprintf("%T", foreign.Driver()),
		other:   "otelpool: the connector of this *sql.DB is already watched as that of another",
		mine:    "<nil>",
	} {
		if _, err := otelpool.NewDB(db); fmt.Sprint(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
