package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ms = time.Millisecond

	operation = attribute.Key("otelpool.operation")
	phase     = attribute.Key("otelpool.phase")
	source    = attribute.Key("otelpool.source")
	reason    = attribute.Key("otelpool.reason")
	state     = attribute.Key("db.client.connection.state")
	errorType = attribute.Key("error.type")
	poolName  = attribute.Key("db.client.connection.pool.name")
	system    = attribute.Key("db.system.name")
)

// full is a driver with every optional interface that real drivers have.
var full = fakedb.Config{
	Conn:   fakedb.AllConn &^ (fakedb.Execer | fakedb.Queryer),
	Stmt:   fakedb.StmtExecContext | fakedb.StmtQueryContext,
	Rows:   fakedb.AllRows,
	Closer: true,
}

// bubble runs a test in virtual time, on a pool over a fake driver. It closes the pool at the
// end.
func bubble(t *testing.T, cfg fakedb.Config, test func(*testing.T, *sql.DB, *fakedb.DB, *telemetry), opts ...otelpool.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		seen := observe()
		fake := fakedb.New(cfg)
		named := append([]otelpool.Option{otelpool.WithPoolName("shop")}, opts...)
		db := otelpool.OpenDB(fake.Connector(), seen.options(named...)...)
		defer db.Close()
		test(t, db, fake, seen)
	})
}

// noError fails the test at once if err is not nil.
func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// execOK runs a statement and fails the test if that fails.
func execOK(t testing.TB, db *sql.DB, ctx context.Context) { //nolint:revive // t comes first in a test
	t.Helper()
	_, err := db.ExecContext(ctx, "x")
	noError(t, err)
}

func TestOperation_IsASpanAndADuration(t *testing.T) {
	cfg := full
	cfg.Dial = 100 * ms
	bubble(t, cfg, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		for op, d := range map[fakedb.Op]time.Duration{
			fakedb.Ping: 1 * ms, fakedb.Exec: 2 * ms, fakedb.Query: 4 * ms, fakedb.Prepare: 8 * ms, fakedb.StmtExec: 16 * ms,
			fakedb.StmtQuery: 32 * ms, fakedb.Begin: 64 * ms, fakedb.Commit: 128 * ms, fakedb.Rollback: 256 * ms, fakedb.Next: 512 * ms,
		} {
			fake.On(op, fakedb.Sleep(d))
		}
		ctx, caller := seen.caller()
		noError(t, db.PingContext(ctx))
		execOK(t, db, ctx)
		var n int
		noError(t, db.QueryRowContext(ctx, "x").Scan(&n))
		stmt, err := db.PrepareContext(ctx, "x")
		noError(t, err)
		_, err = stmt.ExecContext(ctx)
		noError(t, err)
		noError(t, stmt.QueryRowContext(ctx).Scan(&n))
		noError(t, stmt.Close())
		for _, end := range []func(*sql.Tx) error{(*sql.Tx).Commit, (*sql.Tx).Rollback} {
			tx, err := db.BeginTx(ctx, nil)
			noError(t, err)
			noError(t, end(tx))
		}
		caller.End()

		seen.wantSpans(t,
			"acquire 100ms", "connect 100ms", "ping 1ms", "exec 2ms", "query 4ms", "prepare 8ms", "exec 16ms", "query 32ms",
			"begin 64ms", "commit 128ms", "begin 64ms", "rollback 256ms",
		)
		for i, s := range seen.ended()[1:] {
			want := map[attribute.Key]any{
				poolName: "shop", system: "other_sql",
			}
			if i == 1 {
				want["otelpool.wait_time"] = 0.1 // the first on the connection
			}
			switch s.Name() {
			case "exec":
				want["otelpool.rows_affected"] = int64(1)
				fallthrough
			case "query", "prepare":
				want["db.query.text"] = "x"
			}
			if got := attributes(s.Attributes()); !maps.Equal(got, want) {
				t.Errorf("%s has attributes %v, want %v", s.Name(), got, want)
			}
			if s.Parent().SpanID() != caller.SpanContext().SpanID() || s.SpanKind() != trace.SpanKindClient {
				t.Errorf("%s is a %v span with parent %v, want a client span with the caller as parent", s.Name(), s.SpanKind(), s.Parent())
			}
			if scope := s.InstrumentationScope(); scope.Name != otelpool.ScopeName || scope.Version != otelpool.Version {
				t.Errorf("%s has the scope %+v", s.Name(), scope)
			}
		}
		seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{
			"ping": {1, 1 * ms}, "exec": {2, 18 * ms}, "query": {2, 36 * ms}, "prepare": {1, 8 * ms},
			"begin": {2, 128 * ms}, "commit": {1, 128 * ms}, "rollback": {1, 256 * ms},
		}, operation, errorType)
		seen.wantHistogram(t, "db.client.connection.create_time", map[string]hist{"": {1, 100 * ms}}, errorType)
	})
}

