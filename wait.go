package otelpool

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
)

// wait is how long a caller waited for its connection, and what for: a dial, the
// reset of a used connection, and attempts on connections that turned out bad.
// What remains was spent in the queue.
type wait struct {
	total, dialed, reset, retried time.Duration
}

func (w wait) queued() time.Duration { return max(0, w.total-w.dialed-w.reset-w.retried) }

// tellWait is how long a caller must have waited for its spans to say so, and for
// the holder to be told of it: the lowest bucket of wait_time.
const tellWait = 100 * time.Microsecond

// inference finds the waits of a plain *sql.DB. database/sql waits before it calls
// a driver, and adds the wait to DBStats.WaitDuration just before it resets the
// connection that the caller got. So the sum is read when a connection is given
// back, and when the same connection is reset: in between it has grown by the
// wait of the caller who has it now, and of others whose waits ended at the same
// time. What one caller took for its own is not given to the next.
//
// Where a connection is free nobody waits, and nothing is read. That nobody has a
// connection does not mean that it is free: see [ledger.Ledger.MayWait].
//
// DBStats takes the lock of the DB. That is safe in IsValid, ResetSession,
// Connect and a call of a driver: database/sql does not hold that lock there, and
// nobody who holds it waits for the lock of a connection that is in use, which
// is the one held there. It is not safe under Close: see reasons.
type inference struct {
	limit      atomic.Int64 // DBStats.MaxOpenConnections, when last read
	looks      atomic.Int64 // releases at which the limit might have been lowered
	attributed atomic.Int64 // the WaitDuration up to which waits were told
}

// release is what a connection knows of the waits since it was given back, or
// dialed in the background.
type release struct {
	known  bool          // somebody wanted to know
	queued bool          // somebody may have been waiting
	waited time.Duration // WaitDuration then
	grown  time.Duration // what of its growth is the wait of the next caller, once that is there
}

// readLimit notes the limit of the pool, and returns it. The program may change it at
// any time, so it is read at each dial and at each collection, and now and then: see
// mayWait.
func (c *connector) readLimit() int {
	limit := c.maxOpen()
	c.inference.limit.Store(int64(limit))
	return limit
}

// maxOpen is the limit of open connections, 0 if there is none, or the DB is not known.
func (c *connector) maxOpen() int {
	if db := c.db.Load(); db != nil {
		return db.Stats().MaxOpenConnections
	}
	return 0
}

// mayWait reports whether somebody may be waiting for the connection that is given
// back. Where no connection is free and the limit that is known says nobody, the
// limit may have been lowered meanwhile: it is read anew at the first such
// releases, and then at each sixteenth.
func (c *connector) mayWait() bool {
	limit := c.inference.limit.Load()
	if c.ledger.MayWait(limit) {
		return true
	}
	if c.ledger.AnyFree() {
		return false
	}
	if n := c.inference.looks.Add(1); n > 16 && n%16 != 0 {
		return false
	}
	c.readLimit()
	now := c.inference.limit.Load()
	return now != limit && c.ledger.MayWait(now)
}

// halfHeld reports whether half of the connections that there may be are held.
func (c *connector) halfHeld() bool {
	limit := c.inference.limit.Load()
	return limit > 0 && 2*c.ledger.Held() >= limit
}

// givenBack reads what is needed to infer the wait of the next caller, if there
// may be one that waits. It runs before the connection is released.
func (c *conn) givenBack() {
	c.since = release{}
	p := c.pool
	db := p.db.Load()
	if db == nil || c.caller == nil && !p.ins.waitTime.Enabled(context.Background()) {
		return
	}
	c.since.known = true
	if !p.mayWait() {
		return
	}
	unheld := p.ledger.Unheld()
	s := db.Stats()
	p.inference.limit.Store(int64(s.MaxOpenConnections))
	if s.Idle > 0 || s.OpenConnections < s.MaxOpenConnections {
		p.ledger.NoneLost()
		if int64(s.Idle) >= unheld {
			p.ledger.NoDoubt()
		}
		return
	}
	c.since.queued, c.since.waited = true, s.WaitDuration
	c.rec.Doubt()
}

// dialedInBackground does the same for a connection that the opener dialed, for
// somebody who waits.
func (c *conn) dialedInBackground() {
	c.rec.Doubt()
	if db := c.pool.db.Load(); db != nil {
		c.since = release{known: true, queued: true, waited: db.Stats().WaitDuration}
	}
}

