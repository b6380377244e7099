package otelpool

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
)

// trouble is a failure of a connection since which no call of it has succeeded.
type trouble struct {
	fault
	condemns Class         // why the connection is lost, if it is; empty for a failure that it survives
	quiet    time.Duration // how long nothing had been done with it
	inHold   bool          // the quiet was that of a holder, and not that of the pool
	began    time.Duration // the hold
}

// tolerance is how much earlier than it says a server may seem to close an idle
// connection: the two count from different ends of the last statement.
const tolerance = 500 * time.Millisecond

// failed notes the error of a driver call that began at start, and returns what is
// told of it. ErrBadConn makes database/sql drop the connection and try again
// without a word, unless in a transaction.
func (c *conn) failed(ctx context.Context, start time.Duration, err error) fault {
	f := c.blame(ctx, start, err)
	if errors.Is(err, driver.ErrBadConn) {
		c.bad = true
		c.finder = trace.SpanFromContext(ctx)
		if c.trouble.condemns == "" {
			c.trouble.condemns = f.class
		}
		_, opened := c.rec.Dialed()
		c.pool.retried(ctx, hop{fault: f, conn: c.rec.ID(), age: c.pool.ledger.Now() - opened, idle: c.trouble.quiet})
	}
	return f
}

// blame finds out what a failure of the connection was about, and keeps it in mind
// until a call succeeds. One that may have been the end is not forgotten over what
// follows from it: a failure that only says that the connection is no more is told
// as that one.
func (c *conn) blame(ctx context.Context, start time.Duration, err error) fault {
	f := c.pool.adapter.fault(ctx, err)
	before := c.trouble
	t := &trouble{fault: f, quiet: start - c.fine, began: c.began}
	if limit := c.idleTimeout(); c.holder != nil && limit > 0 {
		t.inHold = start-max(c.fine, c.began) >= soon(limit)
	}
	c.trouble = t
	switch {
	case f.class.vague() && c.explains(before):
		c.trouble = before
		f.class = before.condemns
		return f
	case f.class.vague():
		t.class = c.reasonFor(ctx, t.class, t.quiet)
		t.condemns = t.class
	case f.class.condemns():
		t.condemns = f.class
	case before != nil && before.condemns != "":
		c.trouble = before
	}
	return t.fault
}

// explains reports whether an earlier failure tells why the connection is no more.
// That a statement was stopped only does so as long as the same holder has it: then
// it was the connection that was ended.
func (c *conn) explains(before *trouble) bool {
	if before == nil || before.condemns == "" || before.condemns.vague() {
		return false
	}
	return !stopped[before.code] || c.holder != nil && before.began == c.began
}

// lastFault returns what failed has told of an error already.
func (c *conn) lastFault(ctx context.Context, err error) fault {
	f := c.pool.adapter.fault(ctx, err)
	if f.class.vague() && c.trouble != nil && c.trouble.condemns != "" {
		f.class = c.trouble.condemns
	}
	return f
}

// condemn notes that the connection is lost, by what is known by then. The context that
// it was acquired in says nothing, since that of DB.Conn is often over by then, but that
// of a result set or of a transaction does: database/sql ends them with it.
func (c *conn) condemn() {
	ctx := c.reading
	if ctx == nil {
		ctx = c.transacting
	}
	if ctx == nil {
		ctx = context.Background()
	}
	if c.trouble == nil {
		c.trouble = &trouble{quiet: c.pool.ledger.Now() - c.fine}
	}
	if c.trouble.condemns == "" {
		c.trouble.condemns = c.reasonFor(ctx, ClassBadConnection, c.trouble.quiet)
	}
}

// well notes that a call has succeeded, which ended now.
func (c *conn) well(now time.Duration) { c.fine, c.trouble = now, nil }

