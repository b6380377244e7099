package otelpool

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/errclass"
	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/monitor"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// connHealth is what is known of the failures of a connection.
type connHealth struct {
	// lastSuccess is when the last successful call ended (before the first call: the dial).
	// lastFailure is the failure since then, or nil.
	lastSuccess time.Duration
	lastFailure *failure

	broken  bool // the driver called the connection bad, or found it invalid
	discard bool // the pool must not keep the connection: see Tx.Rollback
	// foundBy is the span of the caller who found the connection broken.
	foundBy trace.Span

	// rowsCtx is the context of the query whose result set was the last thing that was done, else
	// nil.
	rowsCtx context.Context //nolint:containedctx // closing the rows has none
	// txCtx is the context of the last transaction, unless the transaction ended before it.
	txCtx context.Context //nolint:containedctx // the release has none
}

// failure is a failure of a connection since which no call of it has succeeded.
type failure struct {
	errclass.Fault
	cause      poolinfo.Class // why the connection is broken, if it is; empty for a failure that it survives
	idleFor    time.Duration  // how long nothing had been done with it
	idleInHold bool           // it was idle while it was held, and not in the pool
	acquiredAt time.Duration  // of the hold that it happened in
}

// idleTolerance is how much earlier than its setting a server may seem to close an idle connection:
// the two count from different ends of the last statement.
const idleTolerance = 500 * time.Millisecond

// markHealthy notes that a call has succeeded, which ended now.
func (h *connHealth) markHealthy(now time.Duration) { h.lastSuccess, h.lastFailure = now, nil }

// failed records the error of a driver call that began at start, and returns its fault. ErrBadConn
// makes database/sql drop the connection and retry silently, unless in a transaction.
func (c *conn) failed(ctx context.Context, start time.Duration, err error) errclass.Fault {
	f := c.classifyFailure(ctx, start, err)
	if errors.Is(err, driver.ErrBadConn) {
		h := &c.health
		h.broken = true
		h.foundBy = trace.SpanFromContext(ctx)
		if h.lastFailure.cause == "" {
			h.lastFailure.cause = f.Class
		}
		_, opened := c.rec.Dialed()
		c.pool.retried(ctx, telemetry.Retry{Fault: f, ConnID: c.rec.ID(), Age: c.pool.ledger.Now() - opened, Idle: h.lastFailure.idleFor})
	}
	return f
}

// classifyFailure finds out what a failure of the connection is about, and remembers it until a call
// succeeds. It becomes lastFailure, except that an earlier one stays
//
//   - if this one says only that the connection is broken and the earlier one explains it: then the
//     earlier one lends its class;
//   - if this one cannot have broken the connection and the earlier one may have.
func (c *conn) classifyFailure(ctx context.Context, start time.Duration, err error) errclass.Fault {
	f := c.pool.adapter.fault(ctx, err)
	h := &c.health
	before := h.lastFailure
	last := &failure{Fault: f, idleFor: start - h.lastSuccess, acquiredAt: c.hold.acquiredAt}
	if limit := c.idleTimeout(); c.hold.ctx != nil && limit > 0 {
		last.idleInHold = start-max(h.lastSuccess, c.hold.acquiredAt) >= minIdle(limit)
	}
	switch {
	case errclass.IsVague(f.Class) && c.explains(before):
		f.Class = before.cause
		return f
	case errclass.IsVague(f.Class):
		last.Class = c.inferCause(ctx, last.Class, last.idleFor)
		last.cause = last.Class
	case errclass.MayBreak(f.Class):
		last.cause = f.Class
	case before != nil && before.cause != "":
		return f
	}
	h.lastFailure = last
	return last.Fault
}

// explains reports whether an earlier failure is why the connection is broken. A statement that was
// stopped is the reason only while the same holder has the connection: then it was the connection
// that was ended.
func (c *conn) explains(before *failure) bool {
	if before == nil || before.cause == "" || errclass.IsVague(before.cause) {
		return false
	}
	return !before.Stopped || c.hold.ctx != nil && before.acquiredAt == c.hold.acquiredAt
}

