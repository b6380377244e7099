package faults_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// The metrics and attributes that faults appear in.
const (
	durations = "db.client.operation.duration"
	dials     = "db.client.connection.create_time"
	results   = "db.client.response.returned_rows"
	closes    = "otelpool.connection.closed"
	retries   = "otelpool.connection.retries"

	operation = attribute.Key("otelpool.operation")
	reason    = attribute.Key("otelpool.reason")
	class     = attribute.Key("otelpool.class")
	errorType = attribute.Key("error.type")
	status    = attribute.Key("db.response.status_code")
)

// telemetry is an SDK that keeps everything that a pool emits. Every span is sampled.
type telemetry struct {
	spans  *tracetest.SpanRecorder
	traces *sdktrace.TracerProvider
	reader *sdkmetric.ManualReader
	meters *sdkmetric.MeterProvider
}

func newTelemetry() *telemetry {
	spans, reader := tracetest.NewSpanRecorder(), sdkmetric.NewManualReader()
	return &telemetry{
		spans:  spans,
		traces: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		reader: reader,
		meters: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
	}
}

// options name the spans of statements after the operation, as the metrics do.
func (tel *telemetry) options() []otelpool.Option {
	return []otelpool.Option{
		otelpool.WithTracerProvider(tel.traces), otelpool.WithMeterProvider(tel.meters),
		otelpool.WithLogger(slog.New(slog.DiscardHandler)),
		otelpool.WithHooks(otelpool.Hooks{SpanName: func(_ context.Context, s poolinfo.StatementInfo) string { return s.Operation }}),
	}
}

// points returns the data points of a metric by attributes: the value of a sum, or the
// count of a histogram.
func (tel *telemetry) points(tb testing.TB, name string) map[attribute.Distinct]point {
	tb.Helper()
	var rm metricdata.ResourceMetrics
	if err := tel.reader.Collect(context.Background(), &rm); err != nil {
		tb.Fatal(err)
	}
	points := map[attribute.Distinct]point{}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					points[p.Attributes.Equivalent()] = point{p.Attributes, p.Value}
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					points[p.Attributes.Equivalent()] = point{p.Attributes, int64(p.Count)}
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					points[p.Attributes.Equivalent()] = point{p.Attributes, int64(p.Count)}
				}
			default:
				tb.Fatalf("metric %s is a %T", name, m.Data)
			}
		}
	}
	return points
}

type point struct {
	attrs attribute.Set
	n     int64
}

func (p point) get(key attribute.Key) string {
	v, _ := p.attrs.Value(key)
	return v.AsString()
}

// line joins words to a line, with a dash for each empty word.
func line(words ...string) string {
	for i, w := range words {
		words[i] = cmp.Or(w, "-")
	}
	return strings.Join(words, " ")
}

