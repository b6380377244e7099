package telemetry

import (
	"cmp"
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/errclass"
	"github.com/otelpool/otelpool/poolinfo"
)

// Call is one call of the driver, from [Telemetry.Begin] to [Telemetry.End]. The caller
// sets Parent, Op and Statement before Begin.
type Call struct {
	Parent    context.Context //nolint:containedctx // of the program; a call ends with its contexts
	Ctx       context.Context //nolint:containedctx // carries the span of the call
	Op        Op
	Statement *Statement
	Start     time.Duration // on the ledger's clock

	span trace.Span

	// With Hooks.Keep the span is made when the call ends, if at all. Until then what
	// belongs on it is kept here.
	spanAtEnd      bool
	pendingAttrs   []attribute.KeyValue
	pendingRetries []Retry

	endedAt time.Time // when the call ended, if that is not when End is called
}

// Hooks are functions of the program for the spans of its statements. Each may be nil.
type Hooks struct {
	SpanName   func(ctx context.Context, s poolinfo.StatementInfo) string
	Attributes func(ctx context.Context, s poolinfo.StatementInfo) []attribute.KeyValue
	Keep       func(ctx context.Context, s poolinfo.StatementInfo, r poolinfo.StatementResult) bool
}

// NoSpan prepares a call that gets no span.
func (c *Call) NoSpan() { c.Ctx, c.span = c.Parent, trace.SpanFromContext(context.Background()) }

// Begun reports whether the call has begun. The zero Call has not.
func (c *Call) Begun() bool { return c.span != nil }

// SetAttributes puts attributes on the span of the call, or keeps them until there is
// one.
func (c *Call) SetAttributes(attrs ...attribute.KeyValue) {
	if c.spanAtEnd {
		c.pendingAttrs = append(c.pendingAttrs, attrs...)
		return
	}
	c.span.SetAttributes(attrs...)
}

// WantsAttributes reports whether there is, or may be, a span to put attributes on.
func (c *Call) WantsAttributes() bool { return c.spanAtEnd || c.span.IsRecording() }

// SetEnd sets when the call ended, for one whose End comes later.
func (c *Call) SetEnd(at time.Time) { c.endedAt = at }

// SetWaitTime records on the span how long the caller waited for the connection.
func (c *Call) SetWaitTime(d time.Duration) {
	if d >= MinWait && c.WantsAttributes() {
		c.SetAttributes(keyWaitTime.Float64(d.Seconds()))
	}
}

// Begin starts the span of a call, unless Hooks.Keep decides on it at the end.
func (t *Telemetry) Begin(call *Call) {
	if t.cfg.Hooks.Keep != nil && call.Op.hasText() {
		call.NoSpan()
		call.spanAtEnd = WantsSpan(call.Parent)
		return
	}
	t.startSpan(call, call.Statement.start)
}

func (t *Telemetry) startSpan(call *Call, opts []trace.SpanStartOption) {
	call.Ctx, call.span = t.tracer.Start(call.Parent, t.spanName(call), opts...)
	if t.cfg.Hooks.Attributes != nil && call.Op.hasText() && call.span.IsRecording() {
		call.span.SetAttributes(t.hookAttributes(call)...)
	}
}

// AddRetries puts the attempts before a call on its span, or keeps them until there is
// one.
func (t *Telemetry) AddRetries(call *Call, retries []Retry) {
	if call.spanAtEnd {
		call.pendingRetries = retries
		return
	}
	t.addRetries(call.span, retries)
}

func (t *Telemetry) addRetries(span trace.Span, retries []Retry) {
	for i := range retries {
		if span.IsRecording() {
			t.addRetry(span, &retries[i])
		}
	}
}

// End records the end of a call: its duration, in the context of its span, so that an
// exemplar leads there, and the end of the span. f is what is recorded of err.
func (t *Telemetry) End(call *Call, took time.Duration, err error, f errclass.Fault) {
	var end []trace.SpanEndOption
	if !call.endedAt.IsZero() {
		end = []trace.SpanEndOption{trace.WithTimestamp(call.endedAt)}
	}
	if call.spanAtEnd {
		now := nowIn(call.Parent) // before the hook, which takes its time
		if t.keeps(call, poolinfo.StatementResult{Duration: took, Err: err}) {
			t.startSpan(call, append(call.Statement.start[:len(call.Statement.start):len(call.Statement.start)], trace.WithTimestamp(now.Add(-took))))
			call.span.SetAttributes(call.pendingAttrs...)
			t.addRetries(call.span, call.pendingRetries)
			end = []trace.SpanEndOption{trace.WithTimestamp(now)}
		}
	}
	h, series := t.duration, call.Statement.series
	if !call.Op.isOperation() {
		h, series = t.createTime, nil
	}
	if err == nil {
		if h.Enabled(call.Ctx) {
			h.Record(call.Ctx, took.Seconds(), t.succeeded(call.Op, series)...)
		}
		call.span.End(end...)
		return
	}
	if h.Enabled(call.Ctx) {
		h.Record(call.Ctx, took.Seconds(), t.failed(call.Op, series, f)...)
	}
	endFailed(call.Parent, call.span, err, f, end...)
}

func (t *Telemetry) succeeded(o Op, s *series) []metric.RecordOption {
	if s == nil {
		return t.record
	}
	return s.succeeded[o]
}

// spanName returns the name of a call's span: the hook's name for it, else the summary
// of what it runs, else what the call is. A statement that is only prepared does not
// run.
func (t *Telemetry) spanName(call *Call) string {
	name := call.Statement.parsed.Summary
	if name == "" || call.Op == OpPrepare {
		name = call.Op.String()
	}
	if t.cfg.Hooks.SpanName != nil && call.Op.hasText() {
		return cmp.Or(t.hookName(call), name)
	}
	return name
}

// info is the statement as the hooks get it.
func (c *Call) info() poolinfo.StatementInfo {
	st := c.Statement
	return poolinfo.StatementInfo{Operation: c.Op.String(), Query: st.text, Summary: st.parsed.Summary, Text: st.parsed.Text}
}

// hookName returns the hook's name for a span, "" if it gives none.
func (t *Telemetry) hookName(call *Call) string {
	defer RecoverHook("Hooks.SpanName")
	return t.cfg.Hooks.SpanName(call.Parent, call.info())
}

func (t *Telemetry) hookAttributes(call *Call) []attribute.KeyValue {
	defer RecoverHook("Hooks.Attributes")
	return t.cfg.Hooks.Attributes(call.Parent, call.info())
}

// keeps returns the hook's decision. One that panics keeps the span.
func (t *Telemetry) keeps(call *Call, r poolinfo.StatementResult) (yes bool) {
	yes = true
	defer RecoverHook("Hooks.Keep")
	yes = t.cfg.Hooks.Keep(call.Parent, call.info(), r)
	return yes
}
