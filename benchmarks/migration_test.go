package benchmarks

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	xsam "github.com/XSAM/otelsql"
	uptrace "github.com/uptrace/opentelemetry-go-extra/otelsql"
	nhatthm "go.nhat.io/otelsql"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

// A migration is what docs/migrating.md lists for one wrapper: each of its names, and
// ours for the same.
type migration struct {
	peer    string
	scope   string // of its spans and metrics
	options []string
	open    func(c driver.Connector, p providers) (*sql.DB, error)
	spans   []rename
	metrics []rename
}

// A rename is a row of a table of names.
type rename struct {
	there string   // a name of the other wrapper, empty if it has none
	here  []string // our names, nil if there are none
	note  string
}

// ours are the names that no other wrapper has.
var ours = migration{
	spans: []rename{
		{here: []string{"acquire"}, note: "a call that waited for its connection, or got none; it links to the spans of the holders"},
		{here: []string{"hold"}, note: "a connection that was held for more than a second, with the seconds of each phase"},
	},
	metrics: []rename{
		{here: []string{"db.client.connection.pending_requests"}, note: "callers that wait now; with `otelpool.DB`"},
		{here: []string{"db.client.connection.timeouts"}, note: "callers whose deadline passed in the queue; with `otelpool.DB`"},
		{here: []string{"otelpool.connection.cancels"}, note: "callers that were canceled in the queue; with `otelpool.DB`"},
		{here: []string{"otelpool.connection.oldest_wait"}, note: "the longest wait in progress; with `otelpool.DB`"},
		{here: []string{"db.client.connection.use_time"}, note: "how long connections were held"},
		{here: []string{"otelpool.connection.held"}, note: "the same as a sum by phase, holds in progress included"},
		{here: []string{"otelpool.connection.oldest_hold"}, note: "the longest hold in progress"},
		{here: []string{"otelpool.connection.peak"}, note: "the most connections held at once since the last collection"},
		{here: []string{"otelpool.connection.acquired"}, note: "connections handed to callers: new, reused, or opened in the background"},
		{here: []string{"db.client.connection.idle.max"}, note: "the limit of idle connections, if it was set through `otelpool.DB`"},
		{here: []string{"db.client.response.returned_rows"}, note: "rows for each result set"},
		{here: []string{"otelpool.connection.retries"}, note: "attempts on a bad connection that database/sql retried"},
		{here: []string{"otelpool.connection.leaks"}, note: "leaks that were suspected, and resolved"},
		{here: []string{"otelpool.connection.exhaustions"}, note: "reports of an exhausted pool, by verdict"},
	},
}

// The notes of metrics that several wrappers make from the same field of DBStats.
const (
	noteLimit    = "absent while there is no limit, where the old one is 0"
	noteIdle     = "state `idle`"
	noteUsed     = "state `used`; a connection that is being opened is `dialing` here, and in use there"
	noteWaits    = "its count above the lowest bucket: slow dials and retries too; here a wait is counted when it ends, there when it begins"
	noteWaited   = "in seconds; it has dials too; without `otelpool.DB` take the sum of `db.client.connection.wait_time`"
	noteIdles    = "reason `idle_count`"
	noteIdleTime = "reason `idle_time`"
	noteLifetime = "reason `lifetime`"
)

// The names in our columns.
const (
	ourDuration = "db.client.operation.duration"
	ourCreate   = "db.client.connection.create_time"
	ourCount    = "db.client.connection.count"
	ourMax      = "db.client.connection.max"
	ourWait     = "db.client.connection.wait_time"
	ourWaited   = "otelpool.connection.waited"
	ourClosed   = "otelpool.connection.closed"
)

