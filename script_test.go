package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"time"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
)

// Interfaces that scripts are about. Where ExecerContext and QueryerContext are
// varied and all other interfaces are there, those without context remain, so
// that two bits make all the ways to run directly.
const (
	direct   = fakedb.ExecerContext | fakedb.QueryerContext
	keeps    = fakedb.SessionResetter | fakedb.Validator
	prepares = fakedb.ConnPrepareContext
	begins   = fakedb.ConnBeginTx
)

var (
	arguments = shape{direct | fakedb.Execer | fakedb.Queryer | fakedb.NamedValueChecker, fakedb.AllStmt, 0}
	calls     = shape{direct, fakedb.StmtExecContext | fakedb.StmtQueryContext, 0}
	lifetimes = shape{keeps, 0, 0}
	ways      = shape{direct | keeps, 0, 0} // to run, and to be kept
)

// answers are what the server knows, beside the one row of every other text.
var answers = map[string]fakedb.Answer{
	"select two": {Sets: []fakedb.Set{{
		Columns: []fakedb.Column{{Name: "id"}, {Name: "data"}},
		Rows:    [][]driver.Value{{int64(1), []byte("a")}, {int64(2), nil}},
	}}},
	"select cursor": {Sets: []fakedb.Set{{
		Columns: []fakedb.Column{{Name: "cursor"}},
		Rows:    [][]driver.Value{{cursor(3)}},
	}}},
	"select none":    {Sets: []fakedb.Set{{Columns: []fakedb.Column{{Name: "id"}}}}},
	"select slowly":  {Latency: time.Second},
	"update slowly":  {Latency: time.Second},
	"update nothing": {Nothing: true},
	"select nothing": {Nothing: true},
	"update ids":     {Result: ids{}},
	"anything":       {Uncounted: true},
	"select broken": {Sets: []fakedb.Set{{
		Columns: []fakedb.Column{{Name: "id"}},
		Rows:    [][]driver.Value{{int64(1)}},
		Err:     errBroken,
	}}},
	"select sets": {Sets: []fakedb.Set{
		{Columns: []fakedb.Column{{Name: "id"}}, Rows: [][]driver.Value{{int64(1)}}},
		{Columns: []fakedb.Column{{Name: "nothing"}}},
		{Columns: []fakedb.Column{{Name: "a"}, {Name: "b"}}, Rows: [][]driver.Value{{"x", true}, {"y", 2.5}}, Err: errBroken},
	}},
	"select typed": {Sets: []fakedb.Set{{
		Columns: []fakedb.Column{
			{Name: "id", DatabaseType: "BIGINT", ScanType: reflect.TypeFor[int64]()},
			{Name: "name", DatabaseType: "TEXT", ScanType: reflect.TypeFor[string](), Length: math.MaxInt64, Nullable: true},
			{Name: "price", DatabaseType: "DECIMAL", ScanType: reflect.TypeFor[sql.NullFloat64](), Precision: 10, Scale: 2},
			{Name: "blob", Unsure: true, Length: 5, Nullable: true, Precision: 1, Scale: 1},
		},
	}}},
}

// ids is the result of a server that numbers what is inserted.
type ids struct{}

func (ids) LastInsertId() (int64, error) { return 7, nil }
func (ids) RowsAffected() (int64, error) { return 0, errBroken }

// cursor is a value that is a result set itself: its number again and again.
type cursor int

func (cursor) Columns() []string { return []string{"a"} }
func (cursor) Close() error      { return nil }

func (c cursor) Next(dest []driver.Value) error {
	dest[0] = int64(c)
	return nil
}

// codedError is an error of a server.
type codedError struct{ code string }

func (e *codedError) Error() string    { return "SQLSTATE " + e.code }
func (e *codedError) SQLState() string { return e.code }

// listError is an error that cannot be compared.
type listError []string

func (e listError) Error() string { return fmt.Sprint([]string(e)) }

// point is an argument that database/sql does not know.
type point struct{ X, Y int }

// valuer is one that turns itself into something else.
type valuer struct{ v driver.Value }

func (v valuer) Value() (driver.Value, error) {
	if err, ok := v.v.(error); ok {
		return nil, err
	}
	return v.v, nil
}

// acceptPoints is a checker that knows points and leaves the rest to others.
func acceptPoints(nv *driver.NamedValue) error {
	if _, ok := nv.Value.(point); ok {
		return nil
	}
	return driver.ErrSkip
}

// sortOut is a checker with an answer of each kind.
func sortOut(nv *driver.NamedValue) error {
	switch v := nv.Value.(type) {
	case point:
		nv.Value = fmt.Sprint(v)
		return nil
	case string:
		return driver.ErrRemoveArgument
	case float64:
		return errBroken
	}
	return driver.ErrSkip
}

// converter is a column converter with an answer of each kind.
type converter struct{ column int }

func (c converter) ConvertValue(v any) (driver.Value, error) {
	switch v {
	case "refused":
		return nil, errBroken
	case "skipped":
		return nil, driver.ErrSkip
	case "removed":
		return nil, driver.ErrRemoveArgument
	case "unsupported":
		return point{c.column, 0}, nil
	}
	return fmt.Sprintf("%v in column %d", v, c.column), nil
}

func convertColumns(c *fakedb.Config) {
	c.Convert = func(i int) driver.ValueConverter { return converter{i} }
}

// withArguments runs a statement in every way with the same arguments.
func withArguments(r *run, args ...any) {
	text := "update ?, ?"
	r.exec(r.db, text, args...)
	r.query(r.db, text, args...)
	r.exec(r.db, "anything", args...)
	s := prepared{sure(r.db.PrepareContext(r.ctx, text))}
	r.exec(s, text, args...)
	r.query(s, text, args...)
	r.tell("close", s.s.Close())
	s = prepared{sure(r.db.PrepareContext(r.ctx, "anything"))}
	r.exec(s, "anything", args...)
	r.tell("close", s.s.Close())
}

