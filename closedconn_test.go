package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

const class = attribute.Key("otelpool.class")

// notices is a driver that reports errors outside of its results. They are about the
// connection that it dialed last.
type notices struct{ send func(error) }

func (n *notices) adapter(s poolinfo.Server) otelpool.Option {
	return otelpool.WithAdapter(otelpool.Adapter{
		Connect: func(ctx context.Context, c driver.Connector, onNotice func(error)) (driver.Conn, error) {
			n.send = onNotice
			return c.Connect(ctx)
		},
		Server: func(driver.Conn) poolinfo.Server { return s },
	})
}

// recentlyClosed returns the closed connections that a pool remembers, the first one
// first.
func recentlyClosed(t testing.TB, db *sql.DB) []poolinfo.ClosedConn {
	t.Helper()
	s, err := otelpool.Inspect(db)
	noError(t, err)
	slices.Reverse(s.RecentlyClosed)
	return s.RecentlyClosed
}

func TestClosedConn_ExplainsItself(t *testing.T) {
	none := poolinfo.Server{}
	idle2s := poolinfo.Server{IdleTimeout: 2 * time.Second}
	noValidator, noReset := full, full
	noValidator.Conn &^= fakedb.Validator
	noReset.Conn &^= fakedb.SessionResetter
	for _, test := range []struct {
		name   string
		cfg    fakedb.Config
		server poolinfo.Server
		do     func(*testing.T, *sql.DB, *fakedb.DB, *notices)
		want   []string
	}{
		{"idle for as long as the server allows, found by the reset", full, idle2s, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			for range 12 {
				noError(t, db.Ping())
			}
			time.Sleep(2 * time.Second)
			fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
			noError(t, db.Ping())
		}, []string{"pool shop: connection 1 closed as bad (the server closed it because it was idle for too long): 2s old, idle for 2s, used 12 times; the server closes a connection that is idle for 2s: set SetConnMaxIdleTime below that"}},
		{"idle for as long as the server allows, found by the first call", full, idle2s, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			noError(t, db.Ping())
			time.Sleep(1500 * ms) // within the tolerance of half a second
			fake.Fail(fakedb.Exec, 1, fmt.Errorf("%w: %w", io.EOF, driver.ErrBadConn))
			execOK(t, db, t.Context())
		}, []string{"pool shop: connection 1 closed as bad (the server closed it because it was idle for too long): 1.5s old, idle for 1.5s, used 2 times; the server closes a connection that is idle for 2s: set SetConnMaxIdleTime below that"}},
		{"not idle for long enough", full, idle2s, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			noError(t, db.Ping())
			time.Sleep(1499 * ms)
			fake.Fail(fakedb.Exec, 1, driver.ErrBadConn)
			execOK(t, db, t.Context())
		}, []string{"pool shop: connection 1 closed as bad (the driver reports only that it is bad): 1.5s old, idle for 1.5s, used 2 times"}},
		{"idle while held", full, idle2s, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			conn, err := db.Conn(t.Context())
			noError(t, err)
			time.Sleep(time.Minute)
			fake.Fail(fakedb.Exec, 1, driver.ErrBadConn)
			_, _ = conn.ExecContext(t.Context(), "x")
			_ = conn.Close()
		}, []string{"pool shop: connection 1 closed as bad (the server closed it because it was idle for too long): 1m0s old, idle for 1m0s, used once; the server closes a connection that is idle for 2s: release it while there is nothing to do with it"}},
		{"a notice that it was idle for too long", full, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, n *notices) {
			noError(t, db.Ping())
			time.Sleep(time.Second)
			n.send(stateError("57P05"))
			fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
			noError(t, db.Ping())
		}, []string{"pool shop: connection 1 closed as bad (the server closed it because it was idle for too long): 1s old, idle for 1s, used once; set SetConnMaxIdleTime below the idle time-out of the server"}},
		{"a notice of another reason", full, idle2s, func(t *testing.T, db *sql.DB, fake *fakedb.DB, n *notices) {
			noError(t, db.Ping())
			time.Sleep(time.Minute)
			n.send(stateError("57P01"))
			fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
			noError(t, db.Ping())
		}, []string{"pool shop: connection 1 closed as bad (killed by the server or an administrator): 1m0s old, idle for 1m0s, used once"}},
		{"a notice of a network error", full, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, n *notices) {
			time.Sleep(time.Second)
			noError(t, db.Ping())
			time.Sleep(time.Second)
			n.send(io.EOF)
			fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
			noError(t, db.Ping())
		}, []string{"pool shop: connection 1 closed as bad (the connection to the server was cut, or could not be made): 1s old, idle for 1s, used once"}},
		{"a notice before a successful call, and one that explains nothing", full, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, n *notices) {
			noError(t, db.Ping())
			n.send(io.EOF)
			time.Sleep(time.Second)
			noError(t, db.Ping())
			fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
			noError(t, db.Ping())
			n.send(errors.New("x"))
			fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
			noError(t, db.Ping())
		}, []string{
			"pool shop: connection 1 closed as bad (the driver reports only that it is bad): 1s old, in use, used 2 times",
			"pool shop: connection 2 closed as bad (the driver reports only that it is bad): 0s old, in use, used once",
		}},
		{"killed while a statement ran", full, idle2s, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			fake.On(fakedb.Exec, fakedb.Sleep(7*time.Second))
			fake.Fail(fakedb.Exec, 1, stateError("57P01"))
			fake.Fail(fakedb.Valid, 1, driver.ErrBadConn)
			_, _ = db.Exec("x")
		}, []string{"pool shop: connection 1 closed as bad (killed by the server or an administrator): 7s old, in use, used once, code 57P01"}},
		{"killed, and found broken later", noValidator, idle2s, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			tx, err := db.Begin()
			noError(t, err)
			fake.Fail(fakedb.Exec, 1, stateError("57P01"))
			_, _ = tx.Exec("x")
			fake.Fail(fakedb.Rollback, 1, errors.New("closed")) // because it was killed
			_ = tx.Rollback()
			time.Sleep(time.Hour)
			fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
			noError(t, db.Ping())
		}, []string{"pool shop: connection 1 closed as bad (killed by the server or an administrator): 1h0m0s old, in use, used once, code 57P01"}},
		{"a stopped statement, and later a network error", noValidator, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, n *notices) {
			fake.Fail(fakedb.Exec, 1, stateError("57014"))
			_, _ = db.Exec("x")
			time.Sleep(time.Hour)
			n.send(io.EOF)
			fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
			noError(t, db.Ping())
		}, []string{"pool shop: connection 1 closed as bad (the connection to the server was cut, or could not be made): 1h0m0s old, idle for 1h0m0s, used once"}},
		{"a stopped statement that broke the connection", full, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			conn, err := db.Conn(t.Context())
			noError(t, err)
			fake.Fail(fakedb.Exec, 1, stateError("70100"))
			_, _ = conn.ExecContext(t.Context(), "x")
			fake.Fail(fakedb.Exec, 1, driver.ErrBadConn)
			_, _ = conn.ExecContext(t.Context(), "x")
			_ = conn.Close()
		}, []string{"pool shop: connection 1 closed as bad (killed by the server or an administrator): 0s old, in use, used once, code 70100"}},
		{"a failure before a successful call", noValidator, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			fake.Fail(fakedb.Exec, 1, stateError("57P01"))
			_, _ = db.Exec("x")
			execOK(t, db, t.Context())
			fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
			noError(t, db.Ping())
		}, []string{"pool shop: connection 1 closed as bad (the driver reports only that it is bad): 0s old, in use, used 2 times"}},
		{"a failure after which the driver finds it valid", full, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			fake.Fail(fakedb.Exec, 1, stateError("57P01"))
			_, _ = db.Exec("x")
			fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
			noError(t, db.Ping())
		}, []string{"pool shop: connection 1 closed as bad (the driver reports only that it is bad): 0s old, in use, used once"}},
		{"bad, with an error that does not break other connections", full, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			fake.Fail(fakedb.Exec, 1, fmt.Errorf("%w: %w", stateError("25006"), driver.ErrBadConn))
			execOK(t, db, t.Context())
		}, []string{"pool shop: connection 1 closed as bad (the server accepts no writes, as after a failover): 0s old, in use, used once, code 25006"}},
		{"a network error at the rollback after a cancel", full, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := db.BeginTx(ctx, nil)
			noError(t, err)
			fake.Fail(fakedb.Rollback, 1, fmt.Errorf("%w: %w", io.EOF, driver.ErrBadConn))
			cancel()
			synctest.Wait()
		}, []string{"pool shop: connection 1 closed as bad (the connection to the server was cut, or could not be made): 0s old, in use, used once"}},
		{"the caller canceled", full, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			ctx, cancel := context.WithCancel(t.Context())
			fake.On(fakedb.Exec, func(ctx context.Context, _ string) error { cancel(); return ctx.Err() })
			fake.Fail(fakedb.Valid, 1, driver.ErrBadConn)
			_, _ = db.ExecContext(ctx, "x")
		}, []string{"pool shop: connection 1 closed as bad (the caller canceled): 0s old, in use, used once"}},
		{"the caller's deadline passed between calls", full, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			fake.Fail(fakedb.Valid, 1, driver.ErrBadConn)
			_, err := db.QueryContext(ctx, "x")
			noError(t, err)
			time.Sleep(4 * time.Second)
			synctest.Wait()
		}, []string{"pool shop: connection 1 closed as bad (the caller's deadline passed): 3s old, in use, used once"}},
		{"called bad in Conn.Raw", full, none, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *notices) {
			conn, err := db.Conn(t.Context())
			noError(t, err)
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}, []string{"pool shop: connection 1 closed as bad (the driver reports only that it is bad): 0s old, in use, used once"}},
		{"reading rows failed", full, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			fake.Fail(fakedb.Next, 1, io.ErrUnexpectedEOF)
			fake.Fail(fakedb.Valid, 1, driver.ErrBadConn)
			var n int
			_ = db.QueryRow("x").Scan(&n)
		}, []string{"pool shop: connection 1 closed as bad (the connection to the server was cut, or could not be made): 0s old, in use, used once"}},
		{"closing rows failed", full, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			fake.Fail(fakedb.RowsClose, 1, fmt.Errorf("%w: %w", stateError("57P02"), driver.ErrBadConn))
			rows, err := db.Query("x")
			noError(t, err)
			_ = rows.Close()
		}, []string{"pool shop: connection 1 closed as bad (the server stopped): 0s old, in use, used once, code 57P02"}},
		{"idle in a transaction", full, none, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *notices) {
			fake.Fail(fakedb.Exec, 1, stateError("25P03"))
			fake.Fail(fakedb.Valid, 1, driver.ErrBadConn)
			_, _ = db.Exec("x")
		}, []string{"pool shop: connection 1 closed as bad (the server closed it because it was idle in a transaction for too long): 0s old, in use, used once, code 25P03; commit or roll back before work that is not the database's"}},
		{"limits", full, idle2s, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *notices) {
			giveBack(t, holdAll(t, db, 3))
			time.Sleep(time.Minute)
			db.SetMaxIdleConns(1)
			db.SetConnMaxIdleTime(30 * time.Second)
			time.Sleep(time.Minute)
			synctest.Wait()
			db.SetConnMaxIdleTime(0)
			db.SetConnMaxLifetime(time.Minute)
			conns := holdAll(t, db, 2)
			time.Sleep(3 * time.Minute)
			giveBack(t, conns[:1])
			db.SetConnMaxLifetime(0)
			conns = append(holdAll(t, db, 1), conns[1])
			db.SetMaxOpenConns(1)
			giveBack(t, conns)
			_ = recentlyClosed(t, db) // resolves the reasons while the DB is open
			noError(t, db.Close())
		}, []string{
			"pool shop: connection 3 closed (SetMaxIdleConns allows no more idle connections): 0s old, used once; if this is often, set SetMaxIdleConns nearer to SetMaxOpenConns",
			"pool shop: connection 2 closed (SetMaxIdleConns allows no more idle connections): 1m0s old, idle for 1m0s, used once",
			"pool shop: connection 1 closed (it reached SetConnMaxIdleTime): 1m30s old, idle for 1m30s, used once",
			"pool shop: connection 4 closed (it reached SetConnMaxLifetime): 3m0s old, used once",
			"pool shop: connection 6 closed (SetMaxOpenConns was lowered): 0s old, used once",
			"pool shop: connection 5 closed (DB.Close): 3m0s old, used once",
		}},
		{"the context of a transaction ended", noReset, none, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *notices) {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := db.BeginTx(ctx, nil)
			noError(t, err)
			cancel()
			synctest.Wait()
		}, []string{"pool shop: connection 1 closed (the context of its transaction ended, and the driver cannot clean a connection): 0s old, used once"}},
		{"dialed in the background for a caller that gave up", withDial(full), none, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *notices) {
			dialForGoneCaller(t, db, func() { db.SetMaxIdleConns(-1) })
		}, []string{
			"pool shop: connection 1 closed as bad (the driver reports only that it is bad): 0s old, in use, used once",
			"pool shop: connection 2 closed (SetMaxIdleConns allows no more idle connections): 0s old, never used; if this is often, set SetMaxIdleConns nearer to SetMaxOpenConns",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := &notices{}
			bubble(t, test.cfg, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
				test.do(t, db, fake, n)
				var got []string
				byClass := map[string]int64{}
				for _, c := range recentlyClosed(t, db) {
					got = append(got, c.String())
					byClass[strings.TrimRight(c.Reason.String()+" "+string(c.Class), " ")]++
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(test.want, "\n  "))
				}
				seen.wantSums(t, "otelpool.connection.closed", byClass, reason, class)
			}, n.adapter(test.server))
		})
	}
}

