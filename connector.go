package otelpool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// OpenDB is [sql.OpenDB] with telemetry. The *sql.DB that it returns is the standard one, and known
// to the pool. A nil c makes a DB whose operations fail with an error that says so.
func OpenDB(c driver.Connector, opts ...Option) *sql.DB {
	return openDB(newConnector(c, opts))
}

func openDB(c *connector) *sql.DB {
	db := sql.OpenDB(c)
	c.pool.db.Store(db)
	return db
}

// NewConnector returns c with telemetry, for programs that call sql.OpenDB themselves. One
// connector is one pool: given to two DBs, the numbers are those of both together, but what is read
// of a DB (its limit, which limit closed a connection, the waits of plain calls) is that of the one
// that is watched. A nil c makes a connector that fails with an error that says so.
//
// The DB is not known to the pool until it is given to [Watch].
func NewConnector(c driver.Connector, opts ...Option) driver.Connector {
	return newConnector(c, opts)
}

// Watch lets the pool know which DB it belongs to, so that the DB's limit is recorded, and which
// limit closed a connection. A DB from [Open] or [OpenDB] is known already; for one from sql.Open
// or sql.OpenDB over [Register], [NewDriver] or [NewConnector], call Watch once, right after. It
// reads db.Stats at each collection of metrics, and at the next acquire after a limit closed a
// connection.
//
// The error says that db is nil, does not go through otelpool, or that its connector already
// belongs to another DB. Nothing is lost then: what does not depend on the DB is recorded as
// before.
func Watch(db *sql.DB) error {
	_, err := watch(db)
	return err
}

func watch(db *sql.DB) (*pool, error) {
	p, err := poolOf(db)
	if err != nil {
		return nil, err
	}
	if !p.reasons.watch(db) {
		return nil, errors.New("otelpool: the connector of this *sql.DB is already watched as that of another")
	}
	return p, nil
}

// poolOf finds the pool of a DB.
func poolOf(db *sql.DB) (*pool, error) {
	if db == nil {
		return nil, errors.New("otelpool: the *sql.DB is nil")
	}
	top := db.Driver()
	d := top
	for range maxUnwrap {
		if s, ok := d.(*sqlDriver); ok && s.pool != nil {
			return s.pool, nil
		}
		w, ok := d.(interface{ Unwrap() driver.Driver })
		if !ok {
			break
		}
		d = w.Unwrap()
	}
	return nil, fmt.Errorf("otelpool: this *sql.DB was not opened through otelpool: its driver is a %T", top)
}

// connector is a driver.Connector whose connections belong to a pool.
type connector struct {
	inner driver.Connector
	drv   *sqlDriver
	pool  *pool
}

var (
	_ driver.Connector = (*connector)(nil)
	_ io.Closer        = (*connector)(nil)
)

func newConnector(inner driver.Connector, opts []Option) *connector {
	if inner == nil {
		inner = failing{errors.New("otelpool: the connector is nil")}
	}
	below := inner.Driver()
	c := &connector{inner: inner, drv: newSQLDriver(below, opts), pool: newPool(inner, below, newConfig(opts))}
	c.drv.pool = c.pool
	return c
}

// Driver returns a driver that makes pools like this one, so that code which wraps or registers
// DB.Driver() keeps the telemetry. Its Unwrap gives the driver below.
func (c *connector) Driver() driver.Driver { return c.drv }

// Connect dials. It runs on the goroutine of the caller that needs the connection, or on
// database/sql's opener when callers wait for one: that connection belongs to no caller until it is
// used, and no caller's context is known, so its dial is measured but makes no span.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	from, _ := calledFrom(frameConn, frameOpener)
	var d dial
	d.begin(ctx, c.pool, from == frameConn)
	defer d.end()
	return d.connect(c.inner)
}

// Close ends the observation of the pool and closes the connector below, if that can be closed.
// database/sql calls it once, from DB.Close.
func (c *connector) Close() error {
	c.pool.close()
	if inner, ok := c.inner.(io.Closer); ok {
		return inner.Close()
	}
	return nil
}
