package dbtest_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/otelpool/otelpool/poolinfo"
)

// losses are the ways in which a server ends the session of an idle connection: an
// administrator kills it, or it times out.
var losses = []struct {
	name string
	lose func(t *testing.T, admin *sql.DB, s backend, on session)
}{
	{"killed", func(t *testing.T, admin *sql.DB, s backend, on session) {
		t.Helper()
		id := s.sessionOf(t, on)
		if _, err := admin.ExecContext(t.Context(), fmt.Sprintf(s.kill, id)); err != nil {
			t.Fatal(err)
		}
		awaitEnd(t, admin, s, id)
	}},
	{"timed out", func(t *testing.T, admin *sql.DB, s backend, on session) {
		t.Helper()
		id := s.sessionOf(t, on)
		// Only this session gets a short timeout.
		if _, err := on.ExecContext(t.Context(), s.endSoon); err != nil {
			t.Fatal(err)
		}
		awaitEnd(t, admin, s, id)
	}},
}

// session is a sql.Conn or a sql.Tx, or a sql.DB of one connection.
type session interface {
	execer
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// sessionOf returns the server's number of a session.
func (s backend) sessionOf(t *testing.T, on session) int64 {
	t.Helper()
	var id int64
	if err := on.QueryRowContext(t.Context(), s.session).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

// awaitEnd returns when the server has ended the session. The client may see that later.
func awaitEnd(t *testing.T, admin *sql.DB, s backend, session int64) {
	t.Helper()
	until(t, "the session ends", func() bool {
		var n int
		if err := admin.QueryRowContext(t.Context(), fmt.Sprintf(s.sessions, session)).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
}

func TestIdleConn_EndedByTheServerIsReplacedAsOnTheBareDriver(t *testing.T) {
	for _, l := range losses {
		t.Run(l.name, func(t *testing.T) {
			each(t, served, func(t *testing.T, s backend) {
				admin := s.bare(t, s.dsn(t))
				var seen error
				sameInARace(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
					db.SetMaxOpenConns(1)
					l.lose(t, admin, s, db)
					seen = firstAndNext(t, db, tr)
				}, func(t *testing.T, db *sql.DB, tel *telemetry, _ *transcript) {
					wantOneReplaced(t, s, db, tel, seen)
				})
			})
		})
	}
}

// pgx pings a connection before it is used again, but not if it was used within the last
// second. Then the statement detects the loss, and its caller gets the error.
func TestRecentlyUsedConn_EndedByTheServerIsReplacedAsOnTheBareDriver(t *testing.T) {
	each(t, served, func(t *testing.T, s backend) {
		admin := s.bare(t, s.dsn(t))
		var seen error
		sameInARace(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			db.SetMaxOpenConns(1)
			s.sessionOf(t, db)
			losses[0].lose(t, admin, s, db)
			seen = firstAndNext(t, db, tr)
		}, func(t *testing.T, db *sql.DB, tel *telemetry, _ *transcript) {
			wantOneReplaced(t, s, db, tel, seen)
		})
	})
}

// firstAndNext runs two queries and returns the error of the first, whose connection is
// broken.
func firstAndNext(t *testing.T, db *sql.DB, tr *transcript) error {
	t.Helper()
	var n int
	err := db.QueryRowContext(t.Context(), "SELECT 1").Scan(&n)
	tr.record("the first query", n, err)
	tr.record("the next one", db.QueryRowContext(t.Context(), "SELECT 2").Scan(&n), n)
	tr.stats("the pool", db)
	return err
}

// wantOneReplaced checks that the telemetry of one broken connection agrees with the
// caller's error.
func wantOneReplaced(t *testing.T, s backend, db *sql.DB, tel *telemetry, seen error) {
	t.Helper()
	snap := inspect(t, db)
	if snap.Opened != 2 || snap.Closed[poolinfo.ReasonBad] != 1 || snap.Closed[poolinfo.ReasonPoolClosed] != 1 {
		t.Errorf("%d were opened, closed %v: want 2, one of them bad", snap.Opened, snap.Closed)
	}
	retries := map[string]int64{}
	// A connection of pgx that failed does not report itself invalid at the release. The
	// next query finds it broken, and is retried.
	if seen == nil || s.driver == "pgx" {
		retries["bad_connection"] = 1
	}
	if !maps.Equal(snap.Retries, retries) {
		t.Errorf("the caller got %v, retries are %v, want %v", seen, snap.Retries, retries)
	}
	wantFailures(t, tel, visible(seen), int(sum(retries)))
}

func TestPgx_PingsAConnectionBeforeItsFirstReuse(t *testing.T) {
	s := pgxBackend
	admin := s.bare(t, s.dsn(t))
	tel := newTelemetry()
	db := s.wrapped(t, s.dsn(t), tel)
	db.SetMaxOpenConns(1)
	losses[0].lose(t, admin, s, db)
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT 1").Scan(&n); err != nil || n != 1 {
		t.Errorf("got %d, %v: the ping does not hide the loss", n, err)
	}
	if snap := inspect(t, db); !maps.Equal(snap.Retries, map[string]int64{"bad_connection": 1}) {
		t.Errorf("retries are %v, want one", snap.Retries)
	}
}

func TestOpen_ParametersOfTheDSNReachTheServer(t *testing.T) {
	settings := map[string]string{"mysql": "SELECT @@wait_timeout", "postgresql": "SHOW idle_session_timeout"}
	each(t, served, func(t *testing.T, s backend) {
		param := map[string]string{"mysql": "wait_timeout=77", "postgresql": "idle_session_timeout=77s"}[s.system]
		same(t, s, s.dsn(t, param), func(t *testing.T, db *sql.DB, tr *transcript) {
			var got string
			tr.record("the setting", db.QueryRowContext(t.Context(), settings[s.system]).Scan(&got), got)
			if strings.TrimSuffix(got, "s") != "77" && got != "77000" {
				t.Errorf("the setting is %q", got)
			}
		})
	})
}

func TestHeldConn_EndedByTheServerFailsAsOnTheBareDriver(t *testing.T) {
	for _, l := range losses {
		t.Run(l.name, func(t *testing.T) {
			each(t, served, func(t *testing.T, s backend) {
				admin := s.bare(t, s.dsn(t))
				var seen []error
				sameInARace(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
					conn, err := db.Conn(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					l.lose(t, admin, s, conn)
					seen = nil
					for _, step := range []string{"query", "query again", "and again"} {
						err := conn.QueryRowContext(t.Context(), "SELECT 1").Scan(new(int))
						seen = append(seen, err)
						tr.record(step, err)
					}
					tr.record("ping", conn.PingContext(t.Context()))
					tr.record("close", conn.Close())
					tr.query(t.Context(), "the pool", db, "SELECT 1")
					tr.stats("the pool", db)
				}, func(t *testing.T, db *sql.DB, tel *telemetry, _ *transcript) {
					wantFailures(t, tel, visible(seen...), 0)
					if snap := inspect(t, db); len(snap.Retries) != 0 || snap.Closed[poolinfo.ReasonBad] != 1 || snap.Opened != 2 {
						t.Errorf("retries are %v, opened %d, closed %v", snap.Retries, snap.Opened, snap.Closed)
					}
				})
			})
		})
	}
}

func TestTx_EndedByTheServerFailsAsOnTheBareDriver(t *testing.T) {
	each(t, served, func(t *testing.T, s backend) {
		admin := s.bare(t, s.dsn(t))
		var seen []error
		sameInARace(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			losses[0].lose(t, admin, s, tx)
			seen = nil
			for _, step := range []string{"query", "query again"} {
				err := tx.QueryRowContext(t.Context(), "SELECT 1").Scan(new(int))
				seen = append(seen, err)
				tr.record(step, err)
			}
			err = tx.Commit()
			seen = append(seen, err)
			tr.record("commit", err)
			tr.record("rollback", tx.Rollback())
			tr.query(t.Context(), "the pool", db, "SELECT 1")
			tr.stats("the pool", db)
		}, func(t *testing.T, db *sql.DB, tel *telemetry, _ *transcript) {
			wantFailures(t, tel, visible(seen...), 0)
			// A broken connection of pgx does not report itself invalid at the release. The
			// next use detects it.
			found := map[string]int64{"pgx": 1}[s.driver]
			if snap := inspect(t, db); sum(snap.Retries) != found || snap.Closed[poolinfo.ReasonBad] != 1 {
				t.Errorf("retries are %v, closed %v", snap.Retries, snap.Closed)
			}
		})
	})
}

