package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/errclass"
	"github.com/otelpool/otelpool/poolinfo"
)

// minReset is how long a reset must have taken to be an attribute. A driver that only
// looks at its socket takes microseconds, one that asks the server does not.
const minReset = time.Millisecond

// Events are the events of one connection on the spans of its holders. The attributes
// are made once and overwritten, so that adding an event allocates nothing. That is safe
// because a span copies the attributes before AddEvent returns.
type Events struct {
	acquired     [5]attribute.KeyValue // pool, id, source, and what took long: wait, reset
	released     [4]attribute.KeyValue // id, held, and who waited: waiters, waited; the acquire has the rest
	rows         [4]attribute.KeyValue // returned rows, open time, and error.type and class
	affected     [1]attribute.KeyValue // not of an event, but kept for the same reason
	acquiredOpts [6][]trace.EventOption
	releasedOpts [5][]trace.EventOption
	rowsOpts     [5][]trace.EventOption
}

// NewEvents makes the events of a connection.
func (t *Telemetry) NewEvents(id uint64) *Events {
	e := &Events{}
	e.acquired[0] = t.poolName
	e.acquired[1] = connID(id)
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
	return e
}

// Acquired adds the event of an acquire.
func (e *Events) Acquired(span trace.Span, s poolinfo.Source, waited, reset time.Duration) {
	e.acquired[2] = keySource.String(s.String())
	n := 3
	if waited >= MinWait {
		e.acquired[n] = keyWaitTime.Float64(waited.Seconds())
		n++
	}
	if reset >= minReset {
		e.acquired[n] = keyReset.Float64(reset.Seconds())
		n++
	}
	span.AddEvent(eventAcquired, e.acquiredOpts[n]...)
}

// Released adds the event of a release. waiters have waited during the hold, waited
// altogether.
func (e *Events) Released(span trace.Span, held time.Duration, waiters int64, waited time.Duration) {
	e.released[1] = keyHeld.Float64(held.Seconds())
	n := 2
	if waiters > 0 {
		e.released[2] = keyWaiters.Int64(waiters)
		e.released[3] = keyWaited.Float64(waited.Seconds())
		n = 4
	}
	span.AddEvent(eventReleased, e.releasedOpts[n]...)
}

// RowsClosed adds the event of a result set that was closed.
func (e *Events) RowsClosed(span trace.Span, read int64, open time.Duration, f *errclass.Fault) {
	e.rows[0] = semconv.DBResponseReturnedRowsKey.Int64(read)
	e.rows[1] = keyOpenTime.Float64(open.Seconds())
	n := 2
	if f != nil {
		e.rows[2], e.rows[3] = semconv.ErrorTypeKey.String(f.Type), keyClass.String(string(f.Class))
		n = 4
	}
	span.AddEvent(eventRows, e.rowsOpts[n]...)
}

// SetAffected puts the number of affected rows on the span of a call.
func (e *Events) SetAffected(call *Call, n int64) {
	e.affected[0] = keyAffected.Int64(n)
	call.SetAttributes(e.affected[:]...)
}

// ReturnedRows records the number of rows that were read of a result set, in the context
// of its statement. f is why reading failed, nil if it did not.
func (t *Telemetry) ReturnedRows(ctx context.Context, st *Statement, read int64, f *errclass.Fault) {
	if !t.returnedRows.Enabled(ctx) {
		return
	}
	opts := st.series.succeeded[opRows]
	if f != nil {
		opts = t.failed(opRows, st.series, *f)
	}
	t.returnedRows.Record(ctx, read, opts...)
}

// ConnClosed adds the event of a connection that was closed.
func ConnClosed(span trace.Span, c *poolinfo.ClosedConn) {
	attrs := append(make([]attribute.KeyValue, 0, 6), connID(c.ConnID), keyReason.String(c.Reason.String()))
	if c.Class != "" {
		attrs = append(attrs, keyClass.String(string(c.Class)))
	}
	attrs = append(attrs, keyAge.Float64(c.Age.Seconds()), keyIdle.Float64(c.Idle.Seconds()), keyUses.Int64(c.Uses))
	span.AddEvent(eventClosed, trace.WithAttributes(attrs...))
}
