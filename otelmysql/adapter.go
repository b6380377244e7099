package otelmysql

import (
	"context"
	"database/sql/driver"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// WithAdapter adds this package's knowledge of the driver to otelpool's own functions:
//
//	db, err := otelpool.Open("mysql", dsn, otelmysql.WithAdapter())
//
// A connector made by the driver does not expose its configuration. With one, only errors
// are classified and the server is queried: use [NewConnector] to get the rest.
func WithAdapter() otelpool.Option {
	a := &adapter{}
	return otelpool.WithAdapter(otelpool.Adapter{
		Connector:   a.connector,
		Target:      a.target,
		Connect:     a.connect,
		Server:      a.server,
		QueryServer: queryServer,
		Classify:    classify,
	})
}

// adapter keeps state of one pool between a dial and the call of server that follows it.
type adapter struct {
	// idleTimeouts has an entry for each connection from its dial until otelpool calls
	// server, which it does before the connection is used.
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

func (a *adapter) target(c driver.Connector) poolinfo.Target {
	if c, ok := c.(*connector); ok {
		return c.target()
	}
	if isOwn(c.Driver()) {
		return poolinfo.Target{System: systemMySQL}
	}
	return poolinfo.Target{}
}

// isOwn reports whether d is go-sql-driver/mysql.
func isOwn(d driver.Driver) bool {
	switch d.(type) {
	case mysql.MySQLDriver, *mysql.MySQLDriver:
		return true
	}
	return false
}

func (a *adapter) connect(ctx context.Context, c driver.Connector, onNotice func(error)) (driver.Conn, error) {
	ours, ok := c.(*connector)
	if !ok {
		return c.Connect(ctx)
	}
	dc, err := ours.connect(ctx, onNotice)
	if err == nil && ours.idleTimeout > 0 {
		a.idleTimeouts.Store(dc, ours.idleTimeout)
	}
	return dc, err
}

func (a *adapter) server(c driver.Conn) poolinfo.Server {
	if d, ok := a.idleTimeouts.LoadAndDelete(c); ok {
		return poolinfo.Server{IdleTimeout: d.(time.Duration)}
	}
	return poolinfo.Server{}
}
