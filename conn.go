package otelpool

import (
	"context"
	"database/sql/driver"
	"errors"
	"runtime"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
)

// conn is a connection with telemetry. database/sql serialises its calls.
//
// database/sql behaves by the interfaces that a connection has. Most have an
// answer that equals absence, and conn always has those; the two that have none,
// running a statement without preparing it, are added by shape. SessionResetter
// and Validator tell when the connection is acquired and released.
type conn struct {
	in   driver.Conn
	pool *connector
	rec  *ledger.Conn

	// What the driver's connection can do, asserted once; nil where it cannot.
	pinger     driver.Pinger
	preparer   driver.ConnPrepareContext
	beginner   driver.ConnBeginTx
	resetter   driver.SessionResetter
	validator  driver.Validator
	checker    driver.NamedValueChecker
	execer     driver.ExecerContext
	queryer    driver.QueryerContext
	oldExecer  driver.Execer  //nolint:staticcheck // drivers still have it
	oldQueryer driver.Queryer //nolint:staticcheck // drivers still have it

	// holder is the context of the acquire, while the connection is held: whose
	// span gets the events, and where the exemplar of the hold leads.
	holder context.Context //nolint:containedctx // there is no other way to the release
	// caller is the span of holder if it was recording at the acquire, else nil.
	caller trace.Span
	// waited is how long the holder waited, until its first span has told it.
	waited time.Duration
	// behind is the moment of the acquire among the waits, if it is to be told who
	// waited since.
	behind ledger.Mark
	// since is what the next wait is inferred from.
	since release

	// declined is the call that the driver answered with ErrSkip, until the
	// prepared statement that takes its place goes on with it.
	declined call

	// server is what the connection has reached, elsewhere its address if that is not
	// the pool's, and said what the driver says of the connection besides.
	server    Server
	elsewhere []attribute.KeyValue
	said      *said

	// reading is the context of the query whose result set was the last thing that was
	// done, else nil.
	reading context.Context //nolint:containedctx // closing the rows has none
	// transacting is that of the last transaction, unless it has ended before that.
	transacting context.Context //nolint:containedctx // the release has none
	// fine is when the last call that succeeded ended, or the dial, and trouble what
	// has failed since.
	fine    time.Duration
	trouble *trouble
	began   time.Duration // the acquire
	finder  trace.Span    // of who found the connection bad
	hops    []hop         // of the acquire, until its first span has told them

	bad     bool // the driver called the connection bad, or found it invalid
	discard bool // the pool must not keep the connection: see Tx.Rollback

	told     *events // nil until there is a span to tell
	rowsTold int     // result sets that the holder's span was told of
}

var (
	_ driver.Conn               = (*conn)(nil)
	_ driver.ConnPrepareContext = (*conn)(nil)
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.Pinger             = (*conn)(nil)
	_ driver.SessionResetter    = (*conn)(nil)
	_ driver.Validator          = (*conn)(nil)
	_ driver.NamedValueChecker  = (*conn)(nil)
)

func newConn(p *connector, in driver.Conn, rec *ledger.Conn) *conn {
	c := &conn{in: in, pool: p, rec: rec}
	c.pinger, _ = in.(driver.Pinger)
	c.preparer, _ = in.(driver.ConnPrepareContext)
	c.beginner, _ = in.(driver.ConnBeginTx)
	c.resetter, _ = in.(driver.SessionResetter)
	c.validator, _ = in.(driver.Validator)
	c.checker, _ = in.(driver.NamedValueChecker)
	c.execer, _ = in.(driver.ExecerContext)
	c.queryer, _ = in.(driver.QueryerContext)
	c.oldExecer, _ = in.(driver.Execer)   //nolint:staticcheck // drivers still have it
	c.oldQueryer, _ = in.(driver.Queryer) //nolint:staticcheck // drivers still have it
	return c
}

// execConn is a conn whose driver can run a statement without preparing it. The
// method set has to say so exactly: database/sql converts arguments by the rules
// of the connection before it calls ExecContext, and by those of the statement
// otherwise, so declining in the call is too late.
type execConn struct{ *conn }

func (c execConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.exec(ctx, query, args)
}

