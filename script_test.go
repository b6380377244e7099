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

// Interfaces that scripts vary. Where ExecerContext and QueryerContext are varied and all
// others are present, Execer and Queryer remain: two bits cover every way to run directly.
const (
	direct   = fakedb.ExecerContext | fakedb.QueryerContext
	reuse    = fakedb.SessionResetter | fakedb.Validator
	prepares = fakedb.ConnPrepareContext
	begins   = fakedb.ConnBeginTx
)

var (
	arguments      = shape{direct | fakedb.Execer | fakedb.Queryer | fakedb.NamedValueChecker, fakedb.AllStmt, 0}
	statements     = shape{direct, fakedb.StmtExecContext | fakedb.StmtQueryContext, 0}
	reuseOnly      = shape{reuse, 0, 0}
	directAndReuse = shape{direct | reuse, 0, 0}
)

// answers are the server's answers to some texts. Any other text returns one row.
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

// ids is a result with an ID of the last insert, whose RowsAffected fails.
type ids struct{}

func (ids) LastInsertId() (int64, error) { return 7, nil }
func (ids) RowsAffected() (int64, error) { return 0, errBroken }

// cursor is a value that is itself a result set: endless rows of its number.
type cursor int

func (cursor) Columns() []string { return []string{"a"} }
func (cursor) Close() error      { return nil }

func (c cursor) Next(dest []driver.Value) error {
	dest[0] = int64(c)
	return nil
}

// codedError is an error with an SQLSTATE.
type codedError struct{ code string }

func (e *codedError) Error() string    { return "SQLSTATE " + e.code }
func (e *codedError) SQLState() string { return e.code }

// listError is an error that cannot be compared.
type listError []string

func (e listError) Error() string { return fmt.Sprint([]string(e)) }

// point is an argument of a type that database/sql does not support.
type point struct{ X, Y int }

// valuer is an argument that implements driver.Valuer. It returns v, as an error if v is one.
type valuer struct{ v driver.Value }

func (v valuer) Value() (driver.Value, error) {
	if err, ok := v.v.(error); ok {
		return nil, err
	}
	return v.v, nil
}

// acceptPoints is a checker that accepts points and skips other values.
func acceptPoints(nv *driver.NamedValue) error {
	if _, ok := nv.Value.(point); ok {
		return nil
	}
	return driver.ErrSkip
}