func TestHold_IsMeasuredFromAcquireToRelease(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		fake.On(fakedb.Reset, fakedb.Sleep(time.Hour)) // the reset is not part of the hold
		fake.On(fakedb.Exec, fakedb.Sleep(2*ms))
		fake.On(fakedb.Valid, fakedb.Sleep(1*ms)) // the driver's own check is part of it
		execOK(t, db, t.Context())
		execOK(t, db, t.Context())
		seen.wantHistogram(t, "db.client.connection.use_time", map[string]hist{"": {2, 6 * ms}})
		seen.wantSums(t, "otelpool.connection.acquired", map[string]int64{"new": 1, "reused": 1}, source)
	})
}

func TestHold_TimeInEachPhaseIsObservedDuringTheHold(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		wantHeld := func(executing, rows, tx, pinned time.Duration) {
			t.Helper()
			want := map[string]time.Duration{"executing": executing, "rows": rows, "tx": tx, "pinned": pinned}
			got := map[string]time.Duration{}
			for p, s := range seen.sums(t, "otelpool.connection.held", phase) {
				got[p] = seconds(s)
			}
			if !maps.Equal(got, want) {
				t.Errorf("held: got %v, want %v", got, want)
			}
			s, err := otelpool.Inspect(db)
			noError(t, err)
			if got := byText(s.HeldTime); !maps.Equal(got, want) {
				t.Errorf("Inspect: got %v, want %v", got, want)
			}
		}
		wantHeld(0, 0, 0, 0)
		fake.On(fakedb.Exec, fakedb.Sleep(8*time.Second))
		conn, err := db.Conn(t.Context())
		noError(t, err)
		time.Sleep(time.Second)
		wantHeld(0, 0, 0, time.Second)
		tx, err := conn.BeginTx(t.Context(), nil)
		noError(t, err)
		time.Sleep(2 * time.Second)
		wantHeld(0, 0, 2*time.Second, time.Second)
		rows, err := tx.QueryContext(t.Context(), "x")
		noError(t, err)
		time.Sleep(4 * time.Second)
		wantHeld(0, 4*time.Second, 2*time.Second, time.Second)
		noError(t, rows.Close())
		go func() { _, _ = tx.ExecContext(t.Context(), "x") }()
		time.Sleep(3 * time.Second)
		wantHeld(3*time.Second, 4*time.Second, 2*time.Second, time.Second)
		time.Sleep(10 * time.Second)
		wantHeld(8*time.Second, 4*time.Second, 7*time.Second, time.Second)
		noError(t, tx.Commit())
		noError(t, conn.Close())
		time.Sleep(time.Hour)
		wantHeld(8*time.Second, 4*time.Second, 7*time.Second, time.Second)
	})
}

