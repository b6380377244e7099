package benchmarks

import (
	"context"

	"github.com/otelpool/otelpool"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A Mode is what the program around the pool has installed: which SDK, and
// whether the caller of an operation has a span.
type Mode struct {
	Name string

	// Note says in one line what is installed, for a report.
	Note string

	// Spare is how many allocations otelpool may add to the floor's.
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
	// Reduced leaves of otelpool's signals what uptrace's wrapper gives too: one
	// span with the text and the rows affected, and one histogram, for each
	// operation. The caller has no span, so there is none to put events on. What
	// otelpool has beyond that is attributes: with its default options uptrace's
	// wrapper names no pool and no system, and it never has a summary or, on its
	// histogram, the operation.
	Reduced = Mode{
		Name:  "reduced",
		Note:  "As sampled, but the caller has no span, and a view drops all of otelpool's metrics but db.client.operation.duration: one span, with the text and the rows affected, and one histogram for each operation, as uptrace's wrapper gives. otelpool's also have the pool's name, the system and the summary, and the histogram the operation; with uptrace, named, so do uptrace's the first two.",
		Spare: 3,
		providers: func() providers {
			return newProviders(sdktrace.AlwaysSample(), sdkmetric.WithView(dropAllButDuration))
		},
	}
	Modes = []Mode{NoSDK, Unsampled, Sampled, Reduced}
)

// providers are what a mode hands to a peer. A nil provider is the global one.
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

// dropAllButDuration is a view over otelpool's scope, which is the floor's too.
// It leaves the metrics of other scopes alone, and with them uptrace's one
// histogram.
func dropAllButDuration(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	drop := i.Scope.Name == otelpool.ScopeName && i.Name != operationDuration
	return sdkmetric.Stream{Name: i.Name, Aggregation: sdkmetric.AggregationDrop{}}, drop
}

// dropped is a span processor that lets every span go when it ends: what an
// exporter costs is not part of a call.
type dropped struct{}

func (dropped) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (dropped) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (dropped) Shutdown(context.Context) error                  { return nil }
func (dropped) ForceFlush(context.Context) error                { return nil }

// callsPerCaller is how many operations a caller does under one span. A span
// keeps 128 events; beyond that each new one moves all others, which would be
// measured in the place of the event.
const callsPerCaller = 32

// A caller is what runs operations: a request handler, say. It belongs to one
// goroutine.
type caller struct {
	tracer trace.Tracer
	ctx    context.Context //nolint:containedctx // it is what a caller has
	span   trace.Span
	left   int // operations until the next span
}

func newCaller(p providers) *caller {
	return &caller{tracer: p.caller, ctx: context.Background()}
}

// context gives the context of the next operation.
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
