package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

// A load is a random pool with random callers, in virtual time but on real goroutines.
type load struct {
	rng   *rand.Rand // used only before the workers start
	fake  *fakedb.DB
	db    *sql.DB
	timed *otelpool.DB // the same pool
	seen  *telemetry
	stmt  *sql.Stmt
	calls int // of each worker
}

func (l *load) pick(d ...time.Duration) time.Duration { return d[l.rng.IntN(len(d))] }

// start opens a pool with random limits over a driver with a random shape, so that acquires
// and releases are noticed both with and without SessionResetter and Validator.
func start(t *testing.T, seed uint64) *load {
	l := &load{rng: rand.New(rand.NewPCG(seed, 1)), seen: observe(), calls: 60}
	l.fake = fakedb.New(fakedb.Config{
		Conn:  fakedb.ConnShape(l.rng.IntN(int(fakedb.AllConn) + 1)),
		Stmt:  fakedb.StmtShape(l.rng.IntN(int(fakedb.AllStmt) + 1)),
		Dial:  l.pick(0, time.Millisecond, 30*time.Millisecond),
		Quiet: true,
	})
	l.db = otelpool.OpenDB(l.fake.Connector(), l.seen.options()...)
	var err error
	l.timed, err = otelpool.NewDB(l.db)
	noError(t, err)
	l.db.SetMaxOpenConns([]int{0, 1, 2, 5, 8}[l.rng.IntN(5)])
	l.db.SetMaxIdleConns([]int{-1, 1, 2, 8}[l.rng.IntN(4)])
	l.db.SetConnMaxLifetime(l.pick(0, 40*time.Millisecond, 3*time.Second))
	l.db.SetConnMaxIdleTime(l.pick(0, 5*time.Millisecond, 2*time.Second))
	return l
}

// injectFaults makes a share of the calls of each kind fail.
func (l *load) injectFaults() {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(l.rng.Uint64(), 2))
	odds := func(n int) bool { mu.Lock(); defer mu.Unlock(); return rng.IntN(100) < n }
	bad := func(share int, err error) fakedb.Hook {
		return func(context.Context, string) error {
			if odds(share) {
				return err
			}
			return nil
		}
	}
	l.fake.On(fakedb.Connect, bad(l.rng.IntN(20), errors.New("refused")))
	for _, op := range []fakedb.Op{fakedb.Exec, fakedb.Query, fakedb.Prepare, fakedb.Begin, fakedb.Reset, fakedb.StmtExec, fakedb.RowsClose, fakedb.Commit} {
		l.fake.On(op, bad(l.rng.IntN(8), driver.ErrBadConn))
	}
	l.fake.On(fakedb.Valid, bad(l.rng.IntN(5), errors.New("invalid")))
	l.fake.On(fakedb.Rollback, bad(l.rng.IntN(5), errors.New("no rollback")))
}

// work is one caller. It uses the pool as programs do, releases every connection and ignores
// errors.
func (l *load) work(rng *rand.Rand) {
	nap := func() { time.Sleep(time.Duration(rng.IntN(8)) * time.Millisecond) }
	for range l.calls {
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		switch rng.IntN(4) {
		case 0:
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(30))*time.Millisecond)
		case 1:
			ctx, cancel = context.WithCancel(ctx)
		}
		var db pooled = l.db
		if rng.IntN(2) == 0 {
			db = l.timed
		}
		switch rng.IntN(7) {
		case 0:
			_, _ = db.ExecContext(ctx, "x")
		case 1:
			if rows, err := db.QueryContext(ctx, "x"); err == nil {
				for rows.Next() {
					nap()
				}
				_ = rows.Close()
			}
		case 2:
			if tx, err := db.BeginTx(ctx, nil); err == nil {
				_, _ = tx.ExecContext(ctx, "x")
				nap()
				if rng.IntN(2) == 0 {
					_ = tx.Commit()
				} else {
					cancel() // the context ends the transaction
					nap()
					_ = tx.Rollback()
				}
			}
		case 3:
			if conn, err := db.Conn(ctx); err == nil {
				nap()
				_, _ = conn.ExecContext(ctx, "x")
				if tx, err := conn.BeginTx(ctx, nil); err == nil {
					nap()
					_ = tx.Commit()
				}
				_ = conn.Raw(func(any) error {
					if rng.IntN(10) == 0 {
						return driver.ErrBadConn
					}
					return nil
				})
				_ = conn.Close()
			}
		case 4:
			if l.stmt != nil {
				_, _ = l.stmt.ExecContext(ctx)
			}
			// Closing a statement takes the lock of the DB, then those of all connections
			// that it was prepared on.
			if s, err := db.PrepareContext(ctx, "y"); err == nil {
				_, _ = s.ExecContext(ctx)
				nap()
				_ = s.Close()
			}
		case 5:
			_ = db.PingContext(ctx)
		case 6:
			switch rng.IntN(20) {
			case 0:
				l.db.SetMaxIdleConns(rng.IntN(5))
			case 1:
				l.db.SetMaxOpenConns(1 + rng.IntN(6))
			}
			nap()
		}
		cancel()
	}
}