func TestPool_CountsAreReadAtEachCollection(t *testing.T) {
	cfg := full
	cfg.Dial = 10 * ms
	bubble(t, cfg, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		wantCounts := func(used, idle, dialing, peak int64, oldest time.Duration) {
			t.Helper()
			// Each collection resets the peak, so it is read first.
			seen.wantSums(t, "otelpool.connection.peak", map[string]int64{"": peak})
			seen.wantSums(t, "db.client.connection.count", map[string]int64{"used": used, "idle": idle, "dialing": dialing}, state)
			if got := seconds(seen.sums(t, "otelpool.connection.oldest_hold")[""]); got != oldest {
				t.Errorf("oldest hold: got %v, want %v", got, oldest)
			}
		}
		wantCounts(0, 0, 0, 0, 0)
		var conns []*sql.Conn
		hold := func() {
			conn, err := db.Conn(t.Context())
			if err == nil {
				conns = append(conns, conn)
			}
		}
		go hold()
		time.Sleep(5 * ms)
		wantCounts(0, 0, 1, 0, 0)
		time.Sleep(5 * ms)
		synctest.Wait()
		hold()
		wantCounts(2, 0, 0, 2, 10*ms)
		noError(t, conns[0].Close())
		wantCounts(1, 1, 0, 2, 0)
		noError(t, conns[1].Close())
		wantCounts(0, 2, 0, 1, 0)
		wantCounts(0, 2, 0, 0, 0)
	})
}

func TestPool_LimitIsObservedWhileThereIsOne(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		seen.wantSums(t, "db.client.connection.max", map[string]int64{})
		db.SetMaxOpenConns(7)
		seen.wantSums(t, "db.client.connection.max", map[string]int64{"": 7})
		db.SetMaxOpenConns(0)
		seen.wantSums(t, "db.client.connection.max", map[string]int64{})
	})
}

func TestEvents_AcquireAndReleaseAreOnTheCallersSpan(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		ctx, caller := seen.caller()
		fake.On(fakedb.Exec, fakedb.Sleep(20*ms))
		execOK(t, db, ctx)
		fake.On(fakedb.Reset, fakedb.Sleep(5*ms))
		execOK(t, db, ctx)
		execOK(t, db, t.Context()) // without a caller's span
		caller.End()

		type event struct {
			name  string
			attrs map[attribute.Key]any
		}
		var got []event
		for _, s := range seen.spans.Ended() {
			for _, e := range s.Events() {
				if s.Name() != "caller" {
					t.Errorf("%s has event %s", s.Name(), e.Name)
				}
				got = append(got, event{e.Name, attributes(e.Attributes)})
			}
		}
		const id = attribute.Key("otelpool.connection.id")
		want := []event{
			{"otelpool.connection.acquired", map[attribute.Key]any{poolName: "shop", id: int64(1), source: "new"}},
			{"otelpool.connection.released", map[attribute.Key]any{id: int64(1), "otelpool.held": 0.02}},
			{"otelpool.connection.acquired", map[attribute.Key]any{poolName: "shop", id: int64(1), source: "reused", "otelpool.wait_time": 0.005, "otelpool.reset_time": 0.005}},
			{"otelpool.connection.released", map[attribute.Key]any{id: int64(1), "otelpool.held": 0.02}},
		}
		if !slices.EqualFunc(got, want, func(a, b event) bool { return a.name == b.name && maps.Equal(a.attrs, b.attrs) }) {
			t.Errorf("events:\ngot  %v\nwant %v", got, want)
		}
	})
}

