package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/errclass"
	"github.com/otelpool/otelpool/poolinfo"
)

const (
	// maxErrorTypes bounds how many values of error.type one pool puts on its metrics,
	// each counted once for each class that it comes with. The rest are _OTHER.
	maxErrorTypes = 100
	// maxFailures bounds how many combinations of summary, operation and error.type
	// one pool keeps apart. Further ones are recorded without the summary.
	maxFailures = 5000
)

// failures holds the option lists of failed calls. They are made when an error is first
// seen, since its type is not known before.
type failures struct {
	mu     sync.RWMutex // guards what follows
	record map[failure][]metric.RecordOption
	add    map[errorKind][]metric.AddOption
	known  map[errorKind]bool
}

// failure is a series of failed calls.
type failure struct {
	series *series // nil for what is no operation
	op     Op
	errorKind
}

// errorKind is what metrics have of an error.
type errorKind struct {
	typ   string
	class poolinfo.Class
}

func kindOf(f errclass.Fault) errorKind { return errorKind{f.Type, f.Class} }

func (e errorKind) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{semconv.ErrorTypeKey.String(e.typ), keyClass.String(string(e.class))}
}

func newFailures() failures {
	return failures{
		record: map[failure][]metric.RecordOption{},
		add:    map[errorKind][]metric.AddOption{},
		known:  map[errorKind]bool{},
	}
}

// boundLocked returns e, with the type _OTHER if the pool has seen too many.
func (f *failures) boundLocked(e errorKind) errorKind {
	if !f.known[e] {
		if len(f.known) >= maxErrorTypes {
			return errorKind{errclass.TypeOther, e.class}
		}
		f.known[e] = true
	}
	return e
}

// failed returns the record options of an operation that failed.
func (t *Telemetry) failed(o Op, s *series, why errclass.Fault) []metric.RecordOption {
	f := &t.failures
	kind := kindOf(why)
	f.mu.RLock()
	opts, ok := f.record[failure{s, o, kind}]
	f.mu.RUnlock()
	if ok {
		return opts
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	kind = f.boundLocked(kind)
	if s != nil && len(f.record) >= maxFailures {
		s = t.system.Load().statements.overflow
	}
	opts, ok = f.record[failure{s, o, kind}]
	if !ok {
		attrs := t.base
		if s != nil {
			attrs = s.attrs(o)
		}
		opts = recordOptions(with(attrs, kind.attributes()...))
		f.record[failure{s, o, kind}] = opts
	}
	return opts
}

// Retry is an attempt that failed with driver.ErrBadConn and that database/sql retries.
type Retry struct {
	errclass.Fault
	ConnID    uint64 // 0 for a dial
	Age, Idle time.Duration
}

// Retried counts a retry, adds an event to the caller's span in ctx, and returns the
// error.type that it was counted under.
func (t *Telemetry) Retried(ctx context.Context, r *Retry) string {
	f := &t.failures
	f.mu.Lock()
	kind := f.boundLocked(kindOf(r.Fault))
	opts, ok := f.add[kind]
	if !ok {
		opts = addOptions(with(t.base, kind.attributes()...))
		f.add[kind] = opts
	}
	f.mu.Unlock()
	t.retries.Add(ctx, 1, opts...)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		t.addRetry(span, r)
	}
	return kind.typ
}

// addRetry adds the event of a retry to a span.
func (t *Telemetry) addRetry(span trace.Span, r *Retry) {
	attrs := append(make([]attribute.KeyValue, 0, 6), t.poolName)
	if r.ConnID != 0 {
		attrs = append(attrs, connID(r.ConnID))
	}
	attrs = append(attrs, kindOf(r.Fault).attributes()...)
	if r.ConnID != 0 {
		attrs = append(attrs, keyAge.Float64(r.Age.Seconds()), keyIdle.Float64(r.Idle.Seconds()))
	}
	span.AddEvent(eventRetried, trace.WithAttributes(attrs...))
}

// endFailed ends the span of a failed operation. The text of the error stays out: it may
// hold data. A caller that canceled is no fault, and the status stays unset.
func endFailed(ctx context.Context, span trace.Span, err error, f errclass.Fault, opts ...trace.SpanEndOption) {
	if span.IsRecording() {
		span.SetAttributes(kindOf(f).attributes()...)
		if f.Code != "" {
			span.SetAttributes(semconv.DBResponseStatusCode(f.Code))
		}
		if !errclass.IsCanceled(ctx, err) {
			span.SetStatus(codes.Error, "")
		}
	}
	span.End(opts...)
}
