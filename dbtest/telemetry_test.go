package dbtest_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// telemetry is an SDK that keeps everything that a pool emits. Every span is sampled.
type telemetry struct {
	spans  *tracetest.SpanRecorder
	traces *sdktrace.TracerProvider
	reader *sdkmetric.ManualReader
	meters *sdkmetric.MeterProvider
}

func newTelemetry() *telemetry {
	spans := tracetest.NewSpanRecorder()
	reader := sdkmetric.NewManualReader()
	return &telemetry{
		spans:  spans,
		traces: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		reader: reader,
		meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	}
}

// options name the spans of statements after the operation, which is what the tests
// compare.
func (tel *telemetry) options() []otelpool.Option {
	return []otelpool.Option{
		otelpool.WithTracerProvider(tel.traces), otelpool.WithMeterProvider(tel.meters),
		otelpool.WithHooks(otelpool.Hooks{SpanName: func(_ context.Context, s poolinfo.StatementInfo) string { return s.Operation }}),
	}
}

// caller starts the span of a program, which gets the events.
func (tel *telemetry) caller(ctx context.Context) (context.Context, trace.Span) {
	return tel.traces.Tracer("program").Start(ctx, "caller")
}

// point is one number of a metric: a sum, a gauge, or the count of a histogram.
type point struct {
	attrs attribute.Set
	n     float64
}

// metrics collects the pool's metrics by name.
func (tel *telemetry) metrics(tb testing.TB) map[string][]point {
	tb.Helper()
	points := map[string][]point{}
	for _, m := range tel.collect(tb) {
		points[m.Name] = append(points[m.Name], pointsOf(tb, m)...)
	}
	return points
}

func (tel *telemetry) collect(tb testing.TB) []metricdata.Metrics {
	tb.Helper()
	var rm metricdata.ResourceMetrics
	if err := tel.reader.Collect(context.Background(), &rm); err != nil {
		tb.Fatal(err)
	}
	var all []metricdata.Metrics
	for _, scope := range rm.ScopeMetrics {
		if scope.Scope.Name != otelpool.ScopeName {
			tb.Errorf("metrics of scope %q", scope.Scope.Name)
		}
		all = append(all, scope.Metrics...)
	}
	return all
}

func pointsOf(tb testing.TB, m metricdata.Metrics) []point {
	tb.Helper()
	var points []point
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			points = append(points, point{p.Attributes, float64(p.Value)})
		}
	case metricdata.Sum[float64]:
		for _, p := range data.DataPoints {
			points = append(points, point{p.Attributes, p.Value})
		}
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			points = append(points, point{p.Attributes, float64(p.Value)})
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			points = append(points, point{p.Attributes, p.Value})
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			points = append(points, point{p.Attributes, float64(p.Count)})
		}
	case metricdata.Histogram[int64]:
		for _, p := range data.DataPoints {
			points = append(points, point{p.Attributes, float64(p.Count)})
		}
	default:
		tb.Fatalf("metric %s is a %T", m.Name, m.Data)
	}
	return points
}

// by sums the points of a metric by the value of one attribute. Points without the
// attribute have the empty string as key.
func by(points []point, key attribute.Key) map[string]float64 {
	sums := map[string]float64{}
	for _, p := range points {
		v, _ := p.attrs.Value(key)
		sums[v.String()] += p.n
	}
	for k, n := range sums {
		if n == 0 {
			delete(sums, k)
		}
	}
	return sums
}

// ended returns the ended spans of operations, in the order of their ends. It leaves out
// spans of acquires and holds: they exist only for long ones, which depends on the
// machine.
func (tel *telemetry) ended() []sdktrace.ReadOnlySpan { return tel.endedOf(trace.SpanKindClient) }

func (tel *telemetry) endedOf(kind trace.SpanKind) []sdktrace.ReadOnlySpan {
	return slices.DeleteFunc(tel.spans.Ended(), func(s sdktrace.ReadOnlySpan) bool {
		return s.InstrumentationScope().Name != otelpool.ScopeName || s.SpanKind() != kind
	})
}

// operations returns the ended spans as "operation", or as "operation!type" with the
// error.type, in the order of their ends.
func (tel *telemetry) operations() []string {
	var ops []string
	for _, s := range tel.ended() {
		op, typ := s.Name(), spanAttr(s, "error.type")
		if typ != "" {
			op += "!" + typ
		}
		ops = append(ops, op)
	}
	return ops
}

