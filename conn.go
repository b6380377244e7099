package otelpool

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/otelpool/otelpool/internal/errclass"
	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// conn is a connection with telemetry. database/sql serialises its calls.
//
// database/sql behaves by the interfaces that a connection has. Most have an answer that equals
// absence, and conn always has those; the two that have none, running a statement without preparing
// it, are added by shape. SessionResetter and Validator are the signals of acquire and release: see
// conn_hold.go.
type conn struct {
	capabilities
	inner driver.Conn
	pool  *pool
	rec   *ledger.Conn

	hold   connHold
	health connHealth
	// baseline is where the wait of the next caller is measured from. See wait.go.
	baseline waitBaseline

	// declined is the call that the driver answered with ErrSkip, until the prepared statement that
	// takes its place goes on with it.
	declined driverCall

	// server is what the connection has reached, serverAttrs its address if that is not the pool's,
	// and notice what the driver reports besides its results.
	server      poolinfo.Server
	serverAttrs []attribute.KeyValue
	notice      *driverNotice

	events *telemetry.Events // nil until there is a span to add one to
}

func newConn(p *pool, inner driver.Conn, rec *ledger.Conn) *conn {
	return &conn{capabilities: capabilitiesOf(inner), inner: inner, pool: p, rec: rec}
}

// Unwrap returns the connection below. See the function [Unwrap].
func (c *conn) Unwrap() driver.Conn { return c.inner }

// self finds the conn in its shapes.
func (c *conn) self() *conn { return c }

// driverCall is one call of the driver, from begin to end.
type driverCall struct {
	telemetry.Call
	returned bool  // the driver did not panic
	rows     *rows // what a query returned
}

// begin starts a call that is made in ctx. The clock starts last, so that the time is the driver's.
func (c *conn) begin(ctx context.Context, call *driverCall, op telemetry.Op, st *telemetry.Statement) {
	call.Parent, call.Op, call.Statement = ctx, op, st
	c.endDeclined()
	c.use(ctx)
	c.health.rowsCtx = nil
	c.pool.telemetry.Begin(&call.Call)
	if c.serverAttrs != nil && call.WantsAttributes() {
		call.SetAttributes(c.serverAttrs...)
	}
	if c.hold.retries != nil {
		c.pool.telemetry.AddRetries(&call.Call, c.hold.retries)
		c.hold.retries = nil
	}
	if c.hold.waited > 0 {
		call.SetWaitTime(c.hold.waited)
		c.hold.waited = 0
	}
	call.Start = c.rec.Begin(st.Summary())
}

// end ends a call that left e behind if it succeeded; a transaction has ended even if its commit
// failed. It is deferred, so that a driver that panics leaves no open span and no running clock.
func (c *conn) end(call *driverCall, e ledger.Effect, errp *error) {
	err := *errp
	if !call.returned {
		err = errclass.ErrPanicked
	}
	if err != nil && e != ledger.TxEnded {
		e = ledger.NoEffect
	}
	now := c.rec.End(e)
	if call.rows != nil {
		call.rows.opened = now
		c.health.rowsCtx = call.Parent
	}
	if e == ledger.TxEnded && call.Parent.Err() == nil {
		c.health.txCtx = nil // a later failure has nothing to do with the transaction
	}
	took := now - call.Start
	if err == nil {
		c.health.markHealthy(now)
		c.pool.telemetry.End(&call.Call, took, nil, errclass.Fault{})
		if call.rows != nil {
			call.rows.ctx = call.Ctx // the span may have been made just now
		}
		return
	}
	if err == driver.ErrSkip && (call.Op == telemetry.OpExec || call.Op == telemetry.OpQuery) { //nolint:errorlint // database/sql compares by identity
		c.declined = *call // which is not used any more
		return
	}
	ctx := call.Parent
	if call.Op == telemetry.OpCommit || call.Op == telemetry.OpRollback {
		ctx = context.WithoutCancel(ctx) // that of the transaction; the call has none
	}
	c.pool.telemetry.End(&call.Call, took, err, c.failed(ctx, call.Start, err))
}

// endDeclined ends a call that was declined and that no prepared statement went on with, because
// the arguments did not fit the statement.
func (c *conn) endDeclined() {
	if c.declined.Begun() {
		endNotRun(c.pool, &c.declined)
	}
}

// endNotRun ends a call that was declined and that nothing followed.
func endNotRun(p *pool, call *driverCall) {
	p.telemetry.End(&call.Call, p.ledger.Now()-call.Start, errclass.ErrNotRun, errclass.Fault{Type: string(errclass.ErrNotRun), Class: poolinfo.ClassOther})
	*call = driverCall{}
}

// Ping pings if the driver can. Without it nothing was pinged, so nothing is recorded; the answer
// is the one of a connection without Ping.
func (c *conn) Ping(ctx context.Context) (err error) {
	if c.pinger == nil {
		return nil
	}
	var call driverCall
	c.begin(ctx, &call, telemetry.OpPing, c.pool.telemetry.NoStatement())
	defer c.end(&call, ledger.NoEffect, &err)
	err = c.pinger.Ping(call.Ctx)
	call.returned = true
	return err
}

func (c *conn) exec(ctx context.Context, query string, args []driver.NamedValue) (res driver.Result, err error) {
	var call driverCall
	c.begin(ctx, &call, telemetry.OpExec, c.pool.telemetry.Statement(query))
	defer c.end(&call, ledger.NoEffect, &err)
	c.pool.setArguments(&call.Call, args)
	res, err = ctxExec(call.Ctx, c.execer, c.oldExecer, c.pool.comment(call.Ctx, query), args)
	call.returned = true
	c.setAffected(&call, res, err)
	return res, err
}

