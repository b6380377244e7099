// Package fakedb is a database/sql driver for tests. A test selects its optional
// interfaces one by one and scripts its latency and failures. The driver logs
// every call.
//
// A [DB] is the server: all connections of one test share it. The zero Config is
// a driver without optional interfaces that answers immediately:
//
//	fake := fakedb.New(fakedb.Config{Conn: fakedb.AllConn, Dial: 50 * time.Millisecond})
//	db := sql.OpenDB(fake.Connector())
//	fake.Fail(fakedb.Exec, 2, driver.ErrBadConn) // the next two calls
//	fake.On(fakedb.Query, fakedb.Sleep(time.Second))
//
// Latency uses timers, so it is exact and takes no real time in a testing/synctest
// bubble.
package fakedb

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Config configures the driver. It must not change after New.
type Config struct {
	Conn ConnShape // optional interfaces of every connection
	Stmt StmtShape // of every prepared statement
	Rows RowsShape // of every result set

	// DriverContext gives the driver an OpenConnector method.
	DriverContext bool

	// Closer gives the connector a Close method. CloseConnector is its Op.
	Closer bool

	// Dial is how long Connect takes. It returns earlier if its context ends.
	Dial time.Duration

	// Answers maps query texts to answers. Other texts get the zero Answer.
	Answers map[string]Answer

	// CheckConn and CheckStmt implement CheckNamedValue of a connection and of a
	// statement. If nil, it returns driver.ErrSkip.
	CheckConn, CheckStmt func(*driver.NamedValue) error

	// Convert implements ColumnConverter of a statement. If nil, it returns
	// driver.DefaultParameterConverter.
	Convert func(idx int) driver.ValueConverter

	// Quiet switches the log off. The driver is then cheap enough for load tests.
	Quiet bool
}

// An Op is a kind of call that a test can count, delay or make fail.
type Op int

// One Op covers all variants of a method: Exec is Exec and ExecContext of a
// connection, StmtExec those of a statement.
const (
	Connect        Op = iota // Driver.Open, Connector.Connect
	Close                    // Conn.Close
	Ping                     // Conn.Ping
	Reset                    // Conn.ResetSession
	Valid                    // Conn.IsValid, which is false after any error
	Prepare                  // Conn.Prepare, PrepareContext
	Exec                     // Conn.Exec, ExecContext
	Query                    // Conn.Query, QueryContext
	Begin                    // Conn.Begin, BeginTx
	Commit                   // Tx.Commit
	Rollback                 // Tx.Rollback
	StmtExec                 // Stmt.Exec, ExecContext
	StmtQuery                // Stmt.Query, QueryContext
	StmtClose                // Stmt.Close
	Next                     // Rows.Next, NextRow
	NextSet                  // Rows.NextResultSet
	RowsClose                // Rows.Close
	CloseConnector           // Connector.Close
	numOps
)

// A Hook runs inside a call, after its latency and before its effect. The call
// returns its error unchanged and passes its panic on. The context is that of
// the call, or context.Background if the method has none. The query is the text
// of the statement or result set, or "". Hooks run concurrently if calls do.
type Hook func(ctx context.Context, query string) error

// Sleep returns a Hook that waits for d. It fails if the call's context ends first.
func Sleep(d time.Duration) Hook {
	return func(ctx context.Context, _ string) error { return wait(ctx, d) }
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// DB is the server behind a fake driver. Its methods may be called at any time
// from any goroutine.
type DB struct {
	config Config
	script [numOps]script

	calls  [numOps]atomic.Int64
	opened atomic.Int64
	closed atomic.Int64

	conns, stmts, rows, txs atomic.Int64 // the last number of each kind

	mu     sync.Mutex // guards the fields below
	log    []string
	misuse []string
}

// script is the scripted behaviour of one Op.
type script struct {
	mu    sync.Mutex // guards the fields below
	hook  Hook
	fails int // remaining calls that fail with err; negative for all
	err   error
}

// New returns a server without connections.
func New(c Config) *DB { return &DB{config: c} }

// Driver returns the driver. Every data source name connects to db.
func (db *DB) Driver() driver.Driver {
	if db.config.DriverContext {
		return contextDriver{plainDriver{db}}
	}
	return plainDriver{db}
}

// Connector returns a connector to db.
func (db *DB) Connector() driver.Connector {
	if db.config.Closer {
		return closingConnector{connector{db}}
	}
	return connector{db}
}

// On makes every call of kind op run h, instead of an earlier hook. A nil Hook
// removes it.
func (db *DB) On(op Op, h Hook) {
	s := &db.script[op]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = h
}

// Fail makes the next n calls of kind op return err and have no effect, or all
// calls if n is negative. It replaces an earlier Fail.
func (db *DB) Fail(op Op, n int, err error) {
	s := &db.script[op]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.err = n, err
}

// Calls returns how many calls of kind op have begun.
func (db *DB) Calls(op Op) int { return int(db.calls[op].Load()) }

// Opened returns how many connections have been opened.
func (db *DB) Opened() int { return int(db.opened.Load()) }

// Closed returns how many connections have been closed.
func (db *DB) Closed() int { return int(db.closed.Load()) }

// Open returns how many connections are open.
func (db *DB) Open() int { return db.Opened() - db.Closed() }

// Log returns the finished calls, one line each, in the order in which they
// returned: receiver, method, arguments, context and outcome. Objects are
// numbered by kind. No line has a time of day, so that the logs of two runs can
// be compared.
func (db *DB) Log() []string { return db.LogFrom(0) }

// LogFrom returns the lines of Log after the first n.
func (db *DB) LogFrom(n int) []string {
	db.mu.Lock()
	defer db.mu.Unlock()
	return slices.Clone(db.log[n:])
}

// Misuse returns the calls that broke the rules of database/sql/driver: calls
// that overlap on one connection, and calls on a closed object.
func (db *DB) Misuse() []string {
	db.mu.Lock()
	defer db.mu.Unlock()
	return slices.Clone(db.misuse)
}

// object names the receiver or the result of a call.
type object struct {
	kind string
	id   int64
}

func (o object) String() string { return string(o.append(nil)) }

func (o object) append(b []byte) []byte {
	b = append(b, o.kind...)
	if o.id != 0 {
		b = strconv.AppendInt(b, o.id, 10)
	}
	return b
}

// call is one call as the driver sees it.
type call struct {
	op       Op
	receiver object
	conn     *conn // the receiver's; nil for the driver and the connector
	closed   bool  // the receiver was already closed
	method   string
	ctx      context.Context // nil if the method has none
	query    string
	args     []driver.NamedValue
	values   []driver.Value
	opts     driver.TxOptions
}

// run does what all calls have in common: it counts the call, waits for its
// latency, and returns the error or panic that the test scripts. It logs calls
// that fail; other calls record themselves.
func (db *DB) run(c call, latency time.Duration) error {
	db.calls[c.op].Add(1)
	if c.closed || c.conn != nil && !c.conn.busy.CompareAndSwap(false, true) {
		db.recordMisuse(c)
	} else if c.conn != nil {
		defer c.conn.busy.Store(false)
	}
	panicked := true
	defer func() {
		if panicked {
			db.record(c, "panic")
		}
	}()
	ctx := c.ctx
	if ctx == nil {
		ctx = context.Background()
	}
	err := wait(ctx, latency)
	if err == nil {
		err = db.script[c.op].run(ctx, c.query)
	}
	panicked = false
	if err != nil && !db.config.Quiet {
		db.record(c, fmt.Sprintf("error %q", err))
	}
	return err
}

func (s *script) run(ctx context.Context, query string) error {
	s.mu.Lock()
	hook := s.hook
	var err error
	if s.fails != 0 {
		err = s.err
	}
	if s.fails > 0 {
		s.fails--
	}
	s.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, query); err != nil {
			return err
		}
	}
	return err
}

