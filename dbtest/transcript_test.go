package dbtest_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/lib/pq"
)

// A transcript has everything that a program got from its database, one line for each
// step. Two programs have the same transcript if they cannot distinguish their databases.
type transcript struct {
	s     backend
	lines []string

	// raced is set by a script in which a race decides which connections are kept, on the
	// bare driver too. The counters are then not compared.
	raced bool
}

// record adds a step with all its results.
func (tr *transcript) record(step string, got ...any) {
	line := step + ":"
	for _, v := range got {
		line += " " + shown(v)
	}
	tr.lines = append(tr.lines, line)
}

// execer and queryer have the methods that a sql.DB, a sql.Conn and a sql.Tx share.
type execer interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}

type queryer interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}

// exec runs a statement and records its result.
func (tr *transcript) exec(ctx context.Context, step string, on execer, statement string, args ...any) {
	r, err := on.ExecContext(ctx, tr.s.sql(statement), args...)
	tr.result(step, r, err)
}

func (tr *transcript) result(step string, r sql.Result, err error) {
	if err != nil {
		tr.record(step, r == nil, err)
		return
	}
	// If a driver returns neither a result nor an error, database/sql panics, and so does
	// the program.
	defer func() {
		if p := recover(); p != nil {
			tr.record(step, "panic", fmt.Sprint(p))
		}
	}()
	id, idErr := r.LastInsertId()
	n, nErr := r.RowsAffected()
	tr.record(step, id, idErr, n, nErr)
}

// query runs a statement and records all values of its rows.
func (tr *transcript) query(ctx context.Context, step string, on queryer, statement string, args ...any) {
	rows, err := on.QueryContext(ctx, tr.s.sql(statement), args...)
	tr.rows(step, rows, err)
}

func (tr *transcript) rows(step string, rows *sql.Rows, err error) {
	if err != nil {
		tr.record(step, rows == nil, err)
		return
	}
	for set := 1; ; set++ {
		columns, err := rows.Columns()
		tr.record(fmt.Sprintf("%s, set %d, columns", step, set), columns, err)
		for rows.Next() {
			values := make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				tr.record(step+", scan", err)
			}
			tr.record(step+", row", values...)
		}
		if !rows.NextResultSet() {
			break
		}
	}
	err = rows.Err()
	tr.record(step+", end", err, rows.Close())
}

// stats records the counters of the pool, except the wait duration.
func (tr *transcript) stats(step string, db *sql.DB) {
	if tr.raced {
		return
	}
	st := db.Stats()
	st.WaitDuration = 0
	tr.record(step, fmt.Sprintf("%+v", st))
}

// verbose logs the expected transcripts.
var verbose = flag.Bool("transcript", false, "log the transcripts of the bare driver")

// compare fails the test with the first step in which two transcripts differ.
func compare(t *testing.T, bare, wrapped *transcript) {
	t.Helper()
	if len(bare.lines) == 0 {
		t.Error("the transcript is empty")
	}
	for i := range max(len(bare.lines), len(wrapped.lines)) {
		b, w := "(end of script)", "(end of script)"
		if i < len(bare.lines) {
			b = bare.lines[i]
		}
		if i < len(wrapped.lines) {
			w = wrapped.lines[i]
		}
		if b != w {
			t.Errorf("step %d\n   bare %s\nwrapped %s", i+1, b, w)
			return
		}
	}
}

// shown formats a value with its type. Only equal values have the same text.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return fmt.Sprintf("%q", v)
	case error:
		return failure(v)
	case []byte:
		return fmt.Sprintf("bytes(%q)", v)
	case time.Time:
		return "time(" + v.Format(time.RFC3339Nano) + " " + v.Location().String() + ")"
	}
	return fmt.Sprintf("%T(%+v)", v, v)
}

// sentinels are the errors that programs compare with.
var sentinels = []struct {
	name string
	err  error
}{
	{"sql.ErrNoRows", sql.ErrNoRows},
	{"sql.ErrTxDone", sql.ErrTxDone},
	{"sql.ErrConnDone", sql.ErrConnDone},
	{"driver.ErrBadConn", driver.ErrBadConn},
	{"driver.ErrSkip", driver.ErrSkip},
	{"context.Canceled", context.Canceled},
	{"context.DeadlineExceeded", context.DeadlineExceeded},
	{"io.EOF", io.EOF},
	{"io.ErrUnexpectedEOF", io.ErrUnexpectedEOF},
	{"net.ErrClosed", net.ErrClosed},
	{"mysql.ErrInvalidConn", mysql.ErrInvalidConn},
	{"mysql.ErrPktTooLarge", mysql.ErrPktTooLarge},
	{"pgx.ErrNoRows", pgx.ErrNoRows},
	{"pq.ErrNotSupported", pq.ErrNotSupported},
	{"pq.ErrInFailedTransaction", pq.ErrInFailedTransaction},
}

