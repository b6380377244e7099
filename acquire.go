package otelpool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
)

// acquire is one call of a [DB] on its way to a connection. It is the context
// that database/sql gets, and so comes by wherever the connection is dialed,
// reset or used first, which stops the clock. database/sql waits, dials and
// resets on the goroutine of the call, so nothing here is shared but what is
// said to be.
type acquire struct {
	context.Context //nolint:containedctx // it is one

	pool   *connector
	waiter ledger.Wait // shared, guarded by the ledger; its stack is of who asks, empty if not noted

	inHand bool // there is a connection
	wait   wait // until it was there
	end    time.Duration
	conn   *ledger.Conn // nil if it was never seen
	source ledger.Source
	hops   []hop // attempts on connections that were bad

	dialErr error         // of the last dial of its own
	fault   fault         // what is told of it
	failure *AcquireError // what the caller gets, if there was no connection

	// The span, from the moment that the wait is known to be worth one.
	span    trace.Span
	spanCtx context.Context //nolint:containedctx // where the exemplar of the wait leads

	over atomic.Bool // the call has returned
}

// Value lets the connector find the acquire, under whatever contexts the driver's
// wrappers put on top.
func (a *acquire) Value(key any) any {
	if key == any(a.pool) {
		return a
	}
	return a.Context.Value(key)
}

// stack is where a connection was asked for.
type stack = ledger.Stack

// ask starts the clock of a call of d. It must be called by the method itself:
// whoever called that is who asks.
//
// Noting the callers is most of what a call of a DB costs. A call that leaves its
// connection with its caller notes them when it returns, see keep. One that does
// not, or whose row only has to be scanned, is not the one that is forgotten: it
// notes them only where half of the pool is held.
func (d *DB) ask(ctx context.Context) *acquire {
	a := &acquire{Context: ctx, pool: d.pool}
	a.waiter.Owner = a
	if d.pool.cfg.callers && d.pool.halfHeld() {
		runtime.Callers(3, a.waiter.Stack[:])
	}
	d.pool.ledger.Ask(&a.waiter)
	return a
}

// asking returns the acquire that ctx belongs to, nil if there is none, or none
// any more.
func (c *connector) asking(ctx context.Context) *acquire {
	if !c.exact.Load() {
		return nil
	}
	a, ok := ctx.(*acquire)
	if !ok || a.pool != c {
		a, _ = ctx.Value(c).(*acquire)
	}
	if a == nil || a.over.Load() {
		return nil
	}
	return a
}

// served stops the clock: since now the call has a connection. What was dialed
// and reset for it is added to what earlier attempts took; w becomes the whole
// wait. It reports false if the clock does not run, as it does not when the
// context is used for a second connection.
func (a *acquire) served(cn *conn, s ledger.Source, now time.Duration, w *wait) bool {
	total, ok := a.pool.ledger.Stop(&a.waiter, now, tellWait)
	if !ok {
		return false
	}
	a.wait.total = total
	a.wait.reset += w.reset
	a.wait.dialed += w.dialed
	if s == ledger.Opener {
		a.wait.dialed += cn.dialedWithin(now-total, now)
	}
	*w = a.wait
	a.inHand, a.end, a.conn, a.source = true, now, cn.rec, s
	if a.pool.longWait(total) && a.startSpan() {
		a.pool.linkHolders(a.span, cn.rec, a.waiter.Asked())
	}
	return true
}

// dialFailed and resetFailed note an attempt that brought no connection.
func (a *acquire) dialFailed(took time.Duration, err error, f fault) {
	a.dialErr, a.fault = err, f
	a.wait.dialed += took
}

func (a *acquire) resetFailed(took time.Duration) {
	a.wait.reset += took
}

// resume starts the clock again: the connection was bad, and database/sql tries
// another.
func (a *acquire) resume(h hop) {
	a.hops = append(a.hops, h)
	if a.inHand {
		a.inHand = false
		a.wait.retried += a.pool.ledger.Resume(&a.waiter) - a.end
	}
}

// masked returns the attempts that the caller does not see. a may be nil.
func (a *acquire) masked() []hop {
	if a == nil {
		return nil
	}
	return a.hops
}

// startSpan starts the span, if there is none and one is wanted. It reports whether
// there is one.
func (a *acquire) startSpan() bool {
	if a.span == nil && wantsSpan(a.Context) {
		a.spanCtx, a.span = a.pool.ins.startAcquire(a.Context, a.pool.timeIn(a.Context, a.waiter.Asked()))
	}
	return a.span != nil
}