// counted returns the points of a metric that have an attribute, with as many lines for
// each point as it counts.
func (tel *telemetry) counted(tb testing.TB, name string, has attribute.Key, f func(point) string) []string {
	tb.Helper()
	var lines []string
	for _, p := range tel.points(tb, name) {
		if p.attrs.HasValue(has) {
			for range p.n {
				lines = append(lines, f(p))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// agree checks that two sources have the same sorted lines.
func agree(tb testing.TB, one string, ones []string, other string, others []string) {
	tb.Helper()
	if !slices.Equal(ones, others) {
		tb.Errorf("%s: %v\n%s: %v", one, tally(ones), other, tally(others))
	}
}

func tally(lines []string) map[string]int {
	n := map[string]int{}
	for _, l := range lines {
		n[l]++
	}
	return n
}

// failures returns the failed operations and dials, from the metrics.
func (tel *telemetry) failures(tb testing.TB) []string {
	tb.Helper()
	lines := append(
		tel.counted(tb, durations, errorType, func(p point) string { return line("failed", p.get(operation), p.get(errorType), p.get(class)) }),
		tel.counted(tb, dials, errorType, func(p point) string { return line("failed connect", p.get(errorType), p.get(class)) })...)
	slices.Sort(lines)
	return lines
}

// unread returns the result sets whose reading failed, from the metric and from the events
// on the program's span.
func (tel *telemetry) unread(tb testing.TB) []string {
	tb.Helper()
	lines := tel.counted(tb, results, errorType, func(p point) string { return line("unread", p.get(errorType), p.get(class)) })
	events := slices.DeleteFunc(
		tel.happened("otelpool.rows.closed", func(p point) string { return line("unread", p.get(errorType), p.get(class)) }),
		func(l string) bool { return l == "unread - -" })
	agree(tb, "the metric", lines, "the events", events)
	return lines
}

// happened returns the events with a name on the program's span, as a line each.
func (tel *telemetry) happened(name string, f func(point) string) []string {
	var lines []string
	for _, s := range tel.spans.Started() {
		if s.Name() != "program" {
			continue
		}
		for _, e := range s.Events() {
			if e.Name == name {
				lines = append(lines, f(point{attrs: attribute.NewSet(e.Attributes...)}))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// failedSpans returns the failed operations and dials, from the spans. It leaves out other
// spans, such as those of acquires, which exist only for long ones.
func (tel *telemetry) failedSpans(tb testing.TB) []string {
	tb.Helper()
	var lines []string
	for _, s := range tel.spans.Ended() {
		attrs := attribute.NewSet(s.Attributes()...)
		if s.InstrumentationScope().Name != otelpool.ScopeName || s.SpanKind() != trace.SpanKindClient || !attrs.HasValue(errorType) {
			continue
		}
		p := point{attrs: attrs}
		lines = append(lines, line("failed", s.Name(), p.get(errorType), p.get(class)))
		if code := codeIn(p.get(errorType)); p.get(status) != code {
			tb.Errorf("the span of a failed %s has the status code %q, want %q", s.Name(), p.get(status), code)
		}
	}
	slices.Sort(lines)
	return lines
}

// aCode matches a server's code: a number of MySQL, or an SQLSTATE.
var aCode = regexp.MustCompile(`^([0-9]{4}|[0-9A-Z]{5})$`)

// codeIn returns an error.type if it is a code, and otherwise an empty string.
func codeIn(typ string) string {
	if aCode.MatchString(typ) {
		return typ
	}
	return ""
}

// retried returns the masked retries.
func (tel *telemetry) retried(tb testing.TB) []string {
	tb.Helper()
	return tel.counted(tb, retries, errorType, func(p point) string { return line("retried", p.get(errorType), p.get(class)) })
}

// closedConns returns the closed connections, the first first.
func closedConns(tb testing.TB, db *sql.DB) []string {
	tb.Helper()
	var lines []string
	for _, d := range slices.Backward(inspect(tb, db).RecentlyClosed) {
		lines = append(lines, line("closed", d.Reason.String(), string(d.Class), d.ErrorType))
		if code := codeIn(d.ErrorType); d.Code != code {
			tb.Errorf("connection %d was closed with the code %q, want %q", d.ConnID, d.Code, code)
		}
	}
	return lines
}

// all returns the telemetry of the faults, one line each.
func (tel *telemetry) all(tb testing.TB, db *sql.DB) string {
	tb.Helper()
	failed, spans := tel.failures(tb), tel.failedSpans(tb)
	agree(tb, "the metrics", failed, "the spans", spans)
	closed := closedConns(tb, db)
	var short []string
	for _, l := range closed {
		short = append(short, l[:strings.LastIndexByte(l, ' ')])
	}
	slices.Sort(short)
	counted := tel.counted(tb, closes, reason, func(p point) string { return line("closed", p.get(reason), p.get(class)) })
	agree(tb, "the metric", counted, "the closed connections", short)
	// A bad connection is an event of the caller that held it or found it. A connection
	// that the pool closed may have no event.
	bad := func(l string) bool { return !strings.HasPrefix(l, "closed bad ") }
	events := tel.happened("otelpool.connection.closed", func(p point) string { return line("closed", p.get(reason), p.get(class)) })
	agree(tb, "the events", slices.DeleteFunc(events, bad), "the closed connections", slices.DeleteFunc(short, bad))
	retried := tel.retried(tb)
	retryEvents := tel.happened("otelpool.connection.retried", func(p point) string { return line("retried", p.get(errorType), p.get(class)) })
	agree(tb, "the metric", retried, "the events", retryEvents)
	return strings.Join(slices.Concat(failed, tel.unread(tb), retried, closed, []string{""}), "\n")
}

// balance checks the counts of a pool at rest against each other, the metrics and
// database/sql.
func (tel *telemetry) balance(tb testing.TB, db *sql.DB) {
	tb.Helper()
	snap, stats := inspect(tb, db), db.Stats()
	if snap.Held != 0 || snap.Dialing != 0 || stats.InUse != 0 {
		tb.Errorf("at rest %d are held, %d are dialed, %d are in use", snap.Held, snap.Dialing, stats.InUse)
	}
	if snap.Open != stats.OpenConnections || snap.Idle != stats.Idle {
		tb.Errorf("%d are open, %d idle; database/sql has %d open, %d idle", snap.Open, snap.Idle, stats.OpenConnections, stats.Idle)
	}
	if closed := sum(snap.Closed); snap.Opened != int64(snap.Open)+closed {
		tb.Errorf("%d were opened, but %d are open and %d were closed: %v", snap.Opened, snap.Open, closed, snap.Closed)
	}
	for limit, counted := range map[poolinfo.Reason]int64{
		poolinfo.ReasonIdleCount: stats.MaxIdleClosed, poolinfo.ReasonIdleTime: stats.MaxIdleTimeClosed,
		poolinfo.ReasonLifetime: stats.MaxLifetimeClosed,
	} {
		if snap.Closed[limit] != counted {
			tb.Errorf("%d were closed by %s, database/sql has %d", snap.Closed[limit], limit, counted)
		}
	}
	for _, m := range []struct {
		name string
		key  attribute.Key
		want map[string]int64
	}{
		{"otelpool.connection.acquired", "otelpool.source", byText(snap.Acquired)},
		{closes, reason, byText(snap.Closed)},
		{retries, errorType, snap.Retries},
	} {
		got := map[string]int64{}
		for _, p := range tel.points(tb, m.name) {
			got[p.get(m.key)] += p.n
		}
		if !maps.Equal(got, m.want) {
			tb.Errorf("%s is %v, the ledger has %v", m.name, got, m.want)
		}
	}
	holds := int64(0)
	for _, p := range tel.points(tb, "db.client.connection.use_time") {
		holds += p.n
	}
	if acquired := sum(snap.Acquired); holds != acquired {
		tb.Errorf("%d holds were recorded, %d acquired: %v", holds, acquired, snap.Acquired)
	}
	dialed := int64(0)
	for _, p := range tel.points(tb, dials) {
		if !p.attrs.HasValue(errorType) {
			dialed += p.n
		}
	}
	if dialed != snap.Opened {
		tb.Errorf("%d dials succeeded, %d connections were opened", dialed, snap.Opened)
	}
	for _, s := range tel.spans.Started() {
		if s.InstrumentationScope().Name == otelpool.ScopeName && s.EndTime().IsZero() {
			tb.Errorf("span %s has no end", s.Name())
		}
	}
}

func sum[K comparable](counts map[K]int64) int64 {
	var n int64
	for _, c := range counts {
		n += c
	}
	return n
}

func inspect(tb testing.TB, db *sql.DB) poolinfo.Snapshot {
	tb.Helper()
	snap, err := otelpool.Inspect(db)
	if err != nil {
		tb.Fatal(fmt.Errorf("inspect: %w", err))
	}
	return snap
}

// byText returns a map by the texts of its keys.
func byText[K interface {
	comparable
	fmt.Stringer
}](m map[K]int64) map[string]int64 {
	texts := make(map[string]int64, len(m))
	for k, n := range m {
		texts[k.String()] = n
	}
	return texts
}
