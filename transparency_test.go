package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
)

// A program must not be able to notice otelpool. The tests in this file run one script twice,
// over the bare driver and over the wrapped one. After each step they compare, in virtual
// time, everything that can be seen: what database/sql returns to the program, every call that
// reaches the driver, and DBStats. The scripts are in script_test.go.

func TestTransparency_OpenDBBehavesAsTheBareDriver(t *testing.T) {
	run, stride := int(runs.Add(1)), 1
	switch {
	case raceEnabled && testing.Short():
		stride = 97
	case raceEnabled:
		stride = 13
	}
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for i, sh := range s.varies.all() {
				if (i+run)%stride == 0 {
					s.compare(t, context.Background(), sh, bare, wrapped)
				}
			}
		})
	}
}

// runs and entryPointRuns count the runs of the two tests. The race detector is slow, so a run
// under it takes one shape in stride, and the next run starts one shape further: as many runs
// as the stride take all shapes. With a prime stride each run covers all interfaces.
var runs, entryPointRuns atomic.Int64

func TestTransparency_EveryEntryPointBehavesAsTheBareDriver(t *testing.T) {
	run := int(entryPointRuns.Add(1))
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(tracetest.NewNoopExporter())).Tracer("")
	ctx, span := tracer.Start(context.Background(), "caller")
	defer span.End()
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for i, sh := range pathShapes {
				if testing.Short() && (i+run)%len(pathShapes) != 0 {
					continue // another run takes it
				}
				s.compare(t, ctx, sh, bare, connectorEntryPoints...)
				s.compare(t, ctx, sh, plainDriver().bareEntryPoint(), plainDriver().entryPoints()...)
				s.compare(t, ctx, sh, contextDriver().bareEntryPoint(), contextDriver().entryPoints()...)
			}
		})
	}
}

