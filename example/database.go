package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/otelpool/otelpool"
)

// database is the MySQL server behind the service: the one in this process, or
// a real one.
type database interface {
	// DSN is the data source name that the service opens.
	DSN() string
	// About describes the server.
	About() string
	// CloseIdle makes the server close the pool's idle connections, as after an idle
	// timeout, and returns how many it closed. The pool does not notice. It must not
	// be used meanwhile.
	CloseIdle(ctx context.Context, pool *otelpool.DB) (int, error)
	Close() error
}

// remote is a MySQL or MariaDB server that already runs.
type remote struct {
	config *mysql.Config
	admin  *sql.DB // for KILL: its own connection, outside the instrumented pool
}

// newRemote fails if the server does not answer.
func newRemote(ctx context.Context, config *mysql.Config) (*remote, error) {
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	admin := sql.OpenDB(connector)
	admin.SetMaxOpenConns(1)
	if err := admin.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the server at %s does not answer: %w", config.Addr, err), admin.Close())
	}
	return &remote{config, admin}, nil
}

func (r *remote) DSN() string   { return r.config.FormatDSN() }
func (r *remote) About() string { return fmt.Sprintf("%s at %s", r.config.DBName, r.config.Addr) }
func (r *remote) Close() error  { return r.admin.Close() }

// CloseIdle queries the id of every connection of the pool, releases them all, and
// kills them one by one. It kills only the pool's connections.
func (r *remote) CloseIdle(ctx context.Context, pool *otelpool.DB) (int, error) {
	ids, err := connectionIDs(ctx, pool)
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if _, err := r.admin.ExecContext(ctx, fmt.Sprintf("KILL %d", id)); err != nil {
			return 0, fmt.Errorf("KILL %d: %w", id, err)
		}
	}
	// KILL returns before the server's thread has closed the socket.
	for _, id := range ids {
		if err := r.awaitKilled(ctx, id); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// connectionIDs returns the ids of as many connections as the pool may open. It holds all
// of them at once, so that the ids are distinct.
func connectionIDs(ctx context.Context, pool *otelpool.DB) (ids []int64, err error) {
	var conns []*sql.Conn
	defer func() {
		for _, c := range conns {
			err = errors.Join(err, c.Close())
		}
	}()
	for range pool.Stats().MaxOpenConnections {
		c, err := pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		conns = append(conns, c)
		var id int64
		if err := c.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// awaitKilled waits until the server no longer lists a connection.
func (r *remote) awaitKilled(ctx context.Context, id int64) error {
	for {
		var n int
		err := r.admin.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE id = ?", id).Scan(&n)
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