// record logs a call. If the log is off, callers need not format a costly outcome.
func (db *DB) record(c call, outcome any) {
	if db.config.Quiet {
		return
	}
	line := c.receiver.append(make([]byte, 0, 128))
	line = append(append(append(line, '.'), c.method...), '(')
	line = append(c.appendArguments(line), ')')
	line = append(appendContext(c.ctx, line), " -> "...)
	switch v := outcome.(type) {
	case string:
		line = append(line, v...)
	case object:
		line = v.append(line)
	default:
		line = fmt.Append(line, v)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.log = append(db.log, string(line))
}

// recordUnscripted logs a call that always succeeds and cannot be scripted.
func (db *DB) recordUnscripted(receiver object, method string, outcome any, args ...driver.Value) {
	if !db.config.Quiet {
		db.record(call{op: numOps, receiver: receiver, method: method, values: args}, outcome)
	}
}

func (db *DB) recordMisuse(c call) {
	db.mu.Lock()
	defer db.mu.Unlock()
	what := "while another call ran on the connection"
	if c.closed {
		what = "after Close"
	}
	db.misuse = append(db.misuse, fmt.Sprintf("%v.%s %s", c.receiver, c.method, what))
}

func (c call) appendArguments(b []byte) []byte {
	start := len(b)
	separate := func() {
		if len(b) > start {
			b = append(b, ", "...)
		}
	}
	switch {
	case c.op == Prepare, c.op == Exec, c.op == Query, c.op == Connect && c.method != "Connect":
		b = strconv.AppendQuote(b, c.query)
	case c.method == "BeginTx":
		b = fmt.Appendf(b, "isolation %d, read-only %t", c.opts.Isolation, c.opts.ReadOnly)
	}
	for _, a := range c.args {
		separate()
		b = strconv.AppendInt(b, int64(a.Ordinal), 10)
		b = appendValue(append(append(b, a.Name...), '='), a.Value)
	}
	for _, v := range c.values {
		separate()
		b = appendValue(b, v)
	}
	return b
}

// appendValue distinguishes numbers of different types, which %#v does not.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		b = append(b, "int64("...)
		return append(strconv.AppendInt(b, v, 10), ')')
	case int, float64:
		return fmt.Appendf(b, "%T(%v)", v, v)
	case string:
		return strconv.AppendQuote(b, v)
	}
	return fmt.Appendf(b, "%#v", v)
}

func formatValues(row ...driver.Value) string {
	var b []byte
	for i, v := range row {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendValue(b, v)
	}
	return string(b)
}

// contextKey is the key of WithValue.
type contextKey struct{}

// WithValue returns a context with a value. The log shows it for every call with
// this context or one derived from it.
func WithValue(ctx context.Context, value string) context.Context {
	return context.WithValue(ctx, contextKey{}, value)
}

func appendContext(ctx context.Context, b []byte) []byte {
	if ctx == nil {
		return b
	}
	state := "never ends"
	if ctx.Done() != nil {
		state = "live"
	}
	if err := ctx.Err(); err != nil {
		state = err.Error()
	}
	b = append(append(b, " ctx("...), state...)
	if at, ok := ctx.Deadline(); ok {
		b = fmt.Append(b, ", deadline in ", time.Until(at))
	}
	if v, ok := ctx.Value(contextKey{}).(string); ok {
		b = append(append(b, ", value "...), v...)
	}
	return append(b, ')')
}