// reasonFor returns why a connection is no more with which nothing had been done for
// a time, and of which the driver says no more than the class: what it has said
// besides, the idle time-out of the server, or that the caller's context has ended.
// That it was idle for as long as the server allows is taken for the reason even if
// something else has cut it meanwhile.
func (c *conn) reasonFor(ctx context.Context, class Class, quiet time.Duration) Class {
	var heard Class
	if err, at := c.said.last(); err != nil && at >= c.fine {
		heard = c.pool.adapter.fault(context.Background(), err).class
	}
	limit := c.idleTimeout()
	switch over := endOf(ctx); {
	case heard != "" && heard != ClassOther && !heard.vague():
		return heard
	case limit > 0 && quiet >= soon(limit):
		return ClassServerIdleTimeout
	case over != "":
		return over
	case heard == ClassNetwork:
		return heard
	}
	return class
}

// soon is from when on an idle time-out may have passed.
func soon(limit time.Duration) time.Duration { return max(limit-tolerance, limit/2) }

// idleTimeout is the idle time-out of the server, 0 if it is not known.
func (c *conn) idleTimeout() time.Duration {
	if c.server.IdleTimeout > 0 || c.pool.adapter.Server == nil {
		return c.server.IdleTimeout
	}
	return c.pool.servers.complete(c.server).IdleTimeout
}

// died tells the end of the connection. span is that of who had it or found it
// bad; nil for nobody. at is where the reason is to be settled, if it is not known.
func (c *conn) died(ctx context.Context, span trace.Span, reason ledger.Reason, at place, d ledger.Death) {
	p := c.pool
	one := death{
		Death: Death{
			Time: time.Now(), Pool: p.name, ConnID: c.rec.ID(), Age: d.Age, Idle: d.Idle, Uses: d.Uses, Server: c.server,
		},
		at: at, said: c.said,
	}
	if c.trouble != nil {
		one.ErrorType, one.Code = c.trouble.typ, c.trouble.code
	}
	if p.adapter.Server != nil {
		one.Server = p.servers.complete(c.server)
	}
	if at != placeKnown {
		p.deaths.add(one)
		p.putDown(at)
		return
	}
	one.Reason = reason.String()
	if reason == ledger.Bad && c.trouble != nil {
		one.Class, one.Idle, one.inHold = c.trouble.condemns, c.trouble.quiet, c.trouble.inHold
	}
	one.Advice = one.advice()
	p.deaths.add(one)
	p.ins.died(ctx, reason, one.Class)
	if reason == ledger.Bad {
		p.lost(one.Class)
	}
	if span != nil && span.IsRecording() {
		span.AddEvent(eventClosed, trace.WithAttributes(one.attributes()...))
	}
}

// attributes are those of the event.
func (d *death) attributes() []attribute.KeyValue {
	attrs := []attribute.KeyValue{connID(d.ConnID), keyReason.String(d.Reason)}
	if d.Class != "" {
		attrs = append(attrs, keyClass.String(string(d.Class)))
	}
	return append(attrs, keyAge.Float64(d.Age.Seconds()), keyIdle.Float64(d.Idle.Seconds()), keyUses.Int64(d.Uses))
}

// death is a Death in the making.
type death struct {
	Death
	at     place // placeKnown when the reason is known
	inHold bool
	said   *said
}

// maxDeaths is how many deaths a pool keeps.
const maxDeaths = 64

// deaths are the last ones.
type deaths struct{ ring[death] }

// settle gives the oldest death at a place that has no reason its reason. It may be
// gone already.
func (d *deaths) settle(at place, r ledger.Reason) {
	d.find(func(one *death) bool {
		if one.at != at {
			return false
		}
		one.at, one.Reason = placeKnown, r.String()
		one.Advice = one.advice()
		return true
	})
}

// told returns them, the last one first.
func (d *deaths) told() (out []Death) {
	for _, one := range d.latest() {
		one.Said, _ = one.said.last()
		out = append(out, one.Death)
	}
	return out
}

// churn is an age at which it is a waste to close a connection.
const churn = 10 * time.Second

