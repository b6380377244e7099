package otelpq

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/target"
	"github.com/otelpool/otelpool/otelpostgres/internal/setting"
	"github.com/otelpool/otelpool/poolinfo"
)

const (
	// driverName is the name that pq registers.
	driverName = "postgres"
	// system is db.system.name.
	system = "postgresql"
	// defaultPort is the port of a data source without one.
	defaultPort = 5432
)

// Open is sql.Open("postgres", dataSourceName) with telemetry. As with sql.Open, pq
// parses the data source and the environment again for each connection, an invalid data
// source is an error of the first use, and a dial ignores the caller's context. [OpenDB]
// has none of these limitations.
func Open(dataSourceName string, opts ...otelpool.Option) (*sql.DB, error) {
	return otelpool.Open(driverName, dataSourceName, with(opts)...)
}

// OpenDB is [sql.OpenDB] for a configuration, such as one from [pq.NewConfig], with
// telemetry. If the driver refuses the configuration, OpenDB returns the driver's error.
func OpenDB(cfg pq.Config, opts ...otelpool.Option) (*sql.DB, error) {
	c, err := configured(cfg)
	if err != nil {
		return nil, err
	}
	return otelpool.OpenDB(c, with(opts)...), nil
}

// NewConnector is [pq.NewConnectorConfig] with telemetry, for programs that call
// sql.OpenDB themselves. Pass the resulting DB to [otelpool.Watch].
func NewConnector(cfg pq.Config, opts ...otelpool.Option) (driver.Connector, error) {
	c, err := configured(cfg)
	if err != nil {
		return nil, err
	}
	return otelpool.NewConnector(c, with(opts)...), nil
}

// with puts the adapter before the program's options, which may replace it.
func with(opts []otelpool.Option) []otelpool.Option {
	return append([]otelpool.Option{WithAdapter()}, opts...)
}

// connector is a connector of the driver and its configuration.
type connector struct {
	driver.Connector
	config func() (pq.Config, error)
	// open does what Connect does, but dials with d.
	open    func(ctx context.Context, d pq.Dialer) (driver.Conn, error)
	misread bool // see target.HasUnescapedPassword
}

var _ driver.Connector = (*connector)(nil)

func configured(cfg pq.Config) (*connector, error) {
	cfg = cfg.Clone()
	inner, err := pq.NewConnectorConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &connector{
		Connector: inner,
		config:    func() (pq.Config, error) { return cfg, nil },
		open: func(ctx context.Context, d pq.Dialer) (driver.Conn, error) {
			c, err := pq.NewConnectorConfig(cfg)
			if err != nil {
				return nil, err
			}
			c.Dialer(d)
			return c.Connect(ctx)
		},
	}, nil
}

func dataSource(d driver.Driver, name string) *connector {
	return &connector{
		Connector: named{d, name},
		config:    func() (pq.Config, error) { return pq.NewConfig(name) },
		open:      func(_ context.Context, d pq.Dialer) (driver.Conn, error) { return pq.DialOpen(d, name) },
		misread:   target.HasUnescapedPassword(name),
	}
}

// named is the connector that database/sql makes for a driver without DriverContext.
type named struct {
	driver driver.Driver
	name   string
}

func (n named) Connect(context.Context) (driver.Conn, error) { return n.driver.Open(n.name) }

func (n named) Driver() driver.Driver { return n.driver }

// connect dials with our dialer. It also returns what target does not know of the server
// it connected to.
func (c *connector) connect(ctx context.Context, onNotice func(error)) (driver.Conn, poolinfo.Server, error) {
	d := &dial{onNotice: onNotice}
	dc, err := c.open(ctx, d)
	d.end()
	if err != nil {
		return dc, poolinfo.Server{}, err
	}
	var s poolinfo.Server
	if cfg, err := c.config(); err == nil {
		s.IdleTimeout = idleTimeout(cfg)
		if len(cfg.Multi) > 0 {
			s.Address, s.Port = target.ServerAttributes(d.host(hosts(cfg)), defaultPort)
		}
	}
	return dc, s, nil
}

func (c *connector) target() poolinfo.Target {
	cfg, err := c.config()
	if err != nil {
		return poolinfo.Target{System: system}
	}
	if c.misread {
		return poolinfo.Target{System: system}
	}
	t := target.New(hosts(cfg), defaultPort, cfg.Database)
	return poolinfo.Target{
		System:    system,
		Address:   t.Address,
		Port:      t.Port,
		Namespace: t.Namespace,
		PoolName:  t.PoolName,
	}
}

func idleTimeout(cfg pq.Config) time.Duration {
	return setting.FromConfig(cfg.Runtime, cfg.Options)
}

// hosts returns the servers of a configuration, by their names in it.
func hosts(cfg pq.Config) []target.Host {
	all := []target.Host{host(cfg.Host, cfg.Hostaddr, cfg.Port)}
	for _, m := range cfg.Multi {
		all = append(all, host(m.Host, m.Hostaddr, m.Port))
	}
	return all
}

// host returns what pq dials for one host of a configuration. An address takes precedence
// over a name.
func host(name string, address netip.Addr, port uint16) target.Host {
	switch {
	case address.IsValid():
		return target.Host{Name: address.String(), Port: int(port)}
	case filepath.IsAbs(name), strings.HasPrefix(name, "@"):
		return target.Host{Name: filepath.Join(name, ".s.PGSQL."+strconv.Itoa(int(port)))}
	}
	return target.Host{Name: name, Port: int(port)}
}
