package otelpool_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// telemetry is a real SDK that keeps what is recorded.
type telemetry struct {
	spans   *tracetest.SpanRecorder
	traces  *sdktrace.TracerProvider
	reader  *sdkmetric.ManualReader
	metrics *sdkmetric.MeterProvider

	mu      sync.Mutex // guards reports
	reports []poolinfo.Report
}

func observe() *telemetry {
	s := &telemetry{spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	s.traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.spans))
	s.metrics = sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader))
	return s
}

func (s *telemetry) options(more ...otelpool.Option) []otelpool.Option {
	return append([]otelpool.Option{
		otelpool.WithTracerProvider(s.traces),
		otelpool.WithMeterProvider(s.metrics),
		otelpool.WithLogger(slog.New(slog.DiscardHandler)),
		otelpool.WithReports(s.report),
	}, more...)
}

func (s *telemetry) report(r poolinfo.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, r)
}

// takeReports returns the reports since the last call of takeReports.
func (s *telemetry) takeReports() []poolinfo.Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.reports
	s.reports = nil
	return all
}

// caller starts a span that stands for that of the program.
func (s *telemetry) caller() (context.Context, trace.Span) {
	return s.traces.Tracer("caller").Start(context.Background(), "caller")
}

func (s *telemetry) collect(t testing.TB) metricdata.ResourceMetrics {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := s.reader.Collect(context.Background(), &rm); err != nil {
		t.Error(err)
	}
	return rm
}

// metric returns one metric of a collection, nil if it has no data.
func (s *telemetry) metric(t testing.TB, name string) metricdata.Aggregation {
	t.Helper()
	for _, scope := range s.collect(t).ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name == name {
				return m.Data
			}
		}
	}
	return nil
}

// sums returns the values of the data points of a counter or gauge, by the given attributes.
func (s *telemetry) sums(t testing.TB, name string, by ...attribute.Key) map[string]float64 {
	t.Helper()
	return pointSums(t, s.metric(t, name), by)
}

func pointSums(t testing.TB, data metricdata.Aggregation, by []attribute.Key) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	switch data := data.(type) {
	case nil:
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			got[attributeValues(p.Attributes, by)] += float64(p.Value)
		}
	case metricdata.Sum[float64]:
		for _, p := range data.DataPoints {
			got[attributeValues(p.Attributes, by)] += p.Value
		}
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			got[attributeValues(p.Attributes, by)] += float64(p.Value)
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			got[attributeValues(p.Attributes, by)] += p.Value
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			got[attributeValues(p.Attributes, by)] += p.Sum
		}
	default:
		t.Errorf("no sums of a %T", data)
	}
	return got
}

// wantSums fails unless a metric has exactly the given values.
func (s *telemetry) wantSums(t testing.TB, name string, want map[string]int64, by ...attribute.Key) {
	t.Helper()
	got := s.sums(t, name, by...)
	if !maps.EqualFunc(got, want, func(g float64, w int64) bool { return g == float64(w) }) {
		t.Errorf("%s by %v: got %v, want %v", name, by, got, want)
	}
}

// hist is a data point of a histogram.
type hist struct {
	count uint64
	sum   time.Duration
}

// histogram returns the data points of a histogram of seconds, by the given attributes.
func (s *telemetry) histogram(t testing.TB, name string, by ...attribute.Key) map[string]hist {
	t.Helper()
	got := map[string]hist{}
	data, _ := s.metric(t, name).(metricdata.Histogram[float64])
	for _, p := range data.DataPoints {
		k := attributeValues(p.Attributes, by)
		got[k] = hist{got[k].count + p.Count, got[k].sum + seconds(p.Sum)}
	}
	return got
}

func (s *telemetry) wantHistogram(t testing.TB, name string, want map[string]hist, by ...attribute.Key) {
	t.Helper()
	if got := s.histogram(t, name, by...); !maps.Equal(got, want) {
		t.Errorf("%s by %v:\ngot  %v\nwant %v", name, by, got, want)
	}
}

// seconds is the inverse of Duration.Seconds. A float64 represents the nanoseconds of years
// without loss.
func seconds(s float64) time.Duration { return time.Duration(s*float64(time.Second) + 0.5) }

// attributeValues joins the values of some attributes; a missing one is blank.
func attributeValues(set attribute.Set, by []attribute.Key) string {
	parts := make([]string, len(by))
	for i, k := range by {
		if v, ok := set.Value(k); ok {
			parts[i] = v.String()
		}
	}
	return strings.TrimRight(strings.Join(parts, " "), " ")
}

// ended returns the spans that ended, without those of caller.
func (s *telemetry) ended() []sdktrace.ReadOnlySpan {
	return slices.DeleteFunc(s.spans.Ended(), func(r sdktrace.ReadOnlySpan) bool { return r.Name() == "caller" })
}

// wantSpans compares the lines of the ended spans with the given ones.
func (s *telemetry) wantSpans(t testing.TB, want ...string) {
	t.Helper()
	var got []string
	for _, r := range s.ended() {
		got = append(got, spanLine(r))
	}
	if !slices.Equal(got, want) {
		t.Errorf("spans:\ngot\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// spanLine formats a span: name, duration, status unless unset, and the attributes of an error.
func spanLine(r sdktrace.ReadOnlySpan) string {
	line := fmt.Sprint(r.Name(), " ", r.EndTime().Sub(r.StartTime()))
	if st := r.Status(); st.Code != 0 {
		line += " " + strings.TrimSpace(st.Code.String()+" "+st.Description)
	}
	for _, a := range r.Attributes() {
		if a.Key == "error.type" || a.Key == "db.response.status_code" {
			line += fmt.Sprintf(" %s=%s", a.Key, a.Value.String())
		}
	}
	return line
}

// attributes returns the attributes of a span or event as a map.
func attributes(kvs []attribute.KeyValue) map[attribute.Key]any {
	m := map[attribute.Key]any{}
	for _, kv := range kvs {
		m[kv.Key] = kv.Value.AsInterface()
	}
	return m
}

// pointAttributes returns the given attributes of each data point.
func pointAttributes(t testing.TB, data metricdata.Aggregation, by ...attribute.Key) []string {
	t.Helper()
	var got []string
	if counts, ok := data.(metricdata.Histogram[int64]); ok {
		for _, p := range counts.DataPoints {
			got = append(got, attributeValues(p.Attributes, by))
		}
		return got
	}
	for k := range pointSums(t, data, by) {
		got = append(got, k)
	}
	return got
}

// byText returns m with the texts of its keys as keys.
func byText[K interface {
	comparable
	fmt.Stringer
}, V any](m map[K]V) map[string]V {
	texts := make(map[string]V, len(m))
	for k, v := range m {
		texts[k.String()] = v
	}
	return texts
}
