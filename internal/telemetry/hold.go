package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/poolinfo"
)

// Held records the end of a hold. A long one becomes a span as well, made now with its
// true start, and that is where the exemplar leads.
func (t *Telemetry) Held(ctx context.Context, id uint64, h *ledger.Hold) {
	if t.cfg.HoldSpanThreshold >= 0 && h.Length >= t.cfg.HoldSpanThreshold {
		end := nowIn(ctx)
		var span trace.Span
		ctx, span = t.tracer.Start(ctx, spanHold, t.internal, trace.WithTimestamp(end.Add(-h.Length)))
		if span.IsRecording() {
			span.SetAttributes(connID(id))
			for p := poolinfo.PhaseExecuting; p < ledger.NumPhases; p++ {
				span.SetAttributes(heldKeys[p].Float64(h.Phases[p].Seconds()))
			}
		}
		defer span.End(trace.WithTimestamp(end))
	}
	if t.useTime.Enabled(ctx) {
		t.useTime.Record(ctx, h.Length.Seconds(), t.record...)
	}
}

// leakState is a value of otelpool.leak.
type leakState string

const (
	leakSuspected leakState = "suspected"
	leakResolved  leakState = "resolved"
)

var leakStates = []leakState{leakSuspected, leakResolved}

// LeakSuspected counts a suspected leak, and adds an event to the holder's span if that
// still records.
func (t *Telemetry) LeakSuspected(ctx context.Context, h *ledger.Holding) {
	t.leak(ctx, leakSuspected, append(holdAttributes(h), t.poolName))
}

// LeakResolved does the same for a suspect that was released.
func (t *Telemetry) LeakResolved(ctx context.Context, h *ledger.Holding) {
	t.leak(ctx, leakResolved, []attribute.KeyValue{connID(h.ID), keyHeld.Float64(h.For.Seconds()), t.poolName})
}

func (t *Telemetry) leak(ctx context.Context, s leakState, attrs []attribute.KeyValue) {
	t.leaks.Add(ctx, 1, t.byLeak[s]...)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent(eventLeak, trace.WithAttributes(append(attrs, keyLeak.String(string(s)))...))
	}
}

// Exhausted counts a report of exhaustion, and adds an event to the spans of the holders
// that still record.
func (t *Telemetry) Exhausted(r *poolinfo.Report, holds []ledger.Holding) {
	t.exhaustions.Add(context.Background(), 1, t.byVerdict[r.Verdict]...)
	attrs := trace.WithAttributes(
		t.poolName,
		keyVerdict.String(string(r.Verdict)),
		keyWaiters.Int(r.Waiting),
		keyOldestWait.Float64(r.OldestWait.Seconds()),
	)
	for i := range holds {
		if span := callerOf(&holds[i]); span != nil {
			span.AddEvent(eventExhausted, attrs, trace.WithAttributes(holdAttributes(&holds[i])...))
		}
	}
}

// holdAttributes are the attributes of an event about a hold in progress.
func holdAttributes(h *ledger.Holding) []attribute.KeyValue {
	return []attribute.KeyValue{
		connID(h.ID),
		keyHeld.Float64(h.For.Seconds()),
		keyIdle.Float64(h.Idle.Seconds()),
		keyPhase.String(h.Phase.String()),
	}
}

// callerOf returns the span of a holder if that records, else nil.
func callerOf(h *ledger.Holding) trace.Span {
	if span, ok := h.Holder.Caller.(trace.Span); ok && span.IsRecording() {
		return span
	}
	return nil
}

// HolderContext returns a context with the span of a holder: that of the program itself
// while it records, else its span context.
func HolderContext(h *ledger.Holding) context.Context {
	if span := callerOf(h); span != nil {
		return trace.ContextWithSpan(context.Background(), span)
	}
	return trace.ContextWithSpanContext(context.Background(), SpanContext(&h.Holder))
}

// ReportContext returns a context with the span of a holder, for a report about it.
func ReportContext(h *poolinfo.Holder) context.Context {
	return trace.ContextWithSpanContext(context.Background(), h.Span)
}

// Caller is a call that has the span of its caller.
type Caller interface{ SpanContext() trace.SpanContext }

// HolderOf describes a hold.
func HolderOf(h *ledger.Holding) poolinfo.Holder {
	return poolinfo.Holder{
		ConnID: h.ID, Held: h.For, Phase: h.Phase, InPhase: h.InPhase, Idle: h.Idle, Statement: h.Statement,
		Span: SpanContext(&h.Holder), CallSite: h.CallSite,
	}
}
