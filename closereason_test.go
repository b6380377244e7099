package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

// holdAll acquires n connections at once and returns them.
func holdAll(t *testing.T, db *sql.DB, n int) []*sql.Conn {
	t.Helper()
	conns := make([]*sql.Conn, n)
	for i := range conns {
		conn, err := db.Conn(t.Context())
		noError(t, err)
		conns[i] = conn
	}
	return conns
}

// giveBack releases connections.
func giveBack(t *testing.T, conns []*sql.Conn) {
	t.Helper()
	for _, c := range conns {
		noError(t, c.Close())
	}
}

// It goes through each function of database/sql that closes a connection. Their names are
// not documented: this test fails when a Go release renames one.
func TestCloseReason_IsKnownForEveryClose(t *testing.T) {
	noReset := full
	noReset.Conn &^= fakedb.SessionResetter
	for _, test := range []struct {
		name string
		cfg  fakedb.Config
		do   func(*testing.T, *sql.DB, *fakedb.DB)
		want map[string]int64
	}{
		{"lifetime, found when it is acquired", full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			db.SetConnMaxLifetime(time.Minute)
			noError(t, db.Ping())
			time.Sleep(59*time.Second + 999*ms)
			db.SetConnMaxLifetime(time.Second) // found by the next acquire, since the cleaner sleeps
			noError(t, db.Ping())
		}, map[string]int64{"lifetime": 1}},
		{"lifetime, found by the cleaner", full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			db.SetConnMaxLifetime(time.Minute)
			noError(t, db.Ping())
			time.Sleep(3 * time.Minute)
		}, map[string]int64{"lifetime": 1}},
		{"lifetime, found when it is released", full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			db.SetConnMaxLifetime(time.Minute)
			conns := holdAll(t, db, 1)
			time.Sleep(2 * time.Minute)
			giveBack(t, conns)
		}, map[string]int64{"lifetime": 1}},
		{"idle time", full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			db.SetConnMaxIdleTime(time.Minute)
			db.SetConnMaxLifetime(time.Hour)
			noError(t, db.Ping())
			time.Sleep(3 * time.Minute)
		}, map[string]int64{"idle_time": 1}},
		{"idle time and lifetime in one run of the cleaner", full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			db.SetMaxIdleConns(5)
			giveBack(t, holdAll(t, db, 2))
			time.Sleep(time.Minute)
			db.SetConnMaxLifetime(90 * time.Second)
			conns := holdAll(t, db, 1) // the other one stays idle
			time.Sleep(time.Second)
			giveBack(t, conns)
			db.SetConnMaxIdleTime(30 * time.Second)
			time.Sleep(time.Hour)
		}, map[string]int64{"idle_time": 1, "lifetime": 1}},
		{"idle count, at release", full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			giveBack(t, holdAll(t, db, 5)) // 2 may stay idle
		}, map[string]int64{"idle_count": 3}},
		{"idle count, lowered", full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			giveBack(t, holdAll(t, db, 2))
			db.SetMaxIdleConns(1)
		}, map[string]int64{"idle_count": 1}},
		{"open count, lowered", full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			conns := holdAll(t, db, 5)
			db.SetMaxOpenConns(3)
			giveBack(t, conns)
		}, map[string]int64{"open_count": 2, "idle_count": 1}},
		{"bad, found by the reset", full, func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			noError(t, db.Ping())
			fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
			noError(t, db.Ping())
		}, map[string]int64{"bad": 1}},
		{"bad, found by a call", full, func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.Fail(fakedb.Exec, 2, driver.ErrBadConn)
			execOK(t, db, t.Context())
		}, map[string]int64{"bad": 2}},
		{"bad, in a transaction", full, func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			tx, err := db.Begin()
			noError(t, err)
			fake.Fail(fakedb.Rollback, 1, driver.ErrBadConn)
			if err := tx.Rollback(); err != driver.ErrBadConn { //nolint:errorlint // the same error, not one like it
				t.Errorf("got %v, want ErrBadConn", err)
			}
		}, map[string]int64{"bad": 1}},
		{"bad, found by the driver at release", full, func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.Fail(fakedb.Valid, 1, driver.ErrBadConn)
			noError(t, db.Ping())
		}, map[string]int64{"bad": 1}},
		{"bad, called so in Conn.Raw", full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			conn, err := db.Conn(t.Context())
			noError(t, err)
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}, map[string]int64{"bad": 1}},
		{"an error in a transaction before a successful call does not count", full, func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			tx, err := db.Begin()
			noError(t, err)
			fake.Fail(fakedb.Exec, 1, driver.ErrBadConn)
			_, _ = tx.Exec("x")
			noError(t, tx.Rollback())
			db.SetMaxIdleConns(-1)
		}, map[string]int64{"idle_count": 1}},
		{"rollback discard", noReset, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := db.BeginTx(ctx, nil)
			noError(t, err)
			cancel()
			synctest.Wait()
		}, map[string]int64{"rollback_discard": 1}},
		{"rollback discard, on a sql.Conn", noReset, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			conn, err := db.Conn(t.Context())
			noError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			_, err = conn.BeginTx(ctx, nil)
			noError(t, err)
			cancel()
			synctest.Wait()
		}, map[string]int64{"rollback_discard": 1}},
		{"no close, if the driver can clean a connection", full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := db.BeginTx(ctx, nil)
			noError(t, err)
			cancel()
			synctest.Wait()
		}, map[string]int64{}},
		{"pool closed, idle and held", full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			conns := holdAll(t, db, 3)
			giveBack(t, conns[:1])
			noError(t, db.Close())
			giveBack(t, conns[1:])
		}, map[string]int64{"pool_closed": 3}},
		{"pool closed while the opener dials", full, func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			// A dial that ignores its context, which DB.Close ends.
			fake.On(fakedb.Connect, func(context.Context, string) error { time.Sleep(time.Second); return nil })
			dialForGoneCaller(t, db, func() { noError(t, db.Close()) })
		}, map[string]int64{"bad": 1, "pool_closed": 1}},
		{"open count, lowered while the opener dials", withDial(full), func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			db.SetMaxOpenConns(2)
			others := holdAll(t, db, 1)
			dialForGoneCaller(t, db, func() { db.SetMaxOpenConns(1) })
			giveBack(t, others)
		}, map[string]int64{"bad": 1, "open_count": 1}},
		{"idle count, after a background dial whose caller gave up", withDial(full), func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			dialForGoneCaller(t, db, func() { db.SetMaxIdleConns(-1) })
		}, map[string]int64{"bad": 1, "idle_count": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, test.cfg, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
				test.do(t, db, fake)
				s, err := otelpool.Inspect(db)
				noError(t, err)
				if got := byText(s.Closed); !maps.Equal(got, test.want) {
					t.Errorf("Inspect: closed %v, want %v", got, test.want)
				}
				recent := map[string]int64{}
				for _, c := range s.RecentlyClosed {
					recent[c.Reason.String()]++
					if (c.Reason == poolinfo.ReasonBad) != (c.Class != "") {
						t.Errorf("%s has reason %q and class %q", c, c.Reason, c.Class)
					}
				}
				if !maps.Equal(recent, test.want) {
					t.Errorf("Inspect: recently closed %v, want %v", recent, test.want)
				}
				seen.wantSums(t, "otelpool.connection.closed", test.want, reason)
				if s.Open != fake.Open() {
					t.Errorf("the ledger has %d open, the driver %d", s.Open, fake.Open())
				}
			})
		})
	}
}

