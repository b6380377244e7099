package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

func TestExportConfigured_IsFalseWithoutExporterVariables(t *testing.T) {
	for _, test := range []struct {
		environ         string
		metrics, traces bool
	}{
		{"", false, false},
		{"OTEL_SERVICE_NAME=orders OTEL_RESOURCE_ATTRIBUTES=a=b", false, false},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=", false, false},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318", true, true},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://localhost:4318", false, true},
		{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://localhost:4318", true, false},
		{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://localhost:4318", false, false},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", true, true},
		{"OTEL_TRACES_EXPORTER=console", false, true},
		{"OTEL_METRICS_EXPORTER=console", true, false},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 OTEL_SDK_DISABLED=true", false, false},
	} {
		environ := strings.Fields(test.environ)
		if metrics, traces := exportConfigured("METRICS", environ), exportConfigured("TRACES", environ); metrics != test.metrics || traces != test.traces {
			t.Errorf("%s: metrics %v, traces %v", test.environ, metrics, traces)
		}
	}
}

func TestNewTelemetry_ExportsToTheConfiguredEndpoint(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.URL.Path]++
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv(intervalVariable, "") // t.Setenv restores it after the test

	p := startProgram(t, testPace)
	if exports := strings.Join(p.telemetry.exports, ","); exports != "metrics,traces" {
		t.Errorf("exports %s", exports)
	}
	if status, _ := exchange(t, "GET", p.base+"/users/1/notifications", ""); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	p.tearDown(t.Output())
	mu.Lock()
	defer mu.Unlock()
	if got["/v1/metrics"] == 0 || got["/v1/traces"] == 0 {
		t.Errorf("the collector got %v", got)
	}
}

// exports records the times of its exports.
type exports struct {
	since time.Time
	at    []time.Duration
}

func (e *exports) Export(context.Context, *metricdata.ResourceMetrics) error {
	e.at = append(e.at, time.Since(e.since))
	return nil
}

func (e *exports) Temporality(k sdkmetric.InstrumentKind) metricdata.Temporality {
	return sdkmetric.DefaultTemporalitySelector(k)
}

func (e *exports) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

func (e *exports) ForceFlush(context.Context) error { return nil }

func (e *exports) Shutdown(context.Context) error { return nil }

func TestNewTelemetry_ExportsMetricsEveryFiveSecondsByDefault(t *testing.T) {
	for interval, want := range map[string][]time.Duration{
		"":     {5 * time.Second, 10 * time.Second, 12 * time.Second},
		"8000": {8 * time.Second, 12 * time.Second},
	} {
		t.Run(interval, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &exports{since: time.Now()}
				// A name can be registered only once per process.
				name := fmt.Sprintf("exports-%p", e)
				autoexport.RegisterMetricReader(name, func(context.Context) (sdkmetric.Reader, error) { return sdkmetric.NewPeriodicReader(e), nil })
				t.Setenv("OTEL_METRICS_EXPORTER", name)
				t.Setenv(intervalVariable, interval)
				tel, err := newTelemetry(t.Context(), t.Output())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(12 * time.Second)
				if err := tel.shutdown(t.Context()); err != nil { // the last export
					t.Error(err)
				}
				if !slices.Equal(e.at, want) {
					t.Errorf("exported at %v, want %v", e.at, want)
				}
			})
		})
	}
}

func TestServiceResource_HasARandomInstanceUnlessTheEnvironmentSetsOne(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "")
	identity := func() (name, instance string) {
		t.Helper()
		r, err := serviceResource(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range r.Attributes() {
			switch a.Key {
			case semconv.ServiceNameKey:
				name = a.Value.AsString()
			case semconv.ServiceInstanceIDKey:
				instance = a.Value.AsString()
			default:
				t.Errorf("unexpected attribute %s", a.Key)
			}
		}
		return name, instance
	}
	name, first := identity()
	_, second := identity()
	if name != "notifications" || first == "" || first == second {
		t.Errorf("service %s, instances %s and %s", name, first, second)
	}
	t.Setenv("OTEL_SERVICE_NAME", "orders")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=seven")
	if name, instance := identity(); name != "orders" || instance != "seven" {
		t.Errorf("service %s, instance %s", name, instance)
	}
}

func TestMetricsEndpoint_HasExemplarsWithTheRequestsTrace(t *testing.T) {
	p := startProgram(t, testPace)
	spans := tracetest.NewSpanRecorder()
	p.telemetry.spans.RegisterSpanProcessor(spans)
	// The SDK keeps a random one of the values in a bucket. The digest is the only
	// execution of its statement.
	if status, _ := exchange(t, "GET", p.base+"/users/1/digest", ""); status != http.StatusNoContent {
		t.Errorf("status %d", status)
	}
	var request string
	for _, s := range spans.Ended() {
		if s.Name() == "GET /users/{id}/digest" {
			request = s.SpanContext().TraceID().String()
		}
	}
	if len(request) != 32 {
		t.Fatalf("the request's trace is %q", request)
	}

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.base+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	body, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for line := range strings.Lines(string(body)) {
		if strings.Contains(line, `db_query_summary="SELECT",`) && strings.Contains(line, `trace_id="`+request+`"`) {
			name, _, _ := strings.Cut(line, "{")
			found[name]++
		}
	}
	want := map[string]int{"db_client_operation_duration_seconds_bucket": 1, "db_client_response_returned_rows_bucket": 1}
	if !maps.Equal(found, want) {
		t.Errorf("buckets with the request's trace: %v, want %v\n%s", found, want, body)
	}
}

func TestMetricsEndpoint_HasThePoolsMetrics(t *testing.T) {
	p := startProgram(t, testPace)
	status, body := exchange(t, "GET", p.base+"/metrics", "")
	if status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	for _, want := range []string{
		`db_client_connection_count{db_client_connection_pool_name="notifications",db_client_connection_state="idle"`,
		`otelpool_connection_held_seconds_total{db_client_connection_pool_name="notifications",otelpool_phase="executing"`,
		`db_client_connection_idle_max{db_client_connection_pool_name="notifications"} 10`,
		`db_client_connection_pending_requests{db_client_connection_pool_name="notifications"} 0`,
		`otelpool_connection_waited_seconds_total{db_client_connection_pool_name="notifications"`,
		`db_client_connection_wait_time_seconds_bucket{db_client_connection_pool_name="notifications"`,
		`db_client_connection_use_time_seconds_bucket{db_client_connection_pool_name="notifications"`,
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}