var migrations = []migration{
	{
		peer: XSAM, scope: "github.com/XSAM/otelsql", options: []string{"Option"},
		open: func(c driver.Connector, p providers) (*sql.DB, error) {
			db, err := openXSAM(c, p)
			if err != nil {
				return nil, err
			}
			_, err = xsam.RegisterDBStatsMetrics(db, xsam.WithMeterProvider(p.meter))
			return db, err
		},
		spans: []rename{
			{there: "sql.connector.connect", here: []string{"connect"}, note: "not of a dial in the background, which is in " + code(ourCreate)},
			{there: "sql.conn.ping", here: []string{"ping"}, note: "there only with `SpanOptions.Ping`"},
			{there: "sql.conn.query", here: []string{"SELECT users"}, note: "`query` for a text without a known operation"},
			{there: "sql.stmt.query", here: []string{"SELECT users"}, note: "the same"},
			{there: "sql.conn.exec", here: []string{"UPDATE users"}, note: "`exec` for a text without a known operation"},
			{there: "sql.stmt.exec", here: []string{"UPDATE users"}, note: "the same"},
			{there: "sql.conn.prepare", here: []string{"prepare"}},
			{there: "sql.conn.begin_tx", here: []string{"begin"}},
			{there: "sql.tx.commit", here: []string{"commit"}},
			{there: "sql.tx.rollback", here: []string{"rollback"}},
			{there: "sql.conn.reset_session", note: "`otelpool.reset_time` on the event `otelpool.connection.acquired`, from a millisecond on"},
			{there: "sql.rows", note: "the event `otelpool.rows.closed` on the caller's span has the rows and the open time"},
		},
		metrics: []rename{
			{
				there: "db.client.operation.duration", here: []string{ourDuration, ourCreate},
				note: "operation `sql.connector.connect` is " + code(ourCreate) + "; `sql.conn.reset_session` and `sql.rows` are no operations here",
			},
			{there: "db.sql.connection.max_open", here: []string{ourMax}, note: noteLimit},
			{there: "db.sql.connection.open", here: []string{ourCount}, note: "`inuse` is `used`, or `dialing` while it is being opened; `idle` is the same"},
			{there: "db.sql.connection.wait", here: []string{ourWait}, note: noteWaits},
			{there: "db.sql.connection.wait_duration", here: []string{ourWaited}, note: noteWaited},
			{there: "db.sql.connection.closed_max_idle", here: []string{ourClosed}, note: noteIdles},
			{there: "db.sql.connection.closed_max_idle_time", here: []string{ourClosed}, note: noteIdleTime},
			{there: "db.sql.connection.closed_max_lifetime", here: []string{ourClosed}, note: noteLifetime},
		},
	},
	{
		peer: Nhatthm, scope: "go.nhat.io/otelsql", options: []string{"Option", "DriverOption", "StatsOption"},
		open: func(c driver.Connector, p providers) (*sql.DB, error) {
			db, err := openDriver(nhatthm.Wrap(c.Driver(), nhatthm.TraceAll(), nhatthm.WithTracerProvider(p.tracer), nhatthm.WithMeterProvider(p.meter)))
			if err != nil {
				return nil, err
			}
			return db, nhatthm.RecordStats(db, nhatthm.WithMeterProvider(p.meter), nhatthm.WithMinimumReadDBStatsInterval(0))
		},
		spans: []rename{
			{here: []string{"connect"}},
			{there: "sql:ping", here: []string{"ping"}, note: "there only with `TracePing`"},
			{there: "sql:query", here: []string{"SELECT users"}, note: "`query` for a text without a known operation"},
			{there: "sql:exec", here: []string{"UPDATE users"}, note: "`exec` for a text without a known operation"},
			{there: "sql:prepare", here: []string{"prepare"}},
			{there: "sql:begin_transaction", here: []string{"begin"}},
			{there: "sql:commit", here: []string{"commit"}},
			{there: "sql:rollback", here: []string{"rollback"}},
			{there: "sql:rows_next", note: "no span for a row"},
			{there: "sql:rows_close", note: "the event `otelpool.rows.closed` on the caller's span has the rows and the open time"},
			{there: "sql:rows_affected", note: "the attribute `otelpool.rows_affected` of the span of the exec"},
			{there: "sql:last_insert_id", note: "not recorded"},
		},
		metrics: []rename{
			{there: "db.sql.client.calls", here: []string{ourDuration}, note: "its count; failed calls have `error.type`"},
			{there: "db.sql.client.latency", here: []string{ourDuration}, note: "in seconds, and not cut to whole milliseconds"},
			{here: []string{ourCreate}},
			{here: []string{ourMax}},
			{there: "db.sql.connections.open", here: []string{ourCount}, note: "the sum of all states"},
			{there: "db.sql.connections.idle", here: []string{ourCount}, note: noteIdle},
			{there: "db.sql.connections.active", here: []string{ourCount}, note: noteUsed},
			{there: "db.sql.connections.wait_count", here: []string{ourWait}, note: noteWaits},
			{there: "db.sql.connections.wait_duration", here: []string{ourWaited}, note: noteWaited},
			{there: "db.sql.connections.idle_closed", here: []string{ourClosed}, note: noteIdles},
			{there: "db.sql.connections.idle_time_closed", here: []string{ourClosed}, note: noteIdleTime},
			{there: "db.sql.connections.lifetime_closed", here: []string{ourClosed}, note: noteLifetime},
		},
	},
	{
		peer: Uptrace, scope: "github.com/uptrace/opentelemetry-go-extra/otelsql", options: []string{"Option"},
		open: openUptrace,
		spans: []rename{
			{there: "db.Connect", here: []string{"connect"}, note: "not of a dial in the background, which is in " + code(ourCreate)},
			{there: "db.Ping", here: []string{"ping"}},
			{there: "db.Query", here: []string{"SELECT users"}, note: "`query` for a text without a known operation"},
			{there: "stmt.Query", here: []string{"SELECT users"}, note: "the same"},
			{there: "db.Exec", here: []string{"UPDATE users"}, note: "`exec` for a text without a known operation"},
			{there: "stmt.Exec", here: []string{"UPDATE users"}, note: "the same"},
			{there: "db.Prepare", here: []string{"prepare"}},
			{there: "db.Begin", here: []string{"begin"}},
			{there: "tx.Commit", here: []string{"commit"}},
			{there: "tx.Rollback", here: []string{"rollback"}},
		},
		metrics: []rename{
			{
				there: "go.sql.query_timing", here: []string{ourDuration},
				note: "in seconds, and not cut to whole milliseconds; there query, exec and prepare are one series; ping, begin, commit and rollback come in addition",
			},
			{here: []string{ourCreate}},
			{there: "go.sql.connections_max_open", here: []string{ourMax}, note: noteLimit},
			{there: "go.sql.connections_open", here: []string{ourCount}, note: "the sum of all states"},
			{there: "go.sql.connections_in_use", here: []string{ourCount}, note: noteUsed},
			{there: "go.sql.connections_idle", here: []string{ourCount}, note: noteIdle},
			{there: "go.sql.connections_wait_count", here: []string{ourWait}, note: noteWaits},
			{there: "go.sql.connections_wait_duration", here: []string{ourWaited}, note: noteWaited},
			{there: "go.sql.connections_closed_max_idle", here: []string{ourClosed}, note: noteIdles},
			{there: "go.sql.connections_closed_max_idle_time", here: []string{ourClosed}, note: noteIdleTime},
			{there: "go.sql.connections_closed_max_lifetime", here: []string{ourClosed}, note: noteLifetime},
		},
	},
}

