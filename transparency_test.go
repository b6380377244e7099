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

// A program must not be able to tell that otelpool is there. The tests in this
// file run one script twice, over the bare driver and over the wrapped one, and
// compare all there is to see: what database/sql returns to the program, every
// call that reaches the driver, and what the pool says of itself, after each
// step and on an exact clock. The scripts are in script_test.go.

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
			for i, sh := range s.about.all() {
				if (i+run)%stride == 0 {
					s.compare(t, context.Background(), sh, bare, wrapped)
				}
			}
		})
	}
}

// runs and entranceRuns count the runs of the tests beside them. The race detector is slow, so a run
// under it takes one shape in so many; the next run begins one further, and as
// many runs as the stride take all. A prime stride meets all interfaces in each.
var runs, entranceRuns atomic.Int64

func TestTransparency_EveryEntryPointBehavesAsTheBareDriver(t *testing.T) {
	run := int(entranceRuns.Add(1))
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(tracetest.NewNoopExporter())).Tracer("")
	ctx, span := tracer.Start(context.Background(), "the caller's")
	defer span.End()
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for i, sh := range pathShapes {
				if testing.Short() && (i+run)%len(pathShapes) != 0 {
					continue // another run's
				}
				s.compare(t, ctx, sh, bare, connectorEntrances...)
				s.compare(t, ctx, sh, plainDriver().bareEntrance(), plainDriver().entrances()...)
				s.compare(t, ctx, sh, contextDriver().bareEntrance(), contextDriver().entrances()...)
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
		{"wrapped", chain(ours)},
		{"wrapped twice", chain(ours, ours)},
		{"under a wrapper with Unwrap", chain(ours, withUnwrap)},
		{"under a wrapper with Raw", chain(ours, withRaw)},
		{"under a wrapper with WrappedConn", chain(ours, withWrappedConn)},
		{"over other wrappers", chain(withWrappedConn, withRaw, withUnwrap, ours)},
		{"between other wrappers", chain(withRaw, ours, withUnwrap, ours, withWrappedConn)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want driver.Conn
			connector := over(fakedb.New(fakedb.Config{Conn: fakedb.AllConn}).Connector(), func(own driver.Conn) driver.Conn {
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

// The ways in which wrappers let go of what they wrap.
type (
	withUnwrapConn      struct{ driver.Conn }
	withRawConn         struct{ driver.Conn }
	withWrappedConnConn struct{ driver.Conn }
)

func (c withUnwrapConn) Unwrap() driver.Conn           { return c.Conn }
func (c withRawConn) Raw() driver.Conn                 { return c.Conn }
func (c withWrappedConnConn) WrappedConn() driver.Conn { return c.Conn }

func ours(c driver.Connector) driver.Connector { return otelpool.NewConnector(c) }

func withUnwrap(c driver.Connector) driver.Connector {
	return over(c, func(c driver.Conn) driver.Conn { return withUnwrapConn{c} })
}

func withRaw(c driver.Connector) driver.Connector {
	return over(c, func(c driver.Conn) driver.Conn { return withRawConn{c} })
}

func withWrappedConn(c driver.Connector) driver.Connector {
	return over(c, func(c driver.Conn) driver.Conn { return withWrappedConnConn{c} })
}

func chain(wrap ...func(driver.Connector) driver.Connector) []func(driver.Connector) driver.Connector {
	return wrap
}

// over returns a connector that hands out its connections through f.
func over(c driver.Connector, f func(driver.Conn) driver.Conn) driver.Connector {
	return connectorOver{c, f}
}

type connectorOver struct {
	driver.Connector
	f func(driver.Conn) driver.Conn
}

func (c connectorOver) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return c.f(conn), nil
}

// shape is what the driver under the wrapper can do.
type shape struct {
	conn fakedb.ConnShape
	stmt fakedb.StmtShape
	rows fakedb.RowsShape
}

func (s shape) String() string {
	return fmt.Sprintf("conn %v; stmt %v; rows %v", s.conn, s.stmt, s.rows)
}

// everything is every optional interface that there is.
var everything = shape{fakedb.AllConn, fakedb.AllStmt, fakedb.AllRows}

// all returns every shape that differs in the interfaces of s, the others being
// all there or none: every connection over the least and the most that a
// statement and a result set can do, and every statement and every result set
// under connections that use them directly and through statements.
func (s shape) all() []shape {
	var all []shape
	for _, conn := range varied(s.conn, everything.conn) {
		all = append(all, shape{conn, 0, 0}, shape{conn, everything.stmt, everything.rows})
	}
	if s.stmt != 0 {
		for _, stmt := range varied(s.stmt, everything.stmt) {
			for _, conn := range []fakedb.ConnShape{0, fakedb.NamedValueChecker, everything.conn} {
				all = append(all, shape{conn, stmt, everything.rows})
			}
		}
	}
	if s.rows != 0 {
		for _, rows := range varied(s.rows, everything.rows) {
			all = append(all, shape{0, everything.stmt, rows}, shape{everything.conn, 0, rows})
		}
	}
	return all
}

// varied returns the subsets of about, each without and with all of the rest.
func varied[S ~int](about, all S) []S {
	var sets []S
	for set := range all + 1 {
		if rest := set &^ about; rest == 0 || rest == all&^about {
			sets = append(sets, set)
		}
	}
	return sets
}

// pathShapes are those that lead the wrapper down different paths: what runs
// directly, and whether the pool keeps the connection of a transaction whose
// context ended.
var pathShapes = []shape{
	{0, 0, 0},
	everything,
	{fakedb.Execer | fakedb.Queryer | fakedb.SessionResetter | fakedb.Validator, 0, 0},
	{fakedb.ExecerContext | fakedb.SessionResetter, 0, 0},
	{fakedb.QueryerContext | fakedb.Validator, 0, 0},
}

// entrance is a way to open a DB.
type entrance struct {
	name string
	open func(*fakedb.DB) (database, error)

	// records is set if spans are recorded, for which each result is asked how many
	// rows it is about. That is all that a driver sees of it.
	records bool
}

var (
	bare    = entrance{name: "sql.OpenDB", open: func(f *fakedb.DB) (database, error) { return sql.OpenDB(f.Connector()), nil }}
	wrapped = entrance{name: "OpenDB", open: func(f *fakedb.DB) (database, error) { return otelpool.OpenDB(f.Connector()), nil }}
)

// connectorEntrances are the other ones that start from a connector.
var connectorEntrances = []entrance{
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

// fakes are the fakes that a data source name leads to. database/sql cannot
// forget a driver, so the tests share two, one with DriverContext.
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

// fakeConnector belongs to the driver that is registered.
type fakeConnector struct{ driver.Connector }

func (fakeConnector) Driver() driver.Driver { return fakeContextDriver{} }

func (c fakeConnector) Close() error {
	if in, ok := c.Connector.(io.Closer); ok {
		return in.Close()
	}
	return nil
}

func fakeNamed(dsn string) *fakedb.DB {
	f, _ := fakes.Load(dsn)
	return f.(*fakedb.DB)
}

// driverNames are the names under which database/sql knows one driver.
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

func (n driverNames) bareEntrance() entrance { return named("sql.Open", n.bare, sql.Open) }

func (n driverNames) entrances() []entrance {
	return []entrance{
		named("Open", n.bare, func(name, dsn string) (*sql.DB, error) { return otelpool.Open(name, dsn) }),
		named("Register", n.registered, sql.Open),
		named("NewDriver", n.wrapped, sql.Open),
	}
}

func named(title, driverName string, open func(name, dsn string) (*sql.DB, error)) entrance {
	return entrance{name: title + " " + driverName, open: func(f *fakedb.DB) (database, error) {
		dsn := fmt.Sprint(lastFake.Add(1))
		fakes.Store(dsn, f)
		return open(driverName, dsn)
	}}
}

// script is one thing that programs do.
type script struct {
	name   string
	about  shape                // the interfaces that it runs over every combination of
	config func(*fakedb.Config) // what its driver is like; may be nil
	do     func(*run)           // the program

	// except returns the lines of the driver's log that may be missing, for the
	// one difference that there is; nil if there is none.
	except func(shape) []string
}

// compare runs the script over the bare driver and through each of the wrapped
// entrances, and fails unless all are the same.
func (s script) compare(t *testing.T, ctx context.Context, sh shape, bare entrance, wrapped ...entrance) {
	t.Helper()
	want := s.run(t, ctx, sh, bare)
	for _, e := range wrapped {
		got, want := s.run(t, ctx, sh, e), want
		if e.records {
			got, want = unasked(got), unasked(want)
		}
		if !slices.EqualFunc(got, want, step.equal) {
			t.Fatalf("%s; %v\n%s", e.name, sh, difference(want, got))
		}
	}
}

// unasked returns the steps without the questions of how many rows a result is
// about.
func unasked(steps []step) []step {
	steps = slices.Clone(steps)
	for i := range steps {
		steps[i].driver = slices.DeleteFunc(slices.Clone(steps[i].driver), func(line string) bool {
			return strings.Contains(line, "RowsAffected()")
		})
	}
	return steps
}

// run runs the script in a bubble and returns its steps.
func (s script) run(t *testing.T, ctx context.Context, sh shape, e entrance) (steps []step) {
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
			u, ok := v.(unsure)
			if !ok {
				panic(v)
			}
			r.tell("the script ends", u.error)
		}
		cancel()
		r.tell("the context ends")
		r.tell("db.Close", db.Close())
		r.tell("broken rules", fake.Misuse())
		steps = r.steps
	})
	return steps
}

// run is a script that runs.
type run struct {
	ctx    context.Context // ends with the script; the log shows that it arrives
	fake   *fakedb.DB
	db     database
	except []string
	start  time.Time
	seen   int // lines of the driver's log that belong to earlier steps
	steps  []step
}

// step is all there is to see after one thing that the program did.
type step struct {
	did            string   // what it did, and what came of it
	driver         []string // the calls that reached the driver meanwhile
	stats          sql.DBStats
	opened, closed int
	at             time.Duration
}

func (s step) equal(to step) bool {
	return s.did == to.did && s.stats == to.stats && s.opened == to.opened && s.closed == to.closed &&
		s.at == to.at && slices.Equal(s.driver, to.driver)
}

// tell ends a step, once all that it set in motion has come to rest.
func (r *run) tell(did string, outcome ...any) {
	synctest.Wait()
	log := r.fake.LogFrom(r.seen)
	r.seen += len(log)
	log = slices.DeleteFunc(log, func(line string) bool { return slices.Contains(r.except, line) })
	for _, v := range outcome {
		did += " | " + spell(v)
	}
	r.steps = append(r.steps, step{did, log, r.db.Stats(), r.fake.Opened(), r.fake.Closed(), time.Since(r.start)})
}

// errBroken is an error of the driver's own.
var errBroken = errors.New("broken")

// known are the errors whose identity programs rely on.
var known = []struct {
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

// spell writes a value so that two are spelled alike only if a program cannot
// tell them apart: errors by identity, and by their text where database/sql
// makes a new one.
func spell(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case bool:
		return strconv.FormatBool(v)
	}
	err, ok := v.(error)
	if e, explained := v.(*otelpool.AcquireError); explained {
		err = e.Unwrap() // the one difference of a DB
	}
	if !ok {
		return fmt.Sprintf("%T %+v", v, v)
	}
	for _, k := range known {
		if err == k.err { //nolint:errorlint // it is the identity that is told
			return k.name
		}
	}
	text := fmt.Sprintf("%T %q", err, err)
	if below := errors.Unwrap(err); below != nil {
		text += " over " + spell(below)
	}
	return text
}

// difference shows where two runs part, and both from there to where they meet
// again.
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
		all = append(all, fmt.Sprintf("%v %s", s.at, s.did), fmt.Sprintf("  opened %d, closed %d, %+v", s.opened, s.closed, s.stats))
	}
	return all
}