// queryConn is a conn whose driver can query without preparing.
type queryConn struct{ *conn }

func (c queryConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.query(ctx, query, args)
}

// execQueryConn is a conn whose driver can do both.
type execQueryConn struct{ *conn }

func (c execQueryConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.exec(ctx, query, args)
}

func (c execQueryConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.query(ctx, query, args)
}

// shape returns c as a connection that can run statements directly if, and only
// if, the driver's can. A struct of one pointer is stored in an interface
// without allocating.
func (c *conn) shape() driver.Conn {
	exec := c.execer != nil || c.oldExecer != nil
	query := c.queryer != nil || c.oldQueryer != nil
	switch {
	case exec && query:
		return execQueryConn{c}
	case exec:
		return execConn{c}
	case query:
		return queryConn{c}
	}
	return c
}

// Unwrap returns the connection below. See the function [Unwrap].
func (c *conn) Unwrap() driver.Conn { return c.in }

// self finds the conn in its shapes.
func (c *conn) self() *conn { return c }

// call is one call of the driver, from its start to its end.
type call struct {
	from     context.Context //nolint:containedctx // what the caller gave; a call ends with its contexts
	ctx      context.Context //nolint:containedctx // carries the span of the call
	span     trace.Span
	start    time.Duration
	op       op
	st       *statement
	returned bool // the driver did not panic

	rows *rows // what a query returned

	late  bool // the span is made at the end, if at all
	noted []attribute.KeyValue
	hops  []hop

	over time.Time // when the call ended, if that is not when it is told
}

// begin starts a call: its span, then its clock. The caller has set from, op and
// st.
func (c *conn) begin(k *call) {
	if c.declined.span != nil {
		c.abandon(&c.declined)
	}
	c.used(k.from)
	c.reading = nil
	c.pool.ins.begin(k)
	if c.elsewhere != nil && k.wantsNotes() {
		k.note(c.elsewhere...)
	}
	if c.hops != nil {
		c.pool.ins.tellHops(k, c.hops)
		c.hops = nil
	}
	if c.waited >= tellWait && k.wantsNotes() {
		k.note(keyWaitTime.Float64(c.waited.Seconds()))
	}
	c.waited = 0
	k.start = c.rec.Begin(k.st.parsed.Summary)
}

// statement returns what is told of a text.
func (c *conn) statement(text string) *statement {
	return c.pool.ins.subject.Load().statements.cache.Get(text)
}

// used notes that a connection is used which nobody had: one that was opened in
// the background is acquired with its first driver call.
func (c *conn) used(ctx context.Context) {
	if c.holder == nil {
		c.readQueued(ctx)
		c.acquired(ctx, ledger.Opener, c.pool.ledger.Now(), wait{})
	}
}

// end ends a call that left e behind if it succeeded. It is deferred, so that a
// driver that panics leaves no open span and no running clock.
func (c *conn) end(k *call, e ledger.Effect, errp *error) {
	err := *errp
	if !k.returned {
		err = errPanicked
	}
	if err != nil && e != ledger.TxEnded {
		e = ledger.NoEffect
	}
	now := c.rec.End(e)
	if k.rows != nil {
		k.rows.opened = now
		c.reading = k.from
	}
	if e == ledger.TxEnded && k.from.Err() == nil {
		c.transacting = nil // what becomes of the connection now has nothing to do with it
	}
	took := now - k.start
	if err == nil {
		c.well(now)
		c.pool.ins.finish(k, took, nil, fault{})
		return
	}
	if err == driver.ErrSkip && k.declinable() { //nolint:errorlint // database/sql compares by identity
		c.declined = *k
		return
	}
	ctx := k.from
	if k.op == opCommit || k.op == opRollback {
		ctx = context.WithoutCancel(ctx) // that of the transaction; the call has none
	}
	c.pool.ins.finish(k, took, err, c.failed(ctx, k.start, err))
}

// declinable reports whether ErrSkip is an answer to the call, not a failure.
func (k *call) declinable() bool { return k.op == opExec || k.op == opQuery }

