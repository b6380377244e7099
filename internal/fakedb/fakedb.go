// Package fakedb is a database/sql driver whose optional interfaces a test
// chooses one by one, whose latency and failures a test scripts, and which
// writes down every call that reaches it.
//
// A [DB] is the server: all connections of one test share it. Its zero Config
// is a driver with no optional interface at all, which answers at once:
//
//	fake := fakedb.New(fakedb.Config{Conn: fakedb.AllConn, Dial: 50 * time.Millisecond})
//	db := sql.OpenDB(fake.Connector())
//	fake.Fail(fakedb.Exec, 2, driver.ErrBadConn) // the next two
//	fake.On(fakedb.Query, fakedb.Sleep(time.Second))
//
// Waiting is time.Sleep in effect, so that it is exact and free inside a
// testing/synctest bubble.
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

// Config says what the driver is. It must not change after New.
type Config struct {
	Conn ConnShape // optional interfaces of every connection
	Stmt StmtShape // of every prepared statement
	Rows RowsShape // of every result set

	// DriverContext gives the driver an OpenConnector method.
	DriverContext bool

	// Closer gives the connector a Close method. CloseConnector is its Op.
	Closer bool

	// Dial is how long Connect takes, or until its context ends.
	Dial time.Duration

	// Answers says what each query text does. A text that is not listed gets
	// the zero Answer.
	Answers map[string]Answer

	// CheckConn and CheckStmt are what the CheckNamedValue methods of a
	// connection and of a statement do. A nil function answers driver.ErrSkip.
	CheckConn, CheckStmt func(*driver.NamedValue) error

	// Convert is what a statement's ColumnConverter method answers. A nil
	// function answers driver.DefaultParameterConverter.
	Convert func(idx int) driver.ValueConverter

	// Quiet switches the log off. A quiet driver is cheap enough for load.
	Quiet bool
}

// An Op is a kind of call that a test can count, delay or let fail.
type Op int

// The calls of each kind go by one name whichever of its methods database/sql
// used: Exec is the connection's Exec and ExecContext, StmtExec the statement's.
const (
	Connect        Op = iota // Driver.Open, Connector.Connect
	Close                    // Conn.Close
	Ping                     // Conn.Ping
	Reset                    // Conn.ResetSession
	Valid                    // Conn.IsValid: any error makes it false
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

// A Hook runs inside a call, after its latency and before its effect. An error
// becomes the call's error, unchanged, and a panic its panic. The context is
// the call's own, or context.Background where the method has none. The query
// text is that of the statement or result set concerned, "" without one.
// Hooks run concurrently when calls do.
type Hook func(ctx context.Context, query string) error

// Sleep is a Hook that takes d, or until the call's context ends.
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

	conns, stmts, rows, txs atomic.Int64 // numbers given out

	mu     sync.Mutex // guards the fields below
	log    []string
	misuse []string
}

// script is what a test wants the calls of one Op to do.
type script struct {
	mu    sync.Mutex // guards the fields below
	hook  Hook
	fails int // calls that still fail with err; negative for all of them
	err   error
}

// New returns a server to which nobody is connected.
func New(c Config) *DB { return &DB{config: c} }

// Driver returns the driver. Every data source name leads to db.
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

// On makes every call of kind op run h, in place of an earlier hook. A nil
// Hook ends that.
func (db *DB) On(op Op, h Hook) {
	s := &db.script[op]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = h
}

// Fail makes the next n calls of kind op answer err and have no effect, or all
// of them if n is negative. It replaces what an earlier Fail has left.
func (db *DB) Fail(op Op, n int, err error) {
	s := &db.script[op]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.err = n, err
}

// Calls returns how many calls of kind op have begun.
func (db *DB) Calls(op Op) int { return int(db.calls[op].Load()) }

// Opened returns how many connections have been handed out.
func (db *DB) Opened() int { return int(db.opened.Load()) }

// Closed returns how many connections have been closed.
func (db *DB) Closed() int { return int(db.closed.Load()) }

// Open returns how many connections are open.
func (db *DB) Open() int { return db.Opened() - db.Closed() }

// Log returns the calls that have returned so far, one line each, in the order
// in which they returned: receiver, method, arguments, context and outcome.
// Objects are numbered by kind. No line tells the time, so that the logs of two
// runs can be compared.
func (db *DB) Log() []string { return db.LogFrom(0) }

// LogFrom returns the lines of Log after the first n.
func (db *DB) LogFrom(n int) []string {
	db.mu.Lock()
	defer db.mu.Unlock()
	return slices.Clone(db.log[n:])
}

// Misuse returns the calls that broke the rules of database/sql/driver: two at
// once on one connection, or one on something that was already closed.
func (db *DB) Misuse() []string {
	db.mu.Lock()
	defer db.mu.Unlock()
	return slices.Clone(db.misuse)
}

// object names what a call was made on, or what it made.
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
	conn     *conn // to which on belongs; nil for the driver and the connector
	closed   bool  // whether on was closed before
	method   string
	ctx      context.Context // nil where the method has none
	query    string
	args     []driver.NamedValue
	values   []driver.Value
	opts     driver.TxOptions
}

// run does what all calls of a kind have in common: it counts the call, takes
// its latency, and lets it fail or panic as the test has asked. Unless the call
// succeeds it also writes it down; a call that succeeds does so itself, by done.
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

// record writes a call down. An outcome that costs something to spell is better
// not spelled when the driver is quiet.
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

// recordUnscripted writes a call down that always succeeds and cannot be scripted.
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

// appendValue keeps numbers of different types apart, which %#v does not.
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

// contextKey is where WithValue puts its value.
type contextKey struct{}

// WithValue returns a context whose value the log shows for every call that
// the context, or one derived from it, reaches.
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
