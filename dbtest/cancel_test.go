package dbtest_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/otelpool/otelpool/dbtest/lapse"
)

func TestStatements_FailAsOnTheBareDriverWhenTheContextEnds(t *testing.T) {
	for _, why := range []error{context.DeadlineExceeded, context.Canceled} {
		t.Run(why.Error(), func(t *testing.T) {
			each(t, backends, func(t *testing.T, s backend) {
				dsn := s.dsn(t)
				admin := s.bare(t, dsn)
				same(t, s, dsn, func(t *testing.T, db *sql.DB, tr *transcript) {
					tr.endContexts(t, db, admin, why)
				}, "Open")
			})
		})
	}
}

// endContexts runs a long statement in every possible way, and ends its context while the
// database executes it.
func (tr *transcript) endContexts(t *testing.T, db, admin *sql.DB, why error) {
	ctx := t.Context()
	// long returns a long statement, and a context that ends once it runs.
	long := func() (context.Context, string) {
		statement, running := tr.s.long(t, admin)
		l := lapse.New(ctx, why)
		go func() {
			running()
			l.End()
		}()
		return l, statement
	}
	usable := func(step string) {
		t.Helper()
		atRest(t, db)
		tr.query(ctx, step, db, "SELECT 1")
		tr.stats(step, db)
	}

	short, statement := long()
	tr.query(short, "query", db, statement)
	usable("after the query")

	short, statement = long()
	tr.exec(short, "exec", db, statement)
	usable("after the exec")

	short, statement = long()
	stmt, err := db.PrepareContext(ctx, statement)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := stmt.QueryContext(short)
	tr.rows("query of a statement", rows, err)
	tr.record("close the statement", stmt.Close())
	usable("after the query of a statement")

	short, statement = long()
	stmt, err = db.PrepareContext(ctx, statement)
	if err != nil {
		t.Fatal(err)
	}
	r, err := stmt.ExecContext(short)
	tr.result("exec of a statement", r, err)
	tr.record("close the statement", stmt.Close())
	usable("after the exec of a statement")

	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	short, statement = long()
	tr.query(short, "query on a connection", conn, statement)
	tr.query(ctx, "query on it again", conn, "SELECT 1")
	tr.record("close the connection", conn.Close())
	usable("after the connection")

	short, statement = long()
	tx, err := db.BeginTx(short, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr.query(short, "query in a transaction", tx, statement)
	atRest(t, db)
	tr.record("commit", tx.Commit())
	usable("after the transaction")

	tx, err = db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	short, statement = long()
	tr.query(short, "query in a longer transaction", tx, statement)
	tr.query(ctx, "query in it again", tx, "SELECT 1")
	tr.record("commit", tx.Commit())
	usable("after the longer transaction")
}

// SQLite is left out: it loses an interrupt between the preparation of a statement and its
// first step, and the statement continues.
func TestQuery_ADeadlineEndsItAsOnTheBareDriver(t *testing.T) {
	each(t, served, func(t *testing.T, s backend) {
		same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			// The text depends on whether the database has started the statement.
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := db.ExecContext(ctx, fmt.Sprintf(s.sleep, named.Add(1)))
			tr.record("exec", err != nil, ctx.Err())
			atRest(t, db)
			tr.query(t.Context(), "after it", db, "SELECT 1")
		}, "Open")
	})
}

func TestRows_AreClosedAsOnTheBareDriverWhenTheContextEnds(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			// Two goroutines race: one closes the rows, one cancels the query.
			tr.raced = true
			defer table(t, db, tr, "many")()
			for i := range 20 {
				tr.exec(t.Context(), "insert", db, "INSERT INTO many (name) VALUES (?)", fmt.Sprint(i))
			}
			ctx, cancel := context.WithCancel(t.Context())
			rows, err := db.QueryContext(ctx, "SELECT a.name FROM many a, many b, many c ORDER BY a.id")
			if err != nil {
				t.Fatal(err)
			}
			tr.record("the first row", rows.Next())
			cancel()
			atRest(t, db) // a goroutine of database/sql closes them
			tr.record("after the end", rows.Next(), rows.Err(), rows.Close())
			tr.query(t.Context(), "the pool", db, "SELECT 1")
		}, "Open")
	})
}

// long returns a statement that runs for longer than any test, and a function that waits
// until the database executes it.
func (s backend) long(t *testing.T, admin *sql.DB) (statement string, running func()) {
	n := named.Add(1)
	statement = fmt.Sprintf(s.sleep, n)
	if s.server == nil {
		// The statement calls the function dbtest_running.
		began := make(chan struct{})
		sqliteRunning.Store(n, sync.OnceFunc(func() { close(began) }))
		return statement, func() { <-began }
	}
	return statement, func() {
		for end := time.Now().Add(time.Minute); ; {
			var n int
			err := admin.QueryRowContext(context.WithoutCancel(t.Context()), s.sql(s.sleeping), "%"+statement+"%").Scan(&n)
			switch {
			case err != nil:
				t.Error(err)
				return
			case n > 0:
				return
			case time.Now().After(end):
				t.Error("the statement does not run")
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// sqliteRunning has the functions to call when a long statement of SQLite runs, by the
// number in the statement.
var sqliteRunning sync.Map

// registerRunning adds the function dbtest_running to all later SQLite connections. The
// first row of a long statement calls it.
func registerRunning() error {
	return sqlite.RegisterScalarFunction("dbtest_running", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		if f, ok := sqliteRunning.LoadAndDelete(args[0]); ok {
			f.(func())()
		}
		return int64(1), nil
	})
}
