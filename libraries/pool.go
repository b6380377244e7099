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
	"go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/otelpool/otelpool"
)

// Pool is an otelpool.DB on a SQLite file, and the SDK that keeps what it tells.
type Pool struct {
	*otelpool.DB
	reader *metric.ManualReader
}

// Open opens a file of the test, until the test ends, with whatever driver the
// test registered as "sqlite".
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

// Step is something that a library does.
type Step struct {
	Name     string
	Acquires uint64 // how many connections the library takes for it
	Do       func(context.Context) error
}

// Play does one step after the other, and holds what the pool told of each
// against what the library took: as many waits, and as many holds, which come
// from elsewhere, the calls of the driver.
func (p *Pool) Play(tb testing.TB, steps ...Step) {
	tb.Helper()
	for _, s := range steps {
		before := p.told(tb)
		if err := s.Do(tb.Context()); err != nil {
			tb.Fatalf("%s: %v", s.Name, err)
		}
		if got, want := p.told(tb).since(before), (told{Waits: s.Acquires, Holds: s.Acquires}); got != want {
			tb.Errorf("%s: the pool told %+v, want %+v", s.Name, got, want)
		}
	}
}

// Refuse does steps that take one connection each, for a caller that is gone
// already. A *sql.DB would say only that; the error that explains it shows that
// the library called the otelpool.DB, and kept its error.
func (p *Pool) Refuse(tb testing.TB, steps ...Step) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	cancel()
	for _, s := range steps {
		before := p.told(tb)
		err := s.Do(ctx)
		var failed *otelpool.AcquireError
		if !errors.As(err, &failed) {
			tb.Errorf("%s for a caller that is gone: %v, want an AcquireError", s.Name, err)
			continue
		}
		if failed.Cause != otelpool.AcquireCanceled || !errors.Is(err, context.Canceled) {
			tb.Errorf("%s for a caller that is gone: %v, want the cause %s", s.Name, err, otelpool.AcquireCanceled)
		}
		if got, want := p.told(tb).since(before), (told{Failed: 1}); got != want {
			tb.Errorf("%s for a caller that is gone: the pool told %+v, want %+v", s.Name, got, want)
		}
	}
}

// held is how long another keeps the only connection from a library.
const held = 30 * time.Millisecond

// Queue does steps that take one connection each, while another has the only one,
// in a bubble of testing/synctest. Calls of the otelpool.DB are seen while they wait;
// those of the *sql.DB below it only when they have waited, which is what exact
// tells apart. Both must have waited for as long as the other kept the connection.
func (p *Pool) Queue(tb testing.TB, exact bool, steps ...Step) {
	tb.Helper()
	p.SetMaxOpenConns(1)
	for _, s := range steps {
		other, err := p.DB.DB.Conn(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		before, waited := p.told(tb), p.waited(tb)
		done := make(chan error)
		go func() { done <- s.Do(tb.Context()) }()
		synctest.Wait()
		snap, err := otelpool.Inspect(p.DB.DB)
		if err != nil {
			tb.Fatal(err)
		}
		if got := snap.Waiting == 1; got != exact {
			tb.Errorf("%s: %d calls are seen to wait", s.Name, snap.Waiting)
		}
		time.Sleep(held)
		if err := other.Close(); err != nil {
			tb.Fatal(err)
		}
		if err := <-done; err != nil {
			tb.Fatalf("%s: %v", s.Name, err)
		}
		if got, want := p.told(tb).since(before), (told{Waits: 1, Holds: 2}); got != want {
			tb.Errorf("%s: the pool told %+v, want %+v", s.Name, got, want)
		}
		if got := (p.waited(tb) - waited).Round(time.Microsecond); got != held {
			tb.Errorf("%s: the pool told a wait of %v, want %v", s.Name, got, held)
		}
	}
}

// waited is how long all callers have waited that got a connection.
func (p *Pool) waited(tb testing.TB) (sum time.Duration) {
	tb.Helper()
	p.each(tb, func(name string, point metricdata.HistogramDataPoint[float64]) {
		if name == "db.client.connection.wait_time" {
			sum += time.Duration(point.Sum * float64(time.Second))
		}
	})
	return sum
}

// told is how many acquires the pool timed that got a connection, how many that
// got none, and how many connections were given back.
type told struct{ Waits, Failed, Holds uint64 }

func (t told) since(before told) told {
	return told{Waits: t.Waits - before.Waits, Failed: t.Failed - before.Failed, Holds: t.Holds - before.Holds}
}

func (p *Pool) told(tb testing.TB) (t told) {
	tb.Helper()
	p.each(tb, func(name string, point metricdata.HistogramDataPoint[float64]) {
		_, failed := point.Attributes.Value(semconv.ErrorTypeKey)
		switch {
		case name == "db.client.connection.use_time":
			t.Holds += point.Count
		case name == "db.client.connection.wait_time" && failed:
			t.Failed += point.Count
		case name == "db.client.connection.wait_time":
			t.Waits += point.Count
		}
	})
	return t
}

// each calls f with what each histogram has.
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
