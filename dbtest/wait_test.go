package dbtest_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// A transaction holds the only connection while two callers wait: one until its deadline,
// the other until the transaction ends.
func TestAcquireError_NamesTheHoldersOfAFullPool(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		tel := newTelemetry()
		db, err := otelpool.NewDB(s.wrapped(t, s.dsn(t), tel))
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		holding, holder := tel.caller(t.Context())
		tx, err := db.BeginTx(holding, nil)
		if err != nil {
			t.Fatal(err)
		}

		limited, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err = db.ExecContext(limited, "SELECT 1")
		var e *otelpool.AcquireError
		if !errors.As(err, &e) || e.Cause != poolinfo.CauseDeadline || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the caller with the deadline got %v", err)
		}
		if e.Held != 1 || e.MaxOpen != 1 || e.Waited < 50*time.Millisecond || len(e.Holders) != 1 || e.Holders[0].Phase != poolinfo.PhaseTx {
			t.Errorf("the error is %+v", e)
		}
		if !strings.Contains(err.Error(), "wait_test.go:") {
			t.Errorf("the error does not have the holder's call site: %v", err)
		}

		answered := make(chan error)
		go func() {
			var one int
			answered <- db.QueryRowContext(t.Context(), "SELECT 1").Scan(&one)
		}()
		until(t, "the second caller waits", func() bool {
			return by(tel.metrics(t)["db.client.connection.pending_requests"], "")[""] == 1
		})
		until(t, "it has waited for long enough to have a span", func() bool {
			now, err := otelpool.Inspect(db.DB)
			return err == nil && now.OldestWait > 2*time.Millisecond
		})
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
		if err := <-answered; err != nil {
			t.Error(err)
		}
		holder.End()

		got := by(tel.metrics(t)["db.client.connection.wait_time"], "error.type")
		if got[""] != 2 || got["deadline_exceeded"] != 1 {
			t.Errorf("waits are %v, want 2, and 1 that failed", got)
		}
		if n := by(tel.metrics(t)["db.client.connection.timeouts"], "")[""]; n != 1 {
			t.Errorf("%v timeouts, want 1", n)
		}
		linked := 0
		for _, span := range tel.endedOf(trace.SpanKindInternal) {
			for _, l := range span.Links() {
				if l.SpanContext.SpanID() != holder.SpanContext().SpanID() {
					t.Errorf("%s is linked to %v, want the holder", span.Name(), l.SpanContext.SpanID())
				}
				linked++
			}
		}
		if linked != 2 {
			t.Errorf("%d links to the holder, want one of each caller", linked)
		}
		if left := db.Stats().InUse; left != 0 {
			t.Errorf("%d connections are in use", left)
		}
	})
}

// TestAcquireError_ReportsAFailedDial dials a closed port.
func TestAcquireError_ReportsAFailedDial(t *testing.T) {
	for name, dsn := range map[string]string{
		"mysql":    "root@tcp(127.0.0.1:1)/x",
		"pgx":      "postgres://127.0.0.1:1/x?sslmode=disable",
		"postgres": "postgres://127.0.0.1:1/x?sslmode=disable",
	} {
		t.Run(name, func(t *testing.T) {
			bare, err := sql.Open(name, dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer bare.Close()
			plain, err := otelpool.Open(name, dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer plain.Close()
			db, err := otelpool.NewDB(plain)
			if err != nil {
				t.Fatal(err)
			}
			err = db.PingContext(t.Context())
			var e *otelpool.AcquireError
			if !errors.As(err, &e) || e.Cause != poolinfo.CauseDial {
				t.Fatalf("got %v, want a dial that failed", err)
			}
			if want := bare.PingContext(t.Context()).Error(); e.Unwrap().Error() != want {
				t.Errorf("it wraps %q, want %q", e.Unwrap(), want)
			}
			if !strings.Contains(err.Error(), "dialing failed after") || strings.Contains(err.Error(), "\n") {
				t.Errorf("its text is %q", err)
			}
		})
	}
}