func TestUnwrap_ReturnsTheDriversConnection(t *testing.T) {
	for _, c := range []struct {
		name string
		wrap []func(driver.Connector) driver.Connector // from the driver upwards
	}{
		{"unwrapped", nil},
		{"wrapped", chain(withOtelpool)},
		{"wrapped twice", chain(withOtelpool, withOtelpool)},
		{"under a wrapper with Unwrap", chain(withOtelpool, withUnwrap)},
		{"under a wrapper with Raw", chain(withOtelpool, withRaw)},
		{"under a wrapper with WrappedConn", chain(withOtelpool, withWrappedConn)},
		{"over other wrappers", chain(withWrappedConn, withRaw, withUnwrap, withOtelpool)},
		{"between other wrappers", chain(withRaw, withOtelpool, withUnwrap, withOtelpool, withWrappedConn)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want driver.Conn
			connector := wrapConns(fakedb.New(fakedb.Config{Conn: fakedb.AllConn}).Connector(), func(own driver.Conn) driver.Conn {
				want = own
				return own
			})
			for _, w := range c.wrap {
				connector = w(connector)
			}
			db := sql.OpenDB(connector)
			defer db.Close()
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			err = conn.Raw(func(dc any) error {
				if got := otelpool.Unwrap(dc); got != any(want) {
					t.Errorf("got a %T, want the driver's own connection", got)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestUnwrap_ReturnsOtherValuesUnchanged(t *testing.T) {
	for _, v := range []any{nil, 5, "text", withUnwrapConn{}, withRawConn{}, withWrappedConnConn{}} {
		if got := otelpool.Unwrap(v); got != v {
			t.Errorf("got %v, want %v", got, v)
		}
	}
}

// The methods of wrappers that Unwrap knows.
type (
	withUnwrapConn      struct{ driver.Conn }
	withRawConn         struct{ driver.Conn }
	withWrappedConnConn struct{ driver.Conn }
)

func (c withUnwrapConn) Unwrap() driver.Conn           { return c.Conn }
func (c withRawConn) Raw() driver.Conn                 { return c.Conn }
func (c withWrappedConnConn) WrappedConn() driver.Conn { return c.Conn }

func withOtelpool(c driver.Connector) driver.Connector { return otelpool.NewConnector(c) }

func withUnwrap(c driver.Connector) driver.Connector {
	return wrapConns(c, func(c driver.Conn) driver.Conn { return withUnwrapConn{c} })
}

func withRaw(c driver.Connector) driver.Connector {
	return wrapConns(c, func(c driver.Conn) driver.Conn { return withRawConn{c} })
}

func withWrappedConn(c driver.Connector) driver.Connector {
	return wrapConns(c, func(c driver.Conn) driver.Conn { return withWrappedConnConn{c} })
}

func chain(wrap ...func(driver.Connector) driver.Connector) []func(driver.Connector) driver.Connector {
	return wrap
}

// wrapConns returns a connector that passes each new connection through f.
func wrapConns(c driver.Connector, f func(driver.Conn) driver.Conn) driver.Connector {
	return wrappingConnector{c, f}
}

type wrappingConnector struct {
	driver.Connector
	f func(driver.Conn) driver.Conn
}

func (c wrappingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return c.f(conn), nil
}

func (c wrappingConnector) Close() error {
	if closer, ok := c.Connector.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// shape is the optional interfaces of the driver under the wrapper.
type shape struct {
	conn fakedb.ConnShape
	stmt fakedb.StmtShape
	rows fakedb.RowsShape
}

func (s shape) String() string {
	return fmt.Sprintf("conn %v; stmt %v; rows %v", s.conn, s.stmt, s.rows)
}

// everything is every optional interface.
var everything = shape{fakedb.AllConn, fakedb.AllStmt, fakedb.AllRows}

// all returns every combination of the interfaces of s, with all other interfaces or none.
// Every connection has statements and result sets with no interface and with all. Every
// statement and every result set is under connections that run directly and under those that
// prepare.
func (s shape) all() []shape {
	var all []shape
	for _, conn := range combinations(s.conn, everything.conn) {
		all = append(all, shape{conn, 0, 0}, shape{conn, everything.stmt, everything.rows})
	}
	if s.stmt != 0 {
		for _, stmt := range combinations(s.stmt, everything.stmt) {
			for _, conn := range []fakedb.ConnShape{0, fakedb.NamedValueChecker, everything.conn} {
				all = append(all, shape{conn, stmt, everything.rows})
			}
		}
	}
	if s.rows != 0 {
		for _, rows := range combinations(s.rows, everything.rows) {
			all = append(all, shape{0, everything.stmt, rows}, shape{everything.conn, 0, rows})
		}
	}
	return all
}

// combinations returns the subsets of some, each without and with all of the rest.
func combinations[S ~int](some, all S) []S {
	var sets []S
	for set := range all + 1 {
		if rest := set &^ some; rest == 0 || rest == all&^some {
			sets = append(sets, set)
		}
	}
	return sets
}

// pathShapes take the wrapper's different paths: what runs directly, and whether the pool
// keeps the connection of a transaction whose context ended.
var pathShapes = []shape{
	{0, 0, 0},
	everything,
	{fakedb.Execer | fakedb.Queryer | fakedb.SessionResetter | fakedb.Validator, 0, 0},
	{fakedb.ExecerContext | fakedb.SessionResetter, 0, 0},
	{fakedb.QueryerContext | fakedb.Validator, 0, 0},
}

// An entryPoint is a way to open a DB.
type entryPoint struct {
	name string
	open func(*fakedb.DB) (database, error)

	// records is set if spans are recorded. RowsAffected of each result is called then,
	// which is all that a driver can notice.
	records bool
}

var (
	bare    = entryPoint{name: "sql.OpenDB", open: func(f *fakedb.DB) (database, error) { return sql.OpenDB(f.Connector()), nil }}
	wrapped = entryPoint{name: "OpenDB", open: func(f *fakedb.DB) (database, error) { return otelpool.OpenDB(f.Connector()), nil }}
)

// connectorEntryPoints are the others that start from a connector.
var connectorEntryPoints = []entryPoint{
	{name: "NewConnector", open: func(f *fakedb.DB) (database, error) {
		db := sql.OpenDB(otelpool.NewConnector(f.Connector()))
		return db, otelpool.Watch(db)
	}},
	{name: "OpenDB over NewConnector", open: func(f *fakedb.DB) (database, error) {
		return otelpool.OpenDB(otelpool.NewConnector(f.Connector())), nil
	}},
	{name: "NewDB", open: func(f *fakedb.DB) (database, error) { return otelpool.NewDB(otelpool.OpenDB(f.Connector())) }},
	{name: "OpenDB with an SDK that records everything", records: true, open: func(f *fakedb.DB) (database, error) {
		return otelpool.OpenDB(f.Connector(),
			otelpool.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(tracetest.NewNoopExporter()))),
			otelpool.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))),
			otelpool.WithHoldSpanThreshold(0),
		), nil
	}},
}

// fakes holds the fake of each data source name. database/sql cannot unregister a driver, so
// the tests share two, one of them with DriverContext.
var (
	fakes         sync.Map // of *fakedb.DB, by data source name
	lastFake      atomic.Int64
	plainDriver   = sync.OnceValue(func() driverNames { return register("plain", fakeDriver{}) })
	contextDriver = sync.OnceValue(func() driverNames { return register("context", fakeContextDriver{}) })
)

type fakeDriver struct{}

func (fakeDriver) Open(name string) (driver.Conn, error) {
	return fakeNamed(name).Driver().Open("here")
}

type fakeContextDriver struct{ fakeDriver }

func (fakeContextDriver) OpenConnector(name string) (driver.Connector, error) {
	return fakeConnector{fakeNamed(name).Connector()}, nil
}

// fakeConnector returns the registered driver as its Driver.
type fakeConnector struct{ driver.Connector }

func (fakeConnector) Driver() driver.Driver { return fakeContextDriver{} }

func (c fakeConnector) Close() error {
	if closer, ok := c.Connector.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

func fakeNamed(dsn string) *fakedb.DB {
	f, _ := fakes.Load(dsn)
	return f.(*fakedb.DB)
}

// driverNames are the names under which one driver is registered.
type driverNames struct{ bare, registered, wrapped string }

func register(name string, d driver.Driver) driverNames {
	n := driverNames{bare: "fake-" + name, wrapped: "wrapped-fake-" + name}
	sql.Register(n.bare, d)
	sql.Register(n.wrapped, otelpool.NewDriver(d))
	var err error
	if n.registered, err = otelpool.Register(n.bare); err != nil {
		panic(err)
	}
	return n
}

func (n driverNames) bareEntryPoint() entryPoint { return named("sql.Open", n.bare, sql.Open) }

func (n driverNames) entryPoints() []entryPoint {
	return []entryPoint{
		named("Open", n.bare, func(name, dsn string) (*sql.DB, error) { return otelpool.Open(name, dsn) }),
		named("Register", n.registered, sql.Open),
		named("NewDriver", n.wrapped, sql.Open),
	}
}

func named(title, driverName string, open func(name, dsn string) (*sql.DB, error)) entryPoint {
	return entryPoint{name: title + " " + driverName, open: func(f *fakedb.DB) (database, error) {
		dsn := fmt.Sprint(lastFake.Add(1))
		fakes.Store(dsn, f)
		return open(driverName, dsn)
	}}
}

// A script is something that programs do.
type script struct {
	name   string
	varies shape                // it runs with every combination of these interfaces
	config func(*fakedb.Config) // configures its driver; may be nil
	do     func(*run)           // the program

	// except returns lines of the driver's log that may be missing; nil if none may.
	except func(shape) []string
}

// compare runs the script over the bare driver and through each wrapped entry point, and
// fails unless all steps are equal.
func (s script) compare(t *testing.T, ctx context.Context, sh shape, bare entryPoint, wrapped ...entryPoint) {
	t.Helper()
	want := s.run(t, ctx, sh, bare)
	for _, e := range wrapped {
		got, want := s.run(t, ctx, sh, e), want
		if e.records {
			got, want = withoutRowsAffected(got), withoutRowsAffected(want)
		}
		if !slices.EqualFunc(got, want, step.equal) {
			t.Fatalf("%s; %v\n%s", e.name, sh, difference(want, got))
		}
	}
}

// withoutRowsAffected returns the steps without the calls of RowsAffected in the driver's log.
func withoutRowsAffected(steps []step) []step {
	steps = slices.Clone(steps)
	for i := range steps {
		steps[i].driver = slices.DeleteFunc(slices.Clone(steps[i].driver), func(line string) bool {
			return strings.Contains(line, "RowsAffected()")
		})
	}
	return steps
}

// run runs the script in a bubble and returns its steps.
func (s script) run(t *testing.T, ctx context.Context, sh shape, e entryPoint) (steps []step) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		config := fakedb.Config{Conn: sh.conn, Stmt: sh.stmt, Rows: sh.rows, Closer: true, Answers: answers}
		if s.config != nil {
			s.config(&config)
		}
		fake := fakedb.New(config)
		db, err := e.open(fake)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(fakedb.WithValue(ctx, "the program's"))
		r := &run{ctx: ctx, fake: fake, db: db, start: time.Now(), seen: len(fake.Log())}
		if s.except != nil {
			r.except = s.except(sh)
		}
		if v := panicked(func() { s.do(r) }); v != nil {
			u, ok := v.(scriptError)
			if !ok {
				panic(v)
			}
			r.record("the script ends", u.error)
		}
		cancel()
		r.record("the context ends")
		r.record("db.Close", db.Close())
		r.record("broken rules", fake.Misuse())
		steps = r.steps
	})
	return steps
}

