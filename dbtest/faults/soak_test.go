package faults_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/dbtest/proxy"
	"github.com/otelpool/otelpool/dbtest/server"
)

// The environment variables of the soak test: see the package comment.
const (
	soakEnv = "OTELPOOL_SOAK"
	seedEnv = "OTELPOOL_SEED"
)

const (
	hands       = 50                     // workers of each crew except the logged one
	loggedHands = 10                     // workers of the logged crew
	pace        = 500 * time.Millisecond // between the calls of a worker
	maxOpen     = 30                     // low enough that callers sometimes wait
	idleTime    = 1                      // seconds until the server closes an idle connection
)

func TestSoak_SurvivesRandomFaultsAsTheBareDriver(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	lasts := 5 * time.Second
	if s := os.Getenv(soakEnv); s != "" {
		var err error
		if lasts, err = time.ParseDuration(s); err != nil {
			t.Fatalf("%s: %v", soakEnv, err)
		}
	}
	seed := rand.Uint64()
	if s := os.Getenv(seedEnv); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
	}
	t.Logf("%s=%d %s=%s", seedEnv, seed, soakEnv, lasts)
	before := goleak.IgnoreCurrent()
	t.Run("drivers", func(t *testing.T) {
		for _, s := range backends {
			t.Run(s.driver, func(t *testing.T) {
				t.Parallel()
				soak(t, s, lasts, seed)
			})
		}
	})
	// Goroutines of drivers and proxies may end a little later.
	var left error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if left = goleak.Find(before); left == nil {
			return
		}
	}
	t.Errorf("leaked goroutines: %v", left)
}

// A crew is the workers of one pool. All crews do the same work at the same time, with the
// same faults. The crews on the bare driver and through otelpool have the same size; the
// one with a logged driver is smaller.
type crew struct {
	name      string // also the name of its user on the server
	db        *sql.DB
	proxy     *proxy.Proxy
	telemetry *telemetry // nil on the bare driver

	calls, failed atomic.Int64
	masked        atomic.Int64 // attempts that only the log of the driver's calls shows
}

// crews returns a crew for each way in which a row runs.
func crews(t *testing.T, s backend, in *server.Instance) []*crew {
	t.Helper()
	var all []*crew
	for _, name := range soakers {
		c := &crew{name: name, proxy: proxy.Start(t, in.Addr)}
		dsn := s.dsn(target{
			addr: c.proxy.Addr, user: name,
			params: s.params(fmt.Sprintf("wait_timeout=%d", idleTime), fmt.Sprintf("idle_session_timeout=%d", idleTime*1000)),
		})
		connector, err := s.connector(dsn)
		if err != nil {
			t.Fatal(err)
		}
		switch name {
		case soakBare:
			c.db = sql.OpenDB(connector)
		case soakWrapped:
			c.telemetry = newTelemetry()
			c.telemetry.forget()
			c.db, err = otelpool.Open(s.driver, dsn, append(c.telemetry.options(), s.adapters()...)...)
		case soakLogged:
			c.telemetry = newTelemetry()
			c.telemetry.forget()
			c.db = otelpool.OpenDB(loggedConnector{connector}, c.telemetry.options()...)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.db.Close() })
		c.db.SetMaxOpenConns(maxOpen)
		c.db.SetMaxIdleConns(maxOpen / 2)
		c.db.SetConnMaxLifetime(5 * time.Second)
		all = append(all, c)
	}
	return all
}

// forget drops spans when they end. They are still sampled and recorded.
func (tel *telemetry) forget() {
	tel.traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(dropped{}))
}

type dropped struct{}

func (dropped) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (dropped) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (dropped) Shutdown(context.Context) error                  { return nil }
func (dropped) ForceFlush(context.Context) error                { return nil }

