package otelpq

import (
	"context"
	"database/sql/driver"
	"sync"

	"github.com/lib/pq"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/otelpostgres/internal/setting"
	"github.com/otelpool/otelpool/poolinfo"
)

// WithAdapter adds this package's knowledge of the driver to otelpool's own functions:
//
//	db, err := otelpool.Open("postgres", dsn, otelpq.WithAdapter())
//
// A connector made by pq does not expose its configuration. With one, only errors are
// classified and the server is queried: use [NewConnector] to get the rest.
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
	// dialed has entries for connections from their dial until otelpool calls server,
	// which it does before the connection is used.
	dialed sync.Map // driver.Conn to poolinfo.Server
}

func (a *adapter) connector(d driver.Driver, dataSourceName string) (driver.Connector, error) {
	if !isOwn(d) {
		return nil, nil
	}
	return dataSource(d, dataSourceName), nil
}

func (a *adapter) target(c driver.Connector) poolinfo.Target {
	if c, ok := c.(*connector); ok {
		return c.target()
	}
	if isOwn(c.Driver()) {
		return poolinfo.Target{System: system}
	}
	return poolinfo.Target{}
}

// isOwn reports whether d is lib/pq.
func isOwn(d driver.Driver) bool {
	switch d.(type) {
	case pq.Driver, *pq.Driver:
		return true
	}
	return false
}

func (a *adapter) connect(ctx context.Context, c driver.Connector, onNotice func(error)) (driver.Conn, error) {
	ours, ok := c.(*connector)
	if !ok {
		return c.Connect(ctx)
	}
	dc, s, err := ours.connect(ctx, onNotice)
	if err == nil && s != (poolinfo.Server{}) {
		a.dialed.Store(dc, s)
	}
	return dc, err
}

func (a *adapter) server(c driver.Conn) poolinfo.Server {
	if known, ok := a.dialed.LoadAndDelete(c); ok {
		return known.(poolinfo.Server)
	}
	return poolinfo.Server{}
}

// queryServer returns the server's answer, empty if there is none.
func queryServer(ctx context.Context, c driver.Conn) (s poolinfo.Server) {
	q, ok := c.(driver.QueryerContext)
	if !ok {
		return s
	}
	rows, err := q.QueryContext(ctx, setting.ServerQuery, nil)
	if err != nil {
		return s
	}
	defer func() { _ = rows.Close() }() // the next call reports the error
	answer := make([]driver.Value, len(rows.Columns()))
	if rows.Next(answer) != nil || len(answer) != 2 {
		return s
	}
	s.Version = text(answer[0])
	s.IdleTimeout = setting.Interval(text(answer[1]))
	return s
}

// text returns a value of a result as a string. pq gives text as a string, or as bytes
// if it does not know the type.
func text(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}
