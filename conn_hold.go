package otelpool

import (
	"context"
	"database/sql/driver"
	"runtime"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// connHold is the hold in progress: from the acquire, which is ResetSession, Connect, or the first
// call of a connection that was opened in the background, to the release, which is IsValid or
// Close.
type connHold struct {
	// ctx is the context of the acquire, nil if the connection is not held. Its span gets the events,
	// and the exemplar of the hold leads there. Cleared by end.
	ctx context.Context //nolint:containedctx // there is no other way to the release
	// span is the span of ctx if it was recording at the acquire, else nil. Cleared by end.
	span trace.Span
	// waited is how long the holder waited, until its first span has it. Cleared by end.
	waited time.Duration
	// retries are the attempts before the acquire, until its first span has them. Cleared by begin.
	retries []telemetry.Retry
	// resultSets is the number of result sets that the span has an event of. Cleared by begin.
	resultSets int
	// acquiredAt is the time of the acquire. It is valid while ctx is not nil.
	acquiredAt time.Duration
	// waitersMark is the state of the wait counters at the acquire. At the release it yields how many
	// callers queued during this hold. It is valid while span is not nil.
	waitersMark ledger.WaitMark
}

// begin and end write no more than they must: they run for every acquire and release.
func (h *connHold) begin(ctx context.Context, now time.Duration) {
	h.ctx, h.acquiredAt, h.retries, h.resultSets = ctx, now, nil, 0
}

func (h *connHold) end() { h.ctx, h.span, h.waited = nil, nil, 0 }

// context returns the context of the acquire, if the connection is held.
func (h *connHold) context() context.Context {
	if h.ctx == nil {
		return context.Background()
	}
	return h.ctx
}

// use notes that a connection is used which was not held: one that was opened in the background is
// acquired with its first driver call.
func (c *conn) use(ctx context.Context) {
	if c.hold.ctx == nil {
		c.readWait(ctx)
		c.acquired(ctx, poolinfo.SourceOpener, c.pool.ledger.Now(), telemetry.Wait{}, 1)
	}
}

// readWait reads what is needed for the wait of the next caller, as soon as that has the
// connection.
func (c *conn) readWait(ctx context.Context) {
	if !c.baseline.queued {
		return
	}
	if a := c.pool.acquireFrom(ctx); a != nil {
		c.baseline.readOwn(&c.pool.waits, a.queued())
		return
	}
	c.baseline.read(&c.pool.waits)
}

// acquired records that a caller holds the connection since now. Of w, what was dialed and reset
// for this caller is known.
func (c *conn) acquired(ctx context.Context, s poolinfo.Source, now time.Duration, w telemetry.Wait, depth int) {
	p := c.pool
	c.hold.begin(ctx, now)
	span := trace.SpanFromContext(ctx)
	a := p.acquireFrom(ctx)
	var by ledger.Holder
	telemetry.SetSpan(&by, span)
	switch {
	case a != nil:
		site := a.waiter.CallSite.CallSite()
		c.rec.Acquire(now, s, &by, &site)
	case p.capturesCallSite(now):
		var site poolinfo.CallSite
		runtime.Callers(2+depth, site[:])
		c.rec.Acquire(now, s, &by, &site)
	default:
		c.rec.Acquire(now, s, &by, nil)
	}
	if a != nil {
		c.hold.retries = a.retries
	}
	p.reasons.resolve()

	reset := w.Reset // of this attempt, for the event; w becomes the wait of all attempts
	switch {
	case a != nil && a.acquired(c.rec, s, now, &w): // it has a clock of its own
	case c.baseline.infer(p, c.rec, span, s, now, &w):
		c.recordWait(ctx, s, now, w)
	}
	c.hold.waited = w.Total
	if !span.IsRecording() {
		return
	}
	c.hold.span = span
	if p.hasDB.Load() {
		c.hold.waitersMark = p.ledger.MarkWaits(now)
	}
	c.spanEvents().Acquired(span, s, w.Total, reset)
}

// recordWait records the wait of a caller without a clock of its own.
func (c *conn) recordWait(ctx context.Context, s poolinfo.Source, now time.Duration, w telemetry.Wait) {
	t := c.pool.telemetry
	if t.IsLongWait(w.Total) && telemetry.WantsSpan(ctx) {
		span := t.StartAcquire(ctx, now-w.Total)
		t.LinkHolders(&span, c.rec, now-w.Total)
		t.EndAcquire(&span, c.rec, s, w, now)
		ctx = span.Ctx
	}
	c.pool.ledger.Waits.Add(w.Total)
	c.pool.monitor.PlainWaited(w.Queued())
	t.Waited(ctx, w.Total)
}

// released records that the connection was released.
func (c *conn) released(h *ledger.Hold) {
	c.endDeclined()
	p := c.pool
	ctx, span, waitersMark := c.hold.context(), c.hold.span, c.hold.waitersMark
	c.hold.end()
	c.health.rowsCtx, c.health.txCtx = nil, nil
	if h.Suspect != nil {
		p.monitor.LeakResolved(ctx, h.Suspect)
	}
	p.telemetry.Held(ctx, c.rec.ID(), h)
	if span == nil || !span.IsRecording() {
		return
	}
	var waiters int64
	var waited time.Duration
	if p.hasDB.Load() {
		waiters, waited = p.ledger.WaitedSince(waitersMark, telemetry.MinWait)
	}
	c.spanEvents().Released(span, h.Length, waiters, waited)
}

// spanEvents returns the events of the connection.
func (c *conn) spanEvents() *telemetry.Events {
	if c.events == nil {
		c.events = c.pool.telemetry.NewEvents(c.rec.ID())
	}
	return c.events
}

// setAffected puts the number of rows that an exec has changed on its span, if that is recorded, or
// may be: see Hooks.Keep.
func (c *conn) setAffected(call *driverCall, res driver.Result, err error) {
	if err != nil || res == nil || !call.WantsAttributes() {
		return
	}
	if n, ok := affectedRows(res); ok {
		c.spanEvents().SetAffected(&call.Call, n)
	}
}