func TestWithHoldSpanThreshold_DecidesWhichHoldsAreSpans(t *testing.T) {
	for _, test := range []struct {
		opts []otelpool.Option
		want []string
	}{
		{nil, []string{"hold 1s"}},
		{[]otelpool.Option{otelpool.WithHoldSpanThreshold(1001 * ms)}, nil},
		{[]otelpool.Option{otelpool.WithHoldSpanThreshold(0)}, []string{"hold 999ms", "hold 1s"}},
		{[]otelpool.Option{otelpool.WithHoldSpanThreshold(-1)}, nil},
	} {
		bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
			ctx, caller := seen.caller()
			for _, d := range []time.Duration{999 * ms, time.Second} {
				tx, err := db.BeginTx(ctx, nil)
				noError(t, err)
				time.Sleep(d)
				noError(t, tx.Commit())
			}
			var got []string
			for _, s := range seen.ended() {
				if s.Name() != "hold" {
					continue
				}
				got = append(got, spanLine(s))
				if s.Parent().SpanID() != caller.SpanContext().SpanID() || !s.EndTime().Equal(s.StartTime().Add(s.EndTime().Sub(s.StartTime()))) {
					t.Errorf("the parent of hold is %v, want the caller", s.Parent())
				}
				held := attributes(s.Attributes())
				want := map[attribute.Key]any{
					poolName: "shop", "otelpool.connection.id": int64(1),
					"otelpool.held.executing": 0.0, "otelpool.held.rows": 0.0, "otelpool.held.pinned": 0.0,
					"otelpool.held.tx": s.EndTime().Sub(s.StartTime()).Seconds(),
				}
				if !maps.Equal(held, want) {
					t.Errorf("hold: got attributes %v, want %v", held, want)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		}, test.opts...)
	}
}

func TestExemplars_PointToTheMeasuredSpan(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		ctx, caller := seen.caller()
		tx, err := db.BeginTx(ctx, nil)
		noError(t, err)
		time.Sleep(time.Second)
		noError(t, tx.Commit())
		execOK(t, db, ctx)
		byID := map[string]string{caller.SpanContext().SpanID().String(): "caller"}
		for _, s := range seen.ended() {
			byID[s.SpanContext().SpanID().String()] = s.Name()
		}
		got := map[string][]string{}
		for _, scope := range seen.collect(t).ScopeMetrics {
			for _, m := range scope.Metrics {
				data, ok := m.Data.(metricdata.Histogram[float64])
				if !ok {
					continue
				}
				for _, p := range data.DataPoints {
					for _, e := range p.Exemplars {
						got[m.Name] = append(got[m.Name], byID[fmt.Sprintf("%x", e.SpanID)])
					}
				}
			}
		}
		for name := range got {
			slices.Sort(got[name])
		}
		want := map[string][]string{
			"db.client.operation.duration":     {"begin", "commit", "exec"},
			"db.client.connection.create_time": {"connect"},
			"db.client.connection.wait_time":   {"caller"},         // a short wait has no span
			"db.client.connection.use_time":    {"caller", "hold"}, // a short hold has none
		}
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("exemplars: got %v, want %v", got, want)
		}
	})
}

func TestHold_OfABackgroundDialBeginsWithTheFirstCall(t *testing.T) {
	cfg := full
	cfg.Dial = 30 * ms
	bubble(t, cfg, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		db.SetMaxOpenConns(1)
		ctx, caller := seen.caller()
		first, err := db.Conn(ctx)
		noError(t, err)
		go func() {
			time.Sleep(100 * ms)
			_ = first.Raw(func(any) error { return driver.ErrBadConn }) // makes database/sql dial another
		}()
		fake.On(fakedb.Exec, fakedb.Sleep(7*ms))
		execOK(t, db, ctx) // waits 100ms, and 30ms for the dial in the background
		caller.End()
		seen.wantSpans(t, "acquire 30ms", "connect 30ms", "acquire 130ms", "exec 7ms")
		seen.wantHistogram(t, "db.client.connection.create_time", map[string]hist{"": {2, 60 * ms}})
		seen.wantHistogram(t, "db.client.connection.use_time", map[string]hist{"": {2, 107 * ms}})
		seen.wantSums(t, "otelpool.connection.acquired", map[string]int64{"new": 1, "opener": 1}, source)
	})
}

// stateError is an error with an SQLSTATE.
type stateError string

func (e stateError) Error() string    { return "a text that must not be recorded" }
func (e stateError) SQLState() string { return string(e) }

