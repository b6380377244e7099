package browser_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolz"
)

// shop is a program whose handlers hold connections.
type shop struct {
	t      *testing.T
	db     *otelpool.DB
	tracer trace.Tracer
	ended  sync.WaitGroup
}

// newShop opens a pool of at most limit connections. It is closed at the end of the
// test, after all its callers have returned.
func newShop(t *testing.T, name string, limit int) *shop {
	t.Helper()
	provider := sdktrace.NewTracerProvider()
	fake := fakedb.New(fakedb.Config{Conn: fakedb.AllConn, Quiet: true})
	db, err := otelpool.NewDB(otelpool.OpenDB(fake.Connector(), otelpool.WithPoolName(name),
		otelpool.WithTracerProvider(provider), otelpool.WithLogger(slog.New(slog.DiscardHandler))))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(limit)
	s := &shop{t: t, db: db, tracer: provider.Tracer("shop")}
	t.Cleanup(func() {
		s.ended.Wait()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// request is a request that runs until leave is called.
type request struct {
	trace string
	leave func()
}

// serve runs a handler in a span until leave is called or the test ends.
func (s *shop) serve(handler func(context.Context) error) request {
	ctx, leave := context.WithCancel(context.Background())
	s.t.Cleanup(leave)
	ctx, span := s.tracer.Start(ctx, "GET")
	s.ended.Go(func() {
		defer span.End()
		if err := handler(ctx); err != nil && ctx.Err() == nil {
			s.t.Error(err)
		}
	})
	return request{span.SpanContext().TraceID().String(), leave}
}

// stream runs one query, and holds its connection until the client leaves.
func (s *shop) stream(ctx context.Context) error {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	var n int
	if err := c.QueryRowContext(ctx, "SELECT id FROM events WHERE user = 'ada'").Scan(&n); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// checkout runs one statement.
func (s *shop) checkout(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "INSERT INTO orders VALUES (1)")
	return err
}

// awaitCounts waits until the given numbers of connections are held and callers wait.
func (s *shop) awaitCounts(held, waiting int) {
	s.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if snap, err := otelpool.Inspect(s.db.DB); err == nil && snap.Held == held && snap.Waiting == waiting {
			return
		}
	}
	s.t.Fatalf("never reached %d held and %d waiting", held, waiting)
}

// site serves the page as a program would, and a substitute for the trace pages that it
// links to.
func site(t *testing.T) (origin, page string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/debug/poolz/", poolz.Handler(poolz.WithTraceURL("/trace/{trace_id}")))
	mux.HandleFunc("/trace/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><link rel="icon" href="/debug/poolz/icon.svg"><title>trace</title><p id="id">%s</p>`, r.PathValue("id"))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL, server.URL + "/debug/poolz/"
}
