package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

// registerAs registers d under a name that no other test, or run of this test, has.
func registerAs(t *testing.T, d driver.Driver) string {
	t.Helper()
	name := fmt.Sprint(t.Name(), " ", registrations.Add(1))
	sql.Register(name, d)
	return name
}

var registrations atomic.Int64

func registerFake(t *testing.T, fake *fakedb.DB) string {
	t.Helper()
	return registerAs(t, fake.Driver())
}

func withDriverContext(cfg fakedb.Config) fakedb.Config {
	cfg.DriverContext = true
	return cfg
}

// TestOpen_EveryEntryPointOpensAPool opens pools over drivers with and without OpenConnector.
func TestOpen_EveryEntryPointOpensAPool(t *testing.T) {
	for driverName, cfg := range map[string]fakedb.Config{"legacy": full, "context": withDriverContext(full)} {
		entryPoints := map[string]func(*testing.T, *fakedb.DB, ...otelpool.Option) *sql.DB{
			"Open": func(t *testing.T, fake *fakedb.DB, opts ...otelpool.Option) *sql.DB {
				db, err := otelpool.Open(registerFake(t, fake), "dsn", opts...)
				noError(t, err)
				return db
			},
			"OpenDB": func(_ *testing.T, fake *fakedb.DB, opts ...otelpool.Option) *sql.DB {
				return otelpool.OpenDB(fake.Connector(), opts...)
			},
			"Register": func(t *testing.T, fake *fakedb.DB, opts ...otelpool.Option) *sql.DB {
				name, err := otelpool.Register(registerFake(t, fake), opts...)
				noError(t, err)
				db, err := sql.Open(name, "dsn")
				noError(t, err)
				return db
			},
			"NewConnector": func(_ *testing.T, fake *fakedb.DB, opts ...otelpool.Option) *sql.DB {
				return sql.OpenDB(otelpool.NewConnector(fake.Connector(), opts...))
			},
			"NewDriver": func(t *testing.T, fake *fakedb.DB, opts ...otelpool.Option) *sql.DB {
				db, err := sql.Open(registerAs(t, otelpool.NewDriver(fake.Driver(), opts...)), "dsn")
				noError(t, err)
				return db
			},
			"NewDriver under another wrapper": func(t *testing.T, fake *fakedb.DB, opts ...otelpool.Option) *sql.DB {
				db, err := sql.Open(registerAs(t, openOnly{otelpool.NewDriver(fake.Driver(), opts...)}), "dsn")
				noError(t, err)
				return db
			},
			"DB.Driver registered again": func(t *testing.T, fake *fakedb.DB, opts ...otelpool.Option) *sql.DB {
				first := otelpool.OpenDB(fake.Connector(), opts...)
				name := registerAs(t, first.Driver())
				noError(t, first.Close())
				db, err := sql.Open(name, "dsn")
				noError(t, err)
				return db
			},
		}
		for name, open := range entryPoints {
			t.Run(name+" over "+driverName, func(t *testing.T) {
				fake, seen := fakedb.New(cfg), observe()
				// A pool that another wrapper opens is never closed, and keeps its name.
				pool := fmt.Sprint("pool ", registrations.Add(1))
				db := open(t, fake, seen.options(otelpool.WithPoolName(pool))...)
				execOK(t, db, t.Context())
				execOK(t, db, t.Context())
				var got []string
				for _, s := range seen.ended() {
					got = append(got, s.Name())
				}
				if want := "connect exec exec"; strings.Join(got, " ") != want && name != "NewDriver under another wrapper" {
					t.Errorf("got spans %v, want %s", got, want)
				}
				seen.wantSums(t, "db.client.connection.count", map[string]int64{pool + " idle": 1, pool + " used": 0, pool + " dialing": 0}, poolName, state)
				noError(t, db.Close())
				if fake.Open() != 0 {
					t.Errorf("%d connections are still open", fake.Open())
				}
			})
		}
	}
}

// openOnly is a wrapper without OpenConnector.
type openOnly struct{ inner driver.Driver }

func (d openOnly) Open(dsn string) (driver.Conn, error) { return d.inner.Open(dsn) }

func TestRegister_ReturnsANewNameEachTime(t *testing.T) {
	fake := fakedb.New(full)
	base := registerFake(t, fake)
	seen := map[string]bool{base: true}
	for range 300 {
		name, err := otelpool.Register(base)
		noError(t, err)
		if seen[name] || !strings.HasPrefix(name, base) {
			t.Fatalf("got name %q, want a new one that begins with %q", name, base)
		}
		seen[name] = true
	}
}