// keep is done, for a call that leaves its connection to the caller. It must be
// called by the method itself, as ask.
func (a *acquire) keep(err error) error {
	if err == nil && a.conn != nil && a.pool.cfg.callers && !a.waiter.Stack.Noted() {
		runtime.Callers(3, a.waiter.Stack[:])
		at := a.waiter.Stack.Long()
		a.conn.Explain(&at, a.end)
	}
	return a.done(err)
}

// done ends the acquire when its call returns err, and returns what the caller
// gets. An error of a connection that was in hand is the driver's, and stays.
func (a *acquire) done(err error) error {
	a.over.Store(true)
	if !a.inHand {
		// Nothing has to follow on a connection that database/sql opened in the
		// background and handed out: a Ping of a driver that has none is over, and
		// so is a call whose arguments cannot be converted.
		a.end = a.pool.ledger.Now()
		a.wait.total, _ = a.pool.ledger.Stop(&a.waiter, a.end, tellWait)
		if err != nil {
			if cause := a.cause(err); cause != "" {
				return a.failed(cause, err)
			}
		}
		a.source = ledger.Opener
		_ = a.pool.longWait(a.wait.total) && a.startSpan()
	}
	ctx := a.Context
	if a.span != nil {
		ctx = a.spanCtx
		a.pool.ins.endAcquire(a.span, a.conn, a.source, a.wait, a.pool.timeIn(a.Context, a.end))
	}
	a.pool.ledger.Waits.Add(a.wait.total)
	a.pool.ins.waited(ctx, a.wait.total)
	return err
}

// leave is deferred by the methods of DB: a call that panicked waits no more. If it
// had a connection, the acquire is told.
func (a *acquire) leave() {
	switch {
	case a.over.Load():
	case a.inHand:
		_ = a.done(nil)
	default:
		a.over.Store(true)
		a.pool.ledger.Stop(&a.waiter, a.pool.ledger.Now(), tellWait)
		if a.span != nil {
			a.span.End()
		}
	}
}

// failed tells an acquire that got no connection, and explains it to the caller.
func (a *acquire) failed(cause AcquireCause, err error) error {
	c := a.pool
	e := c.explain(cause, a.wait.total, err)
	a.failure = e
	c.ledger.Waits.Add(e.Waited)
	c.notServed(e, a.wait.dialed)
	f := a.faultOf(e)
	ctx := a.Context
	if c.cfg.acquireSpanThreshold >= 0 && a.startSpan() {
		ctx = a.spanCtx
		c.linkHolders(a.span, nil, a.waiter.Asked())
		c.ins.failAcquire(a.Context, a.span, a.wait, e, f, c.timeIn(a.Context, a.end))
	}
	c.ins.notServed(ctx, e, f)
	return e
}

// cause finds out why database/sql returned err instead of a connection: it returns
// its own sentinels, the context's error, what a dial or a reset of the call
// brought, and what a dial of its opener did, all of them as they are. Any other
// error has nothing to do with the acquire, and the cause is empty.
func (a *acquire) cause(err error) AcquireCause {
	switch ctxErr := a.Err(); {
	case ctxErr != nil && errors.Is(err, ctxErr):
		if errors.Is(ctxErr, context.DeadlineExceeded) {
			return AcquireDeadline
		}
		return AcquireCanceled
	case err == errClosed(): //nolint:errorlint // a sentinel that database/sql returns as it is
		return AcquirePoolClosed
	case same(a.dialErr, err):
		return AcquireDial
	case errors.Is(err, driver.ErrBadConn):
		return AcquireBadConn
	case a.pool.dials.failedWith(err):
		return AcquireBackgroundDial
	}
	return ""
}

// dials are the errors of the dials that database/sql made in the background, the
// last few. It hands each to one of those who wait.
type dials struct {
	mu   sync.Mutex // guards what follows
	errs [16]error
	next int
}

func (d *dials) fail(err error) {
	d.mu.Lock()
	d.errs[d.next%len(d.errs)] = err
	d.next++
	d.mu.Unlock()
}

func (d *dials) failedWith(err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.errs {
		if same(e, err) {
			return true
		}
	}
	return false
}