// A run is one execution of a script.
type run struct {
	ctx    context.Context // ends with the script; the log shows that it reaches the driver
	fake   *fakedb.DB
	db     database
	except []string
	start  time.Time
	seen   int // how many lines of the driver's log belong to earlier steps
	steps  []step
}

// A step is everything that can be seen after one action of the program.
type step struct {
	action         string   // the action and its results
	driver         []string // the calls that reached the driver
	stats          sql.DBStats
	opened, closed int
	at             time.Duration
}

func (s step) equal(to step) bool {
	return s.action == to.action && s.stats == to.stats && s.opened == to.opened && s.closed == to.closed &&
		s.at == to.at && slices.Equal(s.driver, to.driver)
}

// record ends a step, once all goroutines are blocked.
func (r *run) record(action string, results ...any) {
	synctest.Wait()
	log := r.fake.LogFrom(r.seen)
	r.seen += len(log)
	log = slices.DeleteFunc(log, func(line string) bool { return slices.Contains(r.except, line) })
	for _, v := range results {
		action += " | " + describe(v)
	}
	r.steps = append(r.steps, step{action, log, r.db.Stats(), r.fake.Opened(), r.fake.Closed(), time.Since(r.start)})
}

// errBroken is an error of the driver.
var errBroken = errors.New("broken")