func TestRegister_AcceptsADriverAgainWithOtherOptions(t *testing.T) {
	base := registerFake(t, fakedb.New(full))
	for _, want := range []string{"one", "two"} {
		seen := observe()
		name, err := otelpool.Register(base, seen.options(otelpool.WithPoolName(want))...)
		noError(t, err)
		db, err := sql.Open(name, "")
		noError(t, err)
		noError(t, otelpool.Watch(db))
		defer db.Close()
		seen.wantSums(t, "otelpool.connection.peak", map[string]int64{want: 0}, poolName)
	}
}

func TestOpen_ReportsBadInput(t *testing.T) {
	foreign := sql.OpenDB(fakedb.New(full).Connector())
	defer foreign.Close()
	inspect := func(db *sql.DB) error { _, err := otelpool.Inspect(db); return err }
	registerName := func(name string) error { _, err := otelpool.Register(name); return err }
	open := func(name string) error { _, err := otelpool.Open(name, ""); return err }
	ping := func(db *sql.DB) error { defer db.Close(); return db.Ping() }
	_, nilDriver := sql.Open(registerAs(t, otelpool.NewDriver(nil)), "")
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"Open an unknown driver", open("nobody"), `sql: unknown driver "nobody" (forgotten import?)`},
		{"Register an unknown driver", registerName("nobody"), `otelpool: cannot register "nobody": no database/sql driver has that name (forgotten import?)`},
		{"OpenDB(nil)", ping(otelpool.OpenDB(nil)), "otelpool: the connector is nil"},
		{"NewConnector(nil)", ping(sql.OpenDB(otelpool.NewConnector(nil))), "otelpool: the connector is nil"},
		{"NewDriver(nil)", nilDriver, "otelpool: the driver is nil"},
		{"Watch(nil)", otelpool.Watch(nil), "otelpool: the *sql.DB is nil"},
		{"Inspect(nil)", inspect(nil), "otelpool: the *sql.DB is nil"},
		{"Watch a foreign DB", otelpool.Watch(foreign), "otelpool: this *sql.DB was not opened through otelpool: its driver is a fakedb.plainDriver"},
		{"Inspect a foreign DB", inspect(foreign), "otelpool: this *sql.DB was not opened through otelpool: its driver is a fakedb.plainDriver"},
	} {
		if test.err == nil || test.err.Error() != test.want {
			t.Errorf("%s: got error %v, want %s", test.name, test.err, test.want)
		}
	}
}

func TestWatch_RefusesASecondDBOfAConnector(t *testing.T) {
	c := otelpool.NewConnector(fakedb.New(full).Connector())
	one, two := sql.OpenDB(c), sql.OpenDB(c)
	defer one.Close()
	defer two.Close()
	noError(t, otelpool.Watch(one))
	if err := otelpool.Watch(two); err == nil || err.Error() != "otelpool: the connector of this *sql.DB is already watched as that of another" {
		t.Errorf("got %v", err)
	}
}

// refusing is a driver that refuses every data source name.
type refusing struct{ err error }

func (d refusing) Open(string) (driver.Conn, error)               { return nil, d.err }
func (d refusing) OpenConnector(string) (driver.Connector, error) { return nil, d.err }

func TestOpen_ReturnsTheDriversErrorUnchanged(t *testing.T) {
	no := errors.New("no such host in the name")
	base := registerAs(t, refusing{no})
	if _, err := otelpool.Open(base, "x"); err != no { //nolint:errorlint // the same error, not one like it
		t.Errorf("Open: got %v, want the driver's error", err)
	}
	name, err := otelpool.Register(base)
	noError(t, err)
	if _, err := sql.Open(name, "x"); err != no { //nolint:errorlint // the same error, not one like it
		t.Errorf("sql.Open: got %v, want the driver's error", err)
	}
}

func TestWithPoolName_NamesOfOpenPoolsAreUnique(t *testing.T) {
	open := func(name string) (*sql.DB, string) {
		db := otelpool.OpenDB(fakedb.New(full).Connector(), otelpool.WithPoolName(name))
		s, err := otelpool.Inspect(db)
		noError(t, err)
		return db, s.Pool
	}
	a, nameA := open("market")
	b, nameB := open("market")
	c, nameC := open("market")
	noError(t, b.Close())
	d, nameD := open("market")
	for _, db := range []*sql.DB{a, c, d} {
		noError(t, db.Close())
	}
	got := []string{nameA, nameB, nameC, nameD}
	if want := []string{"market", "market-2", "market-3", "market-2"}; !slices.Equal(got, want) {
		t.Errorf("got names %v, want %v", got, want)
	}
}