func soak(t *testing.T, s backend, lasts time.Duration, seed uint64) {
	start, args := startPostgreSQL, []string{"-c", "max_connections=300"}
	if s.driver == "mysql" {
		start, args = startMariaDB, []string{"--max-connections=300"}
	}
	shared := server.NewShared(start, args...)
	t.Cleanup(func() {
		if err := shared.Close(); err != nil {
			t.Error(err)
		}
	})
	in := shared.Instance(t)
	all := crews(t, s, in)

	// The heap is compared with its size after a while, when caches have filled.
	early := min(lasts/2, time.Minute)
	began := time.Now()
	var heap uint64
	stop := make(chan struct{})
	var working sync.WaitGroup
	for _, c := range all {
		n := hands
		if c.name == soakLogged {
			n = loggedHands
		}
		for i := range n {
			// The same worker of each crew does the same work.
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			working.Go(func() { c.work(t, s, r, stop) })
		}
	}
	faults := rand.New(rand.NewPCG(seed, math.MaxUint64))
	var slices []slice
	for time.Since(began) < lasts {
		if heap == 0 && time.Since(began) >= early {
			heap = used()
		}
		before := soFar(all)
		causeFault(t, s, in, all, faults)
		slices = append(slices, soFar(all).since(before))
		for _, c := range all {
			if c.telemetry != nil {
				c.telemetry.points(t, closes) // as a periodic reader does
			}
		}
	}
	close(stop)
	working.Wait()

	grown := used()
	for _, c := range all {
		st := stage{T: t, db: c.db}
		st.atRest()
		if c.telemetry == nil {
			t.Logf("%s: %d calls, %d failed", c.name, c.calls.Load(), c.failed.Load())
			continue
		}
		c.telemetry.balance(t, c.db)
		snap := inspect(t, c.db)
		if c.name == soakLogged {
			if got := sum(snap.Retries); got != c.masked.Load() {
				t.Errorf("%d masked retries were counted, the log of the driver's calls shows %d", got, c.masked.Load())
			}
		}
		if err := c.db.Close(); err != nil {
			t.Error(err)
		}
		c.telemetry.balance(t, c.db)
		if open := inspect(t, c.db).Open; open != 0 {
			t.Errorf("%d are open after Close", open)
		}
		t.Logf("%s: %d calls, %d failed; opened %d, closed %v, retried %v, acquired %v",
			c.name, c.calls.Load(), c.failed.Load(), snap.Opened, snap.Closed, snap.Retries, snap.Acquired)
	}
	compareRates(t, 0, 1, slices) // in the order of soakers
	// A pool has bounded tables: error types, texts of statements, closed connections, five
	// minutes of history. Together they are far smaller than this slack. A leak of a hundred
	// bytes for each call exceeds it in half an hour.
	const slack = 16 << 20
	t.Logf("the heap had %d bytes after %s, and has %d", heap, early, grown)
	if grown > 2*heap+slack {
		t.Errorf("the heap has grown from %d to %d bytes", heap, grown)
	}
}

// used returns the size of the heap. Three soak tests share it.
func used() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A slice has the counts of each crew between two faults.
type slice []count

type count struct{ calls, failed int64 }

func (c count) rate() float64 { return float64(c.failed) / float64(c.calls) }

func soFar(all []*crew) slice {
	s := make(slice, len(all))
	for i, c := range all {
		s[i].calls, s[i].failed = c.calls.Load(), c.failed.Load()
	}
	return s
}

func (s slice) since(before slice) slice {
	for i := range s {
		s[i].calls -= before[i].calls
		s[i].failed -= before[i].failed
	}
	return s
}

// compareRates checks that the callers of a crew got as many errors as those on the bare
// driver. Calls fail together when a fault hits them, so the samples are slices, not
// calls: the difference of the two error rates in each. The mean must be zero within five
// times its standard error plus two percent.
func compareRates(t *testing.T, bare, wrapped int, slices []slice) {
	t.Helper()
	var differences []float64
	for _, s := range slices {
		if s[bare].calls > 0 && s[wrapped].calls > 0 {
			differences = append(differences, s[wrapped].rate()-s[bare].rate())
		}
	}
	n := float64(len(differences))
	if n < 2 {
		t.Fatal("the soak was too short to compare anything")
	}
	var mean, square float64
	for _, d := range differences {
		mean += d / n
	}
	for _, d := range differences {
		square += (d - mean) * (d - mean)
	}
	bound := 5*math.Sqrt(square/(n-1)/n) + 0.02
	t.Logf("the callers got %+.2f %% more errors than those on the bare driver, in %.0f slices; the limit is %.2f %%", 100*mean, n, 100*bound)
	if math.Abs(mean) > bound {
		t.Errorf("the error rates differ by %+.4f, the limit is %.4f", mean, bound)
	}
}