// sentinels are errors that programs compare by identity.
var sentinels = []struct {
	name string
	err  error
}{
	{"errBroken", errBroken},
	{"driver.ErrBadConn", driver.ErrBadConn},
	{"driver.ErrSkip", driver.ErrSkip},
	{"driver.ErrRemoveArgument", driver.ErrRemoveArgument},
	{"sql.ErrConnDone", sql.ErrConnDone},
	{"sql.ErrTxDone", sql.ErrTxDone},
	{"sql.ErrNoRows", sql.ErrNoRows},
	{"context.Canceled", context.Canceled},
	{"context.DeadlineExceeded", context.DeadlineExceeded},
	{"io.EOF", io.EOF},
}

// describe formats a value so that two values look alike only if a program cannot distinguish
// them. Errors are compared by identity, and by text if database/sql makes a new one.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case bool:
		return strconv.FormatBool(v)
	}
	err, ok := v.(error)
	if e, explained := v.(*otelpool.AcquireError); explained {
		err = e.Unwrap() // the one difference of a DB from a *sql.DB
	}
	if !ok {
		return fmt.Sprintf("%T %+v", v, v)
	}
	for _, k := range sentinels {
		if err == k.err { //nolint:errorlint // identity is what is compared
			return k.name
		}
	}
	text := fmt.Sprintf("%T %q", err, err)
	if below := errors.Unwrap(err); below != nil {
		text += " over " + describe(below)
	}
	return text
}

