package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/query"
	"github.com/otelpool/otelpool/poolinfo"
)

// Config is what the telemetry of a pool is made from.
type Config struct {
	Scope, Version string // of the instrumentation
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	Logger         *slog.Logger // nil for the default one of the moment

	PoolName   string
	Target     poolinfo.Target
	Attributes []attribute.KeyValue // of everything, given by the program
	Ledger     *ledger.Ledger
	Observe    func() Observation // reads the pool for a collection

	AcquireSpanThreshold time.Duration // negative for no span
	HoldSpanThreshold    time.Duration // negative for no span
	Query                query.Options
	SummaryMetric        bool // db.query.summary is on metrics
	Hooks                Hooks
}

// Telemetry records what happens in one pool. Its methods may be called from any
// goroutine.
type Telemetry struct {
	cfg    Config
	ledger *ledger.Ledger
	tracer trace.Tracer

	instruments
	options
	failures failures
	acquires acquireCounter

	system       atomic.Pointer[systemTelemetry]
	systems      systems
	registration metric.Registration // of the observation; nil if it was refused
}

// instruments are the synchronous ones. One that the provider refuses is a no-op.
type instruments struct {
	duration, createTime, waitTime, useTime      metric.Float64Histogram
	returnedRows                                 metric.Int64Histogram
	acquired, closed, retries, timeouts, cancels metric.Int64Counter
	leaks, exhaustions                           metric.Int64Counter
}

// options are attributes and option lists that are made with the pool. They are
// complete and never appended to.
type options struct {
	poolName attribute.KeyValue
	base     []attribute.KeyValue  // of every metric of the pool
	internal trace.SpanStartOption // the attributes of a span that is no operation

	record    []metric.RecordOption // the pool's own attributes
	add       []metric.AddOption
	bySource  [ledger.NumSources][]metric.AddOption
	byReason  [ledger.NumReasons][]metric.AddOption // closes without a failure
	byVerdict map[poolinfo.Verdict][]metric.AddOption
	byLeak    map[leakState][]metric.AddOption
}

// verdicts are the values of otelpool.verdict.
var verdicts = []poolinfo.Verdict{
	poolinfo.VerdictIdleInCode, poolinfo.VerdictSlowStatements, poolinfo.VerdictLockWait, poolinfo.VerdictDatabaseUnreachable,
	poolinfo.VerdictSelfDeadlock, poolinfo.VerdictTooSmall,
}

// New makes the telemetry of a pool. What a provider refuses is a no-op; the refusals
// are in the error, and the telemetry can be used all the same.
func New(cfg Config) (*Telemetry, error) {
	t := &Telemetry{
		cfg:      cfg,
		ledger:   cfg.Ledger,
		tracer:   cfg.TracerProvider.Tracer(cfg.Scope, trace.WithInstrumentationVersion(cfg.Version), trace.WithSchemaURL(semconv.SchemaURL)),
		options:  newOptions(&cfg),
		failures: newFailures(),
	}
	t.systems.base = with(t.base, targetAttributes(cfg.Target)...)
	t.UseSystem(cfg.Target.System)

	b := builder{meter: cfg.MeterProvider.Meter(cfg.Scope, metric.WithInstrumentationVersion(cfg.Version), metric.WithSchemaURL(semconv.SchemaURL))}
	t.instruments = newInstruments(&b)
	t.registration = t.observe(&b, cfg.Observe)
	return t, errors.Join(b.refused...)
}

func newOptions(cfg *Config) (o options) {
	o.poolName = semconv.DBClientConnectionPoolName(cfg.PoolName)
	// Later values replace earlier ones in a set, so the program's come first.
	o.base = append(append([]attribute.KeyValue(nil), cfg.Attributes...), o.poolName)
	o.internal = trace.WithAttributes(o.base...)
	o.record = recordOptions(o.base)
	o.add = addOptions(o.base)
	for s := poolinfo.SourceNew; s < ledger.NumSources; s++ {
		o.bySource[s] = addOptions(with(o.base, keySource.String(s.String())))
	}
	for r := poolinfo.ReasonLifetime; r < ledger.NumReasons; r++ {
		o.byReason[r] = addOptions(with(o.base, keyReason.String(r.String())))
	}
	o.byVerdict = map[poolinfo.Verdict][]metric.AddOption{}
	for _, v := range verdicts {
		o.byVerdict[v] = addOptions(with(o.base, keyVerdict.String(string(v))))
	}
	o.byLeak = map[leakState][]metric.AddOption{}
	for _, s := range leakStates {
		o.byLeak[s] = addOptions(with(o.base, keyLeak.String(string(s))))
	}
	return o
}

