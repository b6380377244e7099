package otelpgx

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/target"
	"github.com/otelpool/otelpool/poolinfo"
)

const (
	// driverName is the name that this major version of pgx registers.
	driverName = "pgx/v5"
	// system is db.system.name.
	system = "postgresql"
	// defaultPort is the port of a data source without one.
	defaultPort = 5432
)

// Open is sql.Open("pgx", dataSourceName) with telemetry. As with sql.Open, pgx parses
// the data source again for each connection, and reads the environment and the files that
// it names. An invalid data source is an error of the first use.
func Open(dataSourceName string, opts ...otelpool.Option) (*sql.DB, error) {
	return otelpool.Open(driverName, dataSourceName, with(opts)...)
}

// OpenDB is [stdlib.OpenDB] with telemetry, for a configuration from pgx.ParseConfig. It
// returns an error if the configuration is nil.
func OpenDB(cfg *pgx.ConnConfig, opts ...otelpool.Option) (*sql.DB, error) {
	if cfg == nil {
		return nil, errNilConfig
	}
	return otelpool.OpenDB(Connector(*cfg), with(opts)...), nil
}

// NewConnector is [stdlib.GetConnector] with telemetry, for programs that call sql.OpenDB
// themselves. Pass the resulting DB to [otelpool.Watch]. NewConnector returns an error if
// the configuration is nil.
func NewConnector(cfg *pgx.ConnConfig, opts ...otelpool.Option) (driver.Connector, error) {
	if cfg == nil {
		return nil, errNilConfig
	}
	return otelpool.NewConnector(Connector(*cfg), with(opts)...), nil
}

var errNilConfig = errors.New("otelpgx: the configuration is nil")

// Connector is [stdlib.GetConnector] with stdlib's own options, for a function of
// otelpool that is called with [WithAdapter]:
//
//	c := otelpgx.Connector(*cfg, stdlib.OptionBeforeConnect(choose))
//	db := otelpool.OpenDB(c, otelpgx.WithAdapter())
//
// It has no telemetry by itself.
func Connector(cfg pgx.ConnConfig, options ...stdlib.OptionOpenDB) driver.Connector {
	return &connector{
		Connector: stdlib.GetConnector(cfg, options...),
		config:    func() (*pgx.ConnConfig, error) { return &cfg, nil },
		options:   options,
	}
}

// dataSource returns the driver's connector for a data source name. The name may also
// stand for a configuration that is registered with the driver; only the driver can
// resolve that one.
func dataSource(d *stdlib.Driver, name string) (driver.Connector, error) {
	inner, err := d.OpenConnector(name)
	if err != nil {
		return nil, err
	}
	return &connector{
		Connector: inner,
		config:    func() (*pgx.ConnConfig, error) { return pgx.ParseConfig(name) },
	}, nil
}

// with puts the adapter before the program's options, which may replace it.
func with(opts []otelpool.Option) []otelpool.Option {
	return append([]otelpool.Option{WithAdapter()}, opts...)
}

// connector is the driver's connector and its configuration.
type connector struct {
	driver.Connector
	config  func() (*pgx.ConnConfig, error) // its result is never changed
	options []stdlib.OptionOpenDB
}

var _ driver.Connector = (*connector)(nil)

// connect dials with our hooks in a copy of the configuration. It also returns the server
// it connected to, empty if that is the one that target returns.
func (c *connector) connect(ctx context.Context, onNotice func(error)) (driver.Conn, poolinfo.Server, error) {
	cfg, err := c.config()
	if err != nil {
		// An invalid data source, or a configuration that only the driver has.
		dc, err := c.Connect(ctx)
		return dc, reachedServer(dc, &dial{}, nil), err
	}
	d := &dial{onNotice: onNotice}
	copied := *cfg
	d.hook(&copied)
	dc, err := stdlib.GetConnector(copied, c.options...).Connect(d.context(ctx))
	d.end()
	return dc, reachedServer(dc, d, hosts(&cfg.Config)), err
}

// reachedServer returns the server that c is connected to, empty if it is the only one
// expected.
func reachedServer(c driver.Conn, d *dial, expected []target.Host) poolinfo.Server {
	var s poolinfo.Server
	if h := d.host(c); len(expected) != 1 || h != expected[0] {
		s.Address, s.Port = target.ServerAttributes(h, defaultPort)
	}
	return s
}

// target returns what the data source connects to.
func (c *connector) target() poolinfo.Target {
	cfg, err := c.config()
	if err != nil {
		return poolinfo.Target{System: system}
	}
	t := target.New(hosts(&cfg.Config), defaultPort, cfg.Database)
	return poolinfo.Target{
		System:    system,
		Address:   t.Address,
		Port:      t.Port,
		Namespace: t.Namespace,
		PoolName:  t.PoolName,
	}
}