// fails makes the next n calls of each kind answer err.
func (r *run) fails(n int, err error, ops ...fakedb.Op) {
	for _, op := range ops {
		r.fake.Fail(op, n, err)
	}
}

// recovers makes all calls of each kind succeed again.
func (r *run) recovers(ops ...fakedb.Op) { r.fails(0, nil, ops...) }

// cancelled returns a context that has ended.
func (r *run) cancelled() context.Context {
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	return ctx
}

// briefly does the least that a program does with a handle.
func (r *run) briefly(h handle) {
	r.exec(h, "update")
	r.query(h, "select")
}

// everything does what a program does with a handle in every way.
func (r *run) everything(ctx context.Context, h handle) {
	r.execIn(ctx, h, "insert")
	r.queryIn(ctx, h, "select two")
	var n int
	r.tell("query row", h.QueryRowContext(ctx, "select").Scan(&n), n)
}

var scripts = []script{
	{
		name:  "statements run directly, prepared, in a transaction and on a connection",
		about: everything,
		do: func(r *run) {
			r.everything(r.ctx, r.db)
			s := prepared{sure(r.db.PrepareContext(r.ctx, "select two"))}
			r.tell("prepare")
			r.briefly(s)
			tx := sure(r.db.BeginTx(r.ctx, nil))
			r.tell("begin")
			r.everything(r.ctx, tx)
			r.briefly(prepared{tx.StmtContext(r.ctx, s.s)})
			r.briefly(prepared{sure(tx.PrepareContext(r.ctx, "select two"))})
			r.tell("commit", tx.Commit(), tx.Commit(), tx.Rollback())
			r.tell("close", s.s.Close(), s.s.Close())
			conn := sure(r.db.Conn(r.ctx))
			r.everything(r.ctx, conn)
			on := prepared{sure(conn.PrepareContext(r.ctx, "select two"))}
			r.briefly(on)
			r.tell("close", on.s.Close())
			tx = sure(conn.BeginTx(r.ctx, nil))
			r.briefly(tx)
			r.tell("rollback", tx.Rollback(), tx.Rollback(), tx.Commit())
			r.tell("ping", conn.PingContext(r.ctx), r.db.PingContext(r.ctx))
			r.tell("close", conn.Close(), conn.Close())
		},
	},
	{
		name:  "statements run without a context",
		about: shape{direct | prepares | begins, fakedb.StmtExecContext | fakedb.StmtQueryContext, 0},
		do: func(r *run) {
			res, err := r.db.Exec("insert ?", 1)
			r.tell("exec", res != nil, err)
			rows := sure(r.db.Query("select two"))
			r.read(rows)
			s := sure(r.db.Prepare("update ?"))
			_, err = s.Exec("a")
			r.tell("prepared exec", err)
			r.read(sure(s.Query(2)))
			tx := sure(r.db.Begin())
			_, err = tx.Exec("update")
			r.tell("exec in a transaction", err)
			r.read(sure(tx.Query("select two")))
			r.tell("ends", tx.Rollback(), s.Close(), r.db.Ping())
		},
	},
	{
		name:  "arguments of every kind that database/sql knows",
		about: arguments,
		do: func(r *run) {
			at := time.Date(2000, 1, 2, 3, 4, 5, 6, time.UTC)
			withArguments(r, 1, "two")
			withArguments(r, uint8(1), 2.5)
			withArguments(r, []byte("a"), nil)
			withArguments(r, true, at)
			withArguments(r, valuer{"a"}, sql.NullString{})
			withArguments(r, valuer{errBroken}, 1)
			withArguments(r, valuer{point{}}, 1)
			withArguments(r, uint64(math.MaxUint64), 1)
			withArguments(r, point{1, 2}, 1)
			withArguments(r, 1)
			withArguments(r, 1, 2, 3)
		},
	},
	{
		name:   "a statement's own checker accepts a struct",
		about:  arguments,
		config: func(c *fakedb.Config) { c.CheckStmt = acceptPoints },
		do:     func(r *run) { withArguments(r, point{1, 2}, 3); withArguments(r, 3, point{}) },
	},
	{
		name:   "a connection's own checker accepts a struct",
		about:  arguments,
		config: func(c *fakedb.Config) { c.CheckConn = acceptPoints },
		do:     func(r *run) { withArguments(r, point{1, 2}, 3); withArguments(r, 3, point{}) },
	},
	{
		name:   "a checker accepts, changes, removes, refuses and skips arguments",
		about:  arguments,
		config: func(c *fakedb.Config) { c.CheckConn, c.CheckStmt = sortOut, sortOut },
		do: func(r *run) {
			withArguments(r, point{1, 2}, 3)
			withArguments(r, "removed", 1, 2)
			withArguments(r, 1, 2, "removed")
			withArguments(r, "removed", "removed")
			withArguments(r, 1, 2.5)
			withArguments(r, sql.Named("n", 2.5), 1)
		},
	},
	{
		name:   "a column converter converts, refuses, skips and finds too few or too many arguments",
		about:  arguments,
		config: convertColumns,
		do: func(r *run) {
			withArguments(r, 1, "two")
			withArguments(r, "refused", 2)
			withArguments(r, 1, "skipped")
			withArguments(r, "removed", 2)
			withArguments(r, 1, "unsupported")
			withArguments(r, valuer{"a"}, valuer{point{}})
			withArguments(r, valuer{errBroken}, 2)
			withArguments(r, point{}, 2)
			withArguments(r, 1)
			withArguments(r, 1, 2, "refused")
			withArguments(r)
		},
	},
	{
		name:  "a column converter comes after a checker that skips",
		about: arguments,
		config: func(c *fakedb.Config) {
			c.CheckConn, c.CheckStmt = sortOut, sortOut
			convertColumns(c)
		},
		do: func(r *run) { withArguments(r, 1, point{1, 2}); withArguments(r, 1, "x", 3); withArguments(r, 1, 2, 3) },
	},
	{
		name:  "named parameters",
		about: arguments,
		do: func(r *run) {
			withArguments(r, sql.Named("a", 1), sql.Named("b", "two"))
			withArguments(r, 1, sql.Named("b", "two"))
			withArguments(r, sql.Named("1", 1), 2)
			withArguments(r, sql.Named("", 1), 2)
		},
	},
	{
		name:  "a driver declines to run directly",
		about: arguments,
		do: func(r *run) {
			r.fails(-1, driver.ErrSkip, fakedb.Exec, fakedb.Query)
			r.everything(r.ctx, r.db)
			withArguments(r, 1, "two")
			withArguments(r, 1)
			tx := sure(r.db.BeginTx(r.ctx, nil))
			r.everything(r.ctx, tx)
			r.fails(1, errBroken, fakedb.Prepare)
			r.exec(tx, "update")
			r.fails(1, errBroken, fakedb.StmtExec, fakedb.StmtQuery)
			r.exec(tx, "update")
			r.query(tx, "select")
			r.tell("commit", tx.Commit())
			r.recovers(fakedb.Exec, fakedb.Query)
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:  "a driver declines with an error that only looks like it",
		about: calls,
		do: func(r *run) {
			r.fails(-1, fmt.Errorf("no: %w", driver.ErrSkip), fakedb.Exec, fakedb.Query)
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:  "a driver says ErrSkip where that means nothing",
		about: ways,
		do: func(r *run) {
			for _, op := range []fakedb.Op{
				fakedb.Ping, fakedb.Prepare, fakedb.Begin, fakedb.StmtExec, fakedb.StmtQuery, fakedb.Commit, fakedb.Next,
				fakedb.RowsClose, fakedb.StmtClose, fakedb.Reset,
			} {
				r.fails(1, driver.ErrSkip, op)
				r.everyCall()
				r.recovers(op)
			}
		},
	},
	{
		name:  "every call fails with an error of the driver's own",
		about: ways,
		do: func(r *run) {
			for op := fakedb.Connect; op < fakedb.CloseConnector; op++ {
				r.fails(1, errBroken, op)
				r.everyCall()
				r.recovers(op)
			}
		},
	},
	{
		name:  "every call fails with an error that is hard to look at",
		about: lifetimes,
		do: func(r *run) {
			for _, err := range []error{&codedError{"42P01"}, listError{"a", "b"}} {
				for op := fakedb.Connect; op < fakedb.CloseConnector; op++ {
					r.fails(1, err, op)
					r.everyCall()
					r.recovers(op)
				}
			}
		},
	},
	{
		name:  "every call finds the connection bad, once to three times",
		about: ways,
		do: func(r *run) {
			for _, op := range []fakedb.Op{
				fakedb.Connect, fakedb.Reset, fakedb.Ping, fakedb.Prepare, fakedb.Exec, fakedb.Query, fakedb.StmtExec,
				fakedb.StmtQuery, fakedb.Begin, fakedb.Commit, fakedb.Next, fakedb.RowsClose,
			} {
				for n := 1; n <= 3; n++ {
					r.fails(n, driver.ErrBadConn, op)
					r.everyCall()
					r.recovers(op)
				}
			}
		},
	},
	{
		name:  "every call finds the connection bad and says so in its own words",
		about: lifetimes,
		do: func(r *run) {
			gone := fmt.Errorf("gone: %w", driver.ErrBadConn)
			for op := fakedb.Connect; op < fakedb.CloseConnector; op++ {
				r.fails(1, gone, op)
				r.everyCall()
				r.recovers(op)
			}
		},
	},
	{
		name:  "every call fails with the context's error",
		about: lifetimes,
		do: func(r *run) {
			for _, err := range []error{context.Canceled, context.DeadlineExceeded} {
				for op := fakedb.Connect; op < fakedb.CloseConnector; op++ {
					r.fails(1, err, op)
					r.everyCall()
					r.recovers(op)
				}
			}
		},
	},
	{
		name:  "a connection on hand is bad",
		about: shape{direct | keeps | prepares, fakedb.AllStmt, 0},
		do: func(r *run) {
			for _, op := range []fakedb.Op{
				fakedb.Ping, fakedb.Prepare, fakedb.Exec, fakedb.Query, fakedb.Begin,
				fakedb.StmtExec, fakedb.StmtQuery, fakedb.Next, fakedb.RowsClose,
			} {
				conn := sure(r.db.Conn(r.ctx))
				r.fails(1, driver.ErrBadConn, op)
				r.everything(r.ctx, conn)
				r.tell("ping", conn.PingContext(r.ctx))
				r.tell("close", conn.Close())
				r.recovers(op)
			}
		},
	},
	{
		name:  "bad connections in a transaction",
		about: ways,
		do: func(r *run) {
			for _, op := range []fakedb.Op{
				fakedb.Prepare, fakedb.Exec, fakedb.Query, fakedb.StmtExec, fakedb.StmtQuery, fakedb.StmtClose,
				fakedb.Next, fakedb.RowsClose, fakedb.Commit, fakedb.Rollback,
			} {
				for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
					tx := sure(r.db.BeginTx(r.ctx, nil))
					r.fails(1, driver.ErrBadConn, op)
					r.everything(r.ctx, tx)
					s, err := tx.PrepareContext(r.ctx, "select two")
					r.tell("prepare", err)
					if err == nil {
						r.everything(r.ctx, prepared{s})
					}
					r.tell("end", end(tx))
					r.recovers(op)
					r.everything(r.ctx, r.db)
				}
			}
		},
	},
	{
		name:  "a connection that is no longer valid is not kept",
		about: ways,
		do: func(r *run) {
			for _, n := range []int{1, 2, -1} {
				r.fails(n, errBroken, fakedb.Valid)
				r.everyCall()
				tx := sure(r.db.BeginTx(r.ctx, nil))
				r.tell("rollback", tx.Rollback())
				r.recovers(fakedb.Valid)
			}
		},
	},
	{
		name:  "isolation levels and read-only transactions",
		about: shape{begins | keeps, 0, 0},
		do: func(r *run) {
			conn := sure(r.db.Conn(r.ctx))
			for _, on := range []beginner{r.db, conn} {
				for _, opts := range []*sql.TxOptions{
					nil,
					{},
					{Isolation: sql.LevelReadUncommitted},
					{Isolation: sql.LevelSerializable},
					{ReadOnly: true},
					{Isolation: sql.LevelSnapshot, ReadOnly: true},
					{Isolation: -1},
				} {
					for _, ctx := range []context.Context{r.ctx, context.Background()} {
						tx, err := on.BeginTx(ctx, opts)
						r.tell("begin", err)
						if err == nil {
							r.tell("commit", tx.Commit())
						}
					}
				}
			}
			r.tell("close", conn.Close())
		},
	},
	{
		name:  "a context that has already ended",
		about: shape{fakedb.Pinger | direct | prepares | begins, fakedb.StmtExecContext | fakedb.StmtQueryContext, 0},
		do: func(r *run) {
			// To look at a row is left out: rows that a driver gives all the same
			// are closed at any moment.
			ended := r.cancelled()
			try := func(h handle) { r.execIn(ended, h, "update"); r.queryIn(ended, h, "select two") }
			try(r.db)
			s := prepared{sure(r.db.PrepareContext(r.ctx, "select two"))}
			try(s)
			conn := sure(r.db.Conn(r.ctx))
			try(conn)
			on := prepared{sure(conn.PrepareContext(r.ctx, "select two"))}
			try(on)
			tx := sure(conn.BeginTx(r.ctx, nil))
			try(tx)
			try(prepared{tx.StmtContext(r.ctx, s.s)})
			try(prepared{sure(tx.PrepareContext(r.ctx, "select two"))})
			_, err := tx.PrepareContext(ended, "select two")
			r.tell("prepare in a transaction", err)
			r.tell("commit", tx.Commit())
			_, err = conn.PrepareContext(ended, "select two")
			r.tell("prepare", err)
			r.tell("ping", conn.PingContext(ended), r.db.PingContext(ended))
			r.fails(1, errBroken, fakedb.StmtClose)
			_, err = conn.PrepareContext(ended, "select two")
			r.tell("prepare what cannot be closed", err)
			_, err = r.db.Conn(ended)
			r.tell("conn", err)
			r.tell("close", s.s.Close(), on.s.Close(), conn.Close())
		},
	},
	{
		name:  "a context ends while the driver works",
		about: shape{direct | prepares | begins, fakedb.StmtExecContext | fakedb.StmtQueryContext, 0},
		do: func(r *run) {
			for _, op := range []fakedb.Op{
				fakedb.Connect, fakedb.Ping, fakedb.Prepare, fakedb.Exec, fakedb.Query, fakedb.StmtExec, fakedb.StmtQuery,
			} {
				ctx, cancel := context.WithCancel(r.ctx)
				r.fake.On(op, func(context.Context, string) error { cancel(); return nil })
				r.everything(ctx, r.db)
				r.tell("ping", r.db.PingContext(ctx))
				r.fake.On(op, nil)
			}
		},
	},
	{
		name:  "a driver heeds the deadline",
		about: calls,
		do: func(r *run) {
			for _, patience := range []time.Duration{time.Second / 2, 3 * time.Second / 2} {
				ctx, cancel := context.WithTimeout(r.ctx, patience)
				r.execIn(ctx, r.db, "update slowly")
				r.queryIn(ctx, r.db, "select slowly")
				cancel()
			}
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:  "a transaction begins in a context that has ended",
		about: shape{begins | keeps | direct, 0, 0},
		do: func(r *run) {
			ended := r.cancelled()
			_, err := r.db.BeginTx(ended, nil)
			r.tell("begin", err)
			conn := sure(r.db.Conn(r.ctx))
			_, err = conn.BeginTx(ended, &sql.TxOptions{ReadOnly: true})
			r.tell("begin", err)
			r.fails(1, errBroken, fakedb.Rollback)
			tx, err := conn.BeginTx(ended, nil)
			r.tell("begin", err)
			if err == nil {
				r.tell("commit", tx.Commit())
			}
			r.tell("ping", conn.PingContext(r.ctx))
			r.tell("close", conn.Close())
			ctx, cancel := context.WithCancel(r.ctx)
			r.fake.On(fakedb.Begin, func(context.Context, string) error { cancel(); return nil })
			tx, err = r.db.BeginTx(ctx, nil)
			r.tell("begin while the context ends", err)
			if err == nil {
				r.tell("rollback", tx.Rollback())
			}
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:  "the context of a transaction ends",
		about: shape{direct | keeps | begins | prepares, fakedb.StmtQueryContext, 0},
		do: func(r *run) {
			s := sure(r.db.PrepareContext(r.ctx, "select two"))
			for _, err := range []error{nil, errBroken, driver.ErrBadConn} {
				r.transactionEnds(r.db, func(tx *sql.Tx) {
					r.exec(tx, "update")
					r.query(prepared{sure(tx.PrepareContext(r.ctx, "select two"))}, "select two")
					r.exec(prepared{tx.StmtContext(r.ctx, s)}, "select two")
					r.fails(1, err, fakedb.Rollback)
				})
			}
			r.fails(1, errBroken, fakedb.Valid)
			r.transactionEnds(r.db, func(*sql.Tx) {})
			r.tell("close", s.Close())
		},
	},
	{
		name:  "the context of a transaction ends while rows are read",
		about: shape{keeps | direct, fakedb.StmtQueryContext, 0},
		do: func(r *run) {
			var rows, more *sql.Rows
			r.transactionEnds(r.db, func(tx *sql.Tx) {
				rows = sure(tx.QueryContext(r.ctx, "select two"))
				r.tell("next", rows.Next())
			})
			r.tell("rows", rows.Next(), rows.Err(), rows.Close())
			r.transactionEnds(r.db, func(tx *sql.Tx) {
				rows = sure(sure(tx.PrepareContext(r.ctx, "select two")).QueryContext(r.ctx))
				more = sure(tx.QueryContext(context.Background(), "select two"))
				r.tell("next", more.Next())
				r.fails(2, errBroken, fakedb.RowsClose)
				r.tell("close", rows.Close())
			})
			r.tell("rows", more.Next(), more.Err(), more.Close())
		},
	},
	{
		name:  "the context of a transaction on a connection ends",
		about: shape{keeps | direct | begins | prepares, fakedb.StmtQueryContext, 0},
		do: func(r *run) {
			for _, err := range []error{nil, errBroken, driver.ErrBadConn} {
				conn := sure(r.db.Conn(r.ctx))
				on := sure(conn.PrepareContext(r.ctx, "select two"))
				r.transactionEnds(conn, func(tx *sql.Tx) {
					r.everything(r.ctx, tx)
					r.fails(1, err, fakedb.Rollback)
				})
				r.everything(r.ctx, conn)
				r.everything(r.ctx, prepared{on})
				tx, err := conn.BeginTx(r.ctx, nil)
				r.tell("begin again", err)
				if err == nil {
					r.tell("rollback", tx.Rollback())
				}
				r.tell("ping", conn.PingContext(r.ctx))
				r.tell("close", on.Close(), conn.Close())
				r.everything(r.ctx, r.db)
			}
		},
	},
	{
		// The one difference: database/sql has two ways to drop a connection, and
		// the one that the wrapper can ask for in this place leaves statements of
		// the transaction to end with their connection, which it closes next. Who
		// uses one of them after that is told that the transaction is done, not
		// that the statement is closed.
		name:  "the context of a transaction on a connection ends and leaves a statement",
		about: shape{keeps | prepares, 0, 0},
		except: func(sh shape) []string {
			if sh.conn&keeps == keeps {
				return nil
			}
			return []string{"stmt1.Close() -> ok"}
		},
		do: func(r *run) {
			conn := sure(r.db.Conn(r.ctx))
			r.transactionEnds(conn, func(tx *sql.Tx) { sure(tx.PrepareContext(r.ctx, "select two")) })
			r.everything(r.ctx, conn)
			r.tell("close", conn.Close())
		},
	},
	{
		name:  "a transaction has ended before its context does",
		about: shape{keeps | begins, 0, 0},
		do: func(r *run) {
			for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
				ctx, cancel := context.WithCancel(r.ctx)
				tx := sure(r.db.BeginTx(ctx, nil))
				r.tell("end", end(tx))
				cancel()
				r.tell("the context ends")
				conn := sure(r.db.Conn(r.ctx))
				ctx, cancel = context.WithCancel(r.ctx)
				tx = sure(conn.BeginTx(ctx, nil))
				r.tell("end", end(tx))
				cancel()
				r.tell("the context ends")
				r.everything(r.ctx, conn)
				r.tell("close", conn.Close())
			}
		},
	},
	{
		// The transaction waits for its rows to be closed, and they end its
		// context: it is still the program that ends it.
		name:  "the context of a transaction ends while the transaction does",
		about: shape{keeps | begins, 0, 0},
		do: func(r *run) {
			conn := sure(r.db.Conn(r.ctx))
			for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
				for _, on := range []beginner{r.db, conn} {
					for _, op := range []fakedb.Op{fakedb.RowsClose, fakedb.Commit, fakedb.Rollback} {
						ctx, cancel := context.WithCancel(r.ctx)
						tx := sure(on.BeginTx(ctx, nil))
						rows := sure(tx.Query("select two"))
						r.tell("next", rows.Next())
						r.fake.On(op, func(context.Context, string) error { cancel(); return nil })
						r.tell("end", end(tx))
						r.tell("rows", rows.Next(), rows.Err(), rows.Close())
						r.fake.On(op, nil)
						cancel()
					}
				}
				r.everything(r.ctx, conn)
			}
			r.tell("close", conn.Close())
		},
	},
	{
		name:  "several result sets",
		about: shape{direct, fakedb.StmtQueryContext, fakedb.AllRows},
		do: func(r *run) {
			r.query(r.db, "select sets")
			s := sure(r.db.PrepareContext(r.ctx, "select sets"))
			r.query(prepared{s}, "select sets")
			for _, err := range []error{errBroken, driver.ErrBadConn} {
				r.fails(1, err, fakedb.NextSet)
				r.query(r.db, "select sets")
				r.recovers(fakedb.NextSet)
			}
			rows := sure(r.db.QueryContext(r.ctx, "select sets"))
			r.tell("next set before the first row", rows.NextResultSet(), rows.Err())
			r.tell("next set", rows.NextResultSet(), rows.Err())
			r.tell("next set", rows.NextResultSet(), rows.Err())
			r.tell("close", rows.Close(), rows.NextResultSet(), rows.Err(), s.Close())
		},
	},
	{
		name:  "the types of columns",
		about: shape{direct, 0, fakedb.AllRows},
		do: func(r *run) {
			rows := sure(r.db.QueryContext(r.ctx, "select typed"))
			types, err := rows.ColumnTypes()
			r.tell("types", len(types), err)
			for _, c := range types {
				length, hasLength := c.Length()
				precision, scale, hasScale := c.DecimalSize()
				nullable, known := c.Nullable()
				r.tell("type", c.Name(), c.DatabaseTypeName(), c.ScanType() == reflect.TypeFor[any](), fmt.Sprint(c.ScanType()),
					length, hasLength, precision, scale, hasScale, nullable, known)
			}
			r.read(rows)
			types, err = rows.ColumnTypes()
			r.tell("types of rows that are closed", len(types), err)
		},
	},
	{
		name:  "rows break in the middle",
		about: shape{direct | keeps, 0, fakedb.RowsNextResultSet},
		do: func(r *run) {
			r.query(r.db, "select broken")
			var id int
			r.tell("query row", r.db.QueryRowContext(r.ctx, "select broken").Scan(&id), id)
			for _, err := range []error{errBroken, driver.ErrBadConn} {
				rows := sure(r.db.QueryContext(r.ctx, "select two"))
				r.tell("next", rows.Next())
				r.fails(1, err, fakedb.Next)
				r.fails(1, errBroken, fakedb.RowsClose)
				r.tell("next", rows.Next(), rows.Err(), rows.Close(), rows.Err())
				r.recovers(fakedb.RowsClose)
			}
		},
	},
	{
		name:  "rows are scanned in every way",
		about: shape{direct, 0, fakedb.RowsNextResultSet},
		do: func(r *run) {
			var id int
			var small int8
			var raw sql.RawBytes
			var text sql.NullString
			r.tell("no row", r.db.QueryRowContext(r.ctx, "select none").Scan(&id))
			r.tell("too few variables", r.db.QueryRowContext(r.ctx, "select two").Scan(&id))
			r.tell("raw bytes in a row", r.db.QueryRowContext(r.ctx, "select two").Scan(&id, &raw))
			rows := sure(r.db.QueryContext(r.ctx, "select two"))
			r.tell("scan before next", rows.Scan(&id, &text))
			r.tell("first", rows.Next(), rows.Scan(&small, &raw), small, string(raw))
			r.tell("scan again", rows.Scan(&small, &raw))
			r.tell("second", rows.Next(), rows.Scan(&id, &text), id, text)
			r.tell("wrong type", rows.Scan(&id, &id), rows.Scan(&id, nil))
			r.tell("end", rows.Next(), rows.Scan(&id, &text), rows.Err())
			r.cursor()
		},
	},
	{
		name:  "a context ends while rows are read",
		about: shape{direct | keeps, fakedb.StmtQueryContext, fakedb.RowsNextResultSet},
		do: func(r *run) {
			s := sure(r.db.PrepareContext(r.ctx, "select two"))
			for _, h := range []handle{r.db, prepared{s}} {
				ctx, cancel := context.WithCancel(r.ctx)
				rows := sure(h.QueryContext(ctx, "select two"))
				r.tell("next", rows.Next())
				cancel()
				r.tell("the context ends")
				r.tell("next", rows.Next(), rows.Err(), rows.Close(), rows.Err())
			}
			r.tell("close", s.Close())
		},
	},
	{
		name:  "pings",
		about: shape{fakedb.Pinger | keeps, 0, 0},
		do: func(r *run) {
			conn := sure(r.db.Conn(r.ctx))
			r.tell("ping", r.db.Ping(), conn.PingContext(r.ctx))
			r.fails(2, errBroken, fakedb.Ping)
			r.tell("ping", r.db.PingContext(r.ctx), conn.PingContext(r.ctx))
			r.fails(2, driver.ErrBadConn, fakedb.Ping)
			r.tell("ping", r.db.PingContext(r.ctx), conn.PingContext(r.ctx), conn.PingContext(r.ctx), conn.Close())
		},
	},
	{
		name:  "a program reaches for the driver's connection",
		about: ways,
		do: func(r *run) {
			conn := sure(r.db.Conn(r.ctx))
			for _, answer := range []error{nil, errBroken} {
				r.tell("raw", conn.Raw(func(dc any) error {
					r.tell("in raw", fmt.Sprint(otelpool.Unwrap(dc)))
					return answer
				}))
				r.exec(conn, "update")
			}
			r.tell("bad", conn.Raw(func(any) error { return driver.ErrBadConn }))
			r.tell("after", conn.PingContext(r.ctx), conn.Close())
			conn = sure(r.db.Conn(r.ctx))
			r.tell("panic", panicked(func() { _ = conn.Raw(func(any) error { panic(errBroken) }) }))
			r.tell("after", conn.PingContext(r.ctx), conn.Close())
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:  "a connector is closed, and fails to",
		about: lifetimes,
		do: func(r *run) {
			r.everything(r.ctx, r.db)
			r.fails(1, errBroken, fakedb.CloseConnector)
			r.tell("close", r.db.Close(), r.db.Close(), r.db.PingContext(r.ctx))
		},
	},
	{
		name:  "a connection fails to close, and so does the connector",
		about: lifetimes,
		do: func(r *run) {
			r.everything(r.ctx, r.db)
			r.fails(1, errBroken, fakedb.Close)
			r.fails(1, driver.ErrBadConn, fakedb.CloseConnector)
			r.tell("close", r.db.Close())
		},
	},
	{
		name:   "a connector cannot be closed",
		about:  lifetimes,
		config: func(c *fakedb.Config) { c.Closer = false },
		do: func(r *run) {
			r.everything(r.ctx, r.db)
			r.fails(1, errBroken, fakedb.Close)
			r.tell("close", r.db.Close(), r.db.Close())
		},
	},
	{
		name:  "a DB is closed while a connection is out",
		about: ways,
		do: func(r *run) {
			conn := sure(r.db.Conn(r.ctx))
			tx := sure(r.db.BeginTx(r.ctx, nil))
			rows := sure(r.db.QueryContext(r.ctx, "select two"))
			r.tell("close", r.db.Close())
			r.everything(r.ctx, conn)
			r.everything(r.ctx, tx)
			r.read(rows)
			r.tell("ends", tx.Commit(), conn.Close())
		},
	},
	{
		name:  "a driver panics",
		about: ways,
		do: func(r *run) {
			for _, op := range []fakedb.Op{
				fakedb.Connect, fakedb.Ping, fakedb.Reset, fakedb.Valid, fakedb.Prepare, fakedb.Exec, fakedb.Query,
				fakedb.Begin, fakedb.Commit, fakedb.Rollback, fakedb.StmtExec, fakedb.StmtQuery, fakedb.StmtClose,
				fakedb.Next, fakedb.RowsClose,
			} {
				r.fake.On(op, func(context.Context, string) error { panic(errBroken) })
				r.tell("exec", panicked(func() { r.exec(r.db, "update") }))
				r.tell("query", panicked(func() { r.query(r.db, "select") }))
				r.tell("prepare", panicked(func() { _ = sure(r.db.PrepareContext(r.ctx, "select")).Close() }))
				r.tell("ping", panicked(func() { _ = r.db.PingContext(r.ctx) }))
				// A connection that is lost to a panic stays in use, and a
				// transaction would panic once more when its context ends.
				r.tell("commit", panicked(func() { _ = sure(r.db.Begin()).Commit() }))
				r.tell("rollback", panicked(func() { _ = sure(r.db.Begin()).Rollback() }))
				r.fake.On(op, nil)
			}
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:  "a driver answers with nothing at all",
		about: calls,
		do: func(r *run) {
			r.tell("exec", panicked(func() { r.exec(r.db, "update nothing") }))
			r.tell("query", panicked(func() {
				rows := sure(r.db.Query("select nothing")) // no context that could close what is not there
				_, err := rows.Columns()
				r.tell("columns", err)
				_, err = rows.ColumnTypes()
				r.tell("types", err)
				rows.Next()
			}))
			r.tell("prepare", panicked(func() {
				s := sure(r.db.PrepareContext(r.ctx, "select nothing"))
				_, _ = s.Query()
			}))
		},
	},
	{
		name:  "a result has an error of its own",
		about: calls,
		do: func(r *run) {
			res := sure(r.db.ExecContext(r.ctx, "update ids"))
			id, noID := res.LastInsertId()
			n, err := res.RowsAffected()
			r.tell("result", id, noID, n, err)
		},
	},
	{
		name:   "connections live for so long",
		about:  lifetimes,
		config: func(c *fakedb.Config) { c.Dial = time.Second / 4 },
		do: func(r *run) {
			r.db.SetConnMaxLifetime(10 * time.Second)
			r.everything(r.ctx, r.db)
			for range 4 {
				time.Sleep(4 * time.Second)
				r.exec(r.db, "update")
			}
			conn := sure(r.db.Conn(r.ctx))
			time.Sleep(20 * time.Second)
			r.everything(r.ctx, conn)
			r.tell("close", conn.Close())
			time.Sleep(time.Minute)
			r.tell("later")
		},
	},
	{
		name:  "connections idle for so long",
		about: lifetimes,
		do: func(r *run) {
			r.db.SetConnMaxIdleTime(5 * time.Second)
			for _, pause := range []time.Duration{time.Second, 4 * time.Second, 6 * time.Second, time.Minute} {
				r.exec(r.db, "update")
				time.Sleep(pause)
				r.tell("after a pause")
			}
			r.db.SetConnMaxLifetime(2 * time.Second)
			r.exec(r.db, "update")
			time.Sleep(3 * time.Second)
			r.tell("after a pause")
		},
	},
	{
		name:  "so many connections stay idle",
		about: lifetimes,
		do: func(r *run) {
			for _, n := range []int{0, 1, 3, -1, 2} {
				r.db.SetMaxIdleConns(n)
				r.tell("limit", n)
				var conns []*sql.Conn
				for range 3 {
					conns = append(conns, sure(r.db.Conn(r.ctx)))
				}
				r.tell("conns")
				for _, c := range conns {
					r.tell("close", c.Close())
				}
			}
			r.db.SetMaxIdleConns(1)
			r.tell("fewer")
		},
	},
	{
		name:   "callers wait for a connection",
		about:  ways,
		config: func(c *fakedb.Config) { c.Dial = time.Second },
		do: func(r *run) {
			r.db.SetMaxOpenConns(1)
			conn := sure(r.db.Conn(r.ctx))
			wait := func(patience, hold time.Duration, end func() error) {
				ctx, cancel := context.WithTimeout(r.ctx, patience)
				defer cancel()
				done := make(chan error)
				go func() {
					_, err := r.db.ExecContext(ctx, "update")
					done <- err
				}()
				time.Sleep(hold)
				r.tell("waiting")
				r.tell("end", end())
				r.tell("waited", <-done)
			}
			wait(time.Minute, 2*time.Second, conn.Close)
			conn = sure(r.db.Conn(r.ctx))
			wait(time.Second, 3*time.Second, conn.Close)
			conn = sure(r.db.Conn(r.ctx))
			r.fails(1, errBroken, fakedb.Valid)
			wait(time.Minute, 3*time.Second, conn.Close)
			conn = sure(r.db.Conn(r.ctx))
			r.fails(1, driver.ErrBadConn, fakedb.Reset)
			wait(time.Minute, 3*time.Second, conn.Close)
			for _, err := range []error{nil, errBroken, driver.ErrBadConn} {
				conn = sure(r.db.Conn(r.ctx))
				r.fails(1, err, fakedb.Connect)
				wait(time.Minute, 3*time.Second, func() error {
					return conn.Raw(func(any) error { return driver.ErrBadConn })
				})
				r.recovers(fakedb.Connect)
			}
			r.db.SetConnMaxLifetime(time.Second)
			conn = sure(r.db.Conn(r.ctx))
			wait(time.Minute, 3*time.Second, conn.Close)
		},
	},
	{
		// database/sql closes a connection that its opener dialed in vain with
		// its own lock held. The driver does not heed the opener's context, which
		// ends when the DB is closed.
		name:  "a connection is dialed for a caller who has gone",
		about: lifetimes,
		do: func(r *run) {
			lost := func(limit int, then func() error) {
				r.db.SetMaxOpenConns(limit)
				var conns []*sql.Conn
				for range limit {
					conns = append(conns, sure(r.db.Conn(r.ctx)))
				}
				r.fake.On(fakedb.Connect, func(context.Context, string) error { time.Sleep(time.Second); return nil })
				ctx, cancel := context.WithTimeout(r.ctx, time.Second)
				defer cancel()
				done := make(chan error)
				go func() { done <- r.db.PingContext(ctx) }()
				time.Sleep(time.Second / 2)
				r.tell("bad", conns[0].Raw(func(any) error { return driver.ErrBadConn }))
				r.tell("then", then())
				r.tell("gone", <-done)
				time.Sleep(2 * time.Second)
				r.tell("later")
				r.fake.On(fakedb.Connect, nil)
				for _, c := range conns {
					r.tell("close", c.Close())
				}
			}
			lost(1, func() error { return nil })
			lost(2, func() error { r.db.SetMaxOpenConns(1); return nil })
			lost(1, func() error { r.db.SetMaxIdleConns(-1); return nil })
			lost(1, r.db.Close)
		},
	},
	{
		name:   "dialing is slow, fails and is given up",
		about:  lifetimes,
		config: func(c *fakedb.Config) { c.Dial = time.Second },
		do: func(r *run) {
			ctx, cancel := context.WithTimeout(r.ctx, time.Second/2)
			defer cancel()
			r.tell("impatient", r.db.PingContext(ctx))
			r.fails(1, errBroken, fakedb.Connect)
			r.tell("failed", r.db.PingContext(r.ctx))
			for n := 1; n <= 3; n++ {
				r.fails(n, driver.ErrBadConn, fakedb.Connect)
				r.tell("bad", r.db.PingContext(r.ctx))
			}
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:  "a statement follows its connections",
		about: shape{direct | prepares | keeps, 0, 0},
		do: func(r *run) {
			s := prepared{sure(r.db.PrepareContext(r.ctx, "select two"))}
			first := sure(r.db.Conn(r.ctx))
			r.everything(r.ctx, s)
			second := sure(r.db.Conn(r.ctx))
			r.fails(1, errBroken, fakedb.Prepare)
			r.everything(r.ctx, s)
			tx := sure(first.BeginTx(r.ctx, nil))
			r.everything(r.ctx, prepared{tx.StmtContext(r.ctx, s.s)})
			r.tell("commit", tx.Commit())
			rows := sure(s.s.QueryContext(r.ctx))
			r.tell("close", s.s.Close())
			r.read(rows)
			r.everything(r.ctx, s)
			r.tell("ends", first.Close(), second.Close())
		},
	},
	{
		name:  "a goroutine ends inside the driver",
		about: calls,
		do: func(r *run) {
			for _, op := range []fakedb.Op{fakedb.Exec, fakedb.StmtExec, fakedb.Prepare, fakedb.Query, fakedb.Begin, fakedb.Ping} {
				r.fake.On(op, func(context.Context, string) error { runtime.Goexit(); return nil })
				for _, f := range []func(){
					func() { r.exec(r.db, "update") },
					func() { r.query(r.db, "select") },
					func() { _ = sure(r.db.Begin()).Commit() },
					func() { _ = r.db.Ping() },
				} {
					done := make(chan struct{})
					go func() { defer close(done); f() }()
					<-done
					r.tell("done")
				}
				r.fake.On(op, nil)
			}
		},
	},
	{
		name:  "time passes on the driver's side of every call",
		about: ways,
		do: func(r *run) {
			// With a context that can end, a goroutine of database/sql would wait
			// for the lock of rows that take their time to close, and a bubble's
			// clock stands still while one waits for a lock.
			r.ctx = context.WithoutCancel(r.ctx)
			for op := fakedb.Connect; op < fakedb.CloseConnector; op++ {
				r.fake.On(op, fakedb.Sleep(time.Second))
			}
			r.everyCall()
		},
	},
}

// cursor reads a result set that is a value of another one.
func (r *run) cursor() {
	rows := sure(r.db.QueryContext(r.ctx, "select cursor"))
	var sub sql.Rows
	var n int
	r.tell("cursor", rows.Next(), rows.Scan(&sub))
	r.tell("row", sub.Next(), sub.Scan(&n), n)
	r.tell("close", rows.Close(), sub.Next(), sub.Err())
}

// beginner is what transactions begin on.
type beginner interface {
	BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
}

// transactionEnds begins a transaction, works in it, and ends its context.
func (r *run) transactionEnds(on beginner, work func(*sql.Tx)) {
	ctx, cancel := context.WithTimeout(r.ctx, time.Second)
	defer cancel()
	tx := sure(on.BeginTx(ctx, nil))
	r.tell("begin")
	work(tx)
	time.Sleep(time.Second)
	r.tell("the context ends")
	r.tell("too late", tx.Commit(), tx.Rollback())
}

// everyCall makes every call that a driver has, each on a connection that may be
// bad and that the pool may not keep.
func (r *run) everyCall() {
	r.everything(r.ctx, r.db)
	r.tell("ping", r.db.PingContext(r.ctx))
	s, err := r.db.PrepareContext(r.ctx, "select two")
	r.tell("prepare", err)
	if err == nil {
		r.briefly(prepared{s})
		r.tell("close", s.Close())
	}
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
		tx, err := r.db.BeginTx(r.ctx, nil)
		r.tell("begin", err)
		if err == nil {
			r.exec(tx, "update")
			r.tell("end", end(tx))
		}
	}
	conn, err := r.db.Conn(r.ctx)
	r.tell("conn", err)
	if err == nil {
		r.exec(conn, "update")
		r.tell("close", conn.Close())
	}
}