// limited has the methods that a program sets limits with.
type limited interface {
	handle
	SetMaxOpenConns(int)
	SetMaxIdleConns(int)
	SetConnMaxLifetime(time.Duration)
	SetConnMaxIdleTime(time.Duration)
}

// openFunc opens a pool. Its log gets the reports of otelpool.
type openFunc func(c driver.Connector, p providers, log io.Writer) (*sql.DB, error)

// watchMigrating returns a fake database behind a pool that open makes. withDB makes the
// program use an otelpool.DB.
func watchMigrating(t *testing.T, open openFunc, withDB bool) *watched {
	t.Helper()
	w := &watched{fake: fakedb.New(everything), spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader(), log: &strings.Builder{}}
	w.callers = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(w.spans))
	p := providers{tracer: w.callers, meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.reader))}
	w.plain = must(open(w.fake.Connector(), p, w.log))(t)
	t.Cleanup(func() {
		_ = w.plain.Close()
		time.Sleep(time.Minute) // uptrace's wrapper does not pass Close on: the monitor ends on its own
	})
	w.handle = w.plain
	if withDB {
		w.handle = must(otelpool.NewDB(w.plain))(t)
	}
	return w
}

func openMigrated(c driver.Connector, p providers, log io.Writer) (*sql.DB, error) {
	return otelpool.OpenDB(c, migratedOptions(p, log)...), nil
}