// same reports whether two errors are one and the same. Two that cannot be
// compared are, if they are of one type.
func same(a, b error) bool {
	if a == nil || reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	return !reflect.ValueOf(a).Comparable() || !reflect.ValueOf(b).Comparable() || a == b //nolint:errorlint // the very same
}

// errClosed is the error of a DB that is closed, which database/sql does not
// export.
var errClosed = sync.OnceValue(func() error {
	db := sql.OpenDB(failing{})
	_ = db.Close()
	return db.Ping()
})

// AcquireCause is why an acquire failed.
type AcquireCause string

const (
	// AcquireDeadline is a caller whose deadline passed before it got a connection.
	AcquireDeadline AcquireCause = "deadline"
	// AcquireCanceled is a caller whose context was canceled before.
	AcquireCanceled AcquireCause = "canceled"
	// AcquirePoolClosed is DB.Close, before the call or while it waited.
	AcquirePoolClosed AcquireCause = "pool_closed"
	// AcquireDial is a failure of the dial that the caller made itself, because
	// there was room for another connection.
	AcquireDial AcquireCause = "dial"
	// AcquireBackgroundDial is a failure of a dial that database/sql made in the
	// background, because a connection was closed while callers waited. It hands
	// the error to one of them.
	AcquireBackgroundDial AcquireCause = "background_dial"
	// AcquireBadConn is a driver that called every connection bad that
	// database/sql was about to hand out.
	AcquireBadConn AcquireCause = "bad_connection"
)

// AcquireError is the error of a call of a [DB] that got no connection: why, and
// what the pool looked like at that moment. A call that fails with a connection
// in hand returns the driver's error as it is.
type AcquireError struct {
	// Pool is the name of the pool.
	Pool string
	// Cause is why there was no connection.
	Cause AcquireCause
	// Waited is how long the call waited, its own dials included.
	Waited time.Duration

	// MaxOpen is the limit of open connections, 0 if there is none. Held, Idle and
	// Dialing are the connections that had a holder, had none, and were being
	// opened. Waiting is how many other calls of the DB waited.
	MaxOpen, Held, Idle, Dialing, Waiting int
	// Holders are those who held connections for longest, the longest first; at
	// most five.
	Holders []Holder

	err error
}

// Unwrap returns the error that *sql.DB would have returned.
func (e *AcquireError) Unwrap() error { return e.err }

// Timeout reports whether that error is a timeout, for those who ask without
// unwrapping, as they may ask context.DeadlineExceeded.
func (e *AcquireError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.err, &t) && t.Timeout()
}

// Error explains the failure in one line: the cause, the state of the pool, up to
// three holders, and the error that *sql.DB would have returned.
func (e *AcquireError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "otelpool: no connection from pool %s: ", e.Pool)
	waited := brief(e.Waited)
	switch e.Cause {
	case AcquireDeadline:
		fmt.Fprintf(&b, "the deadline passed after %s", waited)
	case AcquireCanceled:
		fmt.Fprintf(&b, "the caller gave up after %s", waited)
	case AcquirePoolClosed:
		fmt.Fprintf(&b, "it was closed, after %s of waiting", waited)
	case AcquireDial:
		fmt.Fprintf(&b, "dialing failed after %s", waited)
	case AcquireBackgroundDial:
		fmt.Fprintf(&b, "a dial in the background failed, after %s of waiting", waited)
	case AcquireBadConn:
		fmt.Fprintf(&b, "the driver called all bad, after %s", waited)
	}
	if e.MaxOpen > 0 {
		fmt.Fprintf(&b, "; %d/%d held", e.Held, e.MaxOpen)
	} else {
		fmt.Fprintf(&b, "; %d held, no limit", e.Held)
	}
	fmt.Fprintf(&b, ", %d idle, %d dialing, %d more waiting", e.Idle, e.Dialing, e.Waiting)
	for i, h := range e.Holders[:min(3, len(e.Holders))] {
		b.WriteString([]string{"; longest: ", ", ", ", "}[i])
		b.WriteString(h.String())
	}
	// What a driver says may have lines; a log entry is one.
	fmt.Fprintf(&b, ": %s", strings.ReplaceAll(fmt.Sprint(e.err), "\n", " "))
	return b.String()
}

