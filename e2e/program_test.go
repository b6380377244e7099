package e2e

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/process"
	"github.com/otelpool/otelpool/poolinfo"
)

// program is a program with a pool of a single connection, in real time.
type program struct {
	pool   *otelpool.DB
	tracer trace.Tracer

	mu       sync.Mutex // guards reported
	reported map[poolinfo.ReportKind]bool
}

// start starts a program that opens its pool with open. The pool is closed at the end of the
// test.
func start(t *testing.T, metrics *sdkmetric.MeterProvider, spans *sdktrace.TracerProvider, open func(...otelpool.Option) (*sql.DB, error)) *program {
	t.Helper()
	p := &program{tracer: spans.Tracer("program"), reported: map[poolinfo.ReportKind]bool{}}
	db, err := open(
		otelpool.WithPoolName("orders"),
		otelpool.WithMeterProvider(metrics),
		otelpool.WithTracerProvider(spans),
		otelpool.WithLeakThreshold(10*time.Millisecond),
		otelpool.WithLogger(slog.New(slog.DiscardHandler)),
		otelpool.WithReports(func(r poolinfo.Report) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.reported[r.Kind] = true
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if p.pool, err = otelpool.NewDB(db); err != nil {
		t.Fatal(err)
	}
	p.pool.SetMaxOpenConns(1)
	p.pool.SetMaxIdleConns(1)
	return p
}

// awaitReports waits until the pool has reported a suspected leak and its exhaustion.
func (p *program) awaitReports(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(process.Timeout); ; time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		both := p.reported[poolinfo.ReportLeakSuspected] && p.reported[poolinfo.ReportExhausted]
		p.mu.Unlock()
		if both {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the pool has not reported a suspected leak and its exhaustion")
		}
	}
}

// awaitWaiter waits until a caller has waited long enough for the acquire to get a span.
func (p *program) awaitWaiter(t *testing.T) {
	for deadline := time.Now().Add(process.Timeout); ; time.Sleep(time.Millisecond) {
		now, err := otelpool.Inspect(p.pool.DB)
		if err != nil {
			t.Error(err)
			return
		}
		if now.OldestWait > 2*time.Millisecond {
			return
		}
		if time.Now().After(deadline) {
			t.Error("no caller has waited long enough")
			return
		}
	}
}

// starveCallers holds the only connection, in a transaction, while one caller waits until its
// deadline and one until it cancels. A third waits until it gets the connection.
func (p *program) starveCallers(t *testing.T) {
	t.Helper()
	ctx, holder := p.tracer.Start(t.Context(), "holder")
	tx, err := p.pool.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	deadline, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.pool.PingContext(deadline); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	canceled, leave := context.WithCancel(t.Context())
	all.Go(func() {
		p.awaitWaiter(t)
		leave()
	})
	if err := p.pool.PingContext(canceled); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	all.Wait()
	p.awaitReports(t)
	all.Go(func() {
		p.awaitWaiter(t)
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
		holder.End()
	})
	ctx, waiter := p.tracer.Start(t.Context(), "waiter")
	rows, err := p.pool.QueryContext(ctx, "SELECT 1 FROM orders")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	waiter.End()
	all.Wait()
}
