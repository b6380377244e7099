package dbtest_test

import (
	"database/sql"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/otelpool/otelpool"
)

// openFunc is one way to open a pool. Each pool knows its DB.
type openFunc struct {
	name string
	make func(s backend, dsn string, opts ...otelpool.Option) (*sql.DB, error)
}

var openFuncs = []openFunc{
	{"Open", func(s backend, dsn string, opts ...otelpool.Option) (*sql.DB, error) {
		return otelpool.Open(s.driver, dsn, opts...)
	}},
	{"OpenDB", func(s backend, dsn string, opts ...otelpool.Option) (*sql.DB, error) {
		c, err := s.connect(dsn)
		if err != nil {
			return nil, err
		}
		return otelpool.OpenDB(c, opts...), nil
	}},
	{"Register", func(s backend, dsn string, opts ...otelpool.Option) (*sql.DB, error) {
		name, err := otelpool.Register(s.driver, opts...)
		if err != nil {
			return nil, err
		}
		return watched(sql.Open(name, dsn))
	}},
	{"NewDriver", func(s backend, dsn string, opts ...otelpool.Option) (*sql.DB, error) {
		db, err := sql.Open(s.driver, dsn)
		if err != nil {
			return nil, err
		}
		d := db.Driver()
		if err := db.Close(); err != nil {
			return nil, err
		}
		name := fmt.Sprintf("%s-dbtest-%d", s.driver, named.Add(1))
		sql.Register(name, otelpool.NewDriver(d, opts...))
		return watched(sql.Open(name, dsn))
	}},
	{"NewConnector", func(s backend, dsn string, opts ...otelpool.Option) (*sql.DB, error) {
		c, err := s.connect(dsn)
		if err != nil {
			return nil, err
		}
		return watched(sql.OpenDB(otelpool.NewConnector(c, opts...)), nil)
	}},
	{"adapter", func(s backend, dsn string, opts ...otelpool.Option) (*sql.DB, error) {
		return s.adapted(dsn, append(opts, otelpool.WithServerQuery())...)
	}},
}

// named makes names of drivers, which cannot be unregistered, and long statements unique in
// the process.
var named atomic.Int64

func watched(db *sql.DB, err error) (*sql.DB, error) {
	if err != nil {
		return nil, err
	}
	return db, otelpool.Watch(db)
}

// open opens a pool with full telemetry until the test ends.
func (e openFunc) open(tb testing.TB, s backend, dsn string, tel *telemetry, opts ...otelpool.Option) *sql.DB {
	tb.Helper()
	db, err := e.make(s, dsn, append(tel.options(), opts...)...)
	if err != nil {
		tb.Fatalf("%s: %v", e.name, err)
	}
	tb.Cleanup(func() { _ = db.Close() }) // often for a second time
	return db
}

// wrapped opens the driver through otelpool.Open, until the test ends.
func (s backend) wrapped(tb testing.TB, dsn string, tel *telemetry, opts ...otelpool.Option) *sql.DB {
	tb.Helper()
	return openFuncs[0].open(tb, s, dsn, tel, opts...)
}
