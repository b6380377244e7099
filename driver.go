package otelpool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Open is [sql.Open] for a database/sql driver that is registered under driverName, with telemetry.
// The *sql.DB that it returns is the standard one.
//
// The error for an unknown driver name, and the error of a driver that refuses the data source
// name, are those that sql.Open gives. No connection is made. A driver that has OpenConnector is
// asked for a connector twice, since there is no other way to find a driver by its name; the first
// is closed at once. The driver that is found is the one that this connector names as its own.
func Open(driverName, dataSourceName string, opts ...Option) (*sql.DB, error) {
	d, err := findDriver(driverName, dataSourceName)
	if err != nil {
		return nil, err
	}
	c, err := newSQLDriver(d, opts).connector(dataSourceName)
	if err != nil {
		return nil, err
	}
	return openDB(c), nil
}

// Register makes a new database/sql driver name, for sql.Open, that stands for the driver
// registered as driverName with telemetry. Each call makes another name, so that one driver can be
// registered with different options; names begin with driverName and are never given back.
//
// With a name that has no driver the error says so. Code that derives a dialect from the driver
// name, as sqlx does for placeholders, has to be configured for the new name.
//
// The DB that sql.Open makes is not known to the pool until it is given to [Watch].
func Register(driverName string, opts ...Option) (string, error) {
	if !slices.Contains(sql.Drivers(), driverName) {
		return "", fmt.Errorf("otelpool: cannot register %q: no database/sql driver has that name (forgotten import?)", driverName)
	}
	d := &sqlDriver{base: driverName, opts: opts}
	for {
		name := fmt.Sprintf("%s-otelpool-%d", driverName, registered.Add(1))
		if tryRegister(name, d) {
			return name, nil
		}
	}
}

// registered numbers the names that Register makes: database/sql has no way to take one back, so
// the number only grows.
var registered atomic.Int64

// tryRegister reports whether the name was free. database/sql panics if it is not, and to look
// first would be a race.
func tryRegister(name string, d driver.Driver) (ok bool) {
	defer func() { ok = recover() == nil }()
	sql.Register(name, d)
	return
}

// NewDriver returns d with telemetry, for those who call sql.Register themselves. Each connector
// that is opened through it is a pool of its own. A nil d makes a driver whose connections fail
// with an error that says so.
//
// The DB that sql.Open makes is not known to the pool until it is given to [Watch].
func NewDriver(d driver.Driver, opts ...Option) driver.Driver {
	return newSQLDriver(d, opts)
}

func newSQLDriver(d driver.Driver, opts []Option) *sqlDriver {
	s := &sqlDriver{opts: opts}
	s.inner.Store(&d)
	return s
}

var errNilDriver = errors.New("otelpool: the driver is nil")

// sqlDriver is a driver whose connectors are ours. It always offers OpenConnector: for a driver
// without it, database/sql would make the same connector that we do.
type sqlDriver struct {
	opts  []Option
	base  string // the name to find the driver by, until it is found
	inner atomic.Pointer[driver.Driver]

	// pool is that of the connector that this value is the Driver of, nil for a driver that has
	// none yet. It is how Watch and Inspect find the pool of a DB.
	pool *pool

	opened sync.Map // *openedConnector by data source name
}

// openedConnector is the connector of a data source that was opened by Open. It is made once.
type openedConnector struct{ make func() (*connector, error) }

var (
	_ driver.Driver        = (*sqlDriver)(nil)
	_ driver.DriverContext = (*sqlDriver)(nil)
)

// OpenConnector makes a new pool for the data source name.
func (d *sqlDriver) OpenConnector(dsn string) (driver.Connector, error) {
	c, err := d.connector(dsn)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (d *sqlDriver) connector(dsn string) (*connector, error) {
	inner, err := d.find(dsn)
	if err != nil {
		return nil, err
	}
	known := adapter{Adapter: newConfig(d.opts).adapter}
	if c, err := known.connector(inner, dsn); err != nil {
		return nil, err
	} else if c != nil {
		return newConnector(c, d.opts), nil
	}
	dc, ok := inner.(driver.DriverContext)
	if !ok {
		return newConnector(dsnConnector{dsn: dsn, driver: inner}, d.opts), nil
	}
	c, err := dc.OpenConnector(dsn)
	if err != nil {
		return nil, err
	}
	return newConnector(c, d.opts), nil
}

// Open opens one connection. database/sql does not call it, another wrapper may; connections to the
// same data source make one pool. Only an Open of the same data source waits for the driver.
func (d *sqlDriver) Open(dsn string) (driver.Conn, error) {
	o := &openedConnector{make: sync.OnceValues(func() (*connector, error) { return d.connector(dsn) })}
	if other, ok := d.opened.LoadOrStore(dsn, o); ok {
		o = other.(*openedConnector)
	}
	c, err := o.make()
	if err != nil {
		d.opened.CompareAndDelete(dsn, o) // the next Open tries again
		return nil, err
	}
	return c.Connect(context.Background())
}

// Unwrap returns the driver below, or nil if it is known by name only and was never opened.
func (d *sqlDriver) Unwrap() driver.Driver {
	if inner := d.inner.Load(); inner != nil {
		return *inner
	}
	return nil
}

// find returns the driver below. One that is known by its name is looked up when the first data
// source name is there, because a driver may refuse an empty one.
func (d *sqlDriver) find(dsn string) (driver.Driver, error) {
	if inner := d.inner.Load(); inner != nil {
		if *inner == nil {
			return nil, errNilDriver
		}
		return *inner, nil
	}
	inner, err := findDriver(d.base, dsn)
	if err != nil {
		return nil, err
	}
	d.inner.Store(&inner)
	return inner, nil
}

// findDriver returns the driver that is registered as name. The data source name is needed because
// database/sql gives a driver away only together with a DB.
func findDriver(name, dsn string) (driver.Driver, error) {
	db, err := sql.Open(name, dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close() // nothing was opened; an error of that is no reason to fail
	return db.Driver(), nil
}

// dsnConnector is the connector of a driver that has none.
type dsnConnector struct {
	dsn    string
	driver driver.Driver
}

func (c dsnConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c dsnConnector) Driver() driver.Driver                        { return c.driver }
