package otelpool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/errclass"
	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// acquire is one call of a [DB] on its way to a connection. It is the context that database/sql
// gets, and so is seen wherever the connection is dialed, reset or used first, which stops the
// clock. database/sql waits, dials and resets on the goroutine of the call, so only state and
// waiter are shared.
type acquire struct {
	context.Context //nolint:containedctx // it is one

	pool   *pool
	waiter ledger.Wait // guarded by the ledger; its call site is empty if it was not captured
	state  atomic.Int32

	// What the connection cost, and the one that was acquired; conn is nil if it was never seen.
	wait    telemetry.Wait
	endedAt time.Duration
	conn    *ledger.Conn
	source  poolinfo.Source
	retries []telemetry.Retry // attempts on connections that were bad

	dialErr   error          // of the last dial of its own
	dialFault errclass.Fault // what is recorded of it
	failure   *AcquireError  // what the caller gets, if there was no connection

	// span is started as soon as the wait is known to be worth one.
	span telemetry.AcquireSpan
}

// The states of an acquire.
//
//	waiting -> connected   a connection is there (acquired)
//	connected -> waiting   it was bad, and database/sql retries (retry)
//	any -> finished        the call has returned
const (
	acquireWaiting int32 = iota
	acquireConnected
	acquireFinished
)

// Value lets the pool find the acquire, under whatever contexts the driver's wrappers put on top.
func (a *acquire) Value(key any) any {
	if key == any(a.pool) {
		return a
	}
	return a.Context.Value(key)
}

// SpanContext returns the caller's span, for those who list the waiters.
func (a *acquire) SpanContext() trace.SpanContext { return trace.SpanContextFromContext(a.Context) }

// beginAcquire starts the clock of a call of a DB. It must be called by the method itself: the
// caller of that is the call site.
//
// Capturing the call site is most of what a call of a DB costs. A call that leaves its connection
// with its caller captures it when it returns, see finishKeeping. One that does not, or whose row only has
// to be scanned, is unlikely to leak: it captures the call site only where half of the pool is
// held.
func (p *pool) beginAcquire(ctx context.Context) *acquire {
	a := &acquire{Context: ctx, pool: p}
	a.waiter.Owner = a
	if p.cfg.callSites && p.waits.halfHeld(0) {
		runtime.Callers(3, a.waiter.CallSite[:])
	}
	p.ledger.BeginWait(&a.waiter)
	return a
}

// acquireFrom returns the acquire that ctx belongs to, nil if there is none, or it has finished.
func (p *pool) acquireFrom(ctx context.Context) *acquire {
	if !p.hasDB.Load() {
		return nil
	}
	a, ok := ctx.(*acquire)
	if !ok || a.pool != p {
		a, _ = ctx.Value(p).(*acquire)
	}
	if a == nil || a.state.Load() == acquireFinished {
		return nil
	}
	return a
}

// acquired stops the clock: since now the call has a connection. What was dialed and reset for it
// is added to what earlier attempts took; w becomes the whole wait. It reports false if the clock
// does not run, as it does not when the context is used for a second connection.
func (a *acquire) acquired(rec *ledger.Conn, s poolinfo.Source, now time.Duration, w *telemetry.Wait) bool {
	total, ok := a.pool.ledger.EndWait(&a.waiter, now, telemetry.MinWait)
	if !ok {
		return false
	}
	a.wait.Total = total
	a.wait.Reset += w.Reset
	a.wait.Dialed += w.Dialed
	if s == poolinfo.SourceOpener {
		a.wait.Dialed += dialedWithin(rec, now-total, now)
	}
	*w = a.wait
	a.state.CompareAndSwap(acquireWaiting, acquireConnected)
	a.endedAt, a.conn, a.source = now, rec, s
	if a.pool.telemetry.IsLongWait(total) && a.startSpan() {
		a.pool.telemetry.LinkHolders(&a.span, rec, a.waiter.RequestedAt())
	}
	return true
}

// dialFailed and resetFailed note an attempt that brought no connection.
func (a *acquire) dialFailed(took time.Duration, err error, f errclass.Fault) {
	a.dialErr, a.dialFault = err, f
	a.wait.Dialed += took
}

func (a *acquire) resetFailed(took time.Duration) {
	a.wait.Reset += took
}

// retry starts the clock again: the connection was bad, and database/sql tries another.
func (a *acquire) retry(r telemetry.Retry) {
	a.retries = append(a.retries, r)
	if a.state.CompareAndSwap(acquireConnected, acquireWaiting) {
		a.wait.Retried += a.pool.ledger.ResumeWait(&a.waiter) - a.endedAt
	}
}

// startSpan starts the span, if there is none and one is wanted. It reports whether there is one.
func (a *acquire) startSpan() bool {
	if !a.span.Started() && telemetry.WantsSpan(a.Context) {
		a.span = a.pool.telemetry.StartAcquire(a.Context, a.waiter.RequestedAt())
	}
	return a.span.Started()
}

// queued returns how long the caller has been in the queue by now, dials and resets of earlier
// attempts not counted.
func (a *acquire) queued() time.Duration {
	w := a.wait
	w.Total = a.pool.ledger.Now() - a.waiter.RequestedAt()
	return w.Queued()
}