// withDial makes a dial take a second.
func withDial(cfg fakedb.Config) fakedb.Config {
	cfg.Dial = time.Second
	return cfg
}

// dialForGoneCaller makes database/sql open a connection in the background for a caller
// that gives up. It calls meanwhile during the dial.
func dialForGoneCaller(t *testing.T, db *sql.DB, meanwhile func()) {
	t.Helper()
	if db.Stats().MaxOpenConnections == 0 {
		db.SetMaxOpenConns(1)
	}
	conn, err := db.Conn(t.Context())
	noError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var waiter sync.WaitGroup
	waiter.Go(func() { _, _ = db.ExecContext(ctx, "x") })
	synctest.Wait()
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	time.Sleep(500 * ms)
	cancel()
	waiter.Wait()
	meanwhile()
	time.Sleep(time.Second)
	synctest.Wait()
}

// The DB of a pool that is not watched is not known, as after Register.
func TestCloseReason_IsUnknownIfThePoolIsNotWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := observe()
		db := sql.OpenDB(otelpool.NewConnector(fakedb.New(full).Connector(), seen.options()...))
		giveBack(t, holdAll(t, db, 5)) // 3 are too many to stay idle
		db.SetMaxIdleConns(1)          // closes 1, which the call stack explains
		db.SetConnMaxIdleTime(time.Second)
		time.Sleep(time.Minute) // the cleaner closes 1, for either of two limits
		noError(t, db.Ping())
		conns := holdAll(t, db, 1)
		noError(t, db.Close())
		giveBack(t, conns)
		seen.wantSums(t, "otelpool.connection.closed", map[string]int64{"unknown": 4, "idle_count": 1, "pool_closed": 1}, reason)
		seen.wantSums(t, "db.client.connection.max", map[string]int64{})
	})
}