func (c *conn) query(ctx context.Context, query string, args []driver.NamedValue) (_ driver.Rows, err error) {
	var call driverCall
	c.begin(ctx, &call, telemetry.OpQuery, c.pool.telemetry.Statement(query))
	defer c.end(&call, ledger.RowsOpened, &err)
	c.pool.setArguments(&call.Call, args)
	inner, err := ctxQuery(call.Ctx, c.queryer, c.oldQueryer, c.pool.comment(call.Ctx, query), args)
	call.returned = true
	return c.wrapRows(&call, inner, err)
}

// Prepare is here because a driver.Conn has it; database/sql calls PrepareContext.
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext prepares a statement. If it stands in for a call that the driver declined, its
// span is a child of that call's, which goes on.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	declined := c.declined
	if !declined.Begun() {
		return c.prepare(ctx, query, driverCall{})
	}
	c.declined = driverCall{}
	s, err := c.prepare(declined.Ctx, query, declined)
	if err != nil {
		c.pool.telemetry.End(&declined.Call, c.pool.ledger.Now()-declined.Start, err, c.lastFault(ctx, err))
	}
	return s, err
}

func (c *conn) prepare(ctx context.Context, query string, declined driverCall) (_ driver.Stmt, err error) {
	st := declined.Statement
	if st == nil {
		st = c.pool.telemetry.Statement(query)
	}
	var call driverCall
	c.begin(ctx, &call, telemetry.OpPrepare, st)
	defer c.end(&call, ledger.NoEffect, &err)
	inner, err := ctxPrepare(call.Ctx, c.inner, c.preparer, query)
	call.returned = true
	if err != nil || inner == nil {
		return inner, err
	}
	return newStmt(c, inner, st, declined), nil
}

// BeginTx begins a transaction.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (_ driver.Tx, err error) {
	var call driverCall
	c.begin(ctx, &call, telemetry.OpBegin, c.pool.telemetry.NoStatement())
	defer c.end(&call, ledger.TxBegan, &err)
	inner, err := ctxBegin(call.Ctx, c.inner, c.beginner, opts)
	call.returned = true
	if err != nil || inner == nil {
		return inner, err
	}
	return newTx(c, ctx, inner), nil
}

// Begin is here because a driver.Conn has it; database/sql calls BeginTx.
func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// CheckNamedValue calls the driver's connection, if it checks arguments. ErrSkip sends database/sql
// on to what it does for a connection that does not.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if c.checker == nil {
		return driver.ErrSkip
	}
	return c.checker.CheckNamedValue(v)
}

// roundTrip is more than a driver takes for a look at its socket, and less than any server takes to
// answer.
const roundTrip = 50 * time.Microsecond

// ResetSession is called when the connection is about to be reused, on the goroutine of the caller
// who gets it. Whatever it returns but ErrBadConn, the caller has the connection then.
func (c *conn) ResetSession(ctx context.Context) error {
	if c.resetter == nil {
		c.readWait(ctx)
		c.acquired(ctx, poolinfo.SourceReused, c.pool.ledger.Now(), telemetry.Wait{}, 1)
		return nil
	}
	c.rec.Reserve()
	c.readWait(ctx) // at once: other waits end, too
	start := c.pool.ledger.Now()
	err := c.resetter.ResetSession(ctx)
	now := c.pool.ledger.Now()
	if err != nil && errors.Is(err, driver.ErrBadConn) {
		if a := c.pool.acquireFrom(ctx); a != nil {
			a.resetFailed(now - start)
		}
		c.failed(ctx, start, err)
		return err
	}
	if now-start >= roundTrip {
		c.health.lastSuccess = now // the server was asked, and its idle time starts anew
	}
	c.acquired(ctx, poolinfo.SourceReused, now, telemetry.Wait{Reset: now - start}, 1)
	return err
}

// IsValid is called when the connection is released. It is not called for one that database/sql
// already knows to be bad.
func (c *conn) IsValid() bool {
	valid := !c.health.discard
	if valid && c.validator != nil {
		valid = c.validator.IsValid()
	}
	c.health.broken = !valid
	if valid {
		if c.validator != nil {
			c.health.lastFailure = nil
		}
		c.baseline.set(c.pool, c.rec, c.hold.span != nil)
	} else if !c.health.discard {
		c.health.foundBy = c.hold.span
		c.ensureCause()
	}
	var h ledger.Hold
	if c.rec.Release(&h) {
		c.released(&h)
	}
	return valid
}

// closing returns why the connection is being closed.
func (c *conn) closing() closing {
	switch {
	case c.health.discard:
		return closing{reason: poolinfo.ReasonRollbackDiscard}
	case c.health.broken, c.rec.Held():
		return closing{reason: poolinfo.ReasonBad}
	}
	return c.pool.reasons.current()
}

// Close is the end of the connection, and of its hold if it was not released before: then
// ErrBadConn was returned, and database/sql did not call IsValid.
func (c *conn) Close() error {
	ctx, span := c.hold.context(), c.hold.span
	if span == nil {
		span = c.health.foundBy
	}
	why := c.closing()
	if why.reason == poolinfo.ReasonBad {
		c.ensureCause()
	}
	if life, h, held, ok := c.rec.Close(why.reason); ok {
		if held {
			c.released(&h)
		}
		c.recordClosed(ctx, span, why, life)
	}
	return c.inner.Close()
}
