package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
)

// crowd is callers of a pool. Each runs statement after statement. A statement takes a
// random time of mean service, and its caller waits at most patience for a connection.
type crowd struct {
	callers, limit    int
	service, patience time.Duration
	statements        int // of each caller
	timed             int // callers that use an otelpool.DB
}

// slower is the same crowd in slow motion, with fewer statements, so that delays of the
// scheduler matter less.
func (c crowd) slower(times int) crowd {
	c.service *= time.Duration(times)
	c.patience *= time.Duration(times)
	c.statements /= times
	return c
}

// requestedAtKey is the key of the time at which a caller requested its connection.
type requestedAtKey struct{}

// waits runs the crowd on a plain *sql.DB. It returns the waits of the acquires that
// succeeded: as measured from the request to the reset, and as recorded in wait_time.
func (c crowd) waits(t *testing.T) (measured []time.Duration, inferred metricdata.HistogramDataPoint[float64], failed int) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithView(sdkmetric.NewView(
		sdkmetric.Instrument{Name: "db.client.connection.wait_time"},
		sdkmetric.Stream{Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: narrowBounds()}},
	)))
	cfg := full
	cfg.Quiet = true
	fake := fakedb.New(cfg)
	db := otelpool.OpenDB(fake.Connector(), otelpool.WithMeterProvider(meters))
	defer db.Close()
	db.SetMaxOpenConns(c.limit)
	db.SetMaxIdleConns(c.limit)

	// All connections are dialed before waits are measured.
	var conns []*sql.Conn
	for range c.limit {
		conn, err := db.Conn(t.Context())
		noError(t, err)
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		noError(t, conn.Close())
	}
	var rm metricdata.ResourceMetrics
	noError(t, reader.Collect(t.Context(), &rm))
	dialed := waitTime(t, &rm)

	var mu sync.Mutex
	fake.On(fakedb.Reset, func(ctx context.Context, _ string) error {
		waited := time.Since(ctx.Value(requestedAtKey{}).(time.Time))
		mu.Lock()
		defer mu.Unlock()
		measured = append(measured, waited)
		return nil
	})
	fake.On(fakedb.Exec, func(ctx context.Context, _ string) error {
		time.Sleep(time.Duration(rand.ExpFloat64() * float64(c.service))) // the work of the database
		return nil
	})
	var gaveUp atomic.Int64
	var all sync.WaitGroup
	timed, err := otelpool.NewDB(db)
	noError(t, err)
	for i := range c.callers {
		var db pooled = db
		if i < c.timed {
			db = timed
		}
		all.Go(func() {
			for range c.statements {
				ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), requestedAtKey{}, time.Now()), c.patience)
				if _, err := db.ExecContext(ctx, "x"); err != nil {
					gaveUp.Add(1)
				}
				cancel()
			}
		})
	}
	all.Wait()
	noError(t, reader.Collect(t.Context(), &rm))
	inferred = waitTime(t, &rm)
	for i, n := range dialed.BucketCounts {
		inferred.BucketCounts[i] -= n
	}
	inferred.Count -= dialed.Count
	inferred.Sum -= dialed.Sum
	slices.Sort(measured)
	return measured, inferred, int(gaveUp.Load())
}

// narrowBounds are bounds of buckets by which a percentile is known to half a percent.
func narrowBounds() (bounds []float64) {
	for b := 1e-6; b < 100; b *= 1.005 {
		bounds = append(bounds, b)
	}
	return bounds
}

func waitTime(t *testing.T, rm *metricdata.ResourceMetrics) metricdata.HistogramDataPoint[float64] {
	t.Helper()
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			if data, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == "db.client.connection.wait_time" {
				p := data.DataPoints[0]
				p.BucketCounts = slices.Clone(p.BucketCounts)
				return p
			}
		}
	}
	t.Fatal("no wait_time")
	return metricdata.HistogramDataPoint[float64]{}
}

// quantile returns the upper bound of the bucket in which the quantile lies.
func quantile(p metricdata.HistogramDataPoint[float64], q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(p.Count)))
	var n uint64
	for i, c := range p.BucketCounts {
		if n += c; n >= rank {
			return time.Duration(p.Bounds[min(i, len(p.Bounds)-1)] * float64(time.Second))
		}
	}
	return 0
}

// relativeError returns the error of the inferred value as a fraction of the measured one.
func relativeError(inferred, measured time.Duration) float64 {
	return math.Abs(float64(inferred-measured)) / float64(measured)
}

// tolerance is the largest relative error of each percentile and of the sum. A negative
// one is not checked.
type tolerance struct {
	percentiles map[float64]float64
	sum         float64
}

