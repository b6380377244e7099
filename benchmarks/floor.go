package benchmarks

import (
	"context"
	"database/sql"
	"sync/atomic"
	"time"

	"github.com/otelpool/otelpool"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// operationDuration is the one metric that the reduced mode keeps.
const operationDuration = "db.client.operation.duration"

// floor gives the signals that otelpool gives, straight to the SDK and around
// the bare driver. Every option is made beforehand, nothing is looked up and
// nothing is kept, so that what it adds to a call is what OpenTelemetry takes
// for these signals, and no wrapper that gives them can be cheaper.
//
//	operation       on the caller's span   spans (kind client)      duration   wait_time   use_time
//	query_row       acquired, released     query                    1          1           1
//	rows            acquired, released     query                    1          1           1
//	exec            acquired, released     exec                     1          1           1
//	prepared_exec   acquired, released     exec                     1          1           1
//	tx              acquired, released     begin, exec, commit      3          1           1
//	ping            acquired, released     ping                     1          1           1
//
// Events are given if the caller's span records. A clock is read where an
// operation begins and ends, once for both ends of a hold that coincide with it.
// Nobody waits, and the floor takes that for granted: it reads no clock for it,
// and tells no wait but the 0 that it records.
// Each row that is read takes one atomic add, by which somebody who reads for
// long is told from somebody who forgot the connection.
// The test of the signals holds otelpool to this table.
type floor struct {
	tracer                      trace.Tracer
	duration, waitTime, useTime metric.Float64Histogram
	start                       [numOperations][]trace.SpanStartOption
	done                        [numOperations][]metric.RecordOption
	ofPool                      []metric.RecordOption // wait_time and use_time
	acquired                    []trace.EventOption
	released                    []trace.EventOption
}

// operation is a driver call that has a span.
type operation int

const (
	pinging operation = iota
	query
	execute
	begin
	commit
	numOperations
)

func (o operation) String() string {
	return [...]string{"ping", "query", "exec", "begin", "commit"}[o]
}

// newFloor uses otelpool's scope, so that a view over it meets the floor too, and
// otelpool's buckets.
func newFloor(p providers) (*floor, error) {
	if p.tracer == nil {
		p.tracer = otel.GetTracerProvider()
	}
	if p.meter == nil {
		p.meter = otel.GetMeterProvider()
	}
	meter := p.meter.Meter(otelpool.ScopeName)
	duration, err := meter.Float64Histogram(operationDuration, metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10))
	if err != nil {
		return nil, err
	}
	waitTime, err := meter.Float64Histogram("db.client.connection.wait_time", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))
	if err != nil {
		return nil, err
	}
	useTime, err := meter.Float64Histogram("db.client.connection.use_time", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900))
	if err != nil {
		return nil, err
	}
	f := &floor{tracer: p.tracer.Tracer(otelpool.ScopeName), duration: duration, waitTime: waitTime, useTime: useTime}
	pool := semconv.DBClientConnectionPoolName("other_sql")
	system := semconv.DBSystemNameOtherSQL
	for o := range numOperations {
		attrs := []attribute.KeyValue{pool, system, attribute.String("otelpool.operation", o.String())}
		f.start[o] = []trace.SpanStartOption{
			trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(pool, system),
		}
		f.done[o] = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
	}
	f.ofPool = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(pool))}
	id := attribute.Int64("otelpool.connection.id", 1)
	f.acquired = []trace.EventOption{trace.WithAttributes(pool, id,
		attribute.String("otelpool.source", "reused"))}
	f.released = []trace.EventOption{trace.WithAttributes(id,
		attribute.Float64("otelpool.held", 0))}
	return f, nil
}

func (f *floor) acquire(ctx context.Context) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent("otelpool.connection.acquired", f.acquired...)
	}
	f.wait(ctx)
}

func (f *floor) wait(ctx context.Context) {
	if f.waitTime.Enabled(ctx) {
		f.waitTime.Record(ctx, 0, f.ofPool...)
	}
}

func (f *floor) release(ctx context.Context, held time.Duration) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent("otelpool.connection.released", f.released...)
	}
	if f.useTime.Enabled(ctx) {
		f.useTime.Record(ctx, held.Seconds(), f.ofPool...)
	}
}

func (f *floor) begin(ctx context.Context, o operation) (context.Context, trace.Span) {
	return f.tracer.Start(ctx, o.String(), f.start[o]...)
}

// end takes the span's own context, so that an exemplar leads to that span.
func (f *floor) end(ctx context.Context, span trace.Span, o operation, took time.Duration) {
	if f.duration.Enabled(ctx) {
		f.duration.Record(ctx, took.Seconds(), f.done[o]...)
	}
	span.End()
}

// one makes the told form of something that acquires a connection, does one
// operation and gives it back.
func one(o operation, plain func(*sql.DB) (call, error)) func(*sql.DB, *floor) (call, error) {
	return func(db *sql.DB, f *floor) (call, error) {
		do, err := plain(db)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (int64, error) {
			f.acquire(ctx)
			start := time.Now()
			in, span := f.begin(ctx, o)
			n, err := do(in)
			took := time.Since(start)
			f.end(in, span, o, took)
			f.release(ctx, took)
			return n, err
		}, nil
	}
}

// countedRows is rows with the atomic add.
func countedRows(db *sql.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		return countedSum(db.QueryContext(ctx, selectRows, argument))
	}, nil
}

func countedSum(rs *sql.Rows, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	var total int64
	var n any
	var activity atomic.Uint64
	for rs.Next() {
		activity.Add(1)
		if err := rs.Scan(&n); err != nil {
			return 0, err
		}
		total += n.(int64)
	}
	if err := rs.Err(); err != nil {
		return 0, err
	}
	return total, rs.Close()
}

func toldTx(db *sql.DB, f *floor) (call, error) {
	return func(ctx context.Context) (int64, error) {
		f.acquire(ctx)
		held := time.Now()
		in, span := f.begin(ctx, begin)
		t, err := db.BeginTx(in, nil)
		f.end(in, span, begin, time.Since(held))
		if err != nil {
			return 0, err
		}
		start := time.Now()
		in, span = f.begin(ctx, execute)
		n, err := affected(t.ExecContext(in, update, argument))
		f.end(in, span, execute, time.Since(start))
		if err != nil {
			return 0, err
		}
		start = time.Now()
		in, span = f.begin(ctx, commit)
		err = t.Commit()
		took := time.Since(start)
		f.end(in, span, commit, took)
		f.release(ctx, start.Sub(held)+took)
		return n, err
	}, nil
}
