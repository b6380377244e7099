package otelpool

import (
	"context"
	"database/sql/driver"
	"errors"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/otelpool/otelpool/internal/errclass"
	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// dial is one dial, from its start to its end.
type dial struct {
	telemetry.Call
	pool      *pool
	forCaller bool // and not for database/sql's opener

	endedAt time.Duration // when there was a connection, before the server was probed
	rec     *ledger.Conn  // nil if there is no connection
	err     error
	fault   errclass.Fault
}

// begin starts the span of the dial, if it has one, and its clock. Until the dial has a result,
// that is a panic of the driver.
func (d *dial) begin(ctx context.Context, p *pool, forCaller bool) {
	d.Parent, d.Op, d.Statement = ctx, telemetry.OpConnect, p.telemetry.NoStatement()
	d.pool, d.forCaller = p, forCaller
	d.err, d.fault = errclass.ErrPanicked, errclass.Fault{Type: string(errclass.ErrPanicked), Class: poolinfo.ClassOther}
	if d.forCaller {
		d.pool.telemetry.Begin(&d.Call)
	} else {
		d.NoSpan()
	}
	d.Start = d.pool.ledger.Dialing()
	d.pool.monitor.Start()
}

// connect dials through the adapter, and returns the connection with telemetry.
func (d *dial) connect(connector driver.Connector) (driver.Conn, error) {
	p := d.pool
	inner, server, notice, err := d.dialAndProbe(connector)
	if d.err = err; err != nil {
		d.fault = p.adapter.dialFault(d.Parent, err, notice)
		if errors.Is(err, driver.ErrBadConn) {
			p.retried(d.Parent, telemetry.Retry{Fault: d.fault})
		}
		return nil, err
	}
	if inner == nil {
		return nil, nil // the driver's answer
	}
	var opened time.Duration
	d.rec, opened = p.ledger.Opened(d.Start)
	if !p.adapter.knowsServers() {
		d.endedAt = opened
	}
	c := newConn(p, inner, d.rec)
	c.health.lastSuccess, c.notice = opened, notice
	c.setServer(&d.Call, server)
	p.waits.readLimit()
	if d.forCaller {
		c.acquired(d.Parent, poolinfo.SourceNew, opened, telemetry.Wait{Dialed: opened - d.Start}, 2)
	} else {
		c.baseline.setForOpener(p, d.rec)
	}
	return c.shape(), nil
}

// dialAndProbe dials, and probes the server. A connection that was lost by the probe is replaced by
// one that is not probed by a query.
func (d *dial) dialAndProbe(connector driver.Connector) (inner driver.Conn, server poolinfo.Server, notice *driverNotice, err error) {
	p := d.pool
	inner, notice, err = p.adapter.connect(d.Ctx, connector, p.ledger.Now)
	if err != nil || inner == nil || !p.adapter.knowsServers() {
		return inner, server, notice, err
	}
	d.endedAt = p.ledger.Now()
	endedAt := p.ledger.Time(d.endedAt, time.Now())
	d.SetEnd(endedAt)
	server, alive := p.probeServer(d.Ctx, inner, p.cfg.serverQuery, p.ledger.Now())
	if alive {
		return inner, server, notice, nil
	}
	_ = inner.Close()
	inner, notice, err = p.adapter.connect(d.Ctx, connector, p.ledger.Now)
	if err == nil && inner != nil {
		server, _ = p.probeServer(d.Ctx, inner, false, 0)
	} else {
		d.SetEnd(time.Time{})
	}
	return inner, server, notice, err
}

// end records the end of the dial. It is deferred: a driver may panic.
func (d *dial) end() {
	if d.rec == nil {
		d.endedAt = d.pool.ledger.DialFailed()
		if !d.forCaller {
			d.pool.dials.fail(d.err)
		} else if a := d.pool.acquireFrom(d.Parent); a != nil {
			a.dialFailed(d.endedAt-d.Start, d.err, d.fault)
		}
	}
	d.pool.telemetry.End(&d.Call, d.endedAt-d.Start, d.err, d.fault)
}

// setServer notes which server a connection has reached. If it is another system than the pool was
// taken for, operations are recorded as those of that from now on, and if it is another server than
// that of the pool, the spans of the connection have its address. The span of the dial is still
// open.
func (c *conn) setServer(call *telemetry.Call, s poolinfo.Server) {
	t := c.pool.telemetry
	c.server, c.serverAttrs = s, serverAttributes(c.pool.target, s)
	if s.System != "" && s.System != t.System() && t.UseSystem(s.System) {
		call.SetAttributes(semconv.DBSystemNameKey.String(s.System))
	}
	if c.serverAttrs != nil {
		call.SetAttributes(c.serverAttrs...)
	}
}