// abandon ends a call that was declined and not taken up again, because the
// arguments did not fit the statement.
func (c *conn) abandon(k *call) {
	c.pool.ins.finish(k, c.pool.ledger.Now()-k.start, errNotRun, fault{typ: string(errNotRun), class: ClassOther})
	*k = call{}
}

// Ping pings if the driver can. Without it nothing was pinged, so nothing is
// told; the answer is the one of a connection without Ping.
func (c *conn) Ping(ctx context.Context) (err error) {
	if c.pinger == nil {
		return nil
	}
	k := call{from: ctx, op: opPing, st: c.pool.ins.none()}
	c.begin(&k)
	defer c.end(&k, ledger.NoEffect, &err)
	err = c.pinger.Ping(k.ctx)
	k.returned = true
	return err
}

func (c *conn) exec(ctx context.Context, query string, args []driver.NamedValue) (res driver.Result, err error) {
	k := call{from: ctx, op: opExec, st: c.statement(query)}
	c.begin(&k)
	defer c.end(&k, ledger.NoEffect, &err)
	c.noteArgs(&k, args)
	res, err = ctxExec(k.ctx, c.execer, c.oldExecer, c.comment(&k, query), args)
	k.returned = true
	c.noteAffected(&k, res, err)
	return res, err
}

func (c *conn) query(ctx context.Context, query string, args []driver.NamedValue) (_ driver.Rows, err error) {
	k := call{from: ctx, op: opQuery, st: c.statement(query)}
	c.begin(&k)
	defer c.end(&k, ledger.RowsOpened, &err)
	c.noteArgs(&k, args)
	in, err := ctxQuery(k.ctx, c.queryer, c.oldQueryer, c.comment(&k, query), args)
	k.returned = true
	return c.wrapRows(&k, in, err)
}

// Prepare is here because a driver.Conn has it; database/sql calls
// PrepareContext.
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext prepares a statement. If it stands in for a call that the
// driver declined, its span is a child of that call's, which goes on.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	declined := c.declined
	if declined.span == nil {
		return c.prepare(ctx, query, call{})
	}
	c.declined = call{}
	s, err := c.prepare(declined.ctx, query, declined)
	if err != nil {
		c.pool.ins.finish(&declined, c.pool.ledger.Now()-declined.start, err, c.lastFault(ctx, err))
	}
	return s, err
}

func (c *conn) prepare(ctx context.Context, query string, declined call) (_ driver.Stmt, err error) {
	st := declined.st
	if st == nil {
		st = c.statement(query)
	}
	k := call{from: ctx, op: opPrepare, st: st}
	c.begin(&k)
	defer c.end(&k, ledger.NoEffect, &err)
	in, err := ctxPrepare(k.ctx, c.in, c.preparer, query)
	k.returned = true
	if err != nil || in == nil {
		return in, err
	}
	return newStmt(c, in, st, declined), nil
}

// BeginTx begins a transaction.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (_ driver.Tx, err error) {
	k := call{from: ctx, op: opBegin, st: c.pool.ins.none()}
	c.begin(&k)
	defer c.end(&k, ledger.TxBegan, &err)
	in, err := ctxBegin(k.ctx, c.in, c.beginner, opts)
	k.returned = true
	if err != nil || in == nil {
		return in, err
	}
	return newTx(c, ctx, in), nil
}

// Begin is here because a driver.Conn has it; database/sql calls BeginTx.
func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// CheckNamedValue asks the driver's connection, if it checks arguments. ErrSkip
// sends database/sql on to what it does for a connection that does not.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if c.checker == nil {
		return driver.ErrSkip
	}
	return c.checker.CheckNamedValue(v)
}

// ResetSession is called when the connection is about to be reused, on the
// goroutine of the caller who gets it. Whatever it returns but ErrBadConn, the
// caller has the connection then.
func (c *conn) ResetSession(ctx context.Context) error {
	if c.resetter == nil {
		c.readQueued(ctx)
		c.acquired(ctx, ledger.Reused, c.pool.ledger.Now(), wait{})
		return nil
	}
	c.rec.Take()
	c.readQueued(ctx) // at once: other waits end, too
	start := c.pool.ledger.Now()
	err := c.resetter.ResetSession(ctx)
	now := c.pool.ledger.Now()
	if err != nil && errors.Is(err, driver.ErrBadConn) {
		if a := c.pool.asking(ctx); a != nil {
			a.resetFailed(now - start)
		}
		c.failed(ctx, start, err)
		return err
	}
	if now-start >= roundTrip {
		c.fine = now // the server was asked, and its clock starts anew
	}
	c.acquired(ctx, ledger.Reused, now, wait{reset: now - start})
	return err
}