// The rest is what scripts say often.

// handle is what runs statements: a DB, a Conn, a Tx, or a statement prepared
// on one of them.
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

// prepared makes a statement a handle, which has its text already.
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

// exec executes, and looks at the result.
func (r *run) exec(h handle, query string, args ...any) { r.execIn(r.ctx, h, query, args...) }

func (r *run) execIn(ctx context.Context, h handle, query string, args ...any) {
	res, err := h.ExecContext(ctx, query, args...)
	if err != nil {
		r.tell("exec "+query, res, err)
		return
	}
	n, err := res.RowsAffected()
	id, noID := res.LastInsertId()
	r.tell("exec "+query, n, err, id, noID)
}

// query queries, and reads all there is.
func (r *run) query(h handle, query string, args ...any) { r.queryIn(r.ctx, h, query, args...) }

func (r *run) queryIn(ctx context.Context, h handle, query string, args ...any) {
	rows, err := h.QueryContext(ctx, query, args...)
	r.tell("query "+query, err)
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
		r.tell("set", append(set, rows.Err())...)
	}
	r.tell("end of rows", rows.Err(), rows.Close(), rows.Err())
}

// sure returns v. A script calls it for what cannot fail over the bare driver; if
// it fails the script ends, and differs by that.
func sure[T any](v T, err error) T {
	if err != nil {
		panic(unsure{err})
	}
	return v
}

type unsure struct{ error }

func (u unsure) Unwrap() error { return u.error }

// panicked returns what f panics with.
func panicked(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}