func TestOperation_FailureHasItsErrorType(t *testing.T) {
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, test := range []struct {
		name string
		ctx  context.Context // for the call; nil for one that never ends
		err  error
		want string // the span
		typ  string
	}{
		{"a type of the driver", nil, &driverError{}, "exec 0s Error error.type=*otelpool_test.driverError", "*otelpool_test.driverError"},
		{"wrapped by fmt.Errorf", nil, fmt.Errorf("at 7: %w", &driverError{}), "exec 0s Error error.type=*otelpool_test.driverError", "*otelpool_test.driverError"},
		{"an SQLSTATE", nil, fmt.Errorf("at 7: %w", stateError("23505")), "exec 0s Error error.type=23505 db.response.status_code=23505", "23505"},
		{"not an SQLSTATE, too long", nil, stateError("Robert'); DROP"), "exec 0s Error error.type=github.com/otelpool/otelpool_test.stateError", "github.com/otelpool/otelpool_test.stateError"},
		{"not an SQLSTATE, not ASCII", nil, stateError("23é0"), "exec 0s Error error.type=github.com/otelpool/otelpool_test.stateError", "github.com/otelpool/otelpool_test.stateError"},
		{"a nil pointer whose methods panic", nil, (*codeError)(nil), "exec 0s Error error.type=*otelpool_test.codeError", "*otelpool_test.codeError"},
		{"a deadline", nil, context.DeadlineExceeded, "exec 0s Error error.type=deadline_exceeded", "deadline_exceeded"},
		{"canceled", nil, context.Canceled, "exec 0s error.type=canceled", "canceled"},
		{"stopped by the server for a canceled caller", canceled, stateError("57014"), "exec 0s error.type=57014 db.response.status_code=57014", "57014"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
				conn, err := db.Conn(t.Context())
				noError(t, err)
				defer conn.Close()
				fake.Fail(fakedb.Exec, 1, test.err)
				ctx := test.ctx
				if ctx == nil {
					ctx = context.Background()
				}
				if _, err := conn.ExecContext(ctx, "x"); err != test.err { //nolint:errorlint // the same error, not one like it
					t.Errorf("got error %v, want the driver's own %v", err, test.err)
				}
				seen.wantSpans(t, "connect 0s", test.want)
				seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{"exec " + test.typ: {1, 0}}, operation, errorType)
			})
		})
	}
}

// codeError is as the errors of pgx and lib/pq: a pointer, and SQLState panics if it is nil.
type codeError struct{ code string }

func (*codeError) Error() string      { return "a text that must not be recorded" }
func (e *codeError) SQLState() string { return e.code }

type driverError struct{}

func (*driverError) Error() string { return "a text that must not be recorded" }

func TestDial_FailuresAreASeriesOfTheirOwn(t *testing.T) {
	cfg := full
	cfg.Dial = 20 * ms
	bubble(t, cfg, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		refused := &driverError{}
		fake.Fail(fakedb.Connect, 1, refused)
		if err := db.Ping(); err != error(refused) { //nolint:errorlint // the same error, not one like it
			t.Errorf("got %v, want the driver's error", err)
		}
		noError(t, db.Ping())
		seen.wantSpans(t, "connect 20ms Error error.type=*otelpool_test.driverError", "acquire 20ms", "connect 20ms", "ping 0s")
		seen.wantHistogram(t, "db.client.connection.create_time", map[string]hist{
			"*otelpool_test.driverError": {1, 20 * ms}, "": {1, 20 * ms},
		}, errorType)
		seen.wantSums(t, "db.client.connection.count", map[string]int64{"used": 0, "idle": 1, "dialing": 0}, state)
	})
}

