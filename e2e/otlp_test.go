package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	_ "modernc.org/sqlite" // the driver

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/process"
)

// protocol is an OTLP transport to a Collector.
type protocol struct {
	name    string
	metrics func(ctx context.Context, address string) (sdkmetric.Exporter, error)
	traces  func(ctx context.Context, address string) (sdktrace.SpanExporter, error)
}

var protocols = []protocol{
	{
		name: "grpc",
		metrics: func(ctx context.Context, address string) (sdkmetric.Exporter, error) {
			return otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(address), otlpmetricgrpc.WithInsecure())
		},
		traces: func(ctx context.Context, address string) (sdktrace.SpanExporter, error) {
			return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(address), otlptracegrpc.WithInsecure())
		},
	},
	{
		name: "http",
		metrics: func(ctx context.Context, address string) (sdkmetric.Exporter, error) {
			return otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(address), otlpmetrichttp.WithInsecure())
		},
		traces: func(ctx context.Context, address string) (sdktrace.SpanExporter, error) {
			return otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(address), otlptracehttp.WithInsecure())
		},
	},
}

// collector is the Collector's own receiver with the data that it has received.
type collector struct {
	addresses map[string]string // by protocol
	metrics   consumertest.MetricsSink
	traces    consumertest.TracesSink
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{addresses: map[string]string{"grpc": process.FreeAddress(t), "http": process.FreeAddress(t)}}
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig().(*otlpreceiver.Config)
	config.Protocols.GRPC = configoptional.Some(configgrpc.ServerConfig{
		NetAddr: confignet.AddrConfig{Endpoint: c.addresses["grpc"], Transport: confignet.TransportTypeTCP},
	})
	config.Protocols.HTTP = configoptional.Some(otlpreceiver.HTTPConfig{
		ServerConfig: confighttp.ServerConfig{
			NetAddr: confignet.AddrConfig{Endpoint: c.addresses["http"], Transport: confignet.TransportTypeTCP},
		},
		TracesURLPath: "/v1/traces", MetricsURLPath: "/v1/metrics", LogsURLPath: "/v1/logs",
	})
	set := receivertest.NewNopSettings(factory.Type())
	// Both share one receiver, because they share its configuration.
	metrics, err := factory.CreateMetrics(t.Context(), set, config, &c.metrics)
	if err != nil {
		t.Fatal(err)
	}
	traces, err := factory.CreateTraces(t.Context(), set, config, &c.traces)
	if err != nil {
		t.Fatal(err)
	}
	host := componenttest.NewNopHost()
	if err := metrics.Start(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	if err := traces.Start(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := traces.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := metrics.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestCollector_ReceivesAllMetricsAndSpans sends the telemetry of a program on SQLite to the
// Collector's receiver, and compares it with the documentation.
func TestCollector_ReceivesAllMetricsAndSpans(t *testing.T) {
	// A test's binary has no module versions.
	receiver, err := exec.CommandContext(t.Context(), "go", "list", "-m", "go.opentelemetry.io/collector/receiver/otlpreceiver").Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(strings.TrimSpace(string(receiver)))
	for _, by := range protocols {
		t.Run(by.name, func(t *testing.T) {
			c := startCollector(t)
			about := resource.NewSchemaless(semconv.ServiceName("shop"))
			metricExporter, err := by.metrics(t.Context(), c.addresses[by.name])
			if err != nil {
				t.Fatal(err)
			}
			spanExporter, err := by.traces(t.Context(), c.addresses[by.name])
			if err != nil {
				t.Fatal(err)
			}
			metrics := sdkmetric.NewMeterProvider(sdkmetric.WithResource(about), sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metricExporter)))
			spans := sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithBatcher(spanExporter))
			file := filepath.Join(t.TempDir(), "orders.db")
			p := start(t, metrics, spans, func(opts ...otelpool.Option) (*sql.DB, error) { return otelpool.Open("sqlite", file, opts...) })
			if _, err := p.pool.ExecContext(t.Context(), "CREATE TABLE orders (n INTEGER)"); err != nil {
				t.Fatal(err)
			}
			p.starveCallers(t)
			// The first export is with the open pool, the second after its end.
			if err := metrics.ForceFlush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := p.pool.Close(); err != nil {
				t.Fatal(err)
			}
			if err := metrics.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := spans.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}

			compareMetrics(t, c.metrics.AllMetrics())
			compareTrace(t, c.traces.AllTraces())
		})
	}
}

