package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// telemetry is the OpenTelemetry SDK of this program: a tracer provider, and a meter
// provider with up to three readers.
type telemetry struct {
	spans      *sdktrace.TracerProvider
	metrics    *sdkmetric.MeterProvider
	reader     *sdkmetric.ManualReader // for the tables in the terminal
	prometheus http.Handler
	exports    []string // the exported signals
	errors     *onceHandler
}

// newTelemetry exports the signals that the OTEL_* variables configure. The meter provider
// also gets the readers in more.
func newTelemetry(ctx context.Context, stderr io.Writer, more ...sdkmetric.Reader) (*telemetry, error) {
	t := &telemetry{
		reader: sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(deltaTemporality)),
		errors: &onceHandler{out: stderr, seen: map[string]bool{}},
	}
	otel.SetErrorHandler(t.errors)
	res, err := serviceResource(ctx)
	if err != nil {
		return nil, err
	}

	registry := prometheus.NewRegistry()
	scraped, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo())
	if err != nil {
		return nil, err
	}
	// Only the OpenMetrics format has exemplars, which link a bucket to a trace.
	t.prometheus = promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	metricOptions := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(t.reader), sdkmetric.WithReader(scraped)}
	for _, r := range more {
		metricOptions = append(metricOptions, sdkmetric.WithReader(r))
	}
	if exportConfigured("METRICS", os.Environ()) {
		if err := setDefaultInterval(); err != nil {
			return nil, err
		}
		r, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return nil, fmt.Errorf("exporting metrics as the environment configures: %w", err)
		}
		if !autoexport.IsNoneMetricReader(r) {
			metricOptions = append(metricOptions, sdkmetric.WithReader(r))
			t.exports = append(t.exports, "metrics")
		}
	}
	traceOptions := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	if exportConfigured("TRACES", os.Environ()) {
		e, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("exporting traces as the environment configures: %w", err)
		}
		if !autoexport.IsNoneSpanExporter(e) {
			traceOptions = append(traceOptions, sdktrace.WithBatcher(e))
			t.exports = append(t.exports, "traces")
		}
	}
	t.metrics = sdkmetric.NewMeterProvider(metricOptions...)
	t.spans = sdktrace.NewTracerProvider(traceOptions...)
	return t, nil
}

// serviceResource names the service and its instance, a random one, which distinguishes the
// pools of two processes. The environment overrides both.
func serviceResource(ctx context.Context) (*resource.Resource, error) {
	ours, err := resource.New(ctx,
		resource.WithService(), // the instance, and a name that the next option replaces
		resource.WithAttributes(semconv.ServiceName("notifications")))
	if err != nil {
		return nil, err
	}
	return resource.Merge(ours, resource.Environment())
}

const (
	// intervalVariable is the export interval of metrics, in milliseconds.
	intervalVariable = "OTEL_METRIC_EXPORT_INTERVAL"
	// defaultInterval is shorter than a scene. The SDK's default is a minute, longer than
	// all of them.
	defaultInterval = "5000"
)

// setDefaultInterval sets the interval in the environment, unless there is one. The readers
// of autoexport have no other setting for it.
func setDefaultInterval() error {
	if os.Getenv(intervalVariable) != "" {
		return nil
	}
	return os.Setenv(intervalVariable, defaultInterval)
}

// deltaTemporality makes counters and histograms start from zero at each collection, so that
// a scene's figures are its own.
func deltaTemporality(kind sdkmetric.InstrumentKind) metricdata.Temporality {
	switch kind {
	case sdkmetric.InstrumentKindUpDownCounter, sdkmetric.InstrumentKindObservableUpDownCounter:
		return metricdata.CumulativeTemporality
	}
	return metricdata.DeltaTemporality
}

// exportConfigured reports whether the environment configures the export of a signal,
// METRICS or TRACES. The SDK's default, a collector on this machine, does not count: without
// one there would be errors.
func exportConfigured(signal string, environ []string) bool {
	yes := false
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if value == "" {
			continue
		}
		if name == "OTEL_SDK_DISABLED" && strings.EqualFold(value, "true") {
			return false
		}
		if name == "OTEL_"+signal+"_EXPORTER" {
			yes = true
		}
		if rest, ok := strings.CutPrefix(name, "OTEL_EXPORTER_OTLP_"); ok && !forOtherSignal(signal, rest) {
			yes = true
		}
	}
	return yes
}

// forOtherSignal reports whether the rest of a variable's name begins with another signal.
func forOtherSignal(signal, rest string) bool {
	return slices.ContainsFunc([]string{"METRICS", "TRACES", "LOGS", "PROFILES"}, func(other string) bool {
		return other != signal && strings.HasPrefix(rest, other+"_")
	})
}

// shutdown exports what is left and shuts the providers down. If the collector does not
// answer, it prints that and returns nil.
func (t *telemetry) shutdown(ctx context.Context) error {
	for _, err := range []error{t.spans.Shutdown(ctx), t.metrics.Shutdown(ctx)} {
		if err != nil {
			t.errors.Handle(err)
		}
	}
	return nil
}

// onceHandler prints each distinct error of the SDK once. A collector that does not answer
// would otherwise fill the terminal.
type onceHandler struct {
	out  io.Writer
	mu   sync.Mutex // guards seen and out
	seen map[string]bool
}

func (h *onceHandler) Handle(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen[err.Error()] {
		return
	}
	h.seen[err.Error()] = true
	fmt.Fprintln(h.out, "telemetry:", err)
}
