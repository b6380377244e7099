package otelmysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/target"
)

// defaultPort is what a data source name without a port means.
const defaultPort = 3306

// Open is sql.Open("mysql", dataSourceName) with telemetry. The error is the driver's,
// for a data source name that it refuses.
func Open(dataSourceName string, opts ...otelpool.Option) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(dataSourceName)
	if err != nil {
		return nil, err
	}
	return OpenDB(cfg, opts...)
}

// OpenDB is [sql.OpenDB] for a configuration, with telemetry. The error is the
// driver's, for a configuration that it refuses.
func OpenDB(cfg *mysql.Config, opts ...otelpool.Option) (*sql.DB, error) {
	c, err := newConnector(cfg)
	if err != nil {
		return nil, err
	}
	return otelpool.OpenDB(c, with(opts)...), nil
}

// NewConnector is [mysql.NewConnector] with telemetry, for those who call sql.OpenDB
// themselves: [otelpool.Watch] then tells the pool which DB it serves.
func NewConnector(cfg *mysql.Config, opts ...otelpool.Option) (driver.Connector, error) {
	c, err := newConnector(cfg)
	if err != nil {
		return nil, err
	}
	return otelpool.NewConnector(c, with(opts)...), nil
}

// with puts the adapter before the options of the program, which may have another.
func with(opts []otelpool.Option) []otelpool.Option {
	return append([]otelpool.Option{WithAdapter()}, opts...)
}

// connector is the driver's connector, and the configuration that it was made from.
type connector struct {
	driver.Connector
	cfg         *mysql.Config // ours alone, and only read
	idleTimeout time.Duration // 0 unless the configuration sets it
}

var _ driver.Connector = (*connector)(nil)

func newConnector(cfg *mysql.Config) (*connector, error) {
	if cfg == nil {
		return nil, errors.New("otelmysql: the configuration is nil")
	}
	in, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	cfg, err = completed(cfg)
	if err != nil {
		return nil, err
	}
	return &connector{Connector: in, cfg: cfg, idleTimeout: idleTimeout(cfg.Params)}, nil
}

// completed returns a copy of cfg with the defaults and the registered TLS
// configuration that the driver finds for it now. The driver shows them to nobody but
// its hook.
func completed(cfg *mysql.Config) (*mysql.Config, error) {
	var seen *mysql.Config
	probe := cfg.Clone()
	err := probe.Apply(mysql.BeforeConnect(func(_ context.Context, c *mysql.Config) error {
		seen = c
		return errSeen
	}))
	if err != nil {
		return nil, err
	}
	c, err := mysql.NewConnector(probe)
	if err != nil {
		return nil, err
	}
	if _, err = c.Connect(context.Background()); seen == nil {
		return nil, err
	}
	cfg = cfg.Clone()
	cfg.Net, cfg.Addr = seen.Net, seen.Addr
	cfg.TLS, cfg.AllowFallbackToPlaintext = seen.TLS, seen.AllowFallbackToPlaintext
	cfg.Logger = seen.Logger
	return cfg, nil
}

// errSeen ends a connect before anything is dialed.
var errSeen = errors.New("otelmysql: the configuration was seen")

// connect dials with a configuration of its own, so that what the driver logs is known
// to be of this connection.
//
// The driver notes in the configuration that a server has no TLS, where that is allowed;
// here this holds for one connection, as it does in the driver with a BeforeConnect hook.
func (c *connector) connect(ctx context.Context, said func(error)) (driver.Conn, error) {
	cfg := c.cfg.Clone()
	cfg.Logger = &logger{in: cfg.Logger, said: said}
	in, err := mysql.NewConnector(cfg)
	if err != nil {
		// A key that was registered when the pool was made is not any more.
		return c.Connect(ctx)
	}
	return in.Connect(ctx)
}

// target is what the configuration leads to. The address of a network that the program
// registered may be anything.
func (c *connector) target() otelpool.Target {
	host := target.Host{Name: c.cfg.Addr}
	if c.cfg.Net != "unix" {
		host = target.Split(c.cfg.Addr)
	}
	t := target.New([]target.Host{host}, defaultPort, c.cfg.DBName)
	return otelpool.Target{
		System:    systemMySQL,
		Address:   t.Address,
		Port:      t.Port,
		Namespace: t.Namespace,
		PoolName:  t.PoolName,
	}
}