// compareMetrics compares names, kinds, units and descriptions with the table of
// instruments. The program has no retries.
func compareMetrics(t *testing.T, received []pmetric.Metrics) {
	t.Helper()
	var got, want []string
	for _, all := range received {
		for _, r := range all.ResourceMetrics().All() {
			if name, _ := r.Resource().Attributes().Get("service.name"); name.AsString() != "shop" {
				t.Errorf("resource with service name %q", name.AsString())
			}
			for _, s := range r.ScopeMetrics().All() {
				if scope := s.Scope().Name() + " " + s.Scope().Version() + " " + s.SchemaUrl(); scope != otelpool.ScopeName+" "+otelpool.Version+" "+semconv.SchemaURL {
					t.Errorf("unexpected scope %s", scope)
				}
				for _, m := range s.Metrics().All() {
					got = append(got, strings.Join([]string{m.Name(), kindOf(m), m.Unit(), m.Description()}, "; "))
				}
			}
		}
	}
	for _, i := range readTable(t) {
		if i.name == "otelpool.connection.retries" {
			continue
		}
		kind := strings.TrimPrefix(i.kind, "observable ")
		want = append(want, strings.Join([]string{i.name, kind, i.unit, i.about}, "; "))
	}
	slices.Sort(got)
	slices.Sort(want)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// kindOf is the kind of a metric as the table names it. Sums must be cumulative.
func kindOf(m pmetric.Metric) string {
	switch m.Type() {
	case pmetric.MetricTypeHistogram:
		return "histogram"
	case pmetric.MetricTypeGauge:
		return "gauge"
	case pmetric.MetricTypeSum:
		if m.Sum().AggregationTemporality() != pmetric.AggregationTemporalityCumulative {
			return "a sum that is not cumulative"
		}
		if m.Sum().IsMonotonic() {
			return "counter"
		}
		return "up-down counter"
	}
	return m.Type().String()
}

// compareTrace compares the trace of the caller that waited, and the events on the span of
// the holder.
func compareTrace(t *testing.T, received []ptrace.Traces) {
	t.Helper()
	var spans []ptrace.Span
	for _, all := range received {
		for _, r := range all.ResourceSpans().All() {
			for _, s := range r.ScopeSpans().All() {
				for _, span := range s.Spans().All() {
					spans = append(spans, span)
				}
			}
		}
	}
	byID := map[string]ptrace.Span{}
	for _, s := range spans {
		byID[s.SpanID().String()] = s
	}
	named := func(id fmt.Stringer) string {
		if s, ok := byID[id.String()]; ok {
			return s.Name()
		}
		return "nothing"
	}
	i := slices.IndexFunc(spans, func(s ptrace.Span) bool { return s.Name() == "waiter" })
	if i < 0 {
		t.Fatal("no span waiter")
	}
	trace := spans[i].TraceID()
	var got []string
	for _, s := range spans {
		switch {
		case s.TraceID() == trace:
			line := s.Name() + " " + strings.ToLower(s.Kind().String()) + " below " + named(s.ParentSpanID())
			for _, l := range s.Links().All() {
				line += ", linked to " + named(l.SpanID())
			}
			for _, e := range s.Events().All() {
				line += ", " + e.Name()
			}
			got = append(got, line)
		case s.Name() == "holder":
			// The order of the reports is not defined.
			var events []string
			for _, e := range s.Events().All() {
				event := e.Name()
				for name, key := range map[string]string{"otelpool.connection.leak": "otelpool.leak", "otelpool.connection.released": "otelpool.waiters"} {
					if v, ok := e.Attributes().Get(key); ok && name == event {
						event += " " + v.AsString()
					}
				}
				events = append(events, event)
			}
			slices.Sort(events)
			got = append(got, "holder: "+strings.Join(events, ", "))
		}
	}
	slices.Sort(got)
	want := []string{
		"SELECT orders client below waiter",
		"acquire internal below waiter, linked to holder",
		"holder: otelpool.connection.acquired, otelpool.connection.leak resolved, otelpool.connection.leak suspected, otelpool.connection.released 3, otelpool.pool.exhausted",
		"waiter internal below nothing, otelpool.connection.acquired, otelpool.rows.closed, otelpool.connection.released",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