func TestClosedConn_HasAllFields(t *testing.T) {
	n := &notices{}
	server := poolinfo.Server{System: "mysql", Version: "8", IdleTimeout: time.Hour}
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *telemetry) {
		noError(t, db.Ping())
		time.Sleep(2 * time.Second)
		fake.On(fakedb.Exec, fakedb.Sleep(time.Second))
		fake.Fail(fakedb.Exec, 1, stateError("08006"))
		fake.Fail(fakedb.Valid, 1, driver.ErrBadConn)
		_, _ = db.Exec("x")
		n.send(io.EOF) // after it was closed
		want := []poolinfo.ClosedConn{{
			Time: time.Now(), Pool: "shop", ConnID: 1, Reason: poolinfo.ReasonBad, Class: poolinfo.ClassNetwork,
			Age: 3 * time.Second, Idle: 2 * time.Second, Uses: 2, ErrorType: "08006", Code: "08006", DriverNotice: io.EOF, Server: server,
		}}
		if got := recentlyClosed(t, db); !slices.Equal(got, want) {
			t.Errorf("got\n%+v\nwant\n%+v", got, want)
		}
	}, n.adapter(server))
}

func TestInspect_KeepsTheLast64ClosedConns(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *telemetry) {
		db.SetMaxIdleConns(-1)
		for range 100 {
			noError(t, db.Ping())
		}
		var got, want []uint64
		for _, c := range recentlyClosed(t, db) {
			got = append(got, c.ConnID)
			if c.Reason != poolinfo.ReasonIdleCount {
				t.Errorf("connection %d has reason %q", c.ConnID, c.Reason)
			}
		}
		for id := uint64(37); id <= 100; id++ {
			want = append(want, id)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// It is for the race detector.
func TestAdapter_AcceptsNoticesAtAnyTime(t *testing.T) {
	n := &notices{}
	fake := fakedb.New(full)
	db := otelpool.OpenDB(fake.Connector(), n.adapter(poolinfo.Server{}))
	defer db.Close()
	var all sync.WaitGroup
	for range 50 {
		noError(t, db.Ping())
		send := n.send
		all.Go(func() {
			for range 20 {
				send(io.EOF)
				send(nil)
			}
		})
		fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
		noError(t, db.Ping())
		if s, err := otelpool.Inspect(db); err != nil || len(s.RecentlyClosed) == 0 {
			t.Errorf("got %d closed connections and %v", len(s.RecentlyClosed), err)
		}
	}
	all.Wait()
	for _, c := range recentlyClosed(t, db)[1:] {
		if c.DriverNotice != io.EOF { //nolint:errorlint // the same error, not one like it
			t.Errorf("connection %d: got the notice %v, want EOF", c.ConnID, c.DriverNotice)
		}
	}
}

// eventLines returns a line for each event of a span that is about a bad connection.
func eventLines(s sdktrace.ReadOnlySpan) []string {
	var lines []string
	for _, e := range s.Events() {
		if e.Name != "otelpool.connection.retried" && e.Name != "otelpool.connection.closed" {
			continue
		}
		line := strings.TrimPrefix(e.Name, "otelpool.connection.")
		for _, a := range e.Attributes {
			line += fmt.Sprintf(" %s=%s", a.Key[strings.LastIndex(string(a.Key), ".")+1:], a.Value.String())
		}
		lines = append(lines, line)
	}
	return lines
}

func TestRetries_AreEventsOnTheSpansOfTheCallerAndOfTheCall(t *testing.T) {
	cfg := full
	for _, test := range []struct {
		name string
		do   func(*testing.T, context.Context, *otelpool.DB, *fakedb.DB)
		want map[string][]string // by span
	}{
		{"a reset and a call", func(t *testing.T, ctx context.Context, db *otelpool.DB, fake *fakedb.DB) {
			noError(t, db.Ping())
			time.Sleep(2 * time.Second)
			fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
			fake.Fail(fakedb.Exec, 1, fmt.Errorf("%w: %w", stateError("57P01"), driver.ErrBadConn))
			_, err := db.ExecContext(ctx, "x")
			noError(t, err)
		}, map[string][]string{
			"caller": {
				"retried name=shop id=1 type=bad_connection class=bad_connection age=2 idle=2",
				"closed id=1 reason=bad class=bad_connection age=2 idle=2 uses=1",
				"retried name=shop id=2 type=57P01 class=killed age=0 idle=0",
				"closed id=2 reason=bad class=killed age=0 idle=0 uses=1",
			},
			"exec failed": {"retried name=shop id=1 type=bad_connection class=bad_connection age=2 idle=2"},
			"exec": {
				"retried name=shop id=1 type=bad_connection class=bad_connection age=2 idle=2",
				"retried name=shop id=2 type=57P01 class=killed age=0 idle=0",
			},
		}},
		{"a dial", func(t *testing.T, ctx context.Context, db *otelpool.DB, fake *fakedb.DB) {
			fake.Fail(fakedb.Connect, 1, driver.ErrBadConn)
			_, err := db.ExecContext(ctx, "x")
			noError(t, err)
			_, err = db.ExecContext(ctx, "x") // without a retry
			noError(t, err)
		}, map[string][]string{
			"caller": {"retried name=shop type=bad_connection class=bad_connection"},
			"exec":   {"retried name=shop type=bad_connection class=bad_connection"},
		}},
		{"a call of the *sql.DB", func(t *testing.T, ctx context.Context, db *otelpool.DB, fake *fakedb.DB) {
			fake.Fail(fakedb.Exec, 1, driver.ErrBadConn)
			_, err := db.DB.ExecContext(ctx, "x")
			noError(t, err)
		}, map[string][]string{
			"caller": {
				"retried name=shop id=1 type=bad_connection class=bad_connection age=0 idle=0",
				"closed id=1 reason=bad class=bad_connection age=0 idle=0 uses=1",
			},
		}},
		{"a transaction", func(t *testing.T, ctx context.Context, db *otelpool.DB, fake *fakedb.DB) {
			fake.Fail(fakedb.Begin, 1, driver.ErrBadConn)
			tx, err := db.BeginTx(ctx, nil)
			noError(t, err)
			_, err = tx.ExecContext(ctx, "x") // which is not retried
			noError(t, err)
			noError(t, tx.Commit())
		}, map[string][]string{
			"caller": {
				"retried name=shop id=1 type=bad_connection class=bad_connection age=0 idle=0",
				"closed id=1 reason=bad class=bad_connection age=0 idle=0 uses=1",
			},
			"begin": {"retried name=shop id=1 type=bad_connection class=bad_connection age=0 idle=0"},
		}},
		{"found bad at its release", func(t *testing.T, ctx context.Context, db *otelpool.DB, fake *fakedb.DB) {
			fake.Fail(fakedb.Valid, 1, driver.ErrBadConn)
			_, err := db.ExecContext(ctx, "x")
			noError(t, err)
		}, map[string][]string{
			"caller": {"closed id=1 reason=bad class=bad_connection age=0 idle=0 uses=1"},
		}},
	} {
		for _, kept := range []bool{false, true} {
			var opts []otelpool.Option
			if kept {
				opts = append(opts, otelpool.WithHooks(otelpool.Hooks{
					Keep: func(context.Context, poolinfo.StatementInfo, poolinfo.StatementResult) bool { return true },
				}))
			}
			t.Run(fmt.Sprintf("%s, kept at the end: %t", test.name, kept), func(t *testing.T) {
				timed(t, cfg, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
					ctx, caller := seen.caller()
					test.do(t, ctx, db, fake)
					caller.End()
					got := map[string][]string{}
					for _, s := range seen.spans.Ended() {
						name := s.Name()
						if s.Status().Code != 0 {
							name += " failed"
						}
						if lines := eventLines(s); lines != nil {
							got[name] = append(got[name], lines...)
						}
					}
					if !maps.EqualFunc(got, test.want, slices.Equal) {
						t.Errorf("got\n%q\nwant\n%q", got, test.want)
					}
				}, opts...)
			})
		}
	}
}

func TestClass_IsWhereverErrorTypeIs(t *testing.T) {
	cfg := withDial(full)
	timed(t, cfg, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
		ctx, caller := seen.caller()
		fake.Fail(fakedb.Connect, 1, stateError("53300"))
		if _, err := db.ExecContext(ctx, "x"); err == nil {
			t.Error("a call whose dial failed succeeded")
		}
		fake.Fail(fakedb.Exec, 1, stateError("40P01"))
		_, _ = db.ExecContext(ctx, "x")
		fake.Fail(fakedb.Next, 1, io.ErrUnexpectedEOF)
		var n int
		_ = db.QueryRowContext(ctx, "x").Scan(&n)
		fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
		fake.Fail(fakedb.Connect, 2, driver.ErrBadConn)
		_, _ = db.ExecContext(ctx, "x")
		held, err := db.Conn(ctx)
		noError(t, err)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, _ = db.ExecContext(short, "x")
		noError(t, held.Close())
		caller.End()

		got := map[string]int{}
		for _, s := range seen.ended() {
			a := attributes(s.Attributes())
			if (a[errorType] == nil) != (a[class] == nil) {
				t.Errorf("%s has type %v and class %v", s.Name(), a[errorType], a[class])
			}
			if a[class] != nil {
				got[fmt.Sprint(s.Name(), " ", a[errorType], " ", a[class])]++
			}
		}
		want := map[string]int{
			"connect 53300 too_many_connections": 1, "acquire 53300 too_many_connections": 1, "exec 40P01 deadlock": 1,
			"connect bad_connection bad_connection": 2, "acquire bad_connection bad_connection": 1, "acquire deadline_exceeded deadline": 1,
		}
		if !maps.Equal(got, want) {
			t.Errorf("spans: got %v, want %v", got, want)
		}
		seen.wantHistogram(t, "db.client.connection.create_time", map[string]hist{
			"53300 too_many_connections": {1, time.Second}, "": {2, 2 * time.Second}, "bad_connection bad_connection": {2, 2 * time.Second},
		}, errorType, class)
		seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{
			"exec 40P01 deadlock": {1, 0}, "query": {1, 0},
		}, operation, errorType, class)
		seen.wantSums(t, "otelpool.connection.retries", map[string]int64{"bad_connection bad_connection": 2}, errorType, class)
		events := map[string]int{}
		for _, s := range seen.spans.Ended() {
			for _, e := range s.Events() {
				if a := attributes(e.Attributes); a[errorType] != nil {
					events[fmt.Sprint(e.Name, " ", a[errorType], " ", a[class])]++
				}
			}
		}
		wantEvents := map[string]int{"otelpool.rows.closed *errors.errorString network": 1, "otelpool.connection.retried bad_connection bad_connection": 2}
		if !maps.Equal(events, wantEvents) {
			t.Errorf("events: got %v, want %v", events, wantEvents)
		}
		seen.wantHistogram(t, "db.client.connection.wait_time", map[string]hist{
			"53300 too_many_connections": {1, time.Second}, "bad_connection bad_connection": {1, 2 * time.Second},
			"deadline_exceeded deadline": {1, time.Second}, "": {3, 2 * time.Second},
		}, errorType, class)
	})
}