func newInstruments(b *builder) (i instruments) {
	noFloats, noCounts := metric.Float64Histogram(noop.Float64Histogram{}), metric.Int64Counter(noop.Int64Counter{})
	i.duration = instrument(b, mOperationDuration, noFloats, b.meter.Float64Histogram)
	i.returnedRows = instrument(b, mReturnedRows, metric.Int64Histogram(noop.Int64Histogram{}), b.meter.Int64Histogram)
	i.createTime = instrument(b, mCreateTime, noFloats, b.meter.Float64Histogram)
	i.waitTime = instrument(b, mWaitTime, noFloats, b.meter.Float64Histogram)
	i.useTime = instrument(b, mUseTime, noFloats, b.meter.Float64Histogram)
	i.acquired = instrument(b, mAcquired, noCounts, b.meter.Int64Counter)
	i.closed = instrument(b, mClosed, noCounts, b.meter.Int64Counter)
	i.retries = instrument(b, mRetries, noCounts, b.meter.Int64Counter)
	i.timeouts = instrument(b, mTimeouts, noCounts, b.meter.Int64Counter)
	i.cancels = instrument(b, mCancels, noCounts, b.meter.Int64Counter)
	i.leaks = instrument(b, mLeaks, noCounts, b.meter.Int64Counter)
	i.exhaustions = instrument(b, mExhaustions, noCounts, b.meter.Int64Counter)
	return i
}

// Close ends the observation of the pool. What was acquired until then is recorded.
func (t *Telemetry) Close(s *ledger.Snapshot) {
	t.flushAcquired(s)
	if t.registration != nil {
		Handle(t.registration.Unregister())
	}
}

// Closed counts a connection that was closed. class is that of the failure that broke
// it, "" if there was none.
func (t *Telemetry) Closed(ctx context.Context, r poolinfo.Reason, class poolinfo.Class) {
	opts := t.byReason[r]
	if class != "" {
		opts = addOptions(with(t.base, keyReason.String(r.String()), keyClass.String(string(class))))
	}
	t.closed.Add(ctx, 1, opts...)
}

// Handle hands an error of our own to OpenTelemetry's error handler. It has no place
// in a result.
func Handle(err error) {
	if err != nil {
		otel.Handle(err)
	}
}

// RecoverHook is deferred by what calls a function of the program: a panic of it is
// reported to OpenTelemetry's error handler and ends there. The report has the type of
// the panic's value and not its text, which may hold data.
func RecoverHook(name string) {
	if p := recover(); p != nil {
		Handle(fmt.Errorf("otelpool: %s panicked with a %T", name, p))
	}
}

// builder creates instruments from the table and keeps what was refused.
type builder struct {
	meter   metric.Meter
	refused []error
}

// instrument creates one instrument with the meter's method for its kind. One that is
// refused is the given no-op.
func instrument[I comparable, O any](b *builder, id metricID, noop I, create func(string, ...O) (I, error)) I {
	d := &table[id]
	all := []any{metric.WithUnit(d.unit), metric.WithDescription(d.description)}
	if d.buckets != nil {
		all = append(all, metric.WithExplicitBucketBoundaries(d.buckets...))
	}
	opts := make([]O, len(all))
	for i := range all {
		opts[i] = all[i].(O)
	}
	i, err := create(d.name, opts...)
	if err != nil {
		b.refused = append(b.refused, err)
	}
	var zero I
	if err != nil || i == zero {
		return noop
	}
	return i
}

// observable creates one observable instrument, and adds it to all. A refused one is
// nil.
func observable[I interface {
	comparable
	metric.Observable
}, O any](b *builder, id metricID, all *[]metric.Observable, create func(string, ...O) (I, error),
) I {
	var zero I
	i := instrument(b, id, zero, create)
	if i != zero {
		*all = append(*all, i)
	}
	return i
}
