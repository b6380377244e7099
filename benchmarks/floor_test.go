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

// signals are the signals of one call. Those of the floor and of otelpool must be equal.
type signals struct {
	spans      []string       // with kind, attributes and events, in the order of their ends
	histograms map[string]int // records, by instrument and attributes
}

func (s signals) String() string {
	return fmt.Sprintf("spans %q, histograms %v", s.spans, s.histograms)
}

// signalsOf runs an operation under a caller's span and returns its signals.
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
	before := records(t, reader, nameAndAttributes)
	spans.Reset()

	ctx, caller := p.tracer.Tracer("caller").Start(context.Background(), "caller")
	if _, err := s.call(ctx); err != nil {
		t.Fatal(err)
	}
	caller.End()

	got := signals{histograms: records(t, reader, nameAndAttributes)}
	for name, n := range before {
		got.histograms[name] -= n
		if got.histograms[name] == 0 {
			delete(got.histograms, name)
		}
	}
	for _, span := range spans.Ended() {
		line := fmt.Sprintf("%s %s%s", span.SpanKind(), span.Name(), attributes(span.Attributes()))
		for _, e := range span.Events() {
			line += ", event " + e.Name + attributes(e.Attributes)
		}
		got.spans = append(got.spans, line)
	}
	return got
}

// attributes formats the attributes of a span, an event or a data point, without the
// connection's id, which is random.
func attributes(attrs []attribute.KeyValue) string {
	var s []string
	for _, a := range attrs {
		if a.Key == "otelpool.connection.id" {
			a = a.Key.String("some")
		}
		s = append(s, fmt.Sprintf("%s=%s", a.Key, a.Value.String()))
	}
	slices.Sort(s)
	return fmt.Sprint(s)
}

func onlyName(name string, _ attribute.Set) string { return name }

func nameAndAttributes(name string, attrs attribute.Set) string {
	return name + attributes(attrs.ToSlice())
}

// records counts the records of a reader's histograms by series. name returns the name
// of a series.
func records(t *testing.T, r sdkmetric.Reader, name func(string, attribute.Set) string) map[string]int {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch h := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range h.DataPoints {
					n[name(m.Name, p.Attributes)] += int(p.Count)
				}
			case metricdata.Histogram[int64]:
				for _, p := range h.DataPoints {
					n[name(m.Name, p.Attributes)] += int(p.Count)
				}
			}
		}
	}
	return n
}

func TestFloor_EmitsTheSignalsOfOtelpool(t *testing.T) {
	for _, name := range []string{Otelpool, OtelpoolDB} {
		for _, op := range Ops {
			t.Run(name+"/"+op.Name, func(t *testing.T) { testFloorSignals(t, op, name) })
		}
	}
	for _, op := range Statements {
		t.Run(op.Name, func(t *testing.T) { testFloorSignals(t, op, Otelpool) })
	}
}

func testFloorSignals(t *testing.T, op Op, name string) {
	// In virtual time nothing takes long enough for an extra span.
	synctest.Test(t, func(t *testing.T) {
		floor := Bench{op, Sampled, peer(t, Floor)}.signalsOf(t)
		otelpool := Bench{op, Sampled, peer(t, name)}.signalsOf(t)
		if got, want := otelpool.String(), floor.String(); got != want {
			t.Errorf("signals of %s and of the floor differ\n%s\nfloor: %s", name, got, want)
		}
	})
}

func TestReduced_LeavesOneSpanAndOneHistogram(t *testing.T) {
	for _, name := range []string{Otelpool, OtelpoolDB} {
		for _, op := range Ops {
			if op.Name == "tx" {
				continue // three operations
			}
			t.Run(name+"/"+op.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testOneSpanAndOneHistogram(t, Bench{op, Reduced, peer(t, name)}) })
			})
		}
	}
}

func testOneSpanAndOneHistogram(t *testing.T, b Bench) {
	span, before, after := b.reduced(t)
	if span == nil {
		t.Error("not exactly one span")
	}
	if after[operationDuration]-before[operationDuration] != 1 || len(after) != 1 {
		t.Errorf("histograms %v after %v, want one more record and no other histogram", after, before)
	}
}

// reduced runs an operation in the reduced mode. It returns the span, nil unless there
// is exactly one, and the records of the histograms before and after.
func (b Bench) reduced(t *testing.T) (span sdktrace.ReadOnlySpan, before, after map[string]int) {
	t.Helper()
	spans := tracetest.NewSpanRecorder()
	reader := sdkmetric.NewManualReader()
	p := providers{
		tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		meter:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithView(dropAllButDuration)),
	}
	s := b.start(t, p)
	spans.Reset()
	before = records(t, reader, onlyName)
	if _, err := s.call(context.Background()); err != nil {
		t.Fatal(err)
	}
	if all := spans.Ended(); len(all) == 1 {
		span = all[0]
	}
	return span, before, records(t, reader, onlyName)
}

// TestReduced_OtelpoolEmitsWhatUptraceEmits checks that the comparison is fair: otelpool
// emits everything that uptrace's wrapper emits, with names of newer conventions.
func TestReduced_OtelpoolEmitsWhatUptraceEmits(t *testing.T) {
	ours := map[string]string{
		"db.statement":                   "db.query.text",
		"db.rows_affected":               "otelpool.rows_affected",
		"db.client.connection.pool.name": "db.client.connection.pool.name",
		"db.system.name":                 "db.system.name",
	}
	for _, op := range Ops {
		if op.Name == "tx" || op.Name == "ping" {
			continue // not compared
		}
		t.Run(op.Name, func(t *testing.T) {
			has := map[string]string{}
			span, _, _ := Bench{op, Reduced, peer(t, Otelpool)}.reduced(t)
			for _, a := range span.Attributes() {
				has[string(a.Key)] = a.Value.String()
			}
			span, before, after := Bench{op, Reduced, peer(t, UptraceNamed)}.reduced(t)
			for _, a := range span.Attributes() {
				if got, want := has[ours[string(a.Key)]], a.Value.String(); got != want {
					t.Errorf("uptrace emits %s %q, otelpool %q", a.Key, want, got)
				}
			}
			if after["go.sql.query_timing"]-before["go.sql.query_timing"] != 1 || len(after) != 1 {
				t.Errorf("uptrace's histograms: %v after %v", after, before)
			}
		})
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