func migratedOptions(p providers, log io.Writer) []otelpool.Option {
	return append(otelpoolOptions(p), otelpool.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
}

// stacked are the lines of docs/migrating.md that run a wrapper and otelpool on one pool.
var stacked = map[string]openFunc{
	XSAM: func(c driver.Connector, p providers, log io.Writer) (*sql.DB, error) {
		d := xsam.WrapDriver(c.Driver(), xsam.WithSpanOptions(xsam.SpanOptions{Ping: true}), xsam.WithTracerProvider(p.tracer), xsam.WithMeterProvider(p.meter))
		db, err := openAbove(d, p, log)
		if err != nil {
			return nil, err
		}
		_, err = xsam.RegisterDBStatsMetrics(db, xsam.WithMeterProvider(p.meter))
		return db, err
	},
	Nhatthm: func(c driver.Connector, p providers, log io.Writer) (*sql.DB, error) {
		db, err := openAbove(nhatthm.Wrap(c.Driver(), nhatthm.TraceAll(), nhatthm.WithTracerProvider(p.tracer), nhatthm.WithMeterProvider(p.meter)), p, log)
		if err != nil {
			return nil, err
		}
		return db, nhatthm.RecordStats(db, nhatthm.WithMeterProvider(p.meter), nhatthm.WithMinimumReadDBStatsInterval(0))
	},
	Uptrace: func(c driver.Connector, p providers, log io.Writer) (*sql.DB, error) {
		db := uptrace.OpenDB(otelpool.NewConnector(c, migratedOptions(p, log)...), uptraceOptions(p)...)
		return db, otelpool.Watch(db)
	},
}

// openAbove puts otelpool over a wrapped driver, and names the system that it hides.
func openAbove(d driver.Driver, p providers, log io.Writer) (*sql.DB, error) {
	c, err := d.(driver.DriverContext).OpenConnector("")
	if err != nil {
		return nil, err
	}
	mysql := otelpool.Adapter{Target: func(driver.Connector) poolinfo.Target { return poolinfo.Target{System: "mysql"} }}
	return otelpool.OpenDB(c, append(migratedOptions(p, log), otelpool.WithAdapter(mysql))...), nil
}

// work is a program that uses every operation, lets a statement and a dial fail, and saturates its
// pool. It calls look at moments whose connection counts are worth a comparison.
func (w *watched) work(t *testing.T, look func(moment string)) {
	t.Helper()
	db := w.handle.(limited)
	for op, ms := range map[fakedb.Op]int{
		fakedb.Ping: 1, fakedb.Exec: 3, fakedb.Query: 5, fakedb.Prepare: 7, fakedb.StmtExec: 9, fakedb.StmtQuery: 11,
		fakedb.Begin: 13, fakedb.Commit: 15, fakedb.Rollback: 17,
	} {
		w.fake.On(op, fakedb.Sleep(time.Duration(ms)*time.Millisecond))
	}
	db.SetMaxIdleConns(2)
	ctx, end := w.caller(t)
	defer end()
	const query = "SELECT id FROM users WHERE id = ?"
	ok(t, db.PingContext(ctx))
	must(sum(db.QueryContext(ctx, query, 1)))(t)
	res := must(db.ExecContext(ctx, update, 1))(t)
	must(res.RowsAffected())(t)
	_, _ = res.LastInsertId() // the driver has none
	look("after a few statements")

	refused := errors.New("refused")
	w.fake.Fail(fakedb.Exec, 1, refused)
	if _, err := db.ExecContext(ctx, update, 1); !errors.Is(err, refused) {
		t.Fatal(err)
	}
	// The wait of a retried call has its failed attempts: these take no time here.
	w.fake.On(fakedb.Exec, nil)
	w.fake.Fail(fakedb.Exec, 1, driver.ErrBadConn)
	must(db.ExecContext(ctx, update, 1))(t)
	w.fake.On(fakedb.Exec, fakedb.Sleep(3*time.Millisecond))

	for _, text := range []string{update, query} {
		stmt := must(db.PrepareContext(ctx, text))(t)
		if text == update {
			must(stmt.ExecContext(ctx, 1))(t)
		} else {
			must(sum(stmt.QueryContext(ctx, 1)))(t)
		}
		ok(t, stmt.Close())
	}

	tx := must(db.BeginTx(ctx, nil))(t)
	must(tx.ExecContext(ctx, update, 1))(t)
	look("in a transaction")
	ok(t, tx.Commit())
	ok(t, must(db.BeginTx(ctx, nil))(t).Rollback())

	w.saturate(t, ctx, db, look)

	db.SetConnMaxLifetime(time.Second)
	time.Sleep(2 * time.Second)
	db.SetConnMaxLifetime(0)
	w.fake.Fail(fakedb.Connect, 1, refused)
	if err := db.PingContext(ctx); !errors.Is(err, refused) {
		t.Fatal(err)
	}
	ok(t, db.PingContext(ctx))
	db.SetConnMaxIdleTime(time.Second)
	time.Sleep(5 * time.Second)
	ok(t, db.PingContext(ctx))
	db.SetConnMaxIdleTime(0)
	db.SetMaxOpenConns(5)
	one, two := must(db.Conn(ctx))(t), must(db.Conn(ctx))(t)
	look("with two connections in use")
	db.SetMaxIdleConns(1)
	ok(t, errors.Join(one.Close(), two.Close()))
	look("at the end")
}

// saturate holds the only connection of the pool while callers wait: one that gets it,
// one whose deadline passes, one that is canceled, and one that waits for a minute.
func (w *watched) saturate(t *testing.T, ctx context.Context, db limited, look func(string)) {
	t.Helper()
	db.SetMaxOpenConns(1)
	hold := func() (release func()) {
		c := must(db.Conn(ctx))(t)
		return func() { ok(t, c.Close()) }
	}
	release := hold()
	done := w.background(ctx)
	time.Sleep(30 * time.Millisecond)
	look("while a caller waits")
	release()
	ok(t, <-done)

	release = hold()
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := <-w.background(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	leaves, leave := context.WithCancel(ctx)
	done = w.background(leaves)
	time.Sleep(10 * time.Millisecond)
	leave()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	done = w.background(ctx)
	time.Sleep(time.Minute)
	release()
	ok(t, <-done)
	look("after a minute of saturation")
}

// A point is a series of a metric at one moment, with times in seconds.
type point struct {
	scope, metric string
	attrs         attribute.Set
	value         float64 // of a gauge or a sum, and the sum of a histogram
	count         uint64  // of a histogram
	waits         uint64  // of a histogram: values above the lowest bucket
}

// A signal is what is emitted under a name: the kinds of spans, or the unit and the
// attributes of a metric.
type signal struct {
	unit string
	keys []string
}

// recording is what a program recorded: points at each moment, and the names by scope.
type recording struct {
	moments []string
	points  map[string][]point
	spans   map[string]map[string]signal
	metrics map[string]map[string]signal
	ended   []sdktrace.ReadOnlySpan
}

// recordWork runs the program on a pool.
func recordWork(t *testing.T, open openFunc, withDB bool) *recording {
	t.Helper()
	r := &recording{points: map[string][]point{}, spans: map[string]map[string]signal{}, metrics: map[string]map[string]signal{}}
	synctest.Test(t, func(t *testing.T) {
		w := watchMigrating(t, open, withDB)
		w.work(t, func(moment string) {
			synctest.Wait()
			r.moments = append(r.moments, moment)
			r.points[moment] = r.collect(t, w)
		})
		r.ended = w.spans.Ended()
	})
	for _, s := range r.ended {
		if s.Name() != callerName {
			add(r.spans, s.InstrumentationScope().Name, s.Name(), "", []string{s.SpanKind().String()})
		}
	}
	return r
}

// add notes a name, and adds to the keys that were found before.
func add(all map[string]map[string]signal, scope, name, unit string, keys []string) {
	if all[scope] == nil {
		all[scope] = map[string]signal{}
	}
	s := all[scope][name]
	all[scope][name] = signal{unit, sorted(append(s.keys, keys...))}
}

func (r *recording) collect(t *testing.T, w *watched) (points []point) {
	t.Helper()
	var rm metricdata.ResourceMetrics
	ok(t, w.reader.Collect(context.Background(), &rm))
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			scale := map[string]float64{"ms": 1e-3, "milliseconds": 1e-3, "nanoseconds": 1e-9}[m.Unit]
			if scale == 0 {
				scale = 1
			}
			put := func(p point) {
				p.scope, p.metric = scope.Scope.Name, m.Name
				p.value *= scale
				points = append(points, p)
				var keys []string
				for _, a := range p.attrs.ToSlice() {
					keys = append(keys, string(a.Key))
				}
				add(r.metrics, p.scope, p.metric, m.Unit, keys)
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					put(point{attrs: p.Attributes, value: float64(p.Value)})
				}
			case metricdata.Sum[float64]:
				for _, p := range data.DataPoints {
					put(point{attrs: p.Attributes, value: p.Value})
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					put(point{attrs: p.Attributes, value: float64(p.Value)})
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					put(point{attrs: p.Attributes, value: p.Value})
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					put(point{attrs: p.Attributes, value: float64(p.Sum), count: p.Count, waits: p.Count - p.BucketCounts[0]})
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					put(point{attrs: p.Attributes, value: p.Sum, count: p.Count, waits: p.Count - p.BucketCounts[0]})
				}
			default:
				t.Fatalf("%s is a %T", m.Name, data)
			}
		}
	}
	return points
}