func TestErrSkip_DeclinedCallIsOneSpan(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		fake.On(fakedb.Exec, fakedb.Sleep(1*ms))
		fake.Fail(fakedb.Exec, -1, driver.ErrSkip)
		fake.On(fakedb.Query, fakedb.Sleep(1*ms))
		fake.Fail(fakedb.Query, -1, driver.ErrSkip)
		fake.On(fakedb.Prepare, fakedb.Sleep(2*ms))
		fake.On(fakedb.StmtExec, fakedb.Sleep(4*ms))
		fake.On(fakedb.StmtQuery, fakedb.Sleep(8*ms))
		ctx, caller := seen.caller()
		execOK(t, db, ctx)
		var n int
		noError(t, db.QueryRowContext(ctx, "x").Scan(&n))
		seen.wantSpans(t, "connect 0s", "prepare 2ms", "exec 7ms", "prepare 2ms", "query 11ms")
		spans := seen.ended()
		for _, i := range []int{1, 3} {
			if spans[i].Parent().SpanID() != spans[i+1].SpanContext().SpanID() || spans[i+1].Parent().SpanID() != caller.SpanContext().SpanID() {
				t.Errorf("%s is not a child of its %s", spans[i].Name(), spans[i+1].Name())
			}
		}
		seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{
			"exec": {1, 7 * ms}, "query": {1, 11 * ms}, "prepare": {2, 4 * ms},
		}, operation, errorType)
	})
}

func TestErrSkip_DeclinedCallThatNeverRunsEndsItsSpan(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		fake.Fail(fakedb.Exec, -1, driver.ErrSkip)
		if _, err := db.Exec("x ?", 1, 2); err == nil {
			t.Error("two arguments for one placeholder were accepted")
		}
		fake.Fail(fakedb.Prepare, 1, &driverError{})
		if _, err := db.Exec("x"); err == nil {
			t.Error("a statement that could not be prepared succeeded")
		}
		seen.wantSpans(
			t, "connect 0s", "prepare 0s", "exec 0s Error error.type=not_executed",
			"prepare 0s Error error.type=*otelpool_test.driverError", "exec 0s Error error.type=*otelpool_test.driverError",
		)
	})
}

func TestOperation_DriverPanicEndsItsSpan(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		noError(t, db.Ping())
		for _, op := range []fakedb.Op{fakedb.Exec, fakedb.Connect} {
			fake.On(op, func(context.Context, string) error { panic("driver") })
		}
		db.SetMaxIdleConns(1)
		crash := func(call func()) {
			defer func() {
				if got := recover(); got != "driver" {
					t.Errorf("recovered %v, want the driver's panic", got)
				}
			}()
			call()
		}
		crash(func() { _, _ = db.Exec("x") })
		tx, err := db.Begin()
		noError(t, err)
		crash(func() { _ = db.Ping() }) // dials, as the only connection is held
		noError(t, tx.Rollback())
		seen.wantSpans(
			t, "connect 0s", "ping 0s", "exec 0s Error error.type=panic", "begin 0s",
			"connect 0s Error error.type=panic", "rollback 0s",
		)
		seen.wantSums(t, "db.client.connection.count", map[string]int64{"used": 0, "idle": 1, "dialing": 0}, state)
	})
}

func TestPing_IsNotRecordedIfTheDriverHasNone(t *testing.T) {
	cfg := full
	cfg.Conn &^= fakedb.Pinger
	bubble(t, cfg, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		noError(t, db.Ping())
		seen.wantSpans(t, "connect 0s")
		seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{})
	})
}

func TestWithAttributes_AreOnEverySpanAndMetric(t *testing.T) {
	mine := attribute.String("service.shard", "7")
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		db.SetMaxOpenConns(1)
		execOK(t, db, t.Context())
		for _, s := range seen.ended() {
			if attributes(s.Attributes())[mine.Key] != "7" {
				t.Errorf("span %s has %v", s.Name(), s.Attributes())
			}
		}
		metrics := 0
		for _, scope := range seen.collect(t).ScopeMetrics {
			for _, m := range scope.Metrics {
				metrics++
				for k := range pointSums(t, m.Data, []attribute.Key{mine.Key, poolName}) {
					if k != "7 orders" {
						t.Errorf("%s has a point with shard and pool %q", m.Name, k)
					}
				}
			}
		}
		if metrics != 10 {
			t.Errorf("%d metrics have data, want 10", metrics)
		}
	}, otelpool.WithAttributes(mine, poolName.String("not this one")), otelpool.WithPoolName("orders"))
}