// Some drivers query the server in a reset, which ends the idle time that it counts. The
// duration of a reset shows which do.
func TestClosedConn_IdleTimeEndsWithAResetThatQueriesTheServer(t *testing.T) {
	server := func(driver.Conn) poolinfo.Server {
		return poolinfo.Server{IdleTimeout: 2 * time.Second}
	}
	for took, want := range map[time.Duration]poolinfo.Class{time.Microsecond: poolinfo.ClassServerIdleTimeout, ms: poolinfo.ClassBadConnection} {
		bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *telemetry) {
			noError(t, db.Ping())
			time.Sleep(1600 * ms)
			fake.On(fakedb.Reset, fakedb.Sleep(took))
			fake.Fail(fakedb.Exec, 1, driver.ErrBadConn)
			_, err := db.Exec("x")
			noError(t, err)
			if got := recentlyClosed(t, db); len(got) != 1 || got[0].Class != want {
				t.Errorf("after a reset of %v: got %v, want %s", took, got, want)
			}
		}, otelpool.WithAdapter(otelpool.Adapter{Server: server}))
	}
}

// The context of DB.Conn is only for the acquire: it often ends before the connection is
// released.
func TestClosedConn_IgnoresTheContextOfTheAcquire(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *telemetry) {
		ctx, cancel := context.WithCancel(t.Context())
		c, err := db.Conn(ctx)
		noError(t, err)
		cancel()
		_ = c.Raw(func(any) error { return driver.ErrBadConn })
		if got := recentlyClosed(t, db); len(got) != 1 || got[0].Class != poolinfo.ClassBadConnection {
			t.Errorf("got %v", got)
		}
	})
}

// typedError is an error whose method ErrorType returns whatever a driver may return.
type typedError string

func (e typedError) Error() string     { return "typed" }
func (e typedError) ErrorType() string { return string(e) }

func TestErrorType_IsTheGoTypeIfTheMethodReturnsAText(t *testing.T) {
	for err, want := range map[typedError]string{
		"duplicate_key":                      "duplicate_key",
		"acme.example/db.DuplicateKey":       "acme.example/db.DuplicateKey",
		"Duplicate entry 'jane@example.org'": "otelpool_test.typedError",
		"":                                   "github.com/otelpool/otelpool_test.typedError",
		typedError(strings.Repeat("x", 201)): "otelpool_test.typedError",
		"jane@example.org":                   "otelpool_test.typedError",
	} {
		bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
			fake.Fail(fakedb.Ping, 1, err)
			_ = db.Ping()
			seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{want: {1, 0}}, errorType)
		})
	}
}