// series selects the points of a metric: those whose attribute has one of the values, or
// all if no key is given.
type series struct {
	metric string
	key    string
	values []string
}

func (s series) total(points []point, scope string, number func(point) float64) (n float64) {
	for _, p := range points {
		v, _ := p.attrs.Value(attribute.Key(s.key))
		if p.scope == scope && p.metric == s.metric && (s.key == "" || slices.Contains(s.values, v.AsString())) {
			n += number(p)
		}
	}
	return n
}

func valueOf(p point) float64 { return p.value }
func countOf(p point) float64 { return float64(p.count) }
func waitsOf(p point) float64 { return float64(p.waits) }

// failedOf is the count of a point of failed calls.
func failedOf(p point) float64 {
	if _, failed := p.attrs.Value("error.type"); !failed {
		return 0
	}
	return float64(p.count)
}

// sameNumbers compares the numbers of two recordings of one program, which may be one.
func sameNumbers(t *testing.T, there, here *recording) {
	t.Helper()
	duration := func(methods ...string) series { return series{operationDuration, "db.operation.name", methods} }
	operation := func(name string) series { return series{operationDuration, "otelpool.operation", []string{name}} }
	closed := func(reason string) series { return series{ourClosed, "otelpool.reason", []string{reason}} }
	type number = func(point) float64
	rows := []struct {
		there   series
		counts  number
		here    series
		counted number
		end     float64 // the number at the end
	}{
		{duration("sql.conn.ping"), countOf, operation("ping"), countOf, 3},
		{duration("sql.conn.ping"), valueOf, operation("ping"), valueOf, 3e-3},
		{duration("sql.conn.query", "sql.stmt.query"), countOf, operation("query"), countOf, 2},
		{duration("sql.conn.query", "sql.stmt.query"), valueOf, operation("query"), valueOf, 16e-3},
		{duration("sql.conn.exec", "sql.stmt.exec"), countOf, operation("exec"), countOf, 8},
		{duration("sql.conn.exec", "sql.stmt.exec"), valueOf, operation("exec"), valueOf, 24e-3},
		{duration("sql.conn.exec", "sql.stmt.exec"), failedOf, operation("exec"), failedOf, 2},
		{duration("sql.conn.prepare"), countOf, operation("prepare"), countOf, 2},
		{duration("sql.conn.prepare"), valueOf, operation("prepare"), valueOf, 14e-3},
		{duration("sql.conn.begin_tx"), countOf, operation("begin"), countOf, 2},
		{duration("sql.conn.begin_tx"), valueOf, operation("begin"), valueOf, 26e-3},
		{duration("sql.tx.commit"), countOf, operation("commit"), countOf, 1},
		{duration("sql.tx.commit"), valueOf, operation("commit"), valueOf, 15e-3},
		{duration("sql.tx.rollback"), countOf, operation("rollback"), countOf, 1},
		{duration("sql.tx.rollback"), valueOf, operation("rollback"), valueOf, 17e-3},
		{duration("sql.rows"), countOf, series{metric: "db.client.response.returned_rows"}, countOf, 2},
		{duration("sql.connector.connect"), countOf, series{metric: ourCreate}, countOf, 6},
		{duration("sql.connector.connect"), failedOf, series{metric: ourCreate}, failedOf, 1},
		{series{"db.sql.connection.open", "status", []string{"inuse"}}, valueOf, series{ourCount, "db.client.connection.state", []string{"used", "dialing"}}, valueOf, 0},
		{series{"db.sql.connection.open", "status", []string{"idle"}}, valueOf, series{ourCount, "db.client.connection.state", []string{"idle"}}, valueOf, 1},
		{series{metric: "db.sql.connection.max_open"}, valueOf, series{metric: ourMax}, valueOf, 5},
		{series{metric: "db.sql.connection.wait_duration"}, valueOf, series{metric: ourWaited}, valueOf, 60.06},
		{series{metric: "db.sql.connection.closed_max_idle"}, valueOf, closed("idle_count"), valueOf, 1},
		{series{metric: "db.sql.connection.closed_max_idle_time"}, valueOf, closed("idle_time"), valueOf, 1},
		{series{metric: "db.sql.connection.closed_max_lifetime"}, valueOf, closed("lifetime"), valueOf, 1},
		{series{metric: "db.sql.connection.wait"}, valueOf, series{metric: ourWait}, waitsOf, 4},
	}
	if !slices.Equal(there.moments, here.moments) {
		t.Fatalf("the moments differ: %q and %q", there.moments, here.moments)
	}
	last := here.moments[len(here.moments)-1]
	for _, moment := range here.moments {
		for _, row := range rows {
			old := row.there.total(there.points[moment], "github.com/XSAM/otelsql", row.counts)
			got := row.here.total(here.points[moment], otelpool.ScopeName, row.counted)
			if waits := row.there.metric == "db.sql.connection.wait" || row.there.metric == "db.sql.connection.wait_duration"; waits && moment == "while a caller waits" {
				continue // DBStats counts a wait when it begins, and its time when it ends
			}
			if math.Abs(old-got) > 1e-9 {
				t.Errorf("%s: %v: there %v, here %v: %v", moment, row.there, old, row.here, got)
			}
			if moment == last && math.Abs(got-row.end) > 1e-9 {
				t.Errorf("%s: %v is %v, want %v", moment, row.here, got, row.end)
			}
		}
	}
}