func TestTelemetry_HasNoArgumentsAndNoErrorTexts(t *testing.T) {
	const secret = "s3cr3t"
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		ctx, caller := seen.caller()
		_, _ = db.ExecContext(ctx, "insert ?", secret)
		fake.Fail(fakedb.Exec, 1, errors.New(secret))
		_, _ = db.ExecContext(ctx, "insert ?", secret)
		fake.Fail(fakedb.Connect, -1, fmt.Errorf("%s: %w", secret, driver.ErrBadConn))
		fake.Fail(fakedb.Reset, -1, fmt.Errorf("%s: %w", secret, driver.ErrBadConn))
		_ = db.PingContext(ctx)
		caller.End()
		for _, s := range seen.spans.Ended() {
			if all := fmt.Sprint(s.Name(), s.Attributes(), s.Events(), s.Status(), s.Links()); strings.Contains(all, secret) {
				t.Errorf("a span has the secret: %s", all)
			}
		}
		if all := fmt.Sprint(seen.collect(t)); strings.Contains(all, secret) {
			t.Errorf("metrics have the secret: %s", all)
		}
	})
}

func TestOpenDB_WorksWithoutAnSDK(t *testing.T) {
	fake := fakedb.New(full)
	db := otelpool.OpenDB(fake.Connector())
	defer db.Close()
	execOK(t, db, t.Context())
	s, err := otelpool.Inspect(db)
	noError(t, err)
	if s.Opened != 1 || s.Acquired[poolinfo.SourceNew] != 1 {
		t.Errorf("got %+v, want one connection, acquired once", s)
	}
}

func TestOperation_ErrorTypesAreBounded(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		for i := range 150 {
			fake.Fail(fakedb.Ping, 1, stateError(fmt.Sprintf("%05d", i)))
			_ = db.Ping()
		}
		got := seen.histogram(t, "db.client.operation.duration", errorType)
		if len(got) != 101 || got["_OTHER"].count != 50 {
			t.Errorf("got %d types, and %d of _OTHER, want 101 and 50", len(got), got["_OTHER"].count)
		}
	})
}

func TestPool_CountersOutliveIt(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		execOK(t, db, t.Context())
		conn, err := db.Conn(t.Context())
		noError(t, err)
		noError(t, db.Close())
		seen.wantSums(t, "otelpool.connection.acquired", map[string]int64{"new": 1, "reused": 1}, source)
		time.Sleep(3 * time.Second)
		noError(t, conn.Close())
		seen.wantSums(t, "otelpool.connection.closed", map[string]int64{"pool_closed": 1}, reason)
		seen.wantHistogram(t, "db.client.connection.use_time", map[string]hist{"": {2, 3 * time.Second}})
		if got := seen.metric(t, "db.client.connection.count"); got != nil {
			t.Errorf("a closed pool is still observed: %v", got)
		}
	})
}

func TestInstruments_WorkIfAViewDropsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := observe()
		seen.reader = sdkmetric.NewManualReader()
		seen.metrics = sdkmetric.NewMeterProvider(sdkmetric.WithReader(seen.reader), sdkmetric.WithView(sdkmetric.NewView(
			sdkmetric.Instrument{Name: "db.client.connection.count"}, sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}},
		)))
		db := otelpool.OpenDB(fakedb.New(full).Connector(), seen.options()...)
		defer db.Close()
		execOK(t, db, t.Context())
		seen.wantSums(t, "otelpool.connection.peak", map[string]int64{"": 1})
		seen.wantSums(t, "db.client.connection.count", map[string]int64{})
		seen.wantSums(t, "otelpool.connection.acquired", map[string]int64{"new": 1}, source)
	})
}