func TestWatch_AttributesOnlyLaterCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := observe()
		db := sql.OpenDB(otelpool.NewConnector(fakedb.New(full).Connector(), seen.options()...))
		defer db.Close()
		giveBack(t, holdAll(t, db, 5))
		noError(t, otelpool.Watch(db))
		noError(t, otelpool.Watch(db)) // twice is allowed
		conns := holdAll(t, db, 5)
		db.SetMaxOpenConns(4)
		giveBack(t, conns)
		seen.wantSums(t, "otelpool.connection.closed", map[string]int64{"unknown": 3, "open_count": 1, "idle_count": 2}, reason)
	})
}

func TestRetries_AreCountedOnce(t *testing.T) {
	wrapped := fmt.Errorf("the server has gone away: %w", driver.ErrBadConn)
	coded := fmt.Errorf("%w: %w", stateError("57P01"), driver.ErrBadConn)
	for _, test := range []struct {
		name string
		do   func(*testing.T, *sql.DB, *fakedb.DB)
		want map[string]int64
	}{
		{"once, in each kind of call", func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			for op, call := range map[fakedb.Op]func() error{
				fakedb.Exec:    func() error { _, err := db.Exec("x"); return err },
				fakedb.Query:   func() error { rows, err := db.Query("x"); _ = rows.Close(); return err },
				fakedb.Prepare: func() error { s, err := db.Prepare("x"); _ = s.Close(); return err },
				fakedb.Begin:   func() error { tx, err := db.Begin(); _ = tx.Rollback(); return err },
				fakedb.Reset:   db.Ping,
			} {
				fake.Fail(op, 1, driver.ErrBadConn)
				noError(t, call())
			}
		}, map[string]int64{"bad_connection": 5}},
		{"twice in one call, with its type", func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.Fail(fakedb.Exec, 2, wrapped)
			execOK(t, db, t.Context())
			fake.Fail(fakedb.Exec, 1, coded)
			execOK(t, db, t.Context())
		}, map[string]int64{"bad_connection": 2, "57P01": 1}},
		{"not the last attempt, which fails", func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.Fail(fakedb.Exec, 3, driver.ErrBadConn)
			if _, err := db.Exec("x"); err != driver.ErrBadConn { //nolint:errorlint // the same error, not one like it
				t.Errorf("got %v, want ErrBadConn", err)
			}
		}, map[string]int64{"bad_connection": 2}},
		{"a dial", func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.Fail(fakedb.Connect, 3, driver.ErrBadConn)
			if err := db.Ping(); err != driver.ErrBadConn { //nolint:errorlint // the same error, not one like it
				t.Errorf("got %v, want ErrBadConn", err)
			}
		}, map[string]int64{"bad_connection": 2}},
		{"not in a transaction or a sql.Conn", func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			tx, err := db.Begin()
			noError(t, err)
			conn, err := db.Conn(t.Context())
			noError(t, err)
			fake.Fail(fakedb.Exec, 2, driver.ErrBadConn)
			_, _ = tx.Exec("x")
			_, _ = conn.ExecContext(t.Context(), "x")
			_ = tx.Rollback()
		}, map[string]int64{}},
		{"not a ping, which has its connection already", func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.Fail(fakedb.Ping, 1, driver.ErrBadConn)
			if err := db.Ping(); err != driver.ErrBadConn { //nolint:errorlint // the same error, not one like it
				t.Errorf("got %v, want ErrBadConn", err)
			}
		}, map[string]int64{}},
		{"a prepared statement", func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			s, err := db.Prepare("x")
			noError(t, err)
			fake.Fail(fakedb.StmtExec, 2, driver.ErrBadConn)
			_, err = s.Exec()
			noError(t, err)
			noError(t, s.Close())
		}, map[string]int64{"bad_connection": 2}},
		{"not after a connection that passed its lifetime", func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			noError(t, db.Ping())
			time.Sleep(time.Minute)
			db.SetConnMaxLifetime(30 * time.Second)
			noError(t, db.Ping())
		}, map[string]int64{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
				test.do(t, db, fake)
				seen.wantSums(t, "otelpool.connection.retries", test.want, errorType)
				s, err := otelpool.Inspect(db)
				noError(t, err)
				if fmt.Sprint(s.Retries) != fmt.Sprint(test.want) {
					t.Errorf("Inspect: retries %v, want %v", s.Retries, test.want)
				}
			})
		})
	}
}