func openPeer(m migration) openFunc {
	return func(c driver.Connector, p providers, _ io.Writer) (*sql.DB, error) { return m.open(c, p) }
}

// names are those of a side of a table.
func names(rows []rename, side func(rename) []string) (all []string) {
	for _, row := range rows {
		all = append(all, side(row)...)
	}
	return sorted(all)
}

func there(r rename) []string {
	if r.there == "" {
		return nil
	}
	return []string{r.there}
}

func here(r rename) []string { return r.here }

func sameNames(t *testing.T, what string, listed []string, emitted map[string]signal) {
	t.Helper()
	if want := slices.Sorted(maps.Keys(emitted)); !slices.Equal(listed, want) {
		t.Errorf("%s: the tables list\n%q\nemitted are\n%q", what, listed, want)
	}
}

// cell describes a metric with its unit and the attributes that it was emitted with.
func (s signal) cell(name string) string {
	text := code(name)
	if s.unit != "" {
		text += ", " + code(s.unit)
	}
	// Every metric of otelpool has the name of the pool.
	keys := slices.DeleteFunc(slices.Clone(s.keys), func(k string) bool { return k == string(poolName.Key) })
	for i := range keys {
		keys[i] = code(keys[i])
	}
	if len(keys) > 0 {
		text += ", by " + strings.Join(keys, ", ")
	}
	return text
}

