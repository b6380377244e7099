package otelmysql

import (
	"context"
	"database/sql/driver"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/otelpool/otelpool"
)

// WithAdapter brings what this package knows to the entrances of otelpool, such as
//
//	db, err := otelpool.Open("mysql", dsn, otelmysql.WithAdapter())
//
// Of a connector that comes from the driver itself only the errors and the answers of
// the server are known, since it does not show its configuration: see [NewConnector].
func WithAdapter() otelpool.Option {
	a := &adapter{}
	return otelpool.WithAdapter(otelpool.Adapter{
		Connector: a.connector,
		Target:    a.target,
		Connect:   a.connect,
		Server:    a.server,
		Classify:  classify,
	})
}

// adapter is the state between the dials of one pool and the questions after them.
type adapter struct {
	// idleTimeouts has what is known of a connection from its dial until otelpool asks,
	// which it does before the connection is used.
	idleTimeouts sync.Map // driver.Conn to time.Duration
}

func (a *adapter) connector(d driver.Driver, dataSourceName string) (driver.Connector, error) {
	if !isOwn(d) {
		return nil, nil
	}
	cfg, err := mysql.ParseDSN(dataSourceName)
	if err != nil {
		return nil, err
	}
	c, err := newConnector(cfg)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (a *adapter) target(c driver.Connector) otelpool.Target {
	if c, ok := c.(*connector); ok {
		return c.target()
	}
	if isOwn(c.Driver()) {
		return otelpool.Target{System: systemMySQL}
	}
	return otelpool.Target{}
}

// isOwn reports whether a driver is the one that this package is about.
func isOwn(d driver.Driver) bool {
	switch d.(type) {
	case mysql.MySQLDriver, *mysql.MySQLDriver:
		return true
	}
	return false
}

func (a *adapter) connect(ctx context.Context, c driver.Connector, said func(error)) (driver.Conn, error) {
	ours, ok := c.(*connector)
	if !ok {
		return c.Connect(ctx)
	}
	dc, err := ours.connect(ctx, said)
	if err == nil && ours.idleTimeout > 0 {
		a.idleTimeouts.Store(dc, ours.idleTimeout)
	}
	return dc, err
}

func (a *adapter) server(ctx context.Context, c driver.Conn, ask bool) otelpool.Server {
	var s otelpool.Server
	if d, ok := a.idleTimeouts.LoadAndDelete(c); ok {
		s.IdleTimeout = d.(time.Duration)
	}
	if ask {
		s = asked(ctx, c, s)
	}
	return s
}