// checkByType is a checker that returns each possible answer, by the type of the value.
func checkByType(nv *driver.NamedValue) error {
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

// converter is a column converter that returns each possible answer.
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

// withArguments runs statements with the given arguments, directly and prepared.
func withArguments(r *run, args ...any) {
	text := "update ?, ?"
	r.exec(r.db, text, args...)
	r.query(r.db, text, args...)
	r.exec(r.db, "anything", args...)
	s := prepared{must(r.db.PrepareContext(r.ctx, text))}
	r.exec(s, text, args...)
	r.query(s, text, args...)
	r.record("close", s.s.Close())
	s = prepared{must(r.db.PrepareContext(r.ctx, "anything"))}
	r.exec(s, "anything", args...)
	r.record("close", s.s.Close())
}

// fails makes the next n calls of each op return err; -1 is all.
func (r *run) fails(n int, err error, ops ...fakedb.Op) {
	for _, op := range ops {
		r.fake.Fail(op, n, err)
	}
}

// recovers makes all calls of each op succeed again.
func (r *run) recovers(ops ...fakedb.Op) { r.fails(0, nil, ops...) }

// canceledContext returns a context that has ended.
func (r *run) canceledContext() context.Context {
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	return ctx
}

// execAndQuery runs one exec and one query.
func (r *run) execAndQuery(h handle) {
	r.exec(h, "update")
	r.query(h, "select")
}

// everything runs one statement through each method of a handle.
func (r *run) everything(ctx context.Context, h handle) {
	r.execIn(ctx, h, "insert")
	r.queryIn(ctx, h, "select two")
	var n int
	r.record("query row", h.QueryRowContext(ctx, "select").Scan(&n), n)
}

var scripts = []script{
	{
		name:   "statements run directly, prepared, in a transaction and on a connection",
		varies: everything,
		do: func(r *run) {
			r.everything(r.ctx, r.db)
			s := prepared{must(r.db.PrepareContext(r.ctx, "select two"))}
			r.record("prepare")
			r.execAndQuery(s)
			tx := must(r.db.BeginTx(r.ctx, nil))
			r.record("begin")
			r.everything(r.ctx, tx)
			r.execAndQuery(prepared{tx.StmtContext(r.ctx, s.s)})
			r.execAndQuery(prepared{must(tx.PrepareContext(r.ctx, "select two"))})
			r.record("commit", tx.Commit(), tx.Commit(), tx.Rollback())
			r.record("close", s.s.Close(), s.s.Close())
			conn := must(r.db.Conn(r.ctx))
			r.everything(r.ctx, conn)
			on := prepared{must(conn.PrepareContext(r.ctx, "select two"))}
			r.execAndQuery(on)
			r.record("close", on.s.Close())
			tx = must(conn.BeginTx(r.ctx, nil))
			r.execAndQuery(tx)
			r.record("rollback", tx.Rollback(), tx.Rollback(), tx.Commit())
			r.record("ping", conn.PingContext(r.ctx), r.db.PingContext(r.ctx))
			r.record("close", conn.Close(), conn.Close())
		},
	},
	{
		name:   "statements run without a context",
		varies: shape{direct | prepares | begins, fakedb.StmtExecContext | fakedb.StmtQueryContext, 0},
		do: func(r *run) {
			res, err := r.db.Exec("insert ?", 1)
			r.record("exec", res != nil, err)
			rows := must(r.db.Query("select two"))
			r.read(rows)
			s := must(r.db.Prepare("update ?"))
			_, err = s.Exec("a")
			r.record("prepared exec", err)
			r.read(must(s.Query(2)))
			tx := must(r.db.Begin())
			_, err = tx.Exec("update")
			r.record("exec in a transaction", err)
			r.read(must(tx.Query("select two")))
			r.record("ends", tx.Rollback(), s.Close(), r.db.Ping())
		},
	},
	{
		name:   "arguments of every kind that database/sql supports",
		varies: arguments,
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
		varies: arguments,
		config: func(c *fakedb.Config) { c.CheckStmt = acceptPoints },
		do:     func(r *run) { withArguments(r, point{1, 2}, 3); withArguments(r, 3, point{}) },
	},
	{
		name:   "a connection's own checker accepts a struct",
		varies: arguments,
		config: func(c *fakedb.Config) { c.CheckConn = acceptPoints },
		do:     func(r *run) { withArguments(r, point{1, 2}, 3); withArguments(r, 3, point{}) },
	},
	{
		name:   "a checker accepts, changes, removes, refuses and skips arguments",
		varies: arguments,
		config: func(c *fakedb.Config) { c.CheckConn, c.CheckStmt = checkByType, checkByType },
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
		name:   "a column converter converts, refuses, skips, and gets too few or too many arguments",
		varies: arguments,
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
		name:   "a column converter comes after a checker that skips",
		varies: arguments,
		config: func(c *fakedb.Config) {
			c.CheckConn, c.CheckStmt = checkByType, checkByType
			convertColumns(c)
		},
		do: func(r *run) { withArguments(r, 1, point{1, 2}); withArguments(r, 1, "x", 3); withArguments(r, 1, 2, 3) },
	},
	{
		name:   "named parameters",
		varies: arguments,
		do: func(r *run) {
			withArguments(r, sql.Named("a", 1), sql.Named("b", "two"))
			withArguments(r, 1, sql.Named("b", "two"))
			withArguments(r, sql.Named("1", 1), 2)
			withArguments(r, sql.Named("", 1), 2)
		},
	},
	{
		name:   "a driver declines to run directly",
		varies: arguments,
		do: func(r *run) {
			r.fails(-1, driver.ErrSkip, fakedb.Exec, fakedb.Query)
			r.everything(r.ctx, r.db)
			withArguments(r, 1, "two")
			withArguments(r, 1)
			tx := must(r.db.BeginTx(r.ctx, nil))
			r.everything(r.ctx, tx)
			r.fails(1, errBroken, fakedb.Prepare)
			r.exec(tx, "update")
			r.fails(1, errBroken, fakedb.StmtExec, fakedb.StmtQuery)
			r.exec(tx, "update")
			r.query(tx, "select")
			r.record("commit", tx.Commit())
			r.recovers(fakedb.Exec, fakedb.Query)
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:   "a driver declines with an error that wraps ErrSkip",
		varies: statements,
		do: func(r *run) {
			r.fails(-1, fmt.Errorf("no: %w", driver.ErrSkip), fakedb.Exec, fakedb.Query)
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:   "a driver returns ErrSkip from calls that do not support it",
		varies: directAndReuse,
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
		name:   "every call fails with an error of the driver",
		varies: directAndReuse,
		do: func(r *run) {
			for op := fakedb.Connect; op < fakedb.CloseConnector; op++ {
				r.fails(1, errBroken, op)
				r.everyCall()
				r.recovers(op)
			}
		},
	},
	{
		name:   "every call fails with an error that has a code or cannot be compared",
		varies: reuseOnly,
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
		name:   "every call fails with ErrBadConn, once to three times",
		varies: directAndReuse,
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
		name:   "every call fails with an error that wraps ErrBadConn",
		varies: reuseOnly,
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
		name:   "every call fails with the context's error",
		varies: reuseOnly,
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
		name:   "calls on a sql.Conn fail with ErrBadConn",
		varies: shape{direct | reuse | prepares, fakedb.AllStmt, 0},
		do: func(r *run) {
			for _, op := range []fakedb.Op{
				fakedb.Ping, fakedb.Prepare, fakedb.Exec, fakedb.Query, fakedb.Begin,
				fakedb.StmtExec, fakedb.StmtQuery, fakedb.Next, fakedb.RowsClose,
			} {
				conn := must(r.db.Conn(r.ctx))
				r.fails(1, driver.ErrBadConn, op)
				r.everything(r.ctx, conn)
				r.record("ping", conn.PingContext(r.ctx))
				r.record("close", conn.Close())
				r.recovers(op)
			}
		},
	},
	{
		name:   "calls in a transaction fail with ErrBadConn",
		varies: directAndReuse,
		do: func(r *run) {
			for _, op := range []fakedb.Op{
				fakedb.Prepare, fakedb.Exec, fakedb.Query, fakedb.StmtExec, fakedb.StmtQuery, fakedb.StmtClose,
				fakedb.Next, fakedb.RowsClose, fakedb.Commit, fakedb.Rollback,
			} {
				for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
					tx := must(r.db.BeginTx(r.ctx, nil))
					r.fails(1, driver.ErrBadConn, op)
					r.everything(r.ctx, tx)
					s, err := tx.PrepareContext(r.ctx, "select two")
					r.record("prepare", err)
					if err == nil {
						r.everything(r.ctx, prepared{s})
					}
					r.record("end", end(tx))
					r.recovers(op)
					r.everything(r.ctx, r.db)
				}
			}
		},
	},
	{
		name:   "a connection is not valid at its release",
		varies: directAndReuse,
		do: func(r *run) {
			for _, n := range []int{1, 2, -1} {
				r.fails(n, errBroken, fakedb.Valid)
				r.everyCall()
				tx := must(r.db.BeginTx(r.ctx, nil))
				r.record("rollback", tx.Rollback())
				r.recovers(fakedb.Valid)
			}
		},
	},
	{
		name:   "isolation levels and read-only transactions",
		varies: shape{begins | reuse, 0, 0},
		do: func(r *run) {
			conn := must(r.db.Conn(r.ctx))
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
						r.record("begin", err)
						if err == nil {
							r.record("commit", tx.Commit())
						}
					}
				}
			}
			r.record("close", conn.Close())
		},
	},
	{
		name:   "a context that has already ended",
		varies: shape{fakedb.Pinger | direct | prepares | begins, fakedb.StmtExecContext | fakedb.StmtQueryContext, 0},
		do: func(r *run) {
			// No row is read: rows that a driver returns in spite of the context are
			// closed at any moment.
			ended := r.canceledContext()
			try := func(h handle) { r.execIn(ended, h, "update"); r.queryIn(ended, h, "select two") }
			try(r.db)
			s := prepared{must(r.db.PrepareContext(r.ctx, "select two"))}
			try(s)
			conn := must(r.db.Conn(r.ctx))
			try(conn)
			on := prepared{must(conn.PrepareContext(r.ctx, "select two"))}
			try(on)
			tx := must(conn.BeginTx(r.ctx, nil))
			try(tx)
			try(prepared{tx.StmtContext(r.ctx, s.s)})
			try(prepared{must(tx.PrepareContext(r.ctx, "select two"))})
			_, err := tx.PrepareContext(ended, "select two")
			r.record("prepare in a transaction", err)
			r.record("commit", tx.Commit())
			_, err = conn.PrepareContext(ended, "select two")
			r.record("prepare", err)
			r.record("ping", conn.PingContext(ended), r.db.PingContext(ended))
			r.fails(1, errBroken, fakedb.StmtClose)
			_, err = conn.PrepareContext(ended, "select two")
			r.record("prepare what cannot be closed", err)
			_, err = r.db.Conn(ended)
			r.record("conn", err)
			r.record("close", s.s.Close(), on.s.Close(), conn.Close())
		},
	},
	{
		name:   "a context ends while the driver works",
		varies: shape{direct | prepares | begins, fakedb.StmtExecContext | fakedb.StmtQueryContext, 0},
		do: func(r *run) {
			for _, op := range []fakedb.Op{
				fakedb.Connect, fakedb.Ping, fakedb.Prepare, fakedb.Exec, fakedb.Query, fakedb.StmtExec, fakedb.StmtQuery,
			} {
				ctx, cancel := context.WithCancel(r.ctx)
				r.fake.On(op, func(context.Context, string) error { cancel(); return nil })
				r.everything(ctx, r.db)
				r.record("ping", r.db.PingContext(ctx))
				r.fake.On(op, nil)
			}
		},
	},
	{
		name:   "a driver obeys the deadline",
		varies: statements,
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
		name:   "a transaction begins in a context that has ended",
		varies: shape{begins | reuse | direct, 0, 0},
		do: func(r *run) {
			ended := r.canceledContext()
			_, err := r.db.BeginTx(ended, nil)
			r.record("begin", err)
			conn := must(r.db.Conn(r.ctx))
			_, err = conn.BeginTx(ended, &sql.TxOptions{ReadOnly: true})
			r.record("begin", err)
			r.fails(1, errBroken, fakedb.Rollback)
			tx, err := conn.BeginTx(ended, nil)
			r.record("begin", err)
			if err == nil {
				r.record("commit", tx.Commit())
			}
			r.record("ping", conn.PingContext(r.ctx))
			r.record("close", conn.Close())
			ctx, cancel := context.WithCancel(r.ctx)
			r.fake.On(fakedb.Begin, func(context.Context, string) error { cancel(); return nil })
			tx, err = r.db.BeginTx(ctx, nil)
			r.record("begin while the context ends", err)
			if err == nil {
				r.record("rollback", tx.Rollback())
			}
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:   "the context of a transaction ends",
		varies: shape{direct | reuse | begins | prepares, fakedb.StmtQueryContext, 0},
		do: func(r *run) {
			s := must(r.db.PrepareContext(r.ctx, "select two"))
			for _, err := range []error{nil, errBroken, driver.ErrBadConn} {
				r.transactionEnds(r.db, func(tx *sql.Tx) {
					r.exec(tx, "update")
					r.query(prepared{must(tx.PrepareContext(r.ctx, "select two"))}, "select two")
					r.exec(prepared{tx.StmtContext(r.ctx, s)}, "select two")
					r.fails(1, err, fakedb.Rollback)
				})
			}
			r.fails(1, errBroken, fakedb.Valid)
			r.transactionEnds(r.db, func(*sql.Tx) {})
			r.record("close", s.Close())
		},
	},
	{
		name:   "the context of a transaction ends while rows are read",
		varies: shape{reuse | direct, fakedb.StmtQueryContext, 0},
		do: func(r *run) {
			var rows, more *sql.Rows
			r.transactionEnds(r.db, func(tx *sql.Tx) {
				rows = must(tx.QueryContext(r.ctx, "select two"))
				r.record("next", rows.Next())
			})
			r.record("rows", rows.Next(), rows.Err(), rows.Close())
			r.transactionEnds(r.db, func(tx *sql.Tx) {
				rows = must(must(tx.PrepareContext(r.ctx, "select two")).QueryContext(r.ctx))
				more = must(tx.QueryContext(context.Background(), "select two"))
				r.record("next", more.Next())
				r.fails(2, errBroken, fakedb.RowsClose)
				r.record("close", rows.Close())
			})
			r.record("rows", more.Next(), more.Err(), more.Close())
		},
	},
	{
		name:   "the context of a transaction on a connection ends",
		varies: shape{reuse | direct | begins | prepares, fakedb.StmtQueryContext, 0},
		do: func(r *run) {
			for _, err := range []error{nil, errBroken, driver.ErrBadConn} {
				conn := must(r.db.Conn(r.ctx))
				on := must(conn.PrepareContext(r.ctx, "select two"))
				r.transactionEnds(conn, func(tx *sql.Tx) {
					r.everything(r.ctx, tx)
					r.fails(1, err, fakedb.Rollback)
				})
				r.everything(r.ctx, conn)
				r.everything(r.ctx, prepared{on})
				tx, err := conn.BeginTx(r.ctx, nil)
				r.record("begin again", err)
				if err == nil {
					r.record("rollback", tx.Rollback())
				}
				r.record("ping", conn.PingContext(r.ctx))
				r.record("close", on.Close(), conn.Close())
				r.everything(r.ctx, r.db)
			}
		},
	},
	{
		// The one difference. database/sql has two ways to drop a connection. The one
		// that the wrapper can trigger here does not close the statements of the
		// transaction before the connection, which it closes next. A use of such a
		// statement then fails because the transaction is done, not because the
		// statement is closed.
		name:   "the context of a transaction on a connection ends while a statement is open",
		varies: shape{reuse | prepares, 0, 0},
		except: func(sh shape) []string {
			if sh.conn&reuse == reuse {
				return nil
			}
			return []string{"stmt1.Close() -> ok"}
		},
		do: func(r *run) {
			conn := must(r.db.Conn(r.ctx))
			r.transactionEnds(conn, func(tx *sql.Tx) { must(tx.PrepareContext(r.ctx, "select two")) })
			r.everything(r.ctx, conn)
			r.record("close", conn.Close())
		},
	},
	{
		name:   "the context of a transaction ends after the transaction",
		varies: shape{reuse | begins, 0, 0},
		do: func(r *run) {
			for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
				ctx, cancel := context.WithCancel(r.ctx)
				tx := must(r.db.BeginTx(ctx, nil))
				r.record("end", end(tx))
				cancel()
				r.record("the context ends")
				conn := must(r.db.Conn(r.ctx))
				ctx, cancel = context.WithCancel(r.ctx)
				tx = must(conn.BeginTx(ctx, nil))
				r.record("end", end(tx))
				cancel()
				r.record("the context ends")
				r.everything(r.ctx, conn)
				r.record("close", conn.Close())
			}
		},
	},
	{
		// The transaction waits until its rows are closed, and their close cancels its
		// context. It is still the program that ends the transaction.
		name:   "the context of a transaction ends during its commit or rollback",
		varies: shape{reuse | begins, 0, 0},
		do: func(r *run) {
			conn := must(r.db.Conn(r.ctx))
			for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
				for _, on := range []beginner{r.db, conn} {
					for _, op := range []fakedb.Op{fakedb.RowsClose, fakedb.Commit, fakedb.Rollback} {
						ctx, cancel := context.WithCancel(r.ctx)
						tx := must(on.BeginTx(ctx, nil))
						rows := must(tx.Query("select two"))
						r.record("next", rows.Next())
						r.fake.On(op, func(context.Context, string) error { cancel(); return nil })
						r.record("end", end(tx))
						r.record("rows", rows.Next(), rows.Err(), rows.Close())
						r.fake.On(op, nil)
						cancel()
					}
				}
				r.everything(r.ctx, conn)
			}
			r.record("close", conn.Close())
		},
	},
	{
		name:   "several result sets",
		varies: shape{direct, fakedb.StmtQueryContext, fakedb.AllRows},
		do: func(r *run) {
			r.query(r.db, "select sets")
			s := must(r.db.PrepareContext(r.ctx, "select sets"))
			r.query(prepared{s}, "select sets")
			for _, err := range []error{errBroken, driver.ErrBadConn} {
				r.fails(1, err, fakedb.NextSet)
				r.query(r.db, "select sets")
				r.recovers(fakedb.NextSet)
			}
			rows := must(r.db.QueryContext(r.ctx, "select sets"))
			r.record("next set before the first row", rows.NextResultSet(), rows.Err())
			r.record("next set", rows.NextResultSet(), rows.Err())
			r.record("next set", rows.NextResultSet(), rows.Err())
			r.record("close", rows.Close(), rows.NextResultSet(), rows.Err(), s.Close())
		},
	},
	{
		name:   "the types of columns",
		varies: shape{direct, 0, fakedb.AllRows},
		do: func(r *run) {
			rows := must(r.db.QueryContext(r.ctx, "select typed"))
			types, err := rows.ColumnTypes()
			r.record("types", len(types), err)
			for _, c := range types {
				length, hasLength := c.Length()
				precision, scale, hasScale := c.DecimalSize()
				nullable, known := c.Nullable()
				r.record("type", c.Name(), c.DatabaseTypeName(), c.ScanType() == reflect.TypeFor[any](), fmt.Sprint(c.ScanType()),
					length, hasLength, precision, scale, hasScale, nullable, known)
			}
			r.read(rows)
			types, err = rows.ColumnTypes()
			r.record("types of rows that are closed", len(types), err)
		},
	},
	{
		name:   "reading rows fails after the first row",
		varies: shape{direct | reuse, 0, fakedb.RowsNextResultSet},
		do: func(r *run) {
			r.query(r.db, "select broken")
			var id int
			r.record("query row", r.db.QueryRowContext(r.ctx, "select broken").Scan(&id), id)
			for _, err := range []error{errBroken, driver.ErrBadConn} {
				rows := must(r.db.QueryContext(r.ctx, "select two"))
				r.record("next", rows.Next())
				r.fails(1, err, fakedb.Next)
				r.fails(1, errBroken, fakedb.RowsClose)
				r.record("next", rows.Next(), rows.Err(), rows.Close(), rows.Err())
				r.recovers(fakedb.RowsClose)
			}
		},
	},
	{
		name:   "rows are scanned in every way",
		varies: shape{direct, 0, fakedb.RowsNextResultSet},
		do: func(r *run) {
			var id int
			var small int8
			var raw sql.RawBytes
			var text sql.NullString
			r.record("no row", r.db.QueryRowContext(r.ctx, "select none").Scan(&id))
			r.record("too few variables", r.db.QueryRowContext(r.ctx, "select two").Scan(&id))
			r.record("raw bytes in a row", r.db.QueryRowContext(r.ctx, "select two").Scan(&id, &raw))
			rows := must(r.db.QueryContext(r.ctx, "select two"))
			r.record("scan before next", rows.Scan(&id, &text))
			r.record("first", rows.Next(), rows.Scan(&small, &raw), small, string(raw))
			r.record("scan again", rows.Scan(&small, &raw))
			r.record("second", rows.Next(), rows.Scan(&id, &text), id, text)
			r.record("wrong type", rows.Scan(&id, &id), rows.Scan(&id, nil))
			r.record("end", rows.Next(), rows.Scan(&id, &text), rows.Err())
			r.cursor()
		},
	},
	{
		name:   "a context ends while rows are read",
		varies: shape{direct | reuse, fakedb.StmtQueryContext, fakedb.RowsNextResultSet},
		do: func(r *run) {
			s := must(r.db.PrepareContext(r.ctx, "select two"))
			for _, h := range []handle{r.db, prepared{s}} {
				ctx, cancel := context.WithCancel(r.ctx)
				rows := must(h.QueryContext(ctx, "select two"))
				r.record("next", rows.Next())
				cancel()
				r.record("the context ends")
				r.record("next", rows.Next(), rows.Err(), rows.Close(), rows.Err())
			}
			r.record("close", s.Close())
		},
	},
	{
		name:   "pings",
		varies: shape{fakedb.Pinger | reuse, 0, 0},
		do: func(r *run) {
			conn := must(r.db.Conn(r.ctx))
			r.record("ping", r.db.Ping(), conn.PingContext(r.ctx))
			r.fails(2, errBroken, fakedb.Ping)
			r.record("ping", r.db.PingContext(r.ctx), conn.PingContext(r.ctx))
			r.fails(2, driver.ErrBadConn, fakedb.Ping)
			r.record("ping", r.db.PingContext(r.ctx), conn.PingContext(r.ctx), conn.PingContext(r.ctx), conn.Close())
		},
	},
	{
		name:   "a program uses Raw and Unwrap",
		varies: directAndReuse,
		do: func(r *run) {
			conn := must(r.db.Conn(r.ctx))
			for _, answer := range []error{nil, errBroken} {
				r.record("raw", conn.Raw(func(dc any) error {
					r.record("in raw", fmt.Sprint(otelpool.Unwrap(dc)))
					return answer
				}))
				r.exec(conn, "update")
			}
			r.record("bad", conn.Raw(func(any) error { return driver.ErrBadConn }))
			r.record("after", conn.PingContext(r.ctx), conn.Close())
			conn = must(r.db.Conn(r.ctx))
			r.record("panic", panicked(func() { _ = conn.Raw(func(any) error { panic(errBroken) }) }))
			r.record("after", conn.PingContext(r.ctx), conn.Close())
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:   "closing the connector fails",
		varies: reuseOnly,
		do: func(r *run) {
			r.everything(r.ctx, r.db)
			r.fails(1, errBroken, fakedb.CloseConnector)
			r.record("close", r.db.Close(), r.db.Close(), r.db.PingContext(r.ctx))
		},
	},
	{
		name:   "closing a connection and the connector fails",
		varies: reuseOnly,
		do: func(r *run) {
			r.everything(r.ctx, r.db)
			r.fails(1, errBroken, fakedb.Close)
			r.fails(1, driver.ErrBadConn, fakedb.CloseConnector)
			r.record("close", r.db.Close())
		},
	},
	{
		name:   "a connector has no Close",
		varies: reuseOnly,
		config: func(c *fakedb.Config) { c.Closer = false },
		do: func(r *run) {
			r.everything(r.ctx, r.db)
			r.fails(1, errBroken, fakedb.Close)
			r.record("close", r.db.Close(), r.db.Close())
		},
	},
	{
		name:   "a DB is closed while connections are held",
		varies: directAndReuse,
		do: func(r *run) {
			conn := must(r.db.Conn(r.ctx))
			tx := must(r.db.BeginTx(r.ctx, nil))
			rows := must(r.db.QueryContext(r.ctx, "select two"))
			r.record("close", r.db.Close())
			r.everything(r.ctx, conn)
			r.everything(r.ctx, tx)
			r.read(rows)
			r.record("ends", tx.Commit(), conn.Close())
		},
	},
	{
		name:   "a driver panics",
		varies: directAndReuse,
		do: func(r *run) {
			for _, op := range []fakedb.Op{
				fakedb.Connect, fakedb.Ping, fakedb.Reset, fakedb.Valid, fakedb.Prepare, fakedb.Exec, fakedb.Query,
				fakedb.Begin, fakedb.Commit, fakedb.Rollback, fakedb.StmtExec, fakedb.StmtQuery, fakedb.StmtClose,
				fakedb.Next, fakedb.RowsClose,
			} {
				r.fake.On(op, func(context.Context, string) error { panic(errBroken) })
				r.record("exec", panicked(func() { r.exec(r.db, "update") }))
				r.record("query", panicked(func() { r.query(r.db, "select") }))
				r.record("prepare", panicked(func() { _ = must(r.db.PrepareContext(r.ctx, "select")).Close() }))
				r.record("ping", panicked(func() { _ = r.db.PingContext(r.ctx) }))
				// A connection whose call panicked stays in use, and a transaction with a
				// context would panic again when the context ends.
				r.record("commit", panicked(func() { _ = must(r.db.Begin()).Commit() }))
				r.record("rollback", panicked(func() { _ = must(r.db.Begin()).Rollback() }))
				r.fake.On(op, nil)
			}
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:   "a driver returns nil results",
		varies: statements,
		do: func(r *run) {
			r.record("exec", panicked(func() { r.exec(r.db, "update nothing") }))
			r.record("query", panicked(func() {
				rows := must(r.db.Query("select nothing")) // without a context: its end would close rows that are nil
				_, err := rows.Columns()
				r.record("columns", err)
				_, err = rows.ColumnTypes()
				r.record("types", err)
				rows.Next()
			}))
			r.record("prepare", panicked(func() {
				s := must(r.db.PrepareContext(r.ctx, "select nothing"))
				_, _ = s.Query()
			}))
		},
	},
	{
		name:   "the methods of a result fail",
		varies: statements,
		do: func(r *run) {
			res := must(r.db.ExecContext(r.ctx, "update ids"))
			id, noID := res.LastInsertId()
			n, err := res.RowsAffected()
			r.record("result", id, noID, n, err)
		},
	},
	{
		name:   "connections have a maximum lifetime",
		varies: reuseOnly,
		config: func(c *fakedb.Config) { c.Dial = time.Second / 4 },
		do: func(r *run) {
			r.db.SetConnMaxLifetime(10 * time.Second)
			r.everything(r.ctx, r.db)
			for range 4 {
				time.Sleep(4 * time.Second)
				r.exec(r.db, "update")
			}
			conn := must(r.db.Conn(r.ctx))
			time.Sleep(20 * time.Second)
			r.everything(r.ctx, conn)
			r.record("close", conn.Close())
			time.Sleep(time.Minute)
			r.record("later")
		},
	},
	{
		name:   "connections have a maximum idle time",
		varies: reuseOnly,
		do: func(r *run) {
			r.db.SetConnMaxIdleTime(5 * time.Second)
			for _, pause := range []time.Duration{time.Second, 4 * time.Second, 6 * time.Second, time.Minute} {
				r.exec(r.db, "update")
				time.Sleep(pause)
				r.record("after a pause")
			}
			r.db.SetConnMaxLifetime(2 * time.Second)
			r.exec(r.db, "update")
			time.Sleep(3 * time.Second)
			r.record("after a pause")
		},
	},
	{
		name:   "the number of idle connections is limited",
		varies: reuseOnly,
		do: func(r *run) {
			for _, n := range []int{0, 1, 3, -1, 2} {
				r.db.SetMaxIdleConns(n)
				r.record("limit", n)
				var conns []*sql.Conn
				for range 3 {
					conns = append(conns, must(r.db.Conn(r.ctx)))
				}
				r.record("conns")
				for _, c := range conns {
					r.record("close", c.Close())
				}
			}
			r.db.SetMaxIdleConns(1)
			r.record("fewer")
		},
	},
	{
		name:   "callers wait for a connection",
		varies: directAndReuse,
		config: func(c *fakedb.Config) { c.Dial = time.Second },
		do: func(r *run) {
			r.db.SetMaxOpenConns(1)
			conn := must(r.db.Conn(r.ctx))
			wait := func(patience, hold time.Duration, end func() error) {
				ctx, cancel := context.WithTimeout(r.ctx, patience)
				defer cancel()
				done := make(chan error)
				go func() {
					_, err := r.db.ExecContext(ctx, "update")
					done <- err
				}()
				time.Sleep(hold)
				r.record("waiting")
				r.record("end", end())
				r.record("waited", <-done)
			}
			wait(time.Minute, 2*time.Second, conn.Close)
			conn = must(r.db.Conn(r.ctx))
			wait(time.Second, 3*time.Second, conn.Close)
			conn = must(r.db.Conn(r.ctx))
			r.fails(1, errBroken, fakedb.Valid)
			wait(time.Minute, 3*time.Second, conn.Close)
			conn = must(r.db.Conn(r.ctx))
			r.fails(1, driver.ErrBadConn, fakedb.Reset)
			wait(time.Minute, 3*time.Second, conn.Close)
			for _, err := range []error{nil, errBroken, driver.ErrBadConn} {
				conn = must(r.db.Conn(r.ctx))
				r.fails(1, err, fakedb.Connect)
				wait(time.Minute, 3*time.Second, func() error {
					return conn.Raw(func(any) error { return driver.ErrBadConn })
				})
				r.recovers(fakedb.Connect)
			}
			r.db.SetConnMaxLifetime(time.Second)
			conn = must(r.db.Conn(r.ctx))
			wait(time.Minute, 3*time.Second, conn.Close)
		},
	},
	{
		// If no caller needs the connection that the opener of database/sql dialed, it is
		// closed under the lock of the DB. The driver ignores the opener's context, which
		// ends when the DB is closed.
		name:   "a connection is dialed for a caller that timed out",
		varies: reuseOnly,
		do: func(r *run) {
			lost := func(limit int, then func() error) {
				r.db.SetMaxOpenConns(limit)
				var conns []*sql.Conn
				for range limit {
					conns = append(conns, must(r.db.Conn(r.ctx)))
				}
				r.fake.On(fakedb.Connect, func(context.Context, string) error { time.Sleep(time.Second); return nil })
				ctx, cancel := context.WithTimeout(r.ctx, time.Second)
				defer cancel()
				done := make(chan error)
				go func() { done <- r.db.PingContext(ctx) }()
				time.Sleep(time.Second / 2)
				r.record("bad", conns[0].Raw(func(any) error { return driver.ErrBadConn }))
				r.record("then", then())
				r.record("gone", <-done)
				time.Sleep(2 * time.Second)
				r.record("later")
				r.fake.On(fakedb.Connect, nil)
				for _, c := range conns {
					r.record("close", c.Close())
				}
			}
			lost(1, func() error { return nil })
			lost(2, func() error { r.db.SetMaxOpenConns(1); return nil })
			lost(1, func() error { r.db.SetMaxIdleConns(-1); return nil })
			lost(1, r.db.Close)
		},
	},
	{
		name:   "dialing is slow, fails and times out",
		varies: reuseOnly,
		config: func(c *fakedb.Config) { c.Dial = time.Second },
		do: func(r *run) {
			ctx, cancel := context.WithTimeout(r.ctx, time.Second/2)
			defer cancel()
			r.record("impatient", r.db.PingContext(ctx))
			r.fails(1, errBroken, fakedb.Connect)
			r.record("failed", r.db.PingContext(r.ctx))
			for n := 1; n <= 3; n++ {
				r.fails(n, driver.ErrBadConn, fakedb.Connect)
				r.record("bad", r.db.PingContext(r.ctx))
			}
			r.everything(r.ctx, r.db)
		},
	},
	{
		name:   "a statement is prepared on several connections",
		varies: shape{direct | prepares | reuse, 0, 0},
		do: func(r *run) {
			s := prepared{must(r.db.PrepareContext(r.ctx, "select two"))}
			first := must(r.db.Conn(r.ctx))
			r.everything(r.ctx, s)
			second := must(r.db.Conn(r.ctx))
			r.fails(1, errBroken, fakedb.Prepare)
			r.everything(r.ctx, s)
			tx := must(first.BeginTx(r.ctx, nil))
			r.everything(r.ctx, prepared{tx.StmtContext(r.ctx, s.s)})
			r.record("commit", tx.Commit())
			rows := must(s.s.QueryContext(r.ctx))
			r.record("close", s.s.Close())
			r.read(rows)
			r.everything(r.ctx, s)
			r.record("ends", first.Close(), second.Close())
		},
	},
	{
		name:   "a goroutine ends inside the driver",
		varies: statements,
		do: func(r *run) {
			for _, op := range []fakedb.Op{fakedb.Exec, fakedb.StmtExec, fakedb.Prepare, fakedb.Query, fakedb.Begin, fakedb.Ping} {
				r.fake.On(op, func(context.Context, string) error { runtime.Goexit(); return nil })
				for _, f := range []func(){
					func() { r.exec(r.db, "update") },
					func() { r.query(r.db, "select") },
					func() { _ = must(r.db.Begin()).Commit() },
					func() { _ = r.db.Ping() },
				} {
					done := make(chan struct{})
					go func() { defer close(done); f() }()
					<-done
					r.record("done")
				}
				r.fake.On(op, nil)
			}
		},
	},
	{
		name:   "every call of the driver takes a second",
		varies: directAndReuse,
		do: func(r *run) {
			// With a context that can end, a goroutine of database/sql would wait for the
			// lock of rows that are slow to close, and the clock of a bubble does not
			// advance while a goroutine waits for a lock.
			r.ctx = context.WithoutCancel(r.ctx)
			for op := fakedb.Connect; op < fakedb.CloseConnector; op++ {
				r.fake.On(op, fakedb.Sleep(time.Second))
			}
			r.everyCall()
		},
	},
}

// cursor reads a result set that is a value of another result set.
func (r *run) cursor() {
	rows := must(r.db.QueryContext(r.ctx, "select cursor"))
	var sub sql.Rows
	var n int
	r.record("cursor", rows.Next(), rows.Scan(&sub))
	r.record("row", sub.Next(), sub.Scan(&n), n)
	r.record("close", rows.Close(), sub.Next(), sub.Err())
}

// beginner is a *sql.DB, *otelpool.DB or *sql.Conn.
type beginner interface {
	BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
}

// transactionEnds begins a transaction, runs work in it, and waits until its context ends.
func (r *run) transactionEnds(on beginner, work func(*sql.Tx)) {
	ctx, cancel := context.WithTimeout(r.ctx, time.Second)
	defer cancel()
	tx := must(on.BeginTx(ctx, nil))
	r.record("begin")
	work(tx)
	time.Sleep(time.Second)
	r.record("the context ends")
	r.record("after the end", tx.Commit(), tx.Rollback())
}

// everyCall makes every call of a driver. Each acquires a connection anew, as the one before
// may have failed.
func (r *run) everyCall() {
	r.everything(r.ctx, r.db)
	r.record("ping", r.db.PingContext(r.ctx))
	s, err := r.db.PrepareContext(r.ctx, "select two")
	r.record("prepare", err)
	if err == nil {
		r.execAndQuery(prepared{s})
		r.record("close", s.Close())
	}
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
		tx, err := r.db.BeginTx(r.ctx, nil)
		r.record("begin", err)
		if err == nil {
			r.exec(tx, "update")
			r.record("end", end(tx))
		}
	}
	conn, err := r.db.Conn(r.ctx)
	r.record("conn", err)
	if err == nil {
		r.exec(conn, "update")
		r.record("close", conn.Close())
	}
}
