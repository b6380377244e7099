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
)

const (
	// driverName is what pq registers itself as.
	driverName = "postgres"
	// system is db.system.name.
	system = "postgresql"
	// defaultPort is what a data source without a port means.
	defaultPort = 5432
)

// Open is sql.Open("postgres", dataSourceName) with telemetry. As there, pq reads the
// data source anew for each connection, together with the environment, what is wrong
// with it is the error of the first use, and a dial does not end with the caller's
// context. [OpenDB] does better in all three.
func Open(dataSourceName string, opts ...otelpool.Option) (*sql.DB, error) {
	return otelpool.Open(driverName, dataSourceName, with(opts)...)
}

// OpenDB is [sql.OpenDB] for a configuration, such as that of [pq.NewConfig], with
// telemetry. The error is the driver's, for a configuration that it refuses.
func OpenDB(cfg pq.Config, opts ...otelpool.Option) (*sql.DB, error) {
	c, err := configured(cfg)
	if err != nil {
		return nil, err
	}
	return otelpool.OpenDB(c, with(opts)...), nil
}

// NewConnector is [pq.NewConnectorConfig] with telemetry, for those who call sql.OpenDB
// themselves: [otelpool.Watch] then tells the pool which DB it serves.
func NewConnector(cfg pq.Config, opts ...otelpool.Option) (driver.Connector, error) {
	c, err := configured(cfg)
	if err != nil {
		return nil, err
	}
	return otelpool.NewConnector(c, with(opts)...), nil
}

// with puts the adapter before the options of the program, which may have another.
func with(opts []otelpool.Option) []otelpool.Option {
	return append([]otelpool.Option{WithAdapter()}, opts...)
}

// connector is a connector of the driver, and what it was made from.
type connector struct {
	driver.Connector
	config func() (pq.Config, error)
	// open does what Connect does, but dials through the dialer.
	open    func(ctx context.Context, d pq.Dialer) (driver.Conn, error)
	misread bool // see target.HasUnescapedPassword
}

var _ driver.Connector = (*connector)(nil)

func configured(cfg pq.Config) (*connector, error) {
	cfg = cfg.Clone()
	in, err := pq.NewConnectorConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &connector{
		Connector: in,
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

// named is the connector that database/sql makes for a driver that has none.
type named struct {
	driver driver.Driver
	name   string
}

func (n named) Connect(context.Context) (driver.Conn, error) { return n.driver.Open(n.name) }

func (n named) Driver() driver.Driver { return n.driver }

// connect dials with a dialer of our own. It also returns the server that was reached,
// as far as target does not name it.
func (c *connector) connect(ctx context.Context, said func(error)) (driver.Conn, otelpool.Server, error) {
	d := &dial{said: said}
	dc, err := c.open(ctx, d)
	d.end()
	if err != nil {
		return dc, otelpool.Server{}, err
	}
	var s otelpool.Server
	if cfg, err := c.config(); err == nil {
		s.IdleTimeout = idleTimeout(cfg)
		if len(cfg.Multi) > 0 {
			s.Address, s.Port = target.ServerAttributes(d.host(hosts(cfg)), defaultPort)
		}
	}
	return dc, s, nil
}

func (c *connector) target() otelpool.Target {
	cfg, err := c.config()
	if err != nil {
		return otelpool.Target{System: system}
	}
	if c.misread {
		return otelpool.Target{System: system}
	}
	t := target.New(hosts(cfg), defaultPort, cfg.Database)
	return otelpool.Target{
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

// hosts returns the servers of a configuration, by the names that it has for them.
func hosts(cfg pq.Config) []target.Host {
	all := []target.Host{host(cfg.Host, cfg.Hostaddr, cfg.Port)}
	for _, m := range cfg.Multi {
		all = append(all, host(m.Host, m.Hostaddr, m.Port))
	}
	return all
}

// host is where pq dials to for one host of a configuration. An address goes before a
// name.
func host(name string, address netip.Addr, port uint16) target.Host {
	switch {
	case address.IsValid():
		return target.Host{Name: address.String(), Port: int(port)}
	case filepath.IsAbs(name), strings.HasPrefix(name, "@"):
		return target.Host{Name: filepath.Join(name, ".s.PGSQL."+strconv.Itoa(int(port)))}
	}
	return target.Host{Name: name, Port: int(port)}
}
