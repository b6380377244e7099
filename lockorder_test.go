package otelpool_test

import (
	"context"
	"sync"
	"testing"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
)

// TestStmt_CloseDoesNotDeadlockWithClosingConnections is about the locks of
// database/sql. sql.Stmt.Close holds that of the DB while it waits for those of
// the connections; a connection that is being closed holds its own, so calling
// the DB then may wait for ever.
func TestStmt_CloseDoesNotDeadlockWithClosingConnections(t *testing.T) {
	cfg := full
	cfg.Quiet = true
	fake := fakedb.New(cfg)
	db := otelpool.OpenDB(fake.Connector())
	defer db.Close()
	var together sync.WaitGroup
	fake.On(fakedb.StmtExec, func(context.Context, string) error {
		together.Done()
		together.Wait()
		return nil
	})
	for range 300 {
		db.SetMaxIdleConns(8)
		db.SetMaxOpenConns(8) // all are held at once, so that each release and each acquire reads DBStats
		s, err := db.Prepare("x")
		noError(t, err)
		var all sync.WaitGroup
		together.Add(8) // eight executions at once prepare it on eight connections
		for range 8 {
			all.Go(func() { _, _ = s.Exec() })
		}
		all.Wait()
		together.Add(2)
		all.Go(func() { together.Done(); together.Wait(); db.SetMaxIdleConns(-1) })
		all.Go(func() { together.Done(); together.Wait(); _ = s.Close() })
		all.Wait()
	}
}