// TestPoolName_DefaultsToTheSystem ignores the number after the name, which depends on the
// pools of other tests.
func TestPoolName_DefaultsToTheSystem(t *testing.T) {
	db := otelpool.OpenDB(fakedb.New(full).Connector())
	defer db.Close()
	s, err := otelpool.Inspect(db)
	noError(t, err)
	if name, _, _ := strings.Cut(s.Pool, "-"); name != "other_sql" || s.System != "other_sql" {
		t.Errorf("got pool %q of system %q", s.Pool, s.System)
	}
}

func TestOption_NilIsIgnored(t *testing.T) {
	seen := observe()
	db := otelpool.OpenDB(fakedb.New(full).Connector(), seen.options(nil,
		otelpool.WithTracerProvider(nil), otelpool.WithMeterProvider(nil), otelpool.WithPoolName(""), otelpool.WithAttributes(),
		otelpool.WithAcquireSpanThreshold(-1))...) // a slow dial must not add a span
	defer db.Close()
	execOK(t, db, t.Context())
	if len(seen.ended()) != 2 {
		t.Errorf("got %d spans, want 2, from the first provider", len(seen.ended()))
	}
}

func TestWithAttributes_CopiesItsSlice(t *testing.T) {
	attrs := []attribute.KeyValue{attribute.String("a", "1")}
	opt := otelpool.WithAttributes(attrs...)
	attrs[0] = attribute.String("a", "2")
	seen := observe()
	db := otelpool.OpenDB(fakedb.New(full).Connector(), seen.options(opt)...)
	defer db.Close()
	seen.wantSums(t, "otelpool.connection.peak", map[string]int64{"1": 0}, "a")
}

var errRefused = errors.New("instrument refused")

// refusingProvider is a MeterProvider that fails to make some instruments.
type refusingProvider struct {
	embedded.MeterProvider
	real    metric.MeterProvider
	refused func(name string) bool
}

func (p refusingProvider) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	return refusingMeter{p.real.Meter(name, opts...), p.refused}
}

type refusingMeter struct {
	metric.Meter
	refused func(name string) bool
}

func (m refusingMeter) Float64Histogram(name string, opts ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	if m.refused(name) {
		return nil, errRefused
	}
	return m.Meter.Float64Histogram(name, opts...)
}

func (m refusingMeter) Int64Histogram(name string, opts ...metric.Int64HistogramOption) (metric.Int64Histogram, error) {
	if m.refused(name) {
		return nil, errRefused
	}
	return m.Meter.Int64Histogram(name, opts...)
}

func (m refusingMeter) Int64Counter(name string, opts ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	if m.refused(name) {
		return nil, errRefused
	}
	return m.Meter.Int64Counter(name, opts...)
}

func (m refusingMeter) Int64ObservableUpDownCounter(name string, opts ...metric.Int64ObservableUpDownCounterOption) (metric.Int64ObservableUpDownCounter, error) {
	if m.refused(name) {
		return noop.Int64ObservableUpDownCounter{}, errRefused // the SDK returns a no-op with its error
	}
	return m.Meter.Int64ObservableUpDownCounter(name, opts...)
}

func (m refusingMeter) Int64ObservableGauge(name string, opts ...metric.Int64ObservableGaugeOption) (metric.Int64ObservableGauge, error) {
	if m.refused(name) {
		return nil, errRefused
	}
	return m.Meter.Int64ObservableGauge(name, opts...)
}

func (m refusingMeter) Float64ObservableGauge(name string, opts ...metric.Float64ObservableGaugeOption) (metric.Float64ObservableGauge, error) {
	if m.refused(name) {
		return nil, errRefused
	}
	return m.Meter.Float64ObservableGauge(name, opts...)
}

func (m refusingMeter) Float64ObservableCounter(name string, opts ...metric.Float64ObservableCounterOption) (metric.Float64ObservableCounter, error) {
	if m.refused(name) {
		return nil, errRefused
	}
	return m.Meter.Float64ObservableCounter(name, opts...)
}

func (m refusingMeter) RegisterCallback(f metric.Callback, all ...metric.Observable) (metric.Registration, error) {
	if m.refused("callback") {
		return nil, errRefused
	}
	return m.Meter.RegisterCallback(f, all...)
}

// handled returns the errors that are reported through otel.Handle while f runs.
func handled(f func()) []error {
	var got []error
	before := otel.GetErrorHandler()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { got = append(got, err) }))
	defer otel.SetErrorHandler(before)
	f()
	return got
}

