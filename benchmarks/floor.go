package benchmarks

import (
	"context"
	"database/sql"
	"time"

	"github.com/otelpool/otelpool"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// operationDuration is the only metric of the reduced mode.
const operationDuration = "db.client.operation.duration"

// floor emits otelpool's signals directly to the SDK, around the bare driver. Every
// option is built beforehand, and nothing is looked up or kept. So it adds to a call
// only OpenTelemetry's cost of these signals: no wrapper that emits them can be cheaper.
//
//	operation       on the caller's span             spans (kind client)            duration   wait_time   use_time   returned_rows
//	query_row       acquired, rows closed, released  SELECT users                   1          1           1          1
//	rows            acquired, rows closed, released  SELECT users                   1          1           1          1
//	exec            acquired, released               UPDATE users                   1          1           1          -
//	prepared_exec   acquired, released               UPDATE users                   1          1           1          -
//	tx              acquired, released               begin, UPDATE users, commit    3          1           1          -
//	ping            acquired, released               ping                           1          1           1          -
//
// A span that is named after a summary has the summary and the text from its start; the
// duration has the summary. The span of an exec gets the rows affected at its end, if it
// records. Events are emitted if the caller's span records.
//
// The clock is read when an operation begins and ends, and when a result set is closed.
// A hold that begins or ends at the same moment needs no read of its own. No caller
// waits, so the floor reads no clock for waits and records 0. Rows are counted, since the
// signals have their number; that is one more call for each row.
//
// TestFloor_EmitsTheSignalsOfOtelpool compares otelpool with this table.
type floor struct {
	tracer                      trace.Tracer
	duration, waitTime, useTime metric.Float64Histogram
	returnedRows                metric.Int64Histogram
	poolOptions                 []metric.RecordOption // wait_time and use_time
	acquired                    []trace.EventOption
	released                    []trace.EventOption
	affected                    []attribute.KeyValue
}

// operation is a driver call that has a span.
type operation int

const (
	pinging operation = iota
	query
	execute
	begin
	commit
)

func (o operation) String() string {
	return [...]string{"ping", "query", "exec", "begin", "commit"}[o]
}

// opInfo is an operation and its statement, if it has one.
type opInfo struct {
	operation
	text, summary string // as they are emitted
	read          int64  // rows of a query
}

// telemetry holds the options for the signals of an operation, built beforehand.
type telemetry struct {
	opInfo
	name   string
	start  []trace.SpanStartOption
	done   []metric.RecordOption
	closed []metric.RecordOption // returned_rows
	rows   []trace.EventOption
}

// The attributes of a pool.
var (
	poolName = semconv.DBClientConnectionPoolName("other_sql")
	system   = semconv.DBSystemNameOtherSQL
)

// newFloor uses otelpool's buckets, and otelpool's scope so that a view of it applies to
// the floor too.
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
	returnedRows, err := meter.Int64Histogram("db.client.response.returned_rows", metric.WithUnit("{row}"),
		metric.WithExplicitBucketBoundaries(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000))
	if err != nil {
		return nil, err
	}
	id := attribute.Int64("otelpool.connection.id", 1)
	return &floor{
		tracer:       p.tracer.Tracer(otelpool.ScopeName),
		duration:     duration,
		waitTime:     waitTime,
		useTime:      useTime,
		returnedRows: returnedRows,
		poolOptions:  record(poolName),
		acquired:     []trace.EventOption{trace.WithAttributes(poolName, id, attribute.String("otelpool.source", "reused"))},
		released:     []trace.EventOption{trace.WithAttributes(id, attribute.Float64("otelpool.held", 0))},
		affected:     []attribute.KeyValue{attribute.Int64("otelpool.rows_affected", 1)},
	}, nil
}