func cells(names []string, emitted map[string]signal, cell func(signal, string) string) string {
	var all []string
	for _, name := range names {
		all = append(all, cell(emitted[name], name))
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, "; ")
}

func spanCell(s signal, name string) string { return code(name) + ", " + strings.Join(s.keys, ", ") }

// TestMigration_ThePageListsTheNames runs one program with each wrapper and with otelpool.
// The tables of docs/migrating.md have exactly the names that were emitted, with their
// kinds, units and attributes.
func TestMigration_ThePageListsTheNames(t *testing.T) {
	mine := recordWork(t, openMigrated, true)
	spans, metrics := mine.spans[otelpool.ScopeName], mine.metrics[otelpool.ScopeName]
	for _, m := range migrations {
		t.Run(m.peer, func(t *testing.T) {
			theirs := recordWork(t, openPeer(m), false)
			theirSpans, theirMetrics := theirs.spans[m.scope], theirs.metrics[m.scope]
			sameNames(t, "spans there", names(m.spans, there), theirSpans)
			sameNames(t, "spans here", sorted(append(names(m.spans, here), names(ours.spans, here)...)), spans)
			sameNames(t, "metrics there", names(m.metrics, there), theirMetrics)
			sameNames(t, "metrics here", sorted(append(names(m.metrics, here), names(ours.metrics, here)...)), metrics)

			spanTable := newTable(m.peer, "otelpool", "what to know")
			for _, row := range m.spans {
				spanTable.row(cells(there(row), theirSpans, spanCell), cells(row.here, spans, spanCell), row.note)
			}
			compare(t, "../docs/migrating.md", "spans of "+m.peer, spanTable.String())
			metricTable := newTable(m.peer, "otelpool", "what to know")
			for _, row := range m.metrics {
				metricTable.row(cells(there(row), theirMetrics, signal.cell), cells(row.here, metrics, signal.cell), row.note)
			}
			compare(t, "../docs/migrating.md", "metrics of "+m.peer, metricTable.String())
		})
	}
	additions := newTable("otelpool", "what it is")
	for _, row := range ours.spans {
		additions.row("span "+cells(row.here, spans, spanCell), row.note)
	}
	for _, row := range ours.metrics {
		additions.row(cells(row.here, metrics, signal.cell), row.note)
	}
	compare(t, "../docs/migrating.md", "additions", additions.String())
}

