package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/errclass"
	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/poolinfo"
)

// MinWait is how long a caller must have waited for its spans to have the wait as an
// attribute, and for the holder's span to count the caller: the lowest bucket of
// wait_time.
const MinWait = 100 * time.Microsecond

// Wait is how long a caller waited for its connection, and what for: a dial, the reset
// of a used connection, and attempts on connections that turned out bad. What remains
// was spent in the queue.
type Wait struct {
	Total, Dialed, Reset, Retried time.Duration
}

// Queued returns the time in the queue.
func (w Wait) Queued() time.Duration { return max(0, w.Total-w.Dialed-w.Reset-w.Retried) }

// attributes are those of an acquire span, with room for two more.
func (w Wait) attributes() []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 6),
		keyWaitQueued.Float64(w.Queued().Seconds()),
		keyWaitDialed.Float64(w.Dialed.Seconds()),
		keyWaitReset.Float64(w.Reset.Seconds()),
	)
	if w.Retried > 0 {
		attrs = append(attrs, keyWaitRetried.Float64(w.Retried.Seconds()))
	}
	return attrs
}

// IsLongWait reports whether a wait is long enough for a span.
func (t *Telemetry) IsLongWait(d time.Duration) bool {
	return t.cfg.AcquireSpanThreshold >= 0 && d >= t.cfg.AcquireSpanThreshold
}

// HasAcquireSpans reports whether acquires get spans at all.
func (t *Telemetry) HasAcquireSpans() bool { return t.cfg.AcquireSpanThreshold >= 0 }

// WantsSpan reports whether something may become a span when it has ended, as a child of
// its caller's. It does not if that was dropped by the sampler: many may wait at a time
// when nothing should cost more than it has to.
func WantsSpan(ctx context.Context) bool {
	caller := trace.SpanFromContext(ctx)
	sc := caller.SpanContext()
	return caller.IsRecording() || !sc.IsValid() || sc.IsRemote()
}

// AcquireSpan is the span of one acquire.
type AcquireSpan struct {
	Ctx    context.Context //nolint:containedctx // where the exemplar of the wait leads
	parent context.Context //nolint:containedctx // the caller's
	span   trace.Span
}

// Started reports whether there is a span.
func (s *AcquireSpan) Started() bool { return s.span != nil }

// Drop ends the span without a result.
func (s *AcquireSpan) Drop() {
	if s.span != nil {
		s.span.End()
	}
}

// StartAcquire starts the span of an acquire that began at the given ledger time.
func (t *Telemetry) StartAcquire(ctx context.Context, began time.Duration) AcquireSpan {
	s := AcquireSpan{parent: ctx}
	s.Ctx, s.span = t.tracer.Start(ctx, spanAcquire, t.internal, trace.WithTimestamp(t.timeIn(ctx, began)))
	return s
}

// EndAcquire ends the span of an acquire that got a connection at the given ledger time;
// c is nil if the connection was not seen.
func (t *Telemetry) EndAcquire(s *AcquireSpan, c *ledger.Conn, source poolinfo.Source, w Wait, at time.Duration) {
	if s.span.IsRecording() {
		attrs := append(w.attributes(), keySource.String(source.String()))
		if c != nil {
			attrs = append(attrs, connID(c.ID()))
		}
		s.span.SetAttributes(attrs...)
	}
	s.span.End(trace.WithTimestamp(t.timeIn(s.parent, at)))
}

// FailAcquire ends the span of an acquire that got none.
func (t *Telemetry) FailAcquire(s *AcquireSpan, w Wait, err error, f errclass.Fault, at time.Duration) {
	if s.span.IsRecording() {
		s.span.SetAttributes(w.attributes()...)
	}
	endFailed(s.parent, s.span, err, f, trace.WithTimestamp(t.timeIn(s.parent, at)))
}

// maxLinks bounds the links of an acquire span.
const maxLinks = 8

// LinkHolders links the span of an acquire to the sampled spans of those who kept
// connections from it, the longest hold first. got is the connection that it got, nil if
// none.
func (t *Telemetry) LinkHolders(s *AcquireSpan, got *ledger.Conn, began time.Duration) {
	if !s.span.IsRecording() {
		return
	}
	var holds [2 * maxLinks]ledger.Holding // some spans hold several
	n := t.ledger.Blockers(got, began, byte(trace.FlagsSampled), holds[:])
	var attrs [maxLinks][2]attribute.KeyValue
	linked := 0
	for i := range holds[:n] {
		sc := SpanContext(&holds[i].Holder)
		if linked < maxLinks && sc.IsValid() && !sharesSpan(holds[:i], &holds[i]) {
			attrs[linked] = [2]attribute.KeyValue{connID(holds[i].ID), keyHeld.Float64(holds[i].For.Seconds())}
			s.span.AddLink(trace.Link{SpanContext: sc, Attributes: attrs[linked][:]})
			linked++
		}
	}
}

// sharesSpan reports whether one of the earlier holds has the span of h.
func sharesSpan(earlier []ledger.Holding, h *ledger.Holding) bool {
	for i := range earlier {
		if earlier[i].Holder.Span == h.Holder.Span && earlier[i].Holder.Trace == h.Holder.Trace {
			return true
		}
	}
	return false
}

// SetSpan puts a span into a holder.
func SetSpan(h *ledger.Holder, span trace.Span) {
	sc := span.SpanContext()
	h.Trace, h.Span, h.Flags = sc.TraceID(), sc.SpanID(), byte(sc.TraceFlags())
	if span.IsRecording() {
		h.Caller = span
	}
}

// SpanContext returns the span of a holder.
func SpanContext(h *ledger.Holder) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: h.Trace, SpanID: h.Span, TraceFlags: trace.TraceFlags(h.Flags)})
}

// WantsWaits reports whether the waits of callers without a recording span are recorded.
func (t *Telemetry) WantsWaits() bool { return t.waitTime.Enabled(context.Background()) }

// Waited records the wait of an acquire that got a connection.
func (t *Telemetry) Waited(ctx context.Context, d time.Duration) {
	if t.waitTime.Enabled(ctx) {
		t.waitTime.Record(ctx, d.Seconds(), t.record...)
	}
}

// AcquireFailed records an acquire that got no connection.
func (t *Telemetry) AcquireFailed(ctx context.Context, cause poolinfo.Cause, waited time.Duration, f errclass.Fault) {
	switch cause {
	case poolinfo.CauseDeadline:
		t.timeouts.Add(ctx, 1, t.add...)
	case poolinfo.CauseCanceled:
		t.cancels.Add(ctx, 1, t.add...)
	case poolinfo.CausePoolClosed, poolinfo.CauseDial, poolinfo.CauseBackgroundDial, poolinfo.CauseBadConn: // in wait_time, by error.type
	}
	if t.waitTime.Enabled(ctx) {
		t.waitTime.Record(ctx, waited.Seconds(), t.failed(opAcquire, nil, f)...)
	}
}
