package faults_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/otelpool/otelpool/dbtest/proxy"
	"github.com/otelpool/otelpool/dbtest/server"
)

// A stage is where the script of a row runs: a pool, its server, and the results of the
// pool's callers.
type stage struct {
	*testing.T
	backend

	db    *sql.DB // the pool under test
	in    *server.Instance
	admin *sql.DB         // directly to the server, on the bare driver
	proxy *proxy.Proxy    // between the pool and the server; nil if the row has none
	ctx   context.Context // of the program
	tag   string          // part of all names that the script makes

	steps  []step
	masked atomic.Int64 // bad connections in the driver's log that callers did not get
}

// A step is the result of a call of the program.
type step struct {
	name string
	err  error
}

// numbers makes names unique on a server.
var numbers atomic.Int64

// call makes one call of the program, and records and returns its error.
func (st *stage) call(name string, f func(context.Context) error) error {
	s := st.try(name, f)
	st.record(s)
	return s.err
}

// try makes one call of the program. The script may record the step.
func (st *stage) try(name string, f func(context.Context) error) step {
	ctx, attempts := logging(st.ctx)
	err := f(ctx)
	st.masked.Add(attempts.masked())
	return step{name, err}
}

func (st *stage) record(s step) { st.steps = append(st.steps, s) }

// execer has the methods that a sql.DB, a sql.Conn and a sql.Tx share.
type execer interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}

// exec makes a call that runs a statement without rows.
func (st *stage) exec(name string, on execer, statement string) error {
	return st.call(name, func(ctx context.Context) error {
		_, err := on.ExecContext(ctx, statement)
		return seen(ctx, err)
	})
}

// query makes a call that runs a statement and reads all its rows.
func (st *stage) query(name string, on execer, statement string) error {
	return st.call(name, func(ctx context.Context) error { return readAll(ctx, on, statement) })
}

func readAll(ctx context.Context, on execer, statement string) error {
	rows, err := on.QueryContext(ctx, statement)
	if err != nil {
		return seen(ctx, err)
	}
	for rows.Next() {
		continue
	}
	if err := rows.Err(); err != nil {
		_ = rows.Close()
		return err
	}
	return rows.Close()
}

// conn acquires a connection. It is not a step.
func (st *stage) conn() *sql.Conn {
	st.Helper()
	c, err := st.db.Conn(st.ctx)
	if err != nil {
		st.Fatal(err)
	}
	return c
}

// begin begins a transaction. It is not a step.
func (st *stage) begin(on interface {
	BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
},
) *sql.Tx {
	st.Helper()
	tx, err := on.BeginTx(st.ctx, nil)
	if err != nil {
		st.Fatal(err)
	}
	return tx
}

// must runs statements that succeed. They are not steps.
func (st *stage) must(on execer, statements ...string) {
	st.Helper()
	for _, statement := range statements {
		if _, err := on.ExecContext(st.ctx, statement); err != nil {
			st.Fatalf("%s: %v", statement, err)
		}
	}
}

// order runs a statement as the administrator.
func (st *stage) order(statement string, args ...any) {
	st.Helper()
	if _, err := st.admin.ExecContext(context.WithoutCancel(st.ctx), fmt.Sprintf(statement, args...)); err != nil {
		st.Errorf("%s: %v", fmt.Sprintf(statement, args...), err)
	}
}

// number returns the server's number of a session.
func (st *stage) number(on interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
},
) int64 {
	st.Helper()
	var id int64
	if err := on.QueryRowContext(st.ctx, st.session).Scan(&id); err != nil {
		st.Fatal(err)
	}
	return id
}

// end kills a session and waits until it has ended.
func (st *stage) end(session int64) {
	st.Helper()
	st.order(st.kill, session)
	st.ended(session)
}

// ended waits until the server has no such session. The client may see that a little
// later.
func (st *stage) ended(session int64) {
	st.Helper()
	st.until("the session ends", func() bool { return st.count(fmt.Sprintf(st.sessions, session)) == 0 })
}

// count runs a statement as the administrator and returns its one number.
func (st *stage) count(statement string) int {
	var n int
	if err := st.admin.QueryRowContext(context.WithoutCancel(st.ctx), statement).Scan(&n); err != nil {
		st.Errorf("%s: %v", statement, err)
	}
	return n
}

// long returns a statement that runs for longer than the test, and a function that waits
// until the server executes it.
func (st *stage) long() (statement string, running func()) {
	statement = fmt.Sprintf(st.sleep, numbers.Add(1))
	return statement, func() {
		st.until("the statement runs", func() bool { return st.count(fmt.Sprintf(st.sleeping, "%"+statement[7:]+"%")) > 0 })
	}
}

// while runs f and fault at the same time, and waits for both.
func while(fault func(), f func()) {
	var both sync.WaitGroup
	both.Go(fault)
	f()
	both.Wait()
}

// table creates a table with a number and a unique value, with rows 1 and 2, and returns
// its name.
func (st *stage) table() string {
	st.Helper()
	name := "t" + st.tag
	st.order("CREATE TABLE %s (id INT PRIMARY KEY, v INT UNIQUE)", name)
	st.order("INSERT INTO %s VALUES (1, 1), (2, 2)", name)
	if st.driver != "mysql" {
		st.order("GRANT ALL ON %s TO PUBLIC", name)
	}
	return name
}

// atRest waits until no connection is in use. A goroutine of database/sql may still have
// to release one, as for a transaction whose context ended.
func (st *stage) atRest() {
	st.Helper()
	st.until("all connections are released", func() bool { return st.db.Stats().InUse == 0 })
}

// until polls a condition that has no event, such as the state of a server.
func (st *stage) until(what string, ok func() bool) {
	st.Helper()
	for end := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(end) {
			st.Errorf("timed out waiting until %s", what)
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// callers describes the results of the pool's callers, one line for each step.
func (st *stage) callers() string {
	var b strings.Builder
	for _, s := range st.steps {
		fmt.Fprintf(&b, "%s: %s\n", s.name, brief(s.err))
	}
	return b.String()
}
