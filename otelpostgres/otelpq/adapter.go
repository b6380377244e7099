package otelpq

import (
	"context"
	"database/sql/driver"
	"sync"

	"github.com/lib/pq"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/otelpostgres/internal/setting"
)

// WithAdapter brings what this package knows to the entrances of otelpool, such as
//
//	db, err := otelpool.Open("postgres", dsn, otelpq.WithAdapter())
//
// Of a connector that comes from pq itself only the errors and the answers of the server
// are known, since it does not show its configuration: see [NewConnector].
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
	// dialed has what is known of a connection from its dial until otelpool asks, which
	// it does before the connection is used.
	dialed sync.Map // driver.Conn to otelpool.Server
}

func (a *adapter) connector(d driver.Driver, dataSourceName string) (driver.Connector, error) {
	if !isOwn(d) {
		return nil, nil
	}
	return dataSource(d, dataSourceName), nil
}

func (a *adapter) target(c driver.Connector) otelpool.Target {
	if c, ok := c.(*connector); ok {
		return c.target()
	}
	if isOwn(c.Driver()) {
		return otelpool.Target{System: system}
	}
	return otelpool.Target{}
}

// isOwn reports whether a driver is the one that this package is about.
func isOwn(d driver.Driver) bool {
	switch d.(type) {
	case pq.Driver, *pq.Driver:
		return true
	}
	return false
}

func (a *adapter) connect(ctx context.Context, c driver.Connector, said func(error)) (driver.Conn, error) {
	ours, ok := c.(*connector)
	if !ok {
		return c.Connect(ctx)
	}
	dc, s, err := ours.connect(ctx, said)
	if err == nil && s != (otelpool.Server{}) {
		a.dialed.Store(dc, s)
	}
	return dc, err
}

func (a *adapter) server(ctx context.Context, c driver.Conn, ask bool) otelpool.Server {
	var s otelpool.Server
	if known, ok := a.dialed.LoadAndDelete(c); ok {
		s = known.(otelpool.Server)
	}
	q, ok := c.(driver.QueryerContext)
	if !ask || !ok {
		return s
	}
	rows, err := q.QueryContext(ctx, setting.Question, nil)
	if err != nil {
		return s
	}
	defer func() { _ = rows.Close() }() // what follows finds out
	answer := make([]driver.Value, len(rows.Columns()))
	if rows.Next(answer) != nil || len(answer) != 2 {
		return s
	}
	s.Version = text(answer[0])
	s.IdleTimeout = setting.Interval(text(answer[1]))
	return s
}

// text is a value of a result: pq gives text as a string, or as bytes where it does not
// know the type.
func text(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}