// lastFault returns the fault that failed has recorded of an error already.
func (c *conn) lastFault(ctx context.Context, err error) errclass.Fault {
	f := c.pool.adapter.fault(ctx, err)
	if last := c.health.lastFailure; errclass.IsVague(f.Class) && last != nil && last.cause != "" {
		f.Class = last.cause
	}
	return f
}

// ensureCause finds out why the connection is broken, if that is not known yet. The
// context of the acquire says nothing, since that of DB.Conn is often finished by then, but that of
// a result set or of a transaction does: database/sql ends them with it.
func (c *conn) ensureCause() {
	h := &c.health
	ctx := h.rowsCtx
	if ctx == nil {
		ctx = h.txCtx
	}
	if ctx == nil {
		ctx = context.Background()
	}
	if h.lastFailure == nil {
		h.lastFailure = &failure{idleFor: c.pool.ledger.Now() - h.lastSuccess}
	}
	if h.lastFailure.cause == "" {
		h.lastFailure.cause = c.inferCause(ctx, poolinfo.ClassBadConnection, h.lastFailure.idleFor)
	}
}

// inferCause returns why a connection is broken that was idle for a time, and of which the driver
// reports no more than the class: what it reported besides, the idle time-out of the server, or the
// end of the caller's context. If it was idle for as long as the server allows, that is taken for
// the reason, even if something else has cut it meanwhile.
func (c *conn) inferCause(ctx context.Context, class poolinfo.Class, idleFor time.Duration) poolinfo.Class {
	var noticed poolinfo.Class
	if err, at := c.notice.last(); err != nil && at >= c.health.lastSuccess {
		noticed = c.pool.adapter.fault(context.Background(), err).Class
	}
	limit := c.idleTimeout()
	switch contextClass := errclass.OfContext(ctx); {
	case noticed != "" && noticed != poolinfo.ClassOther && !errclass.IsVague(noticed):
		return noticed
	case limit > 0 && idleFor >= minIdle(limit):
		return poolinfo.ClassServerIdleTimeout
	case contextClass != "":
		return contextClass
	case noticed == poolinfo.ClassNetwork:
		return noticed
	}
	return class
}

// minIdle is from when on an idle time-out may have passed.
func minIdle(limit time.Duration) time.Duration { return max(limit-idleTolerance, limit/2) }

// idleTimeout is the idle time-out of the server, 0 if it is not known.
func (c *conn) idleTimeout() time.Duration {
	if c.server.IdleTimeout > 0 || !c.pool.adapter.knowsServers() {
		return c.server.IdleTimeout
	}
	return c.pool.servers.Complete(c.server).IdleTimeout
}

// recordClosed records the end of the connection. span is that of who held it or found it broken;
// nil for nobody.
func (c *conn) recordClosed(ctx context.Context, span trace.Span, why closing, life ledger.Life) {
	p := c.pool
	one := monitor.ClosedConn{
		ClosedConn: poolinfo.ClosedConn{
			Time: time.Now(), Pool: p.name, ConnID: c.rec.ID(), Reason: why.reason,
			Age: life.Age, Idle: life.Idle, Uses: life.Uses, Server: c.server,
		},
		Deferred: why.reason == 0,
		ClosedBy: int(why.by),
	}
	if c.notice != nil {
		one.Notice = c.notice.lastError
	}
	last := c.health.lastFailure
	if last != nil {
		one.ErrorType, one.Code = last.Type, last.Code
	}
	if p.adapter.knowsServers() {
		one.Server = p.servers.Complete(c.server)
	}
	if why.reason == poolinfo.ReasonBad && last != nil {
		one.Class, one.Idle, one.IdleInHold = last.cause, last.idleFor, last.idleInHold
	}
	p.monitor.ConnClosed(&one)
	if one.Deferred {
		p.reasons.deferReason(why.by)
		return
	}
	p.telemetry.Closed(ctx, why.reason, one.Class)
	if span != nil && span.IsRecording() {
		telemetry.ConnClosed(span, &one.ClosedConn)
	}
}
