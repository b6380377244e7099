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
)

const (
	// driverName is that of this major version of pgx.
	driverName = "pgx/v5"
	// system is db.system.name.
	system = "postgresql"
	// defaultPort is what a data source without a port means.
	defaultPort = 5432
)

// Open is sql.Open("pgx", dataSourceName) with telemetry. As there, pgx reads the data
// source anew for each connection, together with the environment and the files that it
// names, and what is wrong with it is the error of the first use.
func Open(dataSourceName string, opts ...otelpool.Option) (*sql.DB, error) {
	return otelpool.Open(driverName, dataSourceName, with(opts)...)
}

// OpenDB is [stdlib.OpenDB] with telemetry, for a configuration that pgx.ParseConfig
// made. The error is for one that is nil.
func OpenDB(cfg *pgx.ConnConfig, opts ...otelpool.Option) (*sql.DB, error) {
	if cfg == nil {
		return nil, errNilConfig
	}
	return otelpool.OpenDB(Connector(*cfg), with(opts)...), nil
}

// NewConnector is [stdlib.GetConnector] with telemetry, for those who call sql.OpenDB
// themselves: [otelpool.Watch] then tells the pool which DB it serves. The error is for
// a configuration that is nil.
func NewConnector(cfg *pgx.ConnConfig, opts ...otelpool.Option) (driver.Connector, error) {
	if cfg == nil {
		return nil, errNilConfig
	}
	return otelpool.NewConnector(Connector(*cfg), with(opts)...), nil
}

var errNilConfig = errors.New("otelpgx: the configuration is nil")

// Connector is [stdlib.GetConnector] for an entrance of otelpool that has
// [WithAdapter], and for stdlib's own options:
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

// dataSource is the driver's connector for a data source name, which may also be that
// of a configuration that is registered with the driver: that one is left to it.
func dataSource(d *stdlib.Driver, name string) (driver.Connector, error) {
	in, err := d.OpenConnector(name)
	if err != nil {
		return nil, err
	}
	return &connector{
		Connector: in,
		config:    func() (*pgx.ConnConfig, error) { return pgx.ParseConfig(name) },
	}, nil
}

// with puts the adapter before the options of the program, which may have another.
func with(opts []otelpool.Option) []otelpool.Option {
	return append([]otelpool.Option{WithAdapter()}, opts...)
}

// connector is the driver's connector, and what it was made from.
type connector struct {
	driver.Connector
	config  func() (*pgx.ConnConfig, error) // what it returns is not changed
	options []stdlib.OptionOpenDB
}

var _ driver.Connector = (*connector)(nil)

// connect dials with hooks of our own in a copy of the configuration. It also returns
// the server that was reached, empty if it is the one that target names.
func (c *connector) connect(ctx context.Context, said func(error)) (driver.Conn, otelpool.Server, error) {
	cfg, err := c.config()
	if err != nil {
		// The driver's error, or a configuration that only the driver knows.
		dc, err := c.Connect(ctx)
		return dc, reached(dc, &dial{}, nil), err
	}
	d := &dial{said: said}
	copied := *cfg
	d.hook(&copied)
	dc, err := stdlib.GetConnector(copied, c.options...).Connect(d.context(ctx))
	d.end()
	return dc, reached(dc, d, hosts(&cfg.Config)), err
}

// reached tells which server it is, unless it is the only one that was to be expected.
func reached(c driver.Conn, d *dial, expected []target.Host) otelpool.Server {
	var s otelpool.Server
	if h := d.host(c); len(expected) != 1 || h != expected[0] {
		s.Address, s.Port = target.ServerAttributes(h, defaultPort)
	}
	return s
}

// target is what the data source leads to.
func (c *connector) target() otelpool.Target {
	cfg, err := c.config()
	if err != nil {
		return otelpool.Target{System: system}
	}
	t := target.New(hosts(&cfg.Config), defaultPort, cfg.Database)
	return otelpool.Target{
		System:    system,
		Address:   t.Address,
		Port:      t.Port,
		Namespace: t.Namespace,
		PoolName:  t.PoolName,
	}
}