// causeFault causes one random fault for all crews, and sleeps.
func causeFault(t *testing.T, s backend, in *server.Instance, all []*crew, r *rand.Rand) {
	t.Helper()
	pause := time.Duration(100+r.IntN(300)) * time.Millisecond
	each := func(f func(*crew)) {
		for _, c := range all {
			f(c)
		}
	}
	pass := func(c *crew) {
		if err := c.proxy.Pass(); err != nil {
			t.Error(err)
		}
	}
	brief := time.Duration(50+r.IntN(150)) * time.Millisecond
	switch n := r.IntN(40); {
	case n < 10:
		s.killSome(in, all)
	case n < 15:
		each(func(c *crew) { c.proxy.Reset() })
	case n < 20:
		each(func(c *crew) { c.proxy.HalfClose() })
	case n < 25:
		each(func(c *crew) { c.proxy.Stall() })
		time.Sleep(brief)
		each(pass)
	case n < 30:
		after := int64(r.IntN(20_000))
		each(func(c *crew) { c.proxy.CutAfter(after) })
		time.Sleep(brief)
		each(pass)
	case n < 33:
		each(func(c *crew) {
			if err := c.proxy.Refuse(); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(brief)
		each(pass)
	case n < 35:
		if err := in.Restart(); err != nil {
			t.Error(err)
		}
	case n < 36:
		if err := in.Kill(); err != nil {
			t.Error(err)
		}
		if err := in.Start(); err != nil {
			t.Error(err)
		}
	}
	time.Sleep(pause)
}

// killSome kills three sessions of each crew, as an administrator. It may fail while the
// server is down.
func (s backend) killSome(in *server.Instance, all []*crew) {
	admin, err := sql.Open(s.driver, in.DSN())
	if err != nil {
		return
	}
	defer admin.Close()
	for _, c := range all {
		rows, err := admin.Query(fmt.Sprintf(s.some, c.name))
		if err != nil {
			continue
		}
		var ids []int64
		for rows.Next() {
			var id int64
			if rows.Scan(&id) == nil {
				ids = append(ids, id)
			}
		}
		_ = rows.Err() // some sessions are enough
		_ = rows.Close()
		for _, id := range ids {
			_, _ = admin.Exec(fmt.Sprintf(s.kill, id))
		}
	}
}

// work makes calls at the given pace until stop is closed.
func (c *crew) work(t *testing.T, s backend, r *rand.Rand, stop <-chan struct{}) {
	next := time.Now().Add(time.Duration(r.Int64N(int64(pace))))
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Until(next)):
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		ctx, attempts := logging(ctx)
		err := works[r.IntN(len(works))](ctx, s, c.db)
		cancel()
		c.calls.Add(1)
		c.masked.Add(attempts.masked())
		if err != nil {
			c.failed.Add(1)
		}
		if next = next.Add(pace); next.Before(time.Now()) {
			next = time.Now() // the machine is too slow
		}
	}
}

// works are typical uses of a pool, some of them canceled.
var works = []func(context.Context, backend, *sql.DB) error{
	func(ctx context.Context, _ backend, db *sql.DB) error { return seen(ctx, db.PingContext(ctx)) },
	func(ctx context.Context, _ backend, db *sql.DB) error { return readAll(ctx, db, "SELECT 1") },
	func(ctx context.Context, _ backend, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "DELETE FROM soaked WHERE id = 0")
		return seen(ctx, err)
	},
	// A transaction.
	func(ctx context.Context, _ backend, db *sql.DB) error { return inTx(ctx, db, (*sql.Tx).Commit) },
	func(ctx context.Context, _ backend, db *sql.DB) error { return inTx(ctx, db, (*sql.Tx).Rollback) },
	// A transaction whose context ends first.
	func(ctx context.Context, _ backend, db *sql.DB) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		return inTx(ctx, db, func(tx *sql.Tx) error {
			cancel()
			return tx.Commit()
		})
	},
	// A statement that exceeds its deadline.
	func(ctx context.Context, s backend, db *sql.DB) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		return readAll(ctx, db, s.nap)
	},
	// A statement that is canceled.
	func(ctx context.Context, s backend, db *sql.DB) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer time.AfterFunc(20*time.Millisecond, cancel).Stop()
		return readAll(ctx, db, s.nap)
	},
	// Rows that are closed half read.
	func(ctx context.Context, s backend, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, fmt.Sprintf(s.rows, 1000))
		if err != nil {
			return seen(ctx, err)
		}
		for range 10 {
			if !rows.Next() {
				break
			}
		}
		if err := rows.Err(); err != nil {
			_ = rows.Close()
			return err
		}
		return rows.Close()
	},
	// A connection that is held.
	func(ctx context.Context, _ backend, db *sql.DB) error {
		c, err := db.Conn(ctx)
		if err != nil {
			return seen(ctx, err)
		}
		defer c.Close()
		if err := readAll(ctx, c, "SELECT 1"); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
		return readAll(ctx, c, "SELECT 2")
	},
	// A prepared statement.
	func(ctx context.Context, _ backend, db *sql.DB) error {
		stmt, err := db.PrepareContext(ctx, "SELECT 1")
		if err != nil {
			return seen(ctx, err)
		}
		defer stmt.Close()
		for range 2 {
			rows, err := stmt.QueryContext(ctx)
			if err != nil {
				return seen(ctx, err)
			}
			for rows.Next() {
				continue
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				return err
			}
		}
		return nil
	},
}

// inTx runs a statement in a transaction and ends it.
func inTx(ctx context.Context, db *sql.DB, end func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return seen(ctx, err)
	}
	defer tx.Rollback()
	if err := readAll(ctx, tx, "SELECT 1"); err != nil {
		return err
	}
	return end(tx)
}