// clientPort matches the client's port of a connection.
var clientPort = regexp.MustCompile(`127\.0\.0\.1:\d+->`)

// failure describes an error: its text, the types in its chain, the sentinels that it is,
// and those that errors.Is finds in it.
func failure(err error) string {
	if err == nil {
		return "nil"
	}
	var is, has []string
	for _, s := range sentinels {
		if err == s.err { //nolint:errorlint // identity is what is compared, as in database/sql
			is = append(is, s.name)
		}
		if errors.Is(err, s.err) {
			has = append(has, s.name)
		}
	}
	return fmt.Sprintf("error(%s %q is=%v has=%v)", strings.Join(chain(err), ">"),
		clientPort.ReplaceAllString(err.Error(), "client->"), is, has)
}

// chain returns the types of an error and of the errors that it wraps, depth first.
func chain(err error) []string {
	types := []string{fmt.Sprintf("%T", err)}
	switch err := err.(type) { //nolint:errorlint // the chain itself is walked
	case interface{ Unwrap() error }:
		if inner := err.Unwrap(); inner != nil {
			types = append(types, chain(inner)...)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range err.Unwrap() {
			types = append(types, chain(inner)...)
		}
	}
	return types
}

// A script is a program that uses a database and records its results.
type script func(*testing.T, *sql.DB, *transcript)

// play runs a script, waits until the pool is at rest, and closes it. It returns the
// transcript. audit is called with the pool at rest, and again after the close.
func play(t *testing.T, s backend, db *sql.DB, f script, audit func()) *transcript {
	t.Helper()
	tr := &transcript{s: s}
	f(t, db, tr)
	atRest(t, db)
	audit()
	defer audit()
	tr.stats("at rest", db)
	tr.record("close", db.Close())
	tr.stats("closed", db)
	tr.record("ping", db.PingContext(t.Context()))
	return tr
}

// same runs a script on the bare driver and through otelpool, and compares the
// transcripts. through names the openFuncs; the default is all of them.
func same(t *testing.T, s backend, dsn string, f script, through ...string) {
	t.Helper()
	want := play(t, s, s.bare(t, dsn), f, func() {})
	if *verbose {
		t.Logf("the bare driver:\n%s", strings.Join(want.lines, "\n"))
	}
	for _, e := range openFuncs {
		if len(through) > 0 && !slices.Contains(through, e.name) {
			continue
		}
		tel := newTelemetry()
		db := e.open(t, s, dsn, tel)
		got := play(t, s, db, f, func() { tel.balance(t, db) })
		compare(t, want, got)
		if t.Failed() {
			t.Fatalf("through %s", e.name)
		}
	}
}

// sameInARace is same for a script whose outcome depends on a race, on the bare driver too:
// the outcome through otelpool must be one of the bare driver's. An outcome that needs a
// busy machine may not be seen again, so there are three tries. audit checks the telemetry.
func sameInARace(t *testing.T, s backend, dsn string, f script, audit func(*testing.T, *sql.DB, *telemetry, *transcript)) {
	t.Helper()
	const most = 50
	var got, want *transcript
	for range 3 {
		tel := newTelemetry()
		db := s.wrapped(t, dsn, tel)
		got = play(t, s, db, f, func() { tel.balance(t, db) })
		audit(t, db, tel, got)
		for range most {
			want = play(t, s, s.bare(t, dsn), f, func() {})
			if slices.Equal(want.lines, got.lines) {
				return
			}
		}
		t.Logf("the bare driver never had this outcome in %d runs; it may be rare on a busy machine: once more", most)
	}
	t.Errorf("the bare driver never had this outcome in %d runs; the last run:", most)
	compare(t, want, got)
}

// atRest waits until no connection is in use. A goroutine of database/sql may still have to
// release one, as for a transaction whose context ended.
func atRest(t *testing.T, db *sql.DB) {
	t.Helper()
	until(t, "all connections are released", func() bool { return db.Stats().InUse == 0 })
}

// until polls a condition that has no event, such as the state of a server. It fails the
// test after a minute.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