// roundTrip is more than a driver takes for a look at its socket, and less than any
// server takes to answer.
const roundTrip = 50 * time.Microsecond

// IsValid is called when the connection is given back. It is not called for one
// that database/sql already knows to be bad.
func (c *conn) IsValid() bool {
	valid := !c.discard
	if valid && c.validator != nil {
		valid = c.validator.IsValid()
	}
	c.bad = !valid
	if valid {
		if c.validator != nil {
			c.trouble = nil
		}
		c.givenBack()
	} else if !c.discard {
		c.finder = c.caller
		c.condemn()
	}
	var h ledger.Hold
	if c.rec.Release(&h) {
		c.released(&h)
	}
	return valid
}

// Close is the end of the connection, and of its hold if it was not released
// before: then somebody said ErrBadConn, and database/sql did not ask further.
func (c *conn) Close() error {
	ctx, span := c.holderContext(), c.caller
	if span == nil {
		span = c.finder
	}
	reason, at := c.reason()
	known := at == placeKnown
	if known && reason == ledger.Bad {
		c.condemn()
	}
	if d, h, held, ok := c.rec.Close(reason, known); ok {
		if held {
			c.released(&h)
		}
		c.died(ctx, span, reason, at, d)
	}
	return c.in.Close()
}

// holderContext returns the context of the acquire, if somebody has the connection.
func (c *conn) holderContext() context.Context {
	if c.holder == nil {
		return context.Background()
	}
	return c.holder
}

// reason returns why the connection is being closed, or the place by which that
// is to be settled.
func (c *conn) reason() (ledger.Reason, place) {
	switch {
	case c.discard:
		return ledger.RollbackDiscard, placeKnown
	case c.bad, c.rec.Held():
		return ledger.Bad, placeKnown
	}
	return c.pool.closeReason()
}

// acquired notes that a caller has the connection since now, and tells it. Of w is
// known what was dialed and reset for this caller.
func (c *conn) acquired(ctx context.Context, s ledger.Source, now time.Duration, w wait) {
	c.holder = ctx
	span := trace.SpanFromContext(ctx)
	a := c.pool.asking(ctx)
	var by ledger.Holder
	identify(&by, span.SpanContext())
	if span.IsRecording() {
		by.Caller = span
	}
	switch {
	case a != nil:
		at := a.waiter.Stack.Long()
		c.rec.Acquire(now, s, &by, &at)
	case c.pool.notesCallers(now):
		var at stack
		runtime.Callers(3, at[:])
		c.rec.Acquire(now, s, &by, &at)
	default:
		c.rec.Acquire(now, s, &by, nil)
	}
	c.began, c.hops, c.rowsTold = now, a.masked(), 0
	c.pool.settle()

	reset := w.reset
	if (a == nil || !a.served(c, s, now, &w)) && c.infer(span, s, now, &w) {
		c.tellWait(ctx, s, now, w)
	}
	c.waited = w.total
	if !span.IsRecording() {
		return
	}
	c.caller = span
	if c.pool.exact.Load() {
		c.behind = c.pool.ledger.Mark(now)
	}
	c.events().tellAcquired(span, s, w.total, reset)
}

// tellWait tells the wait of a caller without a clock of its own.
func (c *conn) tellWait(ctx context.Context, s ledger.Source, now time.Duration, w wait) {
	if c.pool.longWait(w.total) && wantsSpan(ctx) {
		var span trace.Span
		asked, served := c.pool.timeIn(ctx, now-w.total), c.pool.timeIn(ctx, now)
		ctx, span = c.pool.ins.startAcquire(ctx, asked)
		c.pool.linkHolders(span, c.rec, now-w.total)
		c.pool.ins.endAcquire(span, c.rec, s, w, served)
	}
	c.pool.ledger.Waits.Add(w.total)
	c.pool.waitedLong(w.queued())
	c.pool.ins.waited(ctx, w.total)
}

