package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/otelpool/otelpool"
)

// serve starts an embedded server and a pool without exported telemetry.
func serve(t *testing.T) (*embedded, *otelpool.DB) {
	t.Helper()
	e, err := newEmbedded()
	if err != nil {
		t.Fatal(err)
	}
	opened, err := otelpool.Open("mysql", e.DSN())
	if err != nil {
		t.Fatal(err)
	}
	pool, err := otelpool.NewDB(opened)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(pool.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	})
	return e, pool
}

func TestEmbedded_LosesNoRowsUnderConcurrentReads(t *testing.T) {
	const writers, readers, each = 4, 4, 40
	_, pool := serve(t)
	pool.SetMaxIdleConns(writers + readers)
	s, err := newStore(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writing, reading sync.WaitGroup
	for range readers {
		reading.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.list(t.Context(), pool, 1, 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range writers {
		writing.Go(func() {
			for i := range each {
				if _, err := s.add(t.Context(), 1, fmt.Sprint(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	stop()
	reading.Wait()
	var n int
	if err := pool.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+s.table).Scan(&n); err != nil || n != writers*each {
		t.Errorf("%d rows of %d, %v", n, writers*each, err)
	}
}

func TestEmbedded_RefusesConnectionsAboveItsLimit(t *testing.T) {
	_, pool := serve(t)
	pool.SetMaxIdleConns(embeddedConns)
	conns := make([]*sql.Conn, embeddedConns)
	for i := range conns {
		var err error
		if conns[i], err = pool.Conn(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
	}
	_, err := pool.Conn(t.Context())
	var mysqlErr *mysql.MySQLError
	if !errors.As(err, &mysqlErr) || mysqlErr.Number != 1040 {
		t.Errorf("got %v", err)
	}
}

func TestEmbedded_ReportsTheIdleTimeoutItEnforces(t *testing.T) {
	_, pool := serve(t)
	var seconds int
	if err := pool.QueryRowContext(t.Context(), "SELECT @@SESSION.wait_timeout").Scan(&seconds); err != nil {
		t.Fatal(err)
	}
	if got := time.Duration(seconds) * time.Second; got != embeddedIdle {
		t.Errorf("wait_timeout is %v, want %v", got, embeddedIdle)
	}
}

func TestListenerCloseIdle_ClosesIdleConnectionsOnly(t *testing.T) {
	e, pool := serve(t)
	for range 2 {
		c, err := pool.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if n := e.listener.closeIdle(time.Hour); n != 0 {
		t.Errorf("closed %d connections that had been used in the last hour", n)
	}
	if n := e.listener.closeIdle(0); n != 2 {
		t.Errorf("closed %d of 2 connections", n)
	}
	if n := e.listener.closeIdle(0); n != 0 {
		t.Errorf("closed %d connections that were closed already", n)
	}
}