// Holder is who has a connection.
type Holder struct {
	// ConnID is the number of the connection, see [Conn].
	ConnID uint64
	// Held is how long it has been held.
	Held time.Duration
	// Phase is what the holder does, "executing", "rows", "tx" or "pinned", and
	// InPhase how long without a driver call in between: for tx and pinned the time
	// that nothing was done with the connection. Rows that are read in phase
	// "rows" do not start it anew.
	Phase   string
	InPhase time.Duration
	// Idle is how long nothing was done with the connection: no driver call ran and
	// no row was read. Rows are counted, not timed, so that it may be up to a second
	// too short. One that has been on its way since the first second of its result set
	// is not seen, and counts as nothing.
	Idle time.Duration
	// Statement is the summary of the last statement. It is empty before the first,
	// and if the last ones have none.
	Statement string
	// Span is the span that was current where the connection was asked for. It is
	// not valid if there was none.
	Span trace.SpanContext

	stack stack
}

// Frames returns where the connection was asked for: the first frame outside
// database/sql and otelpool, and its callers, a few of them. There is none with
// [WithoutCallers], if the call was not one of a [DB], and if it was one that does
// not leave a connection with its caller, such as Exec or QueryRow, and got it
// when less than half of the pool was held.
func (h Holder) Frames() []runtime.Frame { return callers(h.stack) }

// callers returns the frames of a stack: the first outside database/sql and
// otelpool, and those that called it.
func callers(s stack) []runtime.Frame { return pathOf(s[:]).frames }

// path is how a goroutine has come to a place: the callers, the nearest first.
type path struct {
	frames []runtime.Frame
	whole  bool // from where the goroutine began
}

// pathOf reads a stack up to the first zero.
func pathOf(pcs []uintptr) (p path) {
	n := 0
	for n < len(pcs) && pcs[n] != 0 {
		n++
	}
	if n == 0 {
		return path{}
	}
	frames := runtime.CallersFrames(pcs[:n])
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.goexit" || f.Function == "runtime.main":
			p.whole = true
			return p
		case strings.HasPrefix(f.Function, "runtime."): // a panic on its way
		case len(p.frames) > 0 || !ours(f.Function):
			p.frames = append(p.frames, f)
		}
		if !more {
			return p
		}
	}
}

// ours reports whether a function is between a caller and its connection.
func ours(function string) bool {
	return strings.HasPrefix(function, "database/sql.") || strings.HasPrefix(function, ScopeName+".")
}

// String says how long the connection has been held, what for, and the lines of
// up to three frames: "5m12s (transaction idle for 5m11s) at store.go:120 from
// stream.go:88".
func (h Holder) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (", brief(h.Held))
	in := brief(h.InPhase)
	switch h.Phase {
	case ledger.Executing.String():
		fmt.Fprintf(&b, "executing for %s", in)
	case ledger.Rows.String():
		fmt.Fprintf(&b, "rows open for %s", in)
	case ledger.Tx.String():
		fmt.Fprintf(&b, "transaction idle for %s", in)
	default:
		fmt.Fprintf(&b, "idle for %s", in)
	}
	b.WriteString(")")
	b.WriteString(where(h.Frames()))
	return b.String()
}

// where says in a few words where something was asked for: " at store.go:120 from
// stream.go:88". It is empty if that is not known.
func where(frames []runtime.Frame) string {
	var b strings.Builder
	for i, f := range frames[:min(3, len(frames))] {
		fmt.Fprintf(&b, "%s%s:%d", []string{" at ", " from ", " from "}[i], filepath.Base(f.File), f.Line)
	}
	return b.String()
}

// explain makes the error of an acquire that failed now.
func (c *connector) explain(cause AcquireCause, waited time.Duration, err error) *AcquireError {
	s := c.ledger.Snapshot(nil)
	e := &AcquireError{
		Pool: c.name, Cause: cause, Waited: waited, err: err,
		MaxOpen: c.maxOpen(), Held: s.Held, Idle: s.Idle + s.Fresh, Dialing: s.Dialing, Waiting: int(s.Waiting),
	}
	var longest [5]ledger.Holding
	held := longest[:c.ledger.Longest(longest[:])]
	for i := range held {
		e.Holders = append(e.Holders, holderOf(&held[i]))
	}
	return e
}

// brief rounds a duration to what is worth reading.
func brief(d time.Duration) string {
	switch {
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(100 * time.Microsecond)
	default:
		d = d.Round(time.Microsecond)
	}
	return d.String()
}