// released tells that the connection was given back.
func (c *conn) released(h *ledger.Hold) {
	if c.declined.span != nil {
		c.abandon(&c.declined)
	}
	ctx, span := c.holderContext(), c.caller
	c.holder, c.caller, c.reading, c.transacting, c.waited = nil, nil, nil, nil, 0
	if h.Suspect != nil {
		c.pool.givenBackLate(ctx, h.Suspect)
	}
	c.pool.ins.held(ctx, c.rec.ID(), h, c.pool.cfg.holdSpanThreshold)
	if span == nil || !span.IsRecording() {
		return
	}
	var waiters int64
	var waited time.Duration
	if c.pool.exact.Load() {
		waiters, waited = c.pool.ledger.WaitedSince(c.behind, tellWait)
	}
	c.events().tellReleased(span, h.Length, waiters, waited)
}

// events is the attributes of a connection's events, made once and overwritten,
// so that telling one allocates nothing. That is safe because a span copies the
// attributes before AddEvent returns.
type events struct {
	acquired     [5]attribute.KeyValue // pool, id, source, and what took long: wait, reset
	released     [4]attribute.KeyValue // id, held, and who waited: waiters, waited; the acquire has the rest
	rows         [4]attribute.KeyValue // returned rows, open time, and error.type and class
	affected     [1]attribute.KeyValue // not of an event, but kept for the same reason
	acquiredOpts [6][]trace.EventOption
	releasedOpts [5][]trace.EventOption
	rowsOpts     [5][]trace.EventOption
}

func (c *conn) events() *events {
	if c.told == nil {
		e := &events{}
		e.acquired[0] = c.pool.ins.poolName
		e.acquired[1] = connID(c.rec.ID())
		e.released[0] = e.acquired[1]
		for n := 3; n <= len(e.acquired); n++ {
			e.acquiredOpts[n] = []trace.EventOption{trace.WithAttributes(e.acquired[:n]...)}
		}
		for n := 2; n <= len(e.released); n++ {
			e.releasedOpts[n] = []trace.EventOption{trace.WithAttributes(e.released[:n]...)}
		}
		for n := 2; n <= len(e.rows); n++ {
			e.rowsOpts[n] = []trace.EventOption{trace.WithAttributes(e.rows[:n]...)}
		}
		c.told = e
	}
	return c.told
}

// tellReset is how long a reset must have taken to be told. A driver that only
// looks at its socket takes microseconds, one that asks the server does not.
const tellReset = time.Millisecond

func (e *events) tellAcquired(span trace.Span, s ledger.Source, waited, reset time.Duration) {
	e.acquired[2] = keySource.String(s.String())
	n := 3
	if waited >= tellWait {
		e.acquired[n] = keyWaitTime.Float64(waited.Seconds())
		n++
	}
	if reset >= tellReset {
		e.acquired[n] = keyReset.Float64(reset.Seconds())
		n++
	}
	span.AddEvent(eventAcquired, e.acquiredOpts[n]...)
}

func (e *events) tellReleased(span trace.Span, held time.Duration, waiters int64, waited time.Duration) {
	e.released[1] = keyHeld.Float64(held.Seconds())
	n := 2
	if waiters > 0 {
		e.released[2] = keyWaiters.Int64(waiters)
		e.released[3] = keyWaited.Float64(waited.Seconds())
		n = 4
	}
	span.AddEvent(eventReleased, e.releasedOpts[n]...)
}

func (e *events) tellRows(span trace.Span, read int64, open time.Duration, f *fault) {
	e.rows[0] = semconv.DBResponseReturnedRowsKey.Int64(read)
	e.rows[1] = keyOpenTime.Float64(open.Seconds())
	n := 2
	if f != nil {
		e.rows[2], e.rows[3] = semconv.ErrorTypeKey.String(f.typ), keyClass.String(string(f.class))
		n = 4
	}
	span.AddEvent(eventRows, e.rowsOpts[n]...)
}