// check compares the inferred waits with the measured ones, and returns the errors that are
// too large.
func (tol tolerance) check(t *testing.T, measured []time.Duration, inferred metricdata.HistogramDataPoint[float64]) (wrong []string) {
	t.Helper()
	if uint64(len(measured)) != inferred.Count {
		t.Fatalf("%d waits were inferred of %d", inferred.Count, len(measured))
	}
	var sum time.Duration
	for _, d := range measured {
		sum += d
	}
	for _, q := range []float64{0.5, 0.9, 0.95, 0.99} {
		want := measured[int(math.Ceil(q*float64(len(measured))))-1]
		got := quantile(inferred, q)
		t.Logf("p%v: measured %v, inferred %v, off by %.2f %%", q*100, want, got, 100*relativeError(got, want))
		if most, ok := tol.percentiles[q]; ok && relativeError(got, want) > most {
			wrong = append(wrong, fmt.Sprintf("p%v is off by %.2f %%", q*100, 100*relativeError(got, want)))
		}
	}
	e := relativeError(seconds(inferred.Sum), sum)
	t.Logf("sum: measured %v, inferred %v, off by %.2f %%", sum, seconds(inferred.Sum), 100*e)
	if tol.sum >= 0 && e > tol.sum {
		wrong = append(wrong, fmt.Sprintf("the sum is off by %.2f %%", 100*e))
	}
	return wrong
}

// It tests the errors of the inference that docs/metrics.md states. On a real clock other
// programs disturb it, so one of three runs has to pass.
func TestWait_InferenceIsAsExactAsDocumented(t *testing.T) {
	const forever = 10 * time.Minute
	for _, test := range []struct {
		name   string
		crowd  crowd
		gaveUp float64 // the share of the acquires
		tolerance
	}{
		{
			"nobody gives up",
			crowd{callers: 64, limit: 8, service: 4 * ms, patience: forever, statements: 64},
			0,
			tolerance{map[float64]float64{0.5: 0.05, 0.9: 0.05, 0.95: 0.05, 0.99: 0.05}, 0.05},
		},
		{
			"half give up",
			crowd{callers: 64, limit: 8, service: 4 * ms, patience: 18 * ms, statements: 100},
			0.5,
			tolerance{map[float64]float64{0.5: 0.1}, -1},
		},
		{
			"half use an otelpool.DB",
			crowd{callers: 64, limit: 8, service: 4 * ms, patience: forever, statements: 64, timed: 32},
			0,
			tolerance{map[float64]float64{0.5: 0.05, 0.9: 0.05, 0.95: 0.05, 0.99: 0.05}, 0.05},
		},
	} {
		try := func(t *testing.T, c crowd) []string {
			measured, inferred, failed := c.waits(t)
			t.Logf("%d acquired, %d gave up", len(measured), failed)
			if share := float64(failed) / float64(failed+len(measured)); math.Abs(share-test.gaveUp) > test.gaveUp/2 {
				return []string{fmt.Sprintf("a share of %.2f gave up, want %v", share, test.gaveUp)}
			}
			return test.check(t, measured, inferred)
		}
		t.Run(test.name+", virtual time", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if wrong := try(t, test.crowd); wrong != nil {
					t.Error(wrong)
				}
			})
		})
		t.Run(test.name+", real time", func(t *testing.T) {
			if testing.Short() {
				t.Skip("takes a second")
			}
			for range 3 {
				wrong := try(t, test.crowd.slower(16))
				if wrong == nil {
					return
				}
				t.Log(wrong)
			}
			t.Error("three runs failed")
		})
	}
}

func TestWait_NoneIsInferredWithAFreeConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, inferred, _ := crowd{callers: 8, limit: 8, service: 4 * ms, patience: time.Hour, statements: 200}.waits(t)
		if inferred.Sum != 0 || inferred.BucketCounts[0] != 8*200 {
			t.Errorf("got waits of %v in all, want none", inferred.Sum)
		}
	})
}

func TestWait_NoneIsInferredWithAFreeConnectionOnARealClock(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	_, inferred, _ := crowd{callers: 6, limit: 8, service: ms, patience: time.Hour, statements: 100}.waits(t)
	if got := quantile(inferred, 1); got > ms {
		t.Errorf("inferred a wait of %v, want none above 1ms", got)
	}
}

// slowArg is an argument that takes time to convert, between the acquire of a connection
// and the first call of the driver.
type slowArg time.Duration

func (d slowArg) Value() (driver.Value, error) {
	time.Sleep(time.Duration(d))
	return int64(d), nil
}

// One caller gives up while another is about to use a connection that was dialed in the
// background. DBStats then has the sum of both waits.
func TestWait_InferredIsNotLongerThanTheSpan(t *testing.T) {
	for _, test := range []struct {
		span bool
		want time.Duration
	}{
		{true, 250 * ms},
		{false, (200 + 320) * ms},
	} {
		// Either caller may get the connection. If it is the one with the deadline,
		// neither gives up, and the run does not count.
		var sums []time.Duration
		for range 20 {
			timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
				db.SetConnMaxLifetime(200 * ms)
				hold(t, db, t.Context(), 300*ms)
				limited, cancel := context.WithTimeout(t.Context(), 320*ms)
				defer cancel()
				pinged := make(chan error)
				go func() { pinged <- db.DB.PingContext(limited) }()
				time.Sleep(100 * ms)
				ctx := t.Context()
				if test.span {
					var caller trace.Span
					ctx, caller = seen.caller()
					defer caller.End()
				}
				_, err := db.DB.ExecContext(ctx, "x", slowArg(50*ms))
				noError(t, err)
				if <-pinged != nil {
					sums = append(sums, seen.histogram(t, "db.client.connection.wait_time")[""].sum)
				}
			})
		}
		if sums = slices.Compact(sums); !slices.Equal(sums, []time.Duration{test.want}) {
			t.Errorf("with a span: %t: inferred %v, want %v", test.span, sums, test.want)
		}
	}
}