func record(attrs ...attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

// newTelemetry builds the options for the signals of an operation.
func newTelemetry(w opInfo) *telemetry {
	t := &telemetry{opInfo: w, name: w.String()}
	span := []attribute.KeyValue{poolName, system}
	series := []attribute.KeyValue{poolName, system}
	if w.text != "" {
		t.name = w.summary
		summary := semconv.DBQuerySummary(w.summary)
		span = append(span, summary, semconv.DBQueryText(w.text))
		series = append(series, summary)
	}
	t.start = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(span...)}
	t.closed = record(series...)
	t.done = record(append(series, attribute.String("otelpool.operation", w.String()))...)
	t.rows = []trace.EventOption{trace.WithAttributes(semconv.DBResponseReturnedRows(int(w.read)), attribute.Float64("otelpool.rows.open_time", 0))}
	return t
}

func (f *floor) acquire(ctx context.Context) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent("otelpool.connection.acquired", f.acquired...)
	}
	f.wait(ctx)
}

func (f *floor) wait(ctx context.Context) {
	if f.waitTime.Enabled(ctx) {
		f.waitTime.Record(ctx, 0, f.poolOptions...)
	}
}

func (f *floor) release(ctx context.Context, held time.Duration) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.AddEvent("otelpool.connection.released", f.released...)
	}
	if f.useTime.Enabled(ctx) {
		f.useTime.Record(ctx, held.Seconds(), f.poolOptions...)
	}
}

func (f *floor) begin(ctx context.Context, t *telemetry) (context.Context, trace.Span) {
	return f.tracer.Start(ctx, t.name, t.start...)
}

// end takes the context of the span, so that exemplars link to it.
func (f *floor) end(ctx context.Context, span trace.Span, t *telemetry, took time.Duration) {
	if t.operation == execute && span.IsRecording() {
		span.SetAttributes(f.affected...)
	}
	if f.duration.Enabled(ctx) {
		f.duration.Record(ctx, took.Seconds(), t.done...)
	}
	span.End()
}

// closed emits the close of a result set: an event on the caller's span, and a record in
// the context of the query's span.
func (f *floor) closed(caller, ctx context.Context, t *telemetry) {
	if f.returnedRows.Enabled(ctx) {
		f.returnedRows.Record(ctx, t.read, t.closed...)
	}
	if span := trace.SpanFromContext(caller); span.IsRecording() {
		span.AddEvent("otelpool.rows.closed", t.rows...)
	}
}

// withSignals wraps a call that acquires a connection, runs one operation and releases
// the connection.
func withSignals(w opInfo, plain func(*sql.DB) (call, error)) func(*sql.DB, *floor) (call, error) {
	t := newTelemetry(w)
	return func(db *sql.DB, f *floor) (call, error) {
		do, err := plain(db)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (int64, error) {
			f.acquire(ctx)
			start := time.Now()
			in, span := f.begin(ctx, t)
			n, err := do(in)
			held := time.Since(start)
			f.end(in, span, t, held)
			if t.operation == query {
				held = time.Since(start)
				f.closed(ctx, in, t)
			}
			f.release(ctx, held)
			return n, err
		}, nil
	}
}

func floorTx(db *sql.DB, f *floor) (call, error) {
	begins, executes, commits := newTelemetry(opInfo{operation: begin}), newTelemetry(updates), newTelemetry(opInfo{operation: commit})
	return func(ctx context.Context) (int64, error) {
		f.acquire(ctx)
		held := time.Now()
		in, span := f.begin(ctx, begins)
		t, err := db.BeginTx(in, nil)
		f.end(in, span, begins, time.Since(held))
		if err != nil {
			return 0, err
		}
		start := time.Now()
		in, span = f.begin(ctx, executes)
		n, err := affected(t.ExecContext(in, update, argument))
		f.end(in, span, executes, time.Since(start))
		if err != nil {
			return 0, err
		}
		start = time.Now()
		in, span = f.begin(ctx, commits)
		err = t.Commit()
		took := time.Since(start)
		f.end(in, span, commits, took)
		f.release(ctx, start.Sub(held)+took)
		return n, err
	}, nil
}
