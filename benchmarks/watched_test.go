package benchmarks

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	xsam "github.com/XSAM/otelsql"
	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	nhatthm "go.nhat.io/otelsql"
)

// handle is what a program calls: a *sql.DB or an otelpool.DB.
type handle interface {
	BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
	Conn(context.Context) (*sql.Conn, error)
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	PrepareContext(context.Context, string) (*sql.Stmt, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	PingContext(context.Context) error
}

// watched is a fake database behind a peer, and everything that the peer emits: spans,
// metrics including those of DBStats, and log records.
type watched struct {
	handle
	plain   *sql.DB
	fake    *fakedb.DB
	spans   *tracetest.SpanRecorder
	reader  *sdkmetric.ManualReader
	log     *strings.Builder
	callers *sdktrace.TracerProvider // for the spans of the program, with the same recorder
}

// watch opens a peer as its documentation describes. It enables the metrics of DBStats,
// spans without a caller's span, and spans of pings. The content of spans is the default.
func watch(t *testing.T, peer Peer, c fakedb.Config) *watched {
	t.Helper()
	w := &watched{fake: fakedb.New(c), spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader(), log: &strings.Builder{}}
	w.callers = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(w.spans))
	p := providers{tracer: w.callers, meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.reader))}
	var err error
	switch peer.Name {
	case Otelpool, OtelpoolDB:
		logger := slog.New(slog.NewTextHandler(w.log, nil))
		w.plain = otelpool.OpenDB(w.fake.Connector(), append(otelpoolOptions(p), otelpool.WithLogger(logger))...)
	case Nhatthm:
		w.plain, err = openDriver(nhatthm.Wrap(w.fake.Driver(), nhatthm.AllowRoot(), nhatthm.TracePing(),
			nhatthm.WithTracerProvider(p.tracer), nhatthm.WithMeterProvider(p.meter)))
	default:
		w.plain, err = peer.open(w.fake.Connector(), p)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.plain.Close() })
	w.handle = w.plain
	switch peer.Name {
	case OtelpoolDB:
		w.handle, err = otelpool.NewDB(w.plain)
	case XSAM:
		_, err = xsam.RegisterDBStatsMetrics(w.plain, xsam.WithMeterProvider(p.meter))
	case Nhatthm:
		err = nhatthm.RecordStats(w.plain, nhatthm.WithMeterProvider(p.meter), nhatthm.WithMinimumReadDBStatsInterval(0))
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// everything is a driver with every optional interface.
var everything = fakedb.Config{
	Conn: fakedb.AllConn, Stmt: fakedb.AllStmt, Rows: fakedb.AllRows, DriverContext: true, Closer: true,
}

// number identifies one number: a metric, one of its series, and the part of a histogram.
type number struct{ metric, series, part string }

// numbers returns all numbers of all metrics, with times in seconds.
func (w *watched) numbers(t *testing.T) map[number]float64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := w.reader.Collect(context.Background(), &rm); err != nil {
		t.Fatal(err)
	}
	all := map[number]float64{}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			// The peers write units of time in several ways.
			scale := map[string]float64{"ms": 1e-3, "milliseconds": 1e-3, "ns": 1e-9, "nanoseconds": 1e-9}[m.Unit]
			if scale == 0 {
				scale = 1
			}
			put := func(attrs attribute.Set, part string, v float64) {
				all[number{m.Name, attrs.Encoded(attribute.DefaultEncoder()), part}] = v
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					put(p.Attributes, "", float64(p.Value)*scale)
				}
			case metricdata.Sum[float64]:
				for _, p := range data.DataPoints {
					put(p.Attributes, "", p.Value*scale)
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					put(p.Attributes, "", float64(p.Value)*scale)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					put(p.Attributes, "", p.Value*scale)
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					put(p.Attributes, "sum", float64(p.Sum)*scale)
					put(p.Attributes, "count", float64(p.Count))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					put(p.Attributes, "sum", p.Sum*scale)
					put(p.Attributes, "count", float64(p.Count))
				}
			default:
				t.Fatalf("%s is a %T", m.Name, data)
			}
		}
	}
	return all
}

// grown returns the metrics in which an accepted number has increased.
func grown(before, after map[number]float64, accept func(n number, by float64) bool) (names []string) {
	for n, v := range after {
		if by := v - before[n]; by != 0 && accept(n, by) {
			names = append(names, code(n.metric))
		}
	}
	return sorted(names)
}

// lengthened returns the metrics in which a time has increased by d, to the millisecond.
// Those that are not histograms are marked as sums.
func lengthened(before, after map[number]float64, d time.Duration) []string {
	isTime := func(n number, by float64) bool { return n.part != "count" && math.Abs(by-d.Seconds()) < 1e-3 }
	names := grown(before, after, func(n number, by float64) bool { return n.part == "sum" && isTime(n, by) })
	sums := grown(before, after, func(n number, by float64) bool { return n.part == "" && isTime(n, by) })
	for _, name := range sums {
		names = append(names, name+" (sum)")
	}
	return names
}

// made returns the names of the peer's accepted spans since the last reset.
func (w *watched) made(accept func(sdktrace.ReadOnlySpan) bool) (names []string) {
	for _, s := range w.spans.Ended() {
		if s.Name() != callerName && accept(s) {
			name := code(s.Name())
			if s.Status().Code == codes.Error {
				name += " (failed)"
			}
			names = append(names, name)
		}
	}
	return names
}

const callerName = "the program"

func anySpan(sdktrace.ReadOnlySpan) bool { return true }

// lasted accepts spans of length d.
func lasted(d time.Duration) func(sdktrace.ReadOnlySpan) bool {
	return func(s sdktrace.ReadOnlySpan) bool { return s.EndTime().Sub(s.StartTime()) == d }
}

// all returns everything that was emitted, as text by kind of signal.
func (w *watched) all(t *testing.T) map[string]string {
	t.Helper()
	var spans, events, metrics strings.Builder
	for _, s := range w.spans.Ended() {
		fmt.Fprintln(&spans, s.Name(), s.Attributes(), s.Status().Description)
		for _, e := range s.Events() {
			fmt.Fprintln(&events, e.Name, e.Attributes)
		}
	}
	for n := range w.numbers(t) {
		fmt.Fprintln(&metrics, n.metric, n.series)
	}
	return map[string]string{"on spans": spans.String(), "in events": events.String(), "on metrics": metrics.String(), "in the log": w.log.String()}
}

// signalsWith returns the kinds of signals that contain a text.
func (w *watched) signalsWith(t *testing.T, text string) string {
	t.Helper()
	var where []string
	for signal, found := range w.all(t) {
		if strings.Contains(found, text) {
			where = append(where, signal)
		}
	}
	return list(sorted(where), "not reported")
}

func (w *watched) caller(t *testing.T) (context.Context, func()) {
	t.Helper()
	ctx, span := w.callers.Tracer("").Start(t.Context(), callerName)
	return ctx, func() { span.End() }
}

func code(s string) string { return "`" + s + "`" }

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

func list(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}
