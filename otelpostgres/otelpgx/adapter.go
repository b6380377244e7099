package otelpgx

import (
	"context"
	"database/sql/driver"
	"sync"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/otelpostgres/internal/setting"
	"github.com/otelpool/otelpool/poolinfo"
)

// WithAdapter adds this package's knowledge of the driver to otelpool's own functions:
//
//	db, err := otelpool.Open("pgx", dsn, otelpgx.WithAdapter())
//
// A connector made by stdlib does not expose its configuration. With one, only errors
// are classified and the server is queried: use [Connector] to get the rest.
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
	// dialed has an entry for each connection from its dial until otelpool calls server,
	// which it does before the connection is used.
	dialed sync.Map // driver.Conn to poolinfo.Server
}

func (a *adapter) connector(d driver.Driver, dataSourceName string) (driver.Connector, error) {
	own, ok := d.(*stdlib.Driver)
	if !ok {
		return nil, nil
	}
	return dataSource(own, dataSourceName)
}

func (a *adapter) target(c driver.Connector) poolinfo.Target {
	if c, ok := c.(*connector); ok {
		return c.target()
	}
	if _, ok := c.Driver().(*stdlib.Driver); ok {
		return poolinfo.Target{System: system}
	}
	return poolinfo.Target{}
}

func (a *adapter) connect(ctx context.Context, c driver.Connector, onNotice func(error)) (driver.Conn, error) {
	ours, ok := c.(*connector)
	if !ok {
		return c.Connect(ctx)
	}
	dc, s, err := ours.connect(ctx, onNotice)
	if err == nil {
		a.dialed.Store(dc, s)
	}
	return dc, err
}

func (a *adapter) server(c driver.Conn) poolinfo.Server {
	var s poolinfo.Server
	if known, ok := a.dialed.LoadAndDelete(c); ok {
		s = known.(poolinfo.Server)
	}
	if own, ok := c.(*stdlib.Conn); ok {
		s.Version = own.Conn().PgConn().ParameterStatus("server_version")
		params := own.Conn().Config().RuntimeParams
		s.IdleTimeout = setting.FromConfig(params, params["options"])
	}
	return s
}

// queryServer sends one message and reads one answer, without calling the program's
// tracers.
func queryServer(ctx context.Context, c driver.Conn) (s poolinfo.Server) {
	own, ok := c.(*stdlib.Conn)
	if !ok {
		return s
	}
	pg := own.Conn().PgConn()
	results, err := pg.Exec(ctx, setting.ServerQuery).ReadAll()
	if err != nil || len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 2 {
		return s
	}
	s.Version = pg.ParameterStatus("server_version")
	s.IdleTimeout = setting.Interval(string(results[0].Rows[0][1]))
	return s
}
