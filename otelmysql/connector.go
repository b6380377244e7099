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
	"github.com/otelpool/otelpool/poolinfo"
)

// defaultPort is the port of a data source name without one.
const defaultPort = 3306

// Open is sql.Open("mysql", dataSourceName) with telemetry. If the driver refuses the
// data source name, Open returns the driver's error.
func Open(dataSourceName string, opts ...otelpool.Option) (*sql.DB, error) {
	cfg, err := mysql.ParseDSN(dataSourceName)
	if err != nil {
		return nil, err
	}
	return OpenDB(cfg, opts...)
}

// OpenDB is [sql.OpenDB] for a configuration, with telemetry. If the driver refuses the
// configuration, OpenDB returns the driver's error.
func OpenDB(cfg *mysql.Config, opts ...otelpool.Option) (*sql.DB, error) {
	c, err := newConnector(cfg)
	if err != nil {
		return nil, err
	}
	return otelpool.OpenDB(c, with(opts)...), nil
}

// NewConnector is [mysql.NewConnector] with telemetry, for programs that call sql.OpenDB
// themselves. Pass the resulting DB to [otelpool.Watch].
func NewConnector(cfg *mysql.Config, opts ...otelpool.Option) (driver.Connector, error) {
	c, err := newConnector(cfg)
	if err != nil {
		return nil, err
	}
	return otelpool.NewConnector(c, with(opts)...), nil
}

// with puts the adapter before the program's options, which may replace it.
func with(opts []otelpool.Option) []otelpool.Option {
	return append([]otelpool.Option{WithAdapter()}, opts...)
}

// connector is the driver's connector and its configuration.
type connector struct {
	driver.Connector
	cfg         *mysql.Config // a private copy, never changed
	idleTimeout time.Duration // 0 unless the configuration sets it
}

var _ driver.Connector = (*connector)(nil)

func newConnector(cfg *mysql.Config) (*connector, error) {
	if cfg == nil {
		return nil, errors.New("otelmysql: the configuration is nil")
	}
	inner, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	cfg, err = completed(cfg)
	if err != nil {
		return nil, err
	}
	return &connector{Connector: inner, cfg: cfg, idleTimeout: idleTimeout(cfg.Params)}, nil
}

// completed returns a copy of cfg with the defaults and the registered TLS
// configuration that the driver uses for it now. The driver exposes them only to its
// BeforeConnect hook.
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

// errSeen aborts a connect before anything is dialed.
var errSeen = errors.New("otelmysql: the configuration was seen")

// connect dials with a separate copy of the configuration, so that each log message of
// the driver belongs to one connection.
//
// Where plaintext is allowed, the driver records in the configuration that a server has
// no TLS. Here that applies to one connection only, as it does in the driver with a
// BeforeConnect hook.
func (c *connector) connect(ctx context.Context, onNotice func(error)) (driver.Conn, error) {
	cfg := c.cfg.Clone()
	cfg.Logger = &logger{inner: cfg.Logger, onNotice: onNotice}
	inner, err := mysql.NewConnector(cfg)
	if err != nil {
		// A key that was registered when the pool was made no longer is.
		return c.Connect(ctx)
	}
	return inner.Connect(ctx)
}

// target returns what the configuration connects to. In a network that the program
// registered, the address may be any text.
func (c *connector) target() poolinfo.Target {
	host := target.Host{Name: c.cfg.Addr}
	if c.cfg.Net != "unix" {
		host = target.Split(c.cfg.Addr)
	}
	t := target.New([]target.Host{host}, defaultPort, c.cfg.DBName)
	return poolinfo.Target{
		System:    systemMySQL,
		Address:   t.Address,
		Port:      t.Port,
		Namespace: t.Namespace,
		PoolName:  t.PoolName,
	}
}
