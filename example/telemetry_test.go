package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

func TestNothingIsExportedUnlessAVariableAsksForIt(t *testing.T) {
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
		if metrics, traces := asked("METRICS", environ), asked("TRACES", environ); metrics != test.metrics || traces != test.traces {
			t.Errorf("%s: metrics %v, traces %v", test.environ, metrics, traces)
		}
	}
}

func TestTheStandardVariablesExportMetricsAndTraces(t *testing.T) {
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

	p := begin(t, testPace)
	if exports := strings.Join(p.told.exports, ","); exports != "metrics,traces" {
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

func TestPrometheusFindsThePool(t *testing.T) {
	p := begin(t, testPace)
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
