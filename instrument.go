package otelpool

import (
	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// ScopeName is the name of the instrumentation scope of all spans and metrics.
const ScopeName = "github.com/otelpool/otelpool"

// Version is the version of the instrumentation scope.
const Version = "0.1.0"

// newTelemetry makes the telemetry of a pool from its options. The instruments are in the table of
// internal/telemetry.
func newTelemetry(cfg *config, name string, target poolinfo.Target, l *ledger.Ledger, observe func() telemetry.Observation) (*telemetry.Telemetry, error) {
	return telemetry.New(telemetry.Config{
		Scope: ScopeName, Version: Version,
		TracerProvider: cfg.tracerProvider, MeterProvider: cfg.meterProvider, Logger: cfg.logger,
		PoolName: name, Target: target, Attributes: cfg.attributes, Ledger: l, Observe: observe,
		AcquireSpanThreshold: cfg.acquireSpanThreshold, HoldSpanThreshold: cfg.holdSpanThreshold,
		Query: cfg.query, SummaryMetric: cfg.summaryMetric, Hooks: telemetry.Hooks(cfg.hooks),
	})
}
