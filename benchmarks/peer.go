package benchmarks

import (
	"database/sql"
	"database/sql/driver"

	xsam "github.com/XSAM/otelsql"
	"github.com/ngrok/sqlmw"
	"github.com/otelpool/otelpool"
	uptrace "github.com/uptrace/opentelemetry-go-extra/otelsql"
	nhatthm "go.nhat.io/otelsql"
)

// A Peer is one way to run the operations: bare, with the floor's signals, or through a
// wrapper. A wrapper has its default options, and those that it needs to emit a span and
// a duration for every operation.
type Peer struct {
	Name string

	// Module is the path of the wrapper's module, empty for this repository's own.
	Module string

	// In reports whether the peer is measured in a mode.
	In func(Mode) bool

	// open makes the pool with the connector, or with another one of its driver.
	open func(c driver.Connector, p providers) (*sql.DB, error)

	// do makes a call of an operation on the pool.
	do func(op Op, db *sql.DB, p providers) (call, error)
}

// The names of the peers in the report.
const (
	Bare       = "bare"
	Floor      = "floor"
	Otelpool   = "otelpool"
	OtelpoolDB = "otelpool.DB"
	XSAM       = "XSAM"
	Nhatthm    = "nhatthm"
	Uptrace    = "uptrace"
	Sqlmw      = "sqlmw"

	// UptraceNamed is uptrace's wrapper with the pool's name and the system as options.
	// Its span and its histogram then have these attributes, as otelpool's do.
	UptraceNamed = "uptrace, named"
)

// Peers are all peers, in the order of the report.
var Peers = []Peer{
	{Name: Bare, In: always, open: openBare, do: doPlain},
	{Name: Floor, In: always, open: openCounted, do: doFloor},
	{Name: Otelpool, In: always, open: openOtelpool, do: doPlain},
	{Name: OtelpoolDB, In: always, open: openOtelpool, do: doDB},
	{Name: XSAM, Module: "github.com/XSAM/otelsql", In: notReduced, open: openXSAM, do: doPlain},
	{Name: Nhatthm, Module: "go.nhat.io/otelsql", In: notReduced, open: openNhatthm, do: doPlain},
	{Name: Uptrace, Module: "github.com/uptrace/opentelemetry-go-extra/otelsql", In: always, open: openUptrace, do: doPlain},
	{Name: UptraceNamed, In: onlyReduced, open: openUptraceNamed, do: doPlain},
	// Its interceptor does not use OpenTelemetry, so modes make no difference.
	{Name: Sqlmw, Module: "github.com/ngrok/sqlmw", In: onlyNoSDK, open: openSqlmw, do: doPlain},
}

func always(Mode) bool        { return true }
func notReduced(m Mode) bool  { return m.Name != Reduced.Name }
func onlyReduced(m Mode) bool { return m.Name == Reduced.Name }
func onlyNoSDK(m Mode) bool   { return m.Name == NoSDK.Name }

func doPlain(op Op, db *sql.DB, _ providers) (call, error) { return op.plain(db) }

func doFloor(op Op, db *sql.DB, p providers) (call, error) {
	f, err := newFloor(p)
	if err != nil {
		return nil, err
	}
	return op.floor(db, f)
}

func doDB(op Op, db *sql.DB, _ providers) (call, error) {
	handle, err := otelpool.NewDB(db)
	if err != nil {
		return nil, err
	}
	return op.viaDB(handle)
}

func openBare(c driver.Connector, _ providers) (*sql.DB, error) { return sql.OpenDB(c), nil }

// openCounted makes a nopConnector count rows.
func openCounted(c driver.Connector, _ providers) (*sql.DB, error) {
	if _, ok := c.(nopConnector); ok {
		c = nopConnector{counts: true}
	}
	return sql.OpenDB(c), nil
}

func openOtelpool(c driver.Connector, p providers) (*sql.DB, error) {
	return otelpool.OpenDB(c, otelpoolOptions(p)...), nil
}

func otelpoolOptions(p providers) []otelpool.Option {
	var opts []otelpool.Option
	if p.tracer != nil {
		opts = append(opts, otelpool.WithTracerProvider(p.tracer))
	}
	if p.meter != nil {
		opts = append(opts, otelpool.WithMeterProvider(p.meter))
	}
	return opts
}

// openXSAM enables the span of a ping, which is off by default.
func openXSAM(c driver.Connector, p providers) (*sql.DB, error) {
	opts := []xsam.Option{xsam.WithSpanOptions(xsam.SpanOptions{Ping: true})}
	if p.tracer != nil {
		opts = append(opts, xsam.WithTracerProvider(p.tracer))
	}
	if p.meter != nil {
		opts = append(opts, xsam.WithMeterProvider(p.meter))
	}
	return xsam.OpenDB(c, opts...), nil
}

// openNhatthm enables spans without a caller's span, the span of a ping, and the query
// text, which the others emit by default. Spans of rows stay off: TraceAll would make
// one for each row.
func openNhatthm(c driver.Connector, p providers) (*sql.DB, error) {
	opts := []nhatthm.DriverOption{nhatthm.AllowRoot(), nhatthm.TracePing(), nhatthm.TraceQueryWithoutArgs()}
	if p.tracer != nil {
		opts = append(opts, nhatthm.WithTracerProvider(p.tracer))
	}
	if p.meter != nil {
		opts = append(opts, nhatthm.WithMeterProvider(p.meter))
	}
	return openDriver(nhatthm.Wrap(c.Driver(), opts...))
}

func openUptrace(c driver.Connector, p providers) (*sql.DB, error) {
	return uptrace.OpenDB(c, uptraceOptions(p)...), nil
}

func openUptraceNamed(c driver.Connector, p providers) (*sql.DB, error) {
	return uptrace.OpenDB(c, append(uptraceOptions(p), uptrace.WithAttributes(poolName, system))...), nil
}

func uptraceOptions(p providers) []uptrace.Option {
	var opts []uptrace.Option
	if p.tracer != nil {
		opts = append(opts, uptrace.WithTracerProvider(p.tracer))
	}
	if p.meter != nil {
		opts = append(opts, uptrace.WithMeterProvider(p.meter))
	}
	return opts
}

func openSqlmw(c driver.Connector, _ providers) (*sql.DB, error) {
	return openDriver(sqlmw.Driver(c.Driver(), sqlmw.NullInterceptor{}))
}

// openDriver is sql.Open without the global registry, for wrappers of a driver.
func openDriver(d driver.Driver) (*sql.DB, error) {
	c, err := d.(driver.DriverContext).OpenConnector("")
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(c), nil
}