func spanAttr(s sdktrace.ReadOnlySpan, key attribute.Key) string {
	for _, a := range s.Attributes() {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// everything returns all text that was emitted: names, attributes, events and statuses of
// the pool's spans, events of the program's spans, and names, attributes and exemplars of
// the metrics.
func (tel *telemetry) everything(tb testing.TB) string {
	tb.Helper()
	var b strings.Builder
	attrs := func(list []attribute.KeyValue) {
		for _, a := range list {
			fmt.Fprintf(&b, "  %s=%s\n", a.Key, a.Value.String())
		}
	}
	for _, s := range tel.spans.Ended() {
		own := s.InstrumentationScope().Name == otelpool.ScopeName
		if own {
			fmt.Fprintf(&b, "span %s %s\n", s.Name(), s.Status().Description)
			attrs(s.Attributes())
		}
		for _, e := range s.Events() {
			fmt.Fprintf(&b, " event %s\n", e.Name)
			attrs(e.Attributes)
		}
		for _, l := range s.Links() {
			attrs(l.Attributes)
		}
	}
	for _, m := range tel.collect(tb) {
		fmt.Fprintf(&b, "metric %s %s %s\n", m.Name, m.Description, m.Unit)
		for _, p := range pointsOf(tb, m) {
			attrs(p.attrs.ToSlice())
		}
		if h, ok := m.Data.(metricdata.Histogram[float64]); ok {
			for _, p := range h.DataPoints {
				for _, e := range p.Exemplars {
					attrs(e.FilteredAttributes)
				}
			}
		}
	}
	return b.String()
}

// balance checks the counts of a pool at rest against each other, database/sql and the
// metrics.
func (tel *telemetry) balance(t *testing.T, db *sql.DB) {
	t.Helper()
	snap, stats := inspect(t, db), db.Stats()
	if snap.Held != 0 || snap.Dialing != 0 || stats.InUse != 0 {
		t.Errorf("at rest %d are held, %d are dialed, %d are in use", snap.Held, snap.Dialing, stats.InUse)
	}
	if snap.Open != stats.OpenConnections || snap.Idle != stats.Idle || len(snap.Conns) != snap.Open {
		t.Errorf("%d are open, %d idle, %d listed; database/sql has %d open, %d idle",
			snap.Open, snap.Idle, len(snap.Conns), stats.OpenConnections, stats.Idle)
	}
	if closed := sum(snap.Closed); snap.Opened != int64(snap.Open)+closed {
		t.Errorf("%d were opened, but %d are open and %d were closed: %v", snap.Opened, snap.Open, closed, snap.Closed)
	}
	for reason, counted := range map[poolinfo.Reason]int64{
		poolinfo.ReasonIdleCount: stats.MaxIdleClosed, poolinfo.ReasonIdleTime: stats.MaxIdleTimeClosed,
		poolinfo.ReasonLifetime: stats.MaxLifetimeClosed,
	} {
		if snap.Closed[reason] != counted {
			t.Errorf("%d were closed by %s, database/sql has %d", snap.Closed[reason], reason, counted)
		}
	}

	metrics := tel.metrics(t)
	for _, m := range []struct {
		name string
		key  attribute.Key
		want map[string]int64
	}{
		{"otelpool.connection.acquired", "otelpool.source", byText(snap.Acquired)},
		{"otelpool.connection.closed", "otelpool.reason", byText(snap.Closed)},
		{"otelpool.connection.retries", "error.type", snap.Retries},
	} {
		got := map[string]int64{}
		for k, n := range by(metrics[m.name], m.key) {
			got[k] = int64(n)
		}
		if !maps.Equal(got, m.want) {
			t.Errorf("%s is %v, the ledger has %v", m.name, got, m.want)
		}
	}
	holds := int64(0)
	for _, p := range metrics["db.client.connection.use_time"] {
		holds += int64(p.n)
	}
	if acquired := sum(snap.Acquired); holds != acquired {
		t.Errorf("%d holds were recorded, %d acquired: %v", holds, acquired, snap.Acquired)
	}
	for _, s := range tel.spans.Started() {
		if s.EndTime().IsZero() {
			t.Errorf("span %s has no end", s.Name())
		}
	}
}

func sum[K comparable](counts map[K]int64) int64 {
	var n int64
	for _, c := range counts {
		n += c
	}
	return n
}

// inspect returns the state of a pool.
func inspect(tb testing.TB, db *sql.DB) poolinfo.Snapshot {
	tb.Helper()
	snap, err := otelpool.Inspect(db)
	if err != nil {
		tb.Fatal(err)
	}
	return snap
}

// byText returns a map by the texts of its keys.
func byText[K interface {
	comparable
	fmt.Stringer
}](m map[K]int64) map[string]int64 {
	texts := make(map[string]int64, len(m))
	for k, n := range m {
		texts[k.String()] = n
	}
	return texts
}