// wantInferred runs a test on a plain *sql.DB and compares the sum of the inferred waits
// with want.
func wantInferred(t *testing.T, cfg fakedb.Config, want time.Duration, test func(*testing.T, *sql.DB, *fakedb.DB)) {
	t.Helper()
	bubble(t, cfg, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		test(t, db, fake)
		synctest.Wait()
		if got := seen.histogram(t, "db.client.connection.wait_time")[""].sum; got != want {
			t.Errorf("inferred %v, want %v", got, want)
		}
	})
}

// holdPlain acquires a connection of a plain *sql.DB and releases it after d.
func holdPlain(t *testing.T, db *sql.DB, d time.Duration) {
	t.Helper()
	c, err := db.Conn(t.Context())
	noError(t, err)
	time.AfterFunc(d, func() { _ = c.Close() })
}

func TestWait_IsInferredWithALimitThatWasSetLater(t *testing.T) {
	for _, before := range []int{0, 10} {
		wantInferred(t, full, 5*time.Second, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			db.SetMaxOpenConns(before)
			noError(t, db.Ping())
			db.SetMaxOpenConns(1)
			holdPlain(t, db, 5*time.Second)
			noError(t, db.Ping())
		})
	}
}

func TestWait_IsInferredSixteenReleasesAfterTheLimitWasLowered(t *testing.T) {
	wantInferred(t, full, 5*time.Second, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
		db.SetMaxOpenConns(10)
		for range 100 {
			noError(t, db.Ping())
		}
		db.SetMaxOpenConns(1)
		for range 16 {
			noError(t, db.Ping())
		}
		holdPlain(t, db, 5*time.Second)
		noError(t, db.Ping())
	})
}

func TestWait_IsInferredWhileTheOpenerDials(t *testing.T) {
	cfg := full
	cfg.Dial = time.Second
	// Three dials take a second each. Then two callers wait for half a second, until a
	// connection is released. Meanwhile the opener replaces two bad connections one after
	// the other: there is one dial, and database/sql counts two.
	wantInferred(t, cfg, 3*time.Second+2*500*ms, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
		db.SetMaxOpenConns(3)
		var held []*sql.Conn
		for range 3 {
			c, err := db.Conn(t.Context())
			noError(t, err)
			held = append(held, c)
		}
		for range 2 {
			go func() { _ = db.Ping() }()
		}
		synctest.Wait()
		for _, c := range held[:2] {
			_ = c.Raw(func(any) error { return driver.ErrBadConn })
		}
		time.Sleep(500 * ms)
		noError(t, held[2].Close())
		time.Sleep(10 * time.Second)
	})
}

func TestWait_IsInferredWhileAConnectionIsReset(t *testing.T) {
	wantInferred(t, full, 240*ms, func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
		db.SetMaxOpenConns(2)
		db.SetMaxIdleConns(2)
		held, err := db.Conn(t.Context())
		noError(t, err)
		holdPlain(t, db, ms)
		time.Sleep(ms)
		fake.On(fakedb.Reset, fakedb.Sleep(100*ms))
		fake.On(fakedb.Ping, fakedb.Sleep(time.Second))
		go func() { _ = db.Ping() }() // gets the idle one after a reset
		time.Sleep(10 * ms)
		go func() { _ = db.Ping() }() // waits for 40ms and a reset
		time.Sleep(40 * ms)
		noError(t, held.Close())
		time.Sleep(10 * time.Second)
	})
}

// A call of a DB is retried after a minute, which is not in DBStats.WaitDuration.
func TestWait_TimeOnABadConnectionIsNotInferred(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
		noError(t, db.Ping())
		hold := make(chan error)
		fake.On(fakedb.Exec, func(context.Context, string) error {
			fake.On(fakedb.Exec, nil)
			go func() { hold <- db.DB.Ping() }() // gets the next connection
			time.Sleep(time.Minute)
			return driver.ErrBadConn
		})
		_, err := db.Exec("x")
		noError(t, err)
		noError(t, <-hold)
		before := seen.histogram(t, "db.client.connection.wait_time")[""].sum
		for range 10 {
			holdPlain(t, db.DB, time.Second)
			noError(t, db.DB.Ping())
		}
		if got := seen.histogram(t, "db.client.connection.wait_time")[""].sum - before; got != 10*time.Second {
			t.Errorf("inferred %v, want 10s", got)
		}
	})
}
