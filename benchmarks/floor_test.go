package benchmarks

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// The signals of one call: what the floor and otelpool must have in common. The
// values of the attributes are not among it, only which there are.
type signals struct {
	spans      []string       // each with its kind, its attributes and its events, in the order of their ends
	histograms map[string]int // records, by instrument
}

func (s signals) String() string {
	return fmt.Sprintf("spans %q, histograms %v", s.spans, s.histograms)
}

// signalsOf runs an operation under a caller's span and returns what it gave.
func (b Bench) signalsOf(t *testing.T) signals {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	reader := sdkmetric.NewManualReader()
	p := providers{
		tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		meter:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	}
	s := b.start(t, p)
	if _, err := s.call(context.Background()); err != nil {
		t.Fatal(err)
	}
	before := records(t, reader)
	spans.Reset()

	ctx, caller := p.tracer.Tracer("caller").Start(context.Background(), "caller")
	if _, err := s.call(ctx); err != nil {
		t.Fatal(err)
	}
	caller.End()

	got := signals{histograms: records(t, reader)}
	for name, n := range before {
		got.histograms[name] -= n
		if got.histograms[name] == 0 {
			delete(got.histograms, name)
		}
	}
	for _, span := range spans.Ended() {
		line := fmt.Sprintf("%s %s%s", span.SpanKind(), span.Name(), keys(span.Attributes()))
		for _, e := range span.Events() {
			line += ", event " + e.Name + keys(e.Attributes)
		}
		got.spans = append(got.spans, line)
	}
	return got
}

// keys lists what a span or an event says, without the values.
func keys(attrs []attribute.KeyValue) string {
	var s []string
	for _, a := range attrs {
		s = append(s, string(a.Key))
	}
	slices.Sort(s)
	return fmt.Sprint(s)
}

// records counts what the histograms behind a reader have recorded.
func records(t *testing.T, r sdkmetric.Reader) map[string]int {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok {
				for _, p := range h.DataPoints {
					n[m.Name] += int(p.Count)
				}
			}
		}
	}
	return n
}

func TestTheFloorGivesOtelpoolsSignals(t *testing.T) {
	for _, name := range []string{Otelpool, OtelpoolDB} {
		for _, op := range Ops {
			t.Run(name+"/"+op.Name, func(t *testing.T) {
				// In virtual time nothing takes long enough to be told of.
				synctest.Test(t, func(t *testing.T) {
					floor := Bench{op, Sampled, peer(t, Floor)}.signalsOf(t)
					otelpool := Bench{op, Sampled, peer(t, name)}.signalsOf(t)
					if got, want := otelpool.String(), floor.String(); got != want {
						t.Errorf("%s gives other signals than the floor\n%s\nfloor: %s", name, got, want)
					}
				})
			})
		}
	}
}

func TestTheReducedModeLeavesOneSpanAndOneHistogram(t *testing.T) {
	for _, name := range []string{Otelpool, OtelpoolDB} {
		for _, op := range Ops {
			if op.Name == "tx" {
				continue // is three operations
			}
			t.Run(name+"/"+op.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { oneSpanAndOneHistogram(t, Bench{op, Reduced, peer(t, name)}) })
			})
		}
	}
}

func oneSpanAndOneHistogram(t *testing.T, b Bench) {
	spans := tracetest.NewSpanRecorder()
	reader := sdkmetric.NewManualReader()
	p := providers{
		tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		meter:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithView(dropAllButDuration)),
	}
	s := b.start(t, p)
	spans.Reset()
	before := records(t, reader)[operationDuration]
	if _, err := s.call(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(spans.Ended()); n != 1 {
		t.Errorf("%d spans, want 1", n)
	}
	after := records(t, reader)
	if after[operationDuration]-before != 1 || len(after) != 1 {
		t.Errorf("histograms %v after %d, want one record more and no other", after, before)
	}
}

func peer(t *testing.T, name string) Peer {
	t.Helper()
	i := slices.IndexFunc(Peers, func(p Peer) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("no peer %q", name)
	}
	return Peers[i]
}