// finishKeeping is finish for a call that leaves its connection with the caller. That connection may
// leak, so its call site is captured. It must be called by the method itself, as beginAcquire.
func (a *acquire) finishKeeping(err error) error {
	if err == nil && a.conn != nil && a.pool.cfg.callSites && a.waiter.CallSite.IsZero() {
		runtime.Callers(3, a.waiter.CallSite[:])
		site := a.waiter.CallSite.CallSite()
		a.conn.SetCallSite(&site, a.endedAt)
	}
	return a.finish(err)
}

// finish ends the acquire when its call returns err, and returns what the caller gets. An error of a
// connection that was acquired is the driver's, and stays.
func (a *acquire) finish(err error) error {
	connected := a.state.Swap(acquireFinished) == acquireConnected
	p := a.pool
	if !connected {
		// Nothing has to follow on a connection that database/sql opened in the background and
		// handed out: a Ping of a driver that has none ends there, and so does a call whose
		// arguments cannot be converted.
		a.endedAt = p.ledger.Now()
		a.wait.Total, _ = p.ledger.EndWait(&a.waiter, a.endedAt, telemetry.MinWait)
		if err != nil {
			if cause := a.cause(err); cause != "" {
				return a.failed(cause, err)
			}
		}
		a.source = poolinfo.SourceOpener
		_ = p.telemetry.IsLongWait(a.wait.Total) && a.startSpan()
	}
	ctx := a.Context
	if a.span.Started() {
		ctx = a.span.Ctx
		p.telemetry.EndAcquire(&a.span, a.conn, a.source, a.wait, a.endedAt)
	}
	p.ledger.Waits.Add(a.wait.Total)
	p.telemetry.Waited(ctx, a.wait.Total)
	return err
}

// finishPanicked is deferred by the methods of DB: a call that panicked waits no more. If it had a
// connection, the acquire is recorded.
func (a *acquire) finishPanicked() {
	switch a.state.Load() {
	case acquireFinished:
	case acquireConnected:
		_ = a.finish(nil)
	default:
		a.state.Store(acquireFinished)
		a.pool.ledger.EndWait(&a.waiter, a.pool.ledger.Now(), telemetry.MinWait)
		a.span.Drop()
	}
}

// failed records an acquire that got no connection, and explains it to the caller.
func (a *acquire) failed(cause poolinfo.Cause, err error) error {
	p := a.pool
	e := newAcquireError(p, cause, a.wait.Total, err)
	a.failure = e
	p.ledger.Waits.Add(e.Waited)
	if cause != poolinfo.CausePoolClosed {
		p.monitor.AcquireFailed(cause, e.Waited, a.wait.Dialed, e.Idle)
	}
	f := a.faultOf(e)
	ctx := a.Context
	if p.telemetry.HasAcquireSpans() && a.startSpan() {
		ctx = a.span.Ctx
		p.telemetry.LinkHolders(&a.span, nil, a.waiter.RequestedAt())
		p.telemetry.FailAcquire(&a.span, a.wait, err, f, a.endedAt)
	}
	p.telemetry.AcquireFailed(ctx, cause, e.Waited, f)
	return e
}

// faultOf returns what is recorded of the failure.
func (a *acquire) faultOf(e *AcquireError) errclass.Fault {
	switch e.Cause {
	case poolinfo.CausePoolClosed:
		return errclass.Fault{Type: errclass.TypeClosed, Class: poolinfo.ClassPoolClosed}
	case poolinfo.CauseDial:
		return a.dialFault
	case poolinfo.CauseBackgroundDial:
		return a.pool.adapter.dialFault(context.Background(), e.err, nil)
	case poolinfo.CauseDeadline, poolinfo.CauseCanceled, poolinfo.CauseBadConn:
	}
	return a.pool.adapter.fault(a.Context, e.err)
}

// cause finds out why database/sql returned err instead of a connection: it returns its own
// sentinels, the context's error, the error of a dial or a reset of the call, and that of a dial of
// its opener, all of them unchanged. Any other error has nothing to do with the acquire, and the
// cause is empty.
func (a *acquire) cause(err error) poolinfo.Cause {
	switch ctxErr := a.Err(); {
	case ctxErr != nil && errors.Is(err, ctxErr):
		if errors.Is(ctxErr, context.DeadlineExceeded) {
			return poolinfo.CauseDeadline
		}
		return poolinfo.CauseCanceled
	case err == errClosed(): //nolint:errorlint // a sentinel that database/sql returns unchanged
		return poolinfo.CausePoolClosed
	case isSame(a.dialErr, err):
		return poolinfo.CauseDial
	case errors.Is(err, driver.ErrBadConn):
		return poolinfo.CauseBadConn
	case a.pool.dials.failedWith(err):
		return poolinfo.CauseBackgroundDial
	}
	return ""
}

// errClosed is the error of a DB that is closed, which database/sql does not export.
var errClosed = sync.OnceValue(func() error {
	db := sql.OpenDB(failing{})
	_ = db.Close()
	return db.Ping()
})

// retried records an attempt that failed with driver.ErrBadConn, if database/sql makes another. It
// must run under the call that returns the error.
func (p *pool) retried(ctx context.Context, r telemetry.Retry) {
	if !willRetry() {
		return
	}
	p.ledger.Retried(p.telemetry.Retried(ctx, &r))
	if a := p.acquireFrom(ctx); a != nil {
		a.retry(r)
	}
}
