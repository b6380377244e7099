package benchmarks

import (
	"context"

	"github.com/otelpool/otelpool"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A Mode is the setup of the program: which SDK it has, and whether the caller of an
// operation has a span.
type Mode struct {
	Name string

	// Note describes the setup in one line, for a report.
	Note string

	// Spare is the number of allocations that otelpool may add to the floor's.
	Spare float64

	providers func() providers
}

// The modes, in the order in which they are reported.
var (
	NoSDK = Mode{
		Name:      "no_sdk",
		Note:      "No SDK: the global providers, which do nothing. The caller has no span.",
		Spare:     1,
		providers: func() providers { return providers{} },
	}
	Unsampled = Mode{
		Name:      "unsampled",
		Note:      "SDK, nothing sampled: NeverSample, metrics with a ManualReader. The caller has a span that does not record.",
		Spare:     1,
		providers: func() providers { return newProviders(sdktrace.NeverSample()).withCaller() },
	}
	Sampled = Mode{
		Name:      "sampled",
		Note:      "SDK, everything sampled: AlwaysSample, spans dropped when they end, metrics with a ManualReader. The caller has a span that records.",
		Spare:     3,
		providers: func() providers { return newProviders(sdktrace.AlwaysSample()).withCaller() },
	}
	// Reduced keeps the signals that uptrace's wrapper emits too: one span with the
	// text and the rows affected, and one histogram, for each operation. The caller has
	// no span, so there are no events. otelpool still has more attributes: uptrace's
	// wrapper by default emits no pool name and no system, and never a summary or, on
	// its histogram, the operation.
	Reduced = Mode{
		Name:  "reduced",
		Note:  "As sampled, but the caller has no span, and a view drops all metrics of otelpool except db.client.operation.duration. Each operation has one span, with the text and the rows affected, and one histogram record, as with uptrace's wrapper. otelpool also emits the pool's name, the system and the summary, and on the histogram the operation. \"uptrace, named\" emits the first two as well.",
		Spare: 3,
		providers: func() providers {
			return newProviders(sdktrace.AlwaysSample(), sdkmetric.WithView(dropAllButDuration))
		},
	}
	Modes = []Mode{NoSDK, Unsampled, Sampled, Reduced}
)

// providers are a mode's providers for a peer. A nil provider means the global one.
type providers struct {
	tracer trace.TracerProvider
	meter  metric.MeterProvider
	caller trace.Tracer // starts the callers' spans; nil if callers have none
}

func newProviders(s sdktrace.Sampler, more ...sdkmetric.Option) providers {
	return providers{
		tracer: sdktrace.NewTracerProvider(sdktrace.WithSampler(s), sdktrace.WithSpanProcessor(dropped{})),
		meter:  sdkmetric.NewMeterProvider(append(more, sdkmetric.WithReader(sdkmetric.NewManualReader()))...),
	}
}

func (p providers) withCaller() providers {
	p.caller = p.tracer.Tracer("caller")
	return p
}

// dropAllButDuration is a view of otelpool's scope, which is also the floor's. It does
// not change metrics of other scopes, such as uptrace's histogram.
func dropAllButDuration(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	drop := i.Scope.Name == otelpool.ScopeName && i.Name != operationDuration
	return sdkmetric.Stream{Name: i.Name, Aggregation: sdkmetric.AggregationDrop{}}, drop
}

// dropped is a span processor that drops every span when it ends: the cost of an
// exporter is not part of a call.
type dropped struct{}

func (dropped) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (dropped) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (dropped) Shutdown(context.Context) error                  { return nil }
func (dropped) ForceFlush(context.Context) error                { return nil }

// callsPerCaller is the number of operations under one caller's span. A span keeps
// 128 events. Beyond that each new event moves all others, and that cost would be
// measured instead of the event's.
const callsPerCaller = 32

// A caller runs operations, as a request handler does. It belongs to one goroutine.
type caller struct {
	tracer trace.Tracer
	ctx    context.Context //nolint:containedctx // the context of the current span
	span   trace.Span
	left   int // operations until the next span
}

func newCaller(p providers) *caller {
	return &caller{tracer: p.caller, ctx: context.Background()}
}

// context returns the context of the next operation.
func (c *caller) context() context.Context {
	if c.tracer == nil {
		return c.ctx
	}
	if c.left == 0 {
		c.end()
		c.ctx, c.span = c.tracer.Start(context.Background(), "caller")
		c.left = callsPerCaller
	}
	c.left--
	return c.ctx
}

func (c *caller) end() {
	if c.span != nil {
		c.span.End()
	}
}