// difference formats two runs: their common beginning and end once, and what differs of both.
func difference(bare, wrapped []step) string {
	want, got := lines(bare), lines(wrapped)
	same := 0
	for same < len(want) && same < len(got) && want[same] == got[same] {
		same++
	}
	tail := 0
	for tail < len(want)-same && tail < len(got)-same && want[len(want)-1-tail] == got[len(got)-1-tail] {
		tail++
	}
	var b strings.Builder
	for _, l := range want[:same] {
		fmt.Fprintln(&b, "         ", l)
	}
	for _, l := range want[same : len(want)-tail] {
		fmt.Fprintln(&b, "bare     ", l)
	}
	for _, l := range got[same : len(got)-tail] {
		fmt.Fprintln(&b, "wrapped  ", l)
	}
	for _, l := range want[len(want)-tail:] {
		fmt.Fprintln(&b, "         ", l)
	}
	return b.String()
}

func lines(steps []step) []string {
	var all []string
	for _, s := range steps {
		for _, l := range s.driver {
			all = append(all, "  "+l)
		}
		all = append(all, fmt.Sprintf("%v %s", s.at, s.action), fmt.Sprintf("  opened %d, closed %d, %+v", s.opened, s.closed, s.stats))
	}
	return all
}

// The rest are helpers of scripts.

// A handle runs statements: a DB, a Conn, a Tx, or a statement prepared on one of them.
type handle interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// database is a *sql.DB or a *otelpool.DB.
type database interface {
	pooled
	Exec(query string, args ...any) (sql.Result, error)
	Query(query string, args ...any) (*sql.Rows, error)
	QueryRow(query string, args ...any) *sql.Row
	Begin() (*sql.Tx, error)
	Ping() error
	Close() error
	Driver() driver.Driver
	Stats() sql.DBStats
	SetConnMaxIdleTime(d time.Duration)
	SetConnMaxLifetime(d time.Duration)
	SetMaxIdleConns(n int)
	SetMaxOpenConns(n int)
}

// prepared makes a prepared statement a handle. It ignores the text of the query.
type prepared struct{ s *sql.Stmt }

func (p prepared) ExecContext(ctx context.Context, _ string, args ...any) (sql.Result, error) {
	return p.s.ExecContext(ctx, args...)
}

func (p prepared) QueryContext(ctx context.Context, _ string, args ...any) (*sql.Rows, error) {
	return p.s.QueryContext(ctx, args...)
}

func (p prepared) QueryRowContext(ctx context.Context, _ string, args ...any) *sql.Row {
	return p.s.QueryRowContext(ctx, args...)
}

// exec executes and records the result.
func (r *run) exec(h handle, query string, args ...any) { r.execIn(r.ctx, h, query, args...) }

func (r *run) execIn(ctx context.Context, h handle, query string, args ...any) {
	res, err := h.ExecContext(ctx, query, args...)
	if err != nil {
		r.record("exec "+query, res, err)
		return
	}
	n, err := res.RowsAffected()
	id, noID := res.LastInsertId()
	r.record("exec "+query, n, err, id, noID)
}

// query queries and reads all result sets.
func (r *run) query(h handle, query string, args ...any) { r.queryIn(r.ctx, h, query, args...) }

func (r *run) queryIn(ctx context.Context, h handle, query string, args ...any) {
	rows, err := h.QueryContext(ctx, query, args...)
	r.record("query "+query, err)
	if err == nil {
		r.read(rows)
	}
}

func (r *run) read(rows *sql.Rows) {
	for more := true; more; more = rows.NextResultSet() {
		columns, err := rows.Columns()
		set := []any{columns, err}
		for rows.Next() {
			values, dest := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			set = append(set, rows.Scan(dest...), values)
		}
		r.record("set", append(set, rows.Err())...)
	}
	r.record("end of rows", rows.Err(), rows.Close(), rows.Err())
}

// must returns v. An error ends the script. Scripts use it for calls that do not fail over the
// bare driver.
func must[T any](v T, err error) T {
	if err != nil {
		panic(scriptError{err})
	}
	return v
}

type scriptError struct{ error }

func (u scriptError) Unwrap() error { return u.error }

// panicked calls f and returns the value of its panic.
func panicked(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}
