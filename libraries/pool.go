package libraries

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// Pool is an otelpool.DB on a SQLite file, with an SDK that keeps its metrics.
type Pool struct {
	*otelpool.DB
	reader *metric.ManualReader
}

// Open opens a temporary file until the test ends, with the driver that is registered as
// "sqlite".
func Open(tb testing.TB) *Pool {
	tb.Helper()
	reader := metric.NewManualReader()
	meters := metric.NewMeterProvider(metric.WithReader(reader))
	plain, err := otelpool.Open("sqlite", "file:"+filepath.Join(tb.TempDir(), "x.db"), otelpool.WithMeterProvider(meters))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = plain.Close() })
	db, err := otelpool.NewDB(plain)
	if err != nil {
		tb.Fatal(err)
	}
	return &Pool{DB: db, reader: reader}
}

// Step is a call of a library.
type Step struct {
	Name     string
	Acquires uint64 // how many times the library acquires a connection
	Do       func(context.Context) error
}

// Play runs the steps in turn. The pool must record as many waits and as many holds as
// the step has acquires. Holds are measured in the driver's calls, waits in the DB's.
func (p *Pool) Play(tb testing.TB, steps ...Step) {
	tb.Helper()
	for _, s := range steps {
		before := p.counts(tb)
		if err := s.Do(tb.Context()); err != nil {
			tb.Fatalf("%s: %v", s.Name, err)
		}
		if got, want := p.counts(tb).since(before), (counts{Waits: s.Acquires, Holds: s.Acquires}); got != want {
			tb.Errorf("%s: the pool recorded %+v, want %+v", s.Name, got, want)
		}
	}
}

// Refuse runs steps that acquire one connection each, with a canceled context. A *sql.DB
// returns only the context's error. An AcquireError shows that the library called the
// otelpool.DB, and returned its error.
func (p *Pool) Refuse(tb testing.TB, steps ...Step) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	cancel()
	for _, s := range steps {
		before := p.counts(tb)
		err := s.Do(ctx)
		var failed *otelpool.AcquireError
		if !errors.As(err, &failed) {
			tb.Errorf("%s for a canceled caller: %v, want an AcquireError", s.Name, err)
			continue
		}
		if failed.Cause != poolinfo.CauseCanceled || !errors.Is(err, context.Canceled) {
			tb.Errorf("%s for a canceled caller: %v, want the cause %s", s.Name, err, poolinfo.CauseCanceled)
		}
		if got, want := p.counts(tb).since(before), (counts{Failed: 1}); got != want {
			tb.Errorf("%s for a canceled caller: the pool recorded %+v, want %+v", s.Name, got, want)
		}
	}
}

// held is how long a step waits for the only connection.
const held = 30 * time.Millisecond

// Queue runs steps that acquire one connection each, while the only one is held, in a
// bubble of testing/synctest. viaDB means that the library calls the otelpool.DB: then
// its wait is visible in Inspect while it lasts. With the *sql.DB it is known only
// afterwards. Both must record a wait as long as the connection was held.
func (p *Pool) Queue(tb testing.TB, viaDB bool, steps ...Step) {
	tb.Helper()
	p.SetMaxOpenConns(1)
	for _, s := range steps {
		other, err := p.DB.DB.Conn(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		before, waited := p.counts(tb), p.waited(tb)
		done := make(chan error)
		go func() { done <- s.Do(tb.Context()) }()
		synctest.Wait()
		snap, err := otelpool.Inspect(p.DB.DB)
		if err != nil {
			tb.Fatal(err)
		}
		if got := snap.Waiting == 1; got != viaDB {
			tb.Errorf("%s: %d waiting calls", s.Name, snap.Waiting)
		}
		time.Sleep(held)
		if err := other.Close(); err != nil {
			tb.Fatal(err)
		}
		if err := <-done; err != nil {
			tb.Fatalf("%s: %v", s.Name, err)
		}
		if got, want := p.counts(tb).since(before), (counts{Waits: 1, Holds: 2}); got != want {
			tb.Errorf("%s: the pool recorded %+v, want %+v", s.Name, got, want)
		}
		if got := (p.waited(tb) - waited).Round(time.Microsecond); got != held {
			tb.Errorf("%s: the pool recorded a wait of %v, want %v", s.Name, got, held)
		}
	}
}

// waited returns the sum of the recorded waits.
func (p *Pool) waited(tb testing.TB) (sum time.Duration) {
	tb.Helper()
	p.each(tb, func(name string, point metricdata.HistogramDataPoint[float64]) {
		if name == "db.client.connection.wait_time" {
			sum += time.Duration(point.Sum * float64(time.Second))
		}
	})
	return sum
}

// counts are the acquires that got a connection, those that failed, and the releases, as
// the pool recorded them.
type counts struct{ Waits, Failed, Holds uint64 }

func (c counts) since(before counts) counts {
	return counts{Waits: c.Waits - before.Waits, Failed: c.Failed - before.Failed, Holds: c.Holds - before.Holds}
}

func (p *Pool) counts(tb testing.TB) (c counts) {
	tb.Helper()
	p.each(tb, func(name string, point metricdata.HistogramDataPoint[float64]) {
		_, failed := point.Attributes.Value(semconv.ErrorTypeKey)
		switch {
		case name == "db.client.connection.use_time":
			c.Holds += point.Count
		case name == "db.client.connection.wait_time" && failed:
			c.Failed += point.Count
		case name == "db.client.connection.wait_time":
			c.Waits += point.Count
		}
	})
	return c
}

// each calls f for each data point of each histogram.
func (p *Pool) each(tb testing.TB, f func(name string, point metricdata.HistogramDataPoint[float64])) {
	tb.Helper()
	var rm metricdata.ResourceMetrics
	if err := p.reader.Collect(context.Background(), &rm); err != nil {
		tb.Fatal(err)
	}
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			if data, ok := m.Data.(metricdata.Histogram[float64]); ok {
				for _, point := range data.DataPoints {
					f(m.Name, point)
				}
			}
		}
	}
}
