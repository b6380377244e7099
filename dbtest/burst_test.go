package dbtest_test

import (
	"database/sql"
	"log/slog"
	"sync"
	"testing"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/dbtest/server"
	"github.com/otelpool/otelpool/poolinfo"
)

// A server is restarted under a pool of idle connections. All of them are found broken at
// their next use, which must cause one report with all of them.
func TestReports_ARestartOfTheServerIsOneReport(t *testing.T) {
	const conns = 8
	starts := map[string]func(testing.TB, ...string) *server.Instance{
		"mysql": server.MariaDB, "postgresql": server.PostgreSQL,
	}
	each(t, served, func(t *testing.T, s backend) {
		in := starts[s.system](t)
		connector, err := s.connect(in.DSN())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex // guards lost
		var lost []poolinfo.Report
		db := otelpool.OpenDB(connector, append(newTelemetry().options(),
			otelpool.WithLogger(slog.New(slog.DiscardHandler)),
			otelpool.WithReports(func(r poolinfo.Report) {
				if r.Kind == poolinfo.ReportConnectionsLost {
					mu.Lock()
					defer mu.Unlock()
					lost = append(lost, r)
				}
			}))...)
		defer db.Close()
		db.SetMaxIdleConns(conns)
		use := func() {
			t.Helper()
			var held []*sql.Conn
			for range conns {
				c, err := db.Conn(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				// pgx and lib/pq detect the loss with a statement, and the caller may get the error.
				_, _ = c.ExecContext(t.Context(), "SELECT 1")
				held = append(held, c)
			}
			for _, c := range held {
				_ = c.Close()
			}
		}
		use()
		if err := in.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := in.Start(); err != nil {
			t.Fatal(err)
		}
		until(t, "every broken connection is found", func() bool {
			use()
			return inspect(t, db).Closed[poolinfo.ReasonBad] >= conns
		})
		until(t, "the loss is reported", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(lost) > 0
		})
		mu.Lock()
		defer mu.Unlock()
		var n int64
		for _, count := range lost[0].Lost {
			n += count
		}
		if bad := inspect(t, db).Closed[poolinfo.ReasonBad]; len(lost) != 1 || n != bad {
			t.Errorf("%d connections were closed as bad; the reports are %v", bad, lost)
		}
	})
}
