package benchmarks

import (
	"context"
	"database/sql"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// BenchmarkReport measures one report of an exhausted pool, on the sweeper's goroutine,
// while ten thousand callers wait: from its start until the program's function is called.
// It also measures one Inspect. With a plain *sql.DB the report profiles all goroutines.
func BenchmarkReport(b *testing.B) {
	for _, kind := range []string{"plain", "DB"} {
		b.Run(kind, func(b *testing.B) {
			var took, read time.Duration
			var allocated uint64
			for range b.N {
				t, r, a := report(b, kind == "DB", 10_000)
				took += t
				read += r
				allocated += a
			}
			b.ReportMetric(float64(read.Nanoseconds())/float64(b.N), "ns/inspect")
			b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/report")
			b.ReportMetric(float64(allocated)/float64(b.N), "B/report")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// report makes a pool report. It returns how long the report took, how much the process
// allocated meanwhile, and how long an Inspect takes afterwards.
func report(b *testing.B, withDB bool, waiting int) (took, read time.Duration, allocated uint64) {
	b.Helper()
	done := make(chan time.Time, 1)
	began := make(chan time.Time, 1)
	db := otelpool.OpenDB(nopConnector{},
		otelpool.WithLogger(slog.New(slog.DiscardHandler)),
		otelpool.WithReports(func(r poolinfo.Report) {
			if r.Kind == poolinfo.ReportExhausted {
				done <- time.Now()
				began <- r.Time
			}
		}))
	defer db.Close()
	db.SetMaxOpenConns(10)
	ctx, cancel := context.WithCancel(b.Context())
	conn := db.Conn
	if withDB {
		pool, err := otelpool.NewDB(db)
		if err != nil {
			b.Fatal(err)
		}
		conn = pool.Conn
	}
	var held []*sql.Conn
	for range 10 {
		c, err := conn(ctx)
		if err != nil {
			b.Fatal(err)
		}
		held = append(held, c)
	}
	ended := make(chan struct{})
	for range waiting {
		go func() {
			_, _ = conn(ctx)
			ended <- struct{}{}
		}()
	}
	for db.Stats().WaitCount < int64(waiting) {
		runtime.Gosched()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	end := <-done
	runtime.ReadMemStats(&after)
	start := time.Now()
	if _, err := otelpool.Inspect(db); err != nil {
		b.Fatal(err)
	}
	read = time.Since(start)
	cancel()
	for range waiting {
		<-ended
	}
	for _, c := range held {
		_ = c.Close()
	}
	return end.Sub(<-began), read, after.TotalAlloc - before.TotalAlloc
}