// TestMigration_XSAMAndOtelpoolRecordTheSameNumbers runs one program with the old line and
// with the new one.
func TestMigration_XSAMAndOtelpoolRecordTheSameNumbers(t *testing.T) {
	sameNumbers(t, recordWork(t, openPeer(migrations[0]), false), recordWork(t, openMigrated, true))
}

// TestMigration_BothRecordOnOnePool runs the program with a wrapper and otelpool on one
// pool: each records what it records alone.
func TestMigration_BothRecordOnOnePool(t *testing.T) {
	alone := recordWork(t, openMigrated, true)
	for _, m := range migrations {
		t.Run(m.peer, func(t *testing.T) {
			both := recordWork(t, stacked[m.peer], true)
			sameNames(t, "spans there", names(m.spans, there), both.spans[m.scope])
			sameNames(t, "metrics there", names(m.metrics, there), both.metrics[m.scope])
			sameNames(t, "spans here", slices.Sorted(maps.Keys(alone.spans[otelpool.ScopeName])), both.spans[otelpool.ScopeName])
			sameNames(t, "metrics here", slices.Sorted(maps.Keys(alone.metrics[otelpool.ScopeName])), both.metrics[otelpool.ScopeName])
			if m.peer == XSAM {
				sameNumbers(t, both, both)
				both.wantChildren(t, m.scope)
			}
		})
	}
}

// wantChildren checks that the spans of the wrapper below are children of otelpool's,
// which name the system that the wrapper hides.
func (r *recording) wantChildren(t *testing.T, scope string) {
	t.Helper()
	scopes := map[trace.SpanID]string{}
	for _, s := range r.ended {
		scopes[s.SpanContext().SpanID()] = s.InstrumentationScope().Name
		for _, a := range s.Attributes() {
			if a.Key == system.Key && a.Value.AsString() != "mysql" {
				t.Errorf("%s: the system is %v", s.Name(), a.Value.AsString())
			}
		}
	}
	for _, s := range r.ended {
		if s.InstrumentationScope().Name == scope && s.Name() != "sql.conn.reset_session" && scopes[s.Parent().SpanID()] != otelpool.ScopeName {
			t.Errorf("%s is not a child of a span of otelpool", s.Name())
		}
	}
}

// TestMigration_WatchFailsBelowAWrapper covers the order of wrappers that the page warns of.
func TestMigration_WatchFailsBelowAWrapper(t *testing.T) {
	for name, open := range map[string]func(*fakedb.DB) (*sql.DB, error){
		XSAM: func(fake *fakedb.DB) (*sql.DB, error) {
			return xsam.OpenDB(otelpool.NewConnector(fake.Connector())), nil
		},
		Nhatthm: func(fake *fakedb.DB) (*sql.DB, error) {
			return openDriver(nhatthm.Wrap(otelpool.NewDriver(fake.Driver())))
		},
	} {
		db := must(open(fakedb.New(everything)))(t)
		if err := otelpool.Watch(db); err == nil {
			t.Errorf("%s: the DB is watched", name)
		}
		ok(t, db.Close())
	}
}
