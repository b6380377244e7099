package fakedb

import (
	"context"
	"database/sql/driver"
)

var (
	theDriver    = object{kind: "driver"}
	theConnector = object{kind: "connector"}
)

// plainDriver is a driver that only opens connections.
type plainDriver struct{ db *DB }

func (d plainDriver) Open(name string) (driver.Conn, error) {
	return d.db.connect(call{op: Connect, receiver: theDriver, method: "Open", query: name})
}

// contextDriver is a driver with driver.DriverContext.
type contextDriver struct{ plainDriver }

func (d contextDriver) OpenConnector(name string) (driver.Connector, error) {
	c := call{op: Connect, receiver: theDriver, method: "OpenConnector", query: name}
	d.db.record(c, "connector")
	return d.db.Connector(), nil
}

// connector is a connector without io.Closer.
type connector struct{ db *DB }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	return c.db.connect(call{op: Connect, receiver: theConnector, method: "Connect", ctx: ctx})
}

func (c connector) Driver() driver.Driver { return c.db.Driver() }

// closingConnector is a connector with io.Closer.
type closingConnector struct{ connector }

func (c closingConnector) Close() error {
	cl := call{op: CloseConnector, receiver: theConnector, method: "Close"}
	if err := c.db.run(cl, 0); err != nil {
		return err
	}
	c.db.record(cl, "ok")
	return nil
}

func (db *DB) connect(cl call) (driver.Conn, error) {
	if err := db.run(cl, db.config.Dial); err != nil {
		return nil, err
	}
	c := &conn{db: db, object: object{"conn", db.conns.Add(1)}}
	db.opened.Add(1)
	db.record(cl, c.object)
	return connShapes[db.config.Conn](c), nil
}