// check checks the invariants of the ledger, which hold at any moment.
func (l *load) check(t *testing.T) poolinfo.Snapshot {
	t.Helper()
	s, err := otelpool.Inspect(l.db)
	if err != nil {
		t.Fatal(err)
	}
	var closed int64
	for n := range maps.Values(s.Closed) {
		closed += n
	}
	if s.Opened != int64(s.Open)+closed {
		t.Errorf("opened %d is not open %d + closed %v", s.Opened, s.Open, s.Closed)
	}
	if s.Held+s.Idle != s.Open || len(s.Conns) != s.Open {
		t.Errorf("held %d + idle %d is not open %d with %d connections", s.Held, s.Idle, s.Open, len(s.Conns))
	}
	return s
}

// TestLedger_AgreesWithDBStatsUnderRandomLoad uses new seeds in each run of -count.
func TestLedger_AgreesWithDBStatsUnderRandomLoad(t *testing.T) {
	run := uint64(loadRuns.Add(1) - 1)
	seeds := uint64(40)
	if testing.Short() {
		seeds = 8
	}
	for seed := run * seeds; seed < (run+1)*seeds; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runLoad(t, seed) })
		})
	}
}

var loadRuns atomic.Int64

func runLoad(t *testing.T, seed uint64) {
	l := start(t, seed)
	l.stmt, _ = l.db.Prepare("x")
	l.injectFaults()
	done := make(chan struct{})
	go func() { // reads during the load
		for {
			select {
			case <-done:
				return
			case <-time.After(7 * time.Millisecond):
				l.check(t)
				l.seen.collect(t)
			}
		}
	}()
	var workers sync.WaitGroup
	for range 8 {
		rng := rand.New(rand.NewPCG(l.rng.Uint64(), 3))
		workers.Go(func() { l.work(rng) })
	}
	workers.Wait()
	close(done)
	synctest.Wait()
	for op := range fakedb.CloseConnector {
		l.fake.On(op, nil)
	}
	time.Sleep(time.Minute) // dials in progress end, cleaners run
	synctest.Wait()

	s, stats := l.check(t), l.db.Stats()
	if s.Held != 0 || stats.InUse != 0 {
		t.Errorf("after the load %d are held and %d in use, want 0 and 0", s.Held, stats.InUse)
	}
	if s.Dialing != 0 {
		t.Errorf("after the load %d dials are in progress, want 0", s.Dialing)
	}
	if s.Open != stats.OpenConnections || s.Open != l.fake.Open() {
		t.Errorf("%d are open, %d by DBStats, %d by the driver", s.Open, stats.OpenConnections, l.fake.Open())
	}
	for reason, want := range map[poolinfo.Reason]int64{
		poolinfo.ReasonLifetime:  stats.MaxLifetimeClosed,
		poolinfo.ReasonIdleTime:  stats.MaxIdleTimeClosed,
		poolinfo.ReasonIdleCount: stats.MaxIdleClosed,
		poolinfo.ReasonUnknown:   0,
	} {
		if got := s.Closed[reason]; got != want {
			t.Errorf("closed by %s: got %d, DBStats has %d (%v)", reason, got, want, s.Closed)
		}
	}
	var acquired, held int64
	for n := range maps.Values(s.Acquired) {
		acquired += n
	}
	for _, h := range l.seen.histogram(t, "db.client.connection.use_time") {
		held += int64(h.count)
	}
	l.seen.wantQueue(t, 0, 0, seconds(l.seen.sums(t, "otelpool.connection.waited")[""]))
	if acquired != held {
		t.Errorf("%d acquires and %d holds, want equal numbers", acquired, held)
	}
	if stmt := l.stmt; stmt != nil {
		_ = stmt.Close()
	}
	if err := l.db.Close(); err != nil {
		t.Error(err)
	}
	if l.fake.Open() != 0 || l.fake.Opened() != int(s.Opened) {
		t.Errorf("the driver has %d open of %d, the ledger counted %d", l.fake.Open(), l.fake.Opened(), s.Opened)
	}
	l.seen.wantSums(t, "otelpool.connection.acquired", byText(s.Acquired), "otelpool.source")
	if misuse := slices.Compact(l.fake.Misuse()); len(misuse) > 0 {
		t.Errorf("misuse of the driver: %v", misuse)
	}
}