func TestStatement_EndedByTheServerFailsAsOnTheBareDriver(t *testing.T) {
	each(t, served, func(t *testing.T, s backend) {
		admin := s.bare(t, s.dsn(t))
		var seen error
		sameInARace(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			session := s.sessionOf(t, conn)
			statement, running := s.long(t, admin)
			done := make(chan struct{})
			go func() {
				defer close(done)
				running()
				if _, err := admin.ExecContext(t.Context(), fmt.Sprintf(s.kill, session)); err != nil {
					t.Error(err)
				}
			}()
			_, seen = conn.ExecContext(t.Context(), statement)
			<-done
			tr.record("the statement", seen)
			tr.record("close", conn.Close())
			tr.query(t.Context(), "the pool", db, "SELECT 1")
			tr.stats("the pool", db)
		}, func(t *testing.T, _ *sql.DB, tel *telemetry, _ *transcript) {
			wantFailures(t, tel, visible(seen), 0)
		})
	})
}

// visible returns the errors that come from the driver, without those that database/sql
// makes itself.
func visible(errs ...error) []error {
	var seen []error
	for _, err := range errs {
		if err == nil || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) {
			continue
		}
		seen = append(seen, err)
	}
	return seen
}

// wantFailures checks that the spans have the caller's failures, and no others except
// retried ones. A retry has no span if the connection was found broken before any
// statement.
func wantFailures(t *testing.T, tel *telemetry, seen []error, retried int) {
	t.Helper()
	want := map[string]int{}
	for _, err := range seen {
		want[typeOf(err)]++
	}
	got := map[string]int{}
	for _, s := range tel.ended() {
		if typ := spanAttr(s, "error.type"); typ != "" {
			got[typ]++
		}
	}
	if spare := got["bad_connection"] - want["bad_connection"]; spare > 0 && spare <= retried {
		got["bad_connection"] -= spare
		if got["bad_connection"] == 0 {
			delete(got, "bad_connection")
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("spans have the failures %v; the caller got %v, and %d were retried", got, want, retried)
	}
}

// typeOf returns the error.type of an error of a driver: the code of PostgreSQL, a name
// for errors of the standard library, otherwise the Go type.
func typeOf(err error) string {
	if coded, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return coded.SQLState()
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline_exceeded"
	case errors.Is(err, driver.ErrBadConn):
		return "bad_connection"
	}
	return fmt.Sprintf("%T", err)
}