// readQueued reads by how much the waits have grown when the next caller has the
// connection. If that has a clock of its own, it takes its wait out for the
// others, and nothing is read.
func (c *conn) readQueued(ctx context.Context) {
	if !c.since.queued {
		return
	}
	level := c.since.waited
	if a := c.pool.asking(ctx); a != nil {
		// What is not queueing is not in WaitDuration.
		queueing := a.wait
		queueing.total = c.pool.ledger.Now() - a.waiter.Asked()
		level += queueing.queued()
	} else {
		level = c.pool.db.Load().Stats().WaitDuration
	}
	c.since.queued = false
	c.since.grown = c.pool.inference.take(c.since.waited, level)
}

// infer completes w, of which dialed and reset are known, with the time in the
// queue. It reports false if that cannot be known.
func (c *conn) infer(span trace.Span, s ledger.Source, now time.Duration, w *wait) bool {
	if c.pool.db.Load() == nil || !c.since.known && s != ledger.New {
		return false
	}
	queued := c.since.grown
	if queued > 0 {
		// Nobody waits for longer than the operation has existed that needs the
		// connection. Its span knows since when that is.
		if started, ok := startOf(span); ok {
			queued = max(0, min(queued, c.pool.ledger.Time(now, time.Now()).Sub(started)-w.reset))
		}
	}
	w.total = queued + w.dialed + w.reset
	if s == ledger.Opener {
		w.dialed = c.dialedWithin(now-w.total, now)
	}
	return true
}

// take attributes the growth from mark to the present level to one caller, as far
// as it was not attributed to another.
func (i *inference) take(mark, level time.Duration) time.Duration {
	for {
		told := i.attributed.Load()
		if int64(level) <= told {
			return 0
		}
		if i.attributed.CompareAndSwap(told, int64(level)) {
			return level - max(mark, time.Duration(told))
		}
	}
}

// dialedWithin is how much of the time from begin to end the dial took that made
// the connection.
func (c *conn) dialedWithin(begin, end time.Duration) time.Duration {
	from, to := c.rec.Dialed()
	return max(0, min(to, end)-max(from, begin))
}

// longWait reports whether a wait is long enough for a span.
func (c *connector) longWait(d time.Duration) bool {
	return c.cfg.acquireSpanThreshold >= 0 && d >= c.cfg.acquireSpanThreshold
}

// wantsSpan reports whether something may become a span when it is over, as a
// child of its caller's. It does not if that was dropped by the sampler: many may
// wait at a time when nothing should cost more than it has to.
func wantsSpan(ctx context.Context) bool {
	caller := trace.SpanFromContext(ctx)
	sc := caller.SpanContext()
	return caller.IsRecording() || !sc.IsValid() || sc.IsRemote()
}

// maxLinks bounds the links of an acquire span.
const maxLinks = 8

// linkHolders links the span of an acquire to the sampled spans of those who kept
// connections from it, the longest hold first. rec is the connection that it got,
// nil if none.
func (c *connector) linkHolders(span trace.Span, rec *ledger.Conn, asked time.Duration) {
	if !span.IsRecording() {
		return
	}
	var holds [2 * maxLinks]ledger.Holding // some spans hold several
	n := c.ledger.InTheWayOf(rec, asked, byte(trace.FlagsSampled), holds[:])
	var attrs [maxLinks][2]attribute.KeyValue
	linked := 0
	for i := range holds[:n] {
		sc := spanOf(&holds[i].Holder)
		if linked < maxLinks && sc.IsValid() && !holdsTwo(holds[:i], &holds[i]) {
			attrs[linked] = [2]attribute.KeyValue{connID(holds[i].ID), keyHeld.Float64(holds[i].For.Seconds())}
			span.AddLink(trace.Link{SpanContext: sc, Attributes: attrs[linked][:]})
			linked++
		}
	}
}

// holdsTwo reports whether the span of h is that of an earlier hold.
func holdsTwo(earlier []ledger.Holding, h *ledger.Holding) bool {
	for i := range earlier {
		if earlier[i].Holder.Span == h.Holder.Span && earlier[i].Holder.Trace == h.Holder.Trace {
			return true
		}
	}
	return false
}

// identify puts a span into a holder, and spanOf takes it out.
func identify(h *ledger.Holder, sc trace.SpanContext) {
	h.Trace, h.Span, h.Flags = sc.TraceID(), sc.SpanID(), byte(sc.TraceFlags())
}

func spanOf(h *ledger.Holder) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: h.Trace, SpanID: h.Span, TraceFlags: trace.TraceFlags(h.Flags)})
}
