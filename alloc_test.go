package otelpool_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
)

// A floor emits the signals of one database operation straight to the SDK, with everything
// prebuilt. Its allocations are the least that these signals can cost.
type floor struct {
	tracer              trace.Tracer
	start               []trace.SpanStartOption
	duration, wait, use metric.Float64Histogram
	record              []metric.RecordOption
	acquired, released  []trace.EventOption
}

func newFloor(t testing.TB, traces trace.TracerProvider, metrics metric.MeterProvider) *floor {
	attrs := []attribute.KeyValue{poolName.String("p"), system.String("s"), operation.String("o")}
	f := &floor{
		tracer:   traces.Tracer("floor"),
		start:    []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...)},
		record:   []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))},
		acquired: []trace.EventOption{trace.WithAttributes(append(attrs, attribute.Float64("r", 1))...)},
		released: []trace.EventOption{trace.WithAttributes(append(attrs, attribute.Float64("h", 1))...)},
	}
	var err error
	f.duration, err = metrics.Meter("floor").Float64Histogram("duration")
	noError(t, err)
	f.wait, err = metrics.Meter("floor").Float64Histogram("wait")
	noError(t, err)
	f.use, err = metrics.Meter("floor").Float64Histogram("use")
	noError(t, err)
	return f
}

// hold records an acquire, n operations and a release.
func (f *floor) hold(ctx context.Context, n int) {
	if s := trace.SpanFromContext(ctx); s.IsRecording() {
		s.AddEvent("acquired", f.acquired...)
		defer s.AddEvent("released", f.released...)
	}
	f.wait.Record(ctx, 1, f.record...)
	for range n {
		ctx, span := f.tracer.Start(ctx, "operation", f.start...)
		f.duration.Record(ctx, 1, f.record...)
		span.End()
	}
	f.use.Record(ctx, 1, f.record...)
}

// allocations returns how often f allocates. A transaction starts a goroutine, which
// allocates unless one that has ended can be reused. So the smallest of several counts is
// that of f itself.
func allocations(f func()) float64 {
	n := testing.AllocsPerRun(50, f)
	for range 39 {
		n = min(n, testing.AllocsPerRun(50, f))
	}
	return n
}

// TestAllocations_StayWithinTheBudget checks what design.md promises: compared with the bare
// driver an operation adds the allocations of the SDK for its signals, and at most one more,
// three more if the caller's span is recording.
func TestAllocations_StayWithinTheBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	cfg := full
	cfg.Quiet = true
	recorded := observe()
	unsampled := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	sampled := sdktrace.NewTracerProvider() // without a processor spans are made and dropped
	for _, mode := range []struct {
		name    string
		traces  trace.TracerProvider
		metrics metric.MeterProvider
		budget  float64
	}{
		{"no SDK", tracenoop.NewTracerProvider(), metricnoop.NewMeterProvider(), 1},
		{"unsampled", unsampled, recorded.metrics, 1},
		{"sampled", sampled, recorded.metrics, 3},
	} {
		ctx, caller := mode.traces.Tracer("caller").Start(context.Background(), "caller")
		defer caller.End()
		bare := sql.OpenDB(fakedb.New(cfg).Connector())
		defer bare.Close()
		wrapped := otelpool.OpenDB(fakedb.New(cfg).Connector(),
			otelpool.WithTracerProvider(mode.traces), otelpool.WithMeterProvider(mode.metrics))
		defer wrapped.Close()
		timed, err := otelpool.NewDB(otelpool.OpenDB(fakedb.New(cfg).Connector(),
			otelpool.WithTracerProvider(mode.traces), otelpool.WithMeterProvider(mode.metrics)))
		noError(t, err)
		defer timed.Close()
		// The waits of unknown are not inferred. Those of limited are, at each release.
		unknown := sql.OpenDB(otelpool.NewConnector(fakedb.New(cfg).Connector(),
			otelpool.WithTracerProvider(mode.traces), otelpool.WithMeterProvider(mode.metrics)))
		defer unknown.Close()
		limited := otelpool.OpenDB(fakedb.New(cfg).Connector(),
			otelpool.WithTracerProvider(mode.traces), otelpool.WithMeterProvider(mode.metrics))
		defer limited.Close()
		limited.SetMaxOpenConns(1)
		f := newFloor(t, mode.traces, mode.metrics)
		for _, op := range []struct {
			name  string
			calls int
			do    func(pooled, *sql.Stmt)
		}{
			{"exec", 1, func(db pooled, _ *sql.Stmt) { _, _ = db.ExecContext(ctx, "x") }},
			{"ping", 1, func(db pooled, _ *sql.Stmt) { _ = db.PingContext(ctx) }},
			{"query", 1, func(db pooled, _ *sql.Stmt) {
				rows, err := db.QueryContext(ctx, "x")
				if err == nil {
					_ = rows.Close()
				}
			}},
			{"prepared exec", 1, func(_ pooled, s *sql.Stmt) { _, _ = s.ExecContext(ctx) }},
			{"transaction", 3, func(db pooled, _ *sql.Stmt) {
				tx, err := db.BeginTx(ctx, nil)
				if err == nil {
					_, _ = tx.ExecContext(ctx, "x")
					_ = tx.Commit()
				}
			}},
		} {
			t.Run(fmt.Sprint(op.name, ", ", mode.name), func(t *testing.T) {
				count := func(db pooled) float64 {
					s, err := db.Prepare("x")
					noError(t, err)
					defer s.Close()
					return allocations(func() { op.do(db, s) })
				}
				floorCount := allocations(func() { f.hold(ctx, op.calls) })
				bareCount := count(bare)
				added := count(wrapped) - bareCount
				t.Logf("adds %v allocations, the floor is %v", added, floorCount)
				if added > floorCount+mode.budget {
					t.Errorf("adds %v allocations, the budget is %v + %v", added, floorCount, mode.budget)
				}
				for name, db := range map[string]*sql.DB{"a pool whose DB is not known": unknown, "a full pool": limited} {
					if got := count(db) - bareCount; got != added {
						t.Errorf("%s adds %v allocations, want %v: inferring waits allocates nothing", name, got, added)
					}
				}
				if got := count(timed) - bareCount; op.name != "prepared exec" && got != added+1 {
					t.Errorf("a DB adds %v allocations, want %v: one for the acquire", got, added+1)
				}
			})
		}
	}
}

func TestRows_NextAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	cfg := full
	cfg.Quiet = true
	cfg.Answers = map[string]fakedb.Answer{"many": {Rows: 1 << 30}}
	db := otelpool.OpenDB(fakedb.New(cfg).Connector())
	defer db.Close()
	rows, err := db.Query("many")
	noError(t, err)
	defer rows.Close()
	if n := testing.AllocsPerRun(200, func() { rows.Next() }); n != 0 {
		t.Errorf("a row allocates %v times, want 0", n)
	}
}