func TestInstruments_WorkIfOneIsRefused(t *testing.T) {
	all := []string{
		"db.client.operation.duration", "db.client.connection.create_time", "db.client.connection.use_time",
		"otelpool.connection.acquired", "otelpool.connection.closed", "otelpool.connection.peak", "db.client.connection.count",
		"db.client.connection.max", "otelpool.connection.held", "otelpool.connection.oldest_hold", "otelpool.connection.retries",
		"db.client.connection.wait_time", "db.client.response.returned_rows", "db.client.connection.idle.max",
		"db.client.connection.pending_requests", "db.client.connection.timeouts", "otelpool.connection.waited",
		"otelpool.connection.oldest_wait", "otelpool.connection.cancels",
	}
	for _, name := range append(all, "callback", "everything") {
		t.Run(name, func(t *testing.T) {
			seen := observe()
			provider := refusingProvider{real: seen.metrics, refused: func(n string) bool { return n == name || name == "everything" }}
			var db *sql.DB
			errs := handled(func() {
				db = otelpool.OpenDB(fakedb.New(full).Connector(),
					otelpool.WithTracerProvider(seen.traces), otelpool.WithMeterProvider(provider))
				db.SetMaxOpenConns(3)
				giveBack(t, holdAll(t, db, 3))
				timed, err := otelpool.NewDB(db)
				noError(t, err)
				noError(t, timed.QueryRow("x").Scan(new(int))) // resolves the reason of the third close
				_ = seen.collect(t)
			})
			if len(errs) != 1 || !errors.Is(errs[0], errRefused) {
				t.Errorf("reported %v, want one report of %v", errs, errRefused)
			}
			for _, other := range []string{"otelpool.connection.closed", "db.client.connection.use_time", "otelpool.connection.oldest_hold"} {
				recorded := seen.metric(t, other) != nil
				lost := other == name || name == "everything" || name == "callback" && other == "otelpool.connection.oldest_hold"
				if recorded == lost {
					t.Errorf("%s is recorded: %t, want %t", other, recorded, !lost)
				}
			}
			noError(t, db.Close())
			if s, err := otelpool.Inspect(db); err != nil || s.Acquired[poolinfo.SourceNew] != 3 {
				t.Errorf("Inspect: got acquires %v, %v", s.Acquired, err)
			}
		})
	}
}

// TestOpenDB_UsesAGlobalProviderThatIsSetLater is about programs that open the database before
// they set up the SDK. A process can set it up once, so the test runs in a child process.
func TestOpenDB_UsesAGlobalProviderThatIsSetLater(t *testing.T) {
	const childProcess = "OTELPOOL_TEST_ALONE"
	if os.Getenv(childProcess) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), childProcess+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	db := otelpool.OpenDB(fakedb.New(full).Connector(), otelpool.WithPoolName("early"))
	defer db.Close()
	execOK(t, db, t.Context())
	seen := observe()
	otel.SetTracerProvider(seen.traces)
	otel.SetMeterProvider(seen.metrics)
	execOK(t, db, t.Context())
	if got := seen.ended(); len(got) != 1 || got[0].Name() != "exec" {
		t.Errorf("got %d spans, want that of the second exec", len(got))
	}
	if n := seen.sums(t, "otelpool.connection.acquired", poolName)["early"]; n != 2 {
		t.Errorf("got %v acquires, want both: the ledger counts from the start", n)
	}
}

func TestSpans_AreInTheContextOfTheDriver(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		ids := map[string]string{}
		for op, name := range map[fakedb.Op]string{fakedb.Connect: "connect", fakedb.Exec: "exec", fakedb.Ping: "ping", fakedb.Query: "query", fakedb.Prepare: "prepare", fakedb.Begin: "begin"} {
			fake.On(op, func(ctx context.Context, _ string) error {
				ids[name] = trace.SpanContextFromContext(ctx).SpanID().String()
				return nil
			})
		}
		execOK(t, db, t.Context())
		noError(t, db.Ping())
		rows, err := db.Query("x")
		noError(t, err)
		noError(t, rows.Close())
		s, err := db.Prepare("x")
		noError(t, err)
		noError(t, s.Close())
		tx, err := db.Begin()
		noError(t, err)
		noError(t, tx.Commit())
		for _, s := range seen.ended() {
			if got, ok := ids[s.Name()]; ok && got != s.SpanContext().SpanID().String() {
				t.Errorf("%s: the driver got span %s, want %s", s.Name(), got, s.SpanContext().SpanID())
			}
		}
		if len(ids) != 6 {
			t.Errorf("the driver got the spans %v, want 6", ids)
		}
	})
}