// advice returns what to change so that such a death does not happen again, "" where
// that is not known, or nothing is wrong.
func (d *death) advice() string {
	limit := d.Server.IdleTimeout
	switch {
	case d.Class == ClassServerIdleTimeout && limit > 0 && d.inHold:
		return fmt.Sprintf("the server closes a connection that is idle for %s: give it back while there is nothing to do with it", brief(limit))
	case d.Class == ClassServerIdleTimeout && limit > 0:
		return fmt.Sprintf("the server closes a connection that is idle for %s: set SetConnMaxIdleTime below that", brief(limit))
	case d.Class == ClassServerIdleTimeout:
		return "set SetConnMaxIdleTime below the idle time-out of the server"
	case d.Class == ClassIdleInTransaction:
		return "commit or roll back before work that is not the database's"
	case d.Class == ClassBusyConnection:
		return "read or close a result set before the next statement on its connection"
	case d.Reason == ledger.IdleCount.String() && d.Age < churn:
		return "if this is often, set SetMaxIdleConns nearer to SetMaxOpenConns"
	}
	return ""
}

// String says in one line what has happened: "connection 7 of pool orders died bad
// (server_idle_timeout): 31s old, idle for 2s, used 12 times; the server closes a
// connection that is idle for 2s: set SetConnMaxIdleTime below that".
//
// It has no text of an error.
func (d Death) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "connection %d of pool %s %s: %s old", d.ConnID, d.Pool, d.how(), brief(d.Age))
	switch {
	case d.Idle >= time.Millisecond:
		fmt.Fprintf(&b, ", idle for %s", brief(d.Idle))
	case d.Reason == ledger.Bad.String():
		b.WriteString(", in use")
	}
	switch d.Uses {
	case 0:
		b.WriteString(", never used")
	case 1:
		b.WriteString(", used once")
	default:
		fmt.Fprintf(&b, ", used %d times", d.Uses)
	}
	if why := d.why(); why != "" {
		b.WriteString("; " + why)
	}
	if d.Code != "" && d.Class != "" {
		fmt.Fprintf(&b, " (code %s)", d.Code)
	}
	if d.Advice != "" {
		b.WriteString("; " + d.Advice)
	}
	return b.String()
}

// how says how the connection ended.
func (d *Death) how() string {
	switch d.Reason {
	case "":
		return "was closed by a limit"
	case ledger.Bad.String():
		return fmt.Sprintf("died bad (%s)", d.Class)
	}
	return fmt.Sprintf("was closed (%s)", d.Reason)
}

// why explains the reason, or the class, unless the advice does.
func (d *Death) why() string {
	switch d.Reason {
	case ledger.Bad.String():
		if d.Class == ClassServerIdleTimeout && d.Server.IdleTimeout > 0 {
			return ""
		}
		return d.Class.meaning()
	case ledger.Lifetime.String():
		return "it had reached SetConnMaxLifetime"
	case ledger.IdleTime.String():
		return "it had reached SetConnMaxIdleTime"
	case ledger.IdleCount.String():
		return "SetMaxIdleConns lets no more be idle"
	case ledger.OpenCount.String():
		return "SetMaxOpenConns was lowered"
	case ledger.RollbackDiscard.String():
		return "the context of its transaction ended, and the driver cannot clean a connection"
	case ledger.PoolClosed.String():
		return "DB.Close"
	}
	return ""
}

// hop is an attempt on a connection that was bad, which database/sql repeats.
type hop struct {
	fault
	conn      uint64 // 0 for a dial
	age, idle time.Duration
}

// tell makes the event of a hop on a span.
func (h *hop) tell(span trace.Span, poolName attribute.KeyValue) {
	attrs := append(make([]attribute.KeyValue, 0, 6), poolName)
	if h.conn != 0 {
		attrs = append(attrs, connID(h.conn))
	}
	attrs = append(attrs, semconv.ErrorTypeKey.String(h.typ), keyClass.String(string(h.class)))
	if h.conn != 0 {
		attrs = append(attrs, keyAge.Float64(h.age.Seconds()), keyIdle.Float64(h.idle.Seconds()))
	}
	span.AddEvent(eventRetried, trace.WithAttributes(attrs...))
}
