package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

// monitors is how many goroutines watch pools.
func monitors() (n int) {
	records := make([]runtime.StackRecord, 10_000)
	all, _ := runtime.GoroutineProfile(records)
	for _, r := range records[:all] {
		frames := runtime.CallersFrames(r.Stack())
		for {
			f, more := frames.Next()
			if strings.HasSuffix(f.Function, "/monitor.(*Monitor).run") {
				n++
			}
			if !more {
				break
			}
		}
	}
	return n
}

func TestMonitor_RunsWhileThePoolHasConnections(t *testing.T) {
	want := func(t *testing.T, n int, when string) {
		t.Helper()
		synctest.Wait()
		if got := monitors(); got != n {
			t.Errorf("%s: %d monitors, want %d", when, got, n)
		}
	}
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *telemetry) {
		wait(time.Minute)
		want(t, 0, "never used")
		noError(t, db.Ping())
		want(t, 1, "with a connection")
		wait(time.Hour)
		want(t, 1, "with an idle one")
		db.SetMaxIdleConns(-1)
		wait(2 * time.Second)
		want(t, 0, "two seconds after the last was closed")
		wait(time.Hour)
		noError(t, db.Ping())
		wait(2 * time.Second)
		want(t, 0, "two seconds after another")
		fake.On(fakedb.Connect, fakedb.Sleep(time.Minute))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go func() { _ = db.PingContext(ctx) }()
		want(t, 1, "while one is dialed")
		wait(12 * time.Second)
		want(t, 0, "after the dial failed")
		fake.On(fakedb.Connect, nil)
		db.SetMaxIdleConns(2)
		noError(t, db.Ping())
		noError(t, db.Close())
		want(t, 0, "after DB.Close")
	})
}

// A goroutine that runs in the bubble would hold up its time.
func TestMonitor_DoesNotRunInABubbleForAPoolFromOutside(t *testing.T) {
	db := otelpool.OpenDB(fakedb.New(full).Connector())
	defer db.Close()
	synctest.Test(t, func(t *testing.T) {
		noError(t, db.Ping())
		start := time.Now()
		time.Sleep(time.Minute)
		if got, n := time.Since(start), monitors(); got != time.Minute || n != 0 {
			t.Errorf("slept for %v, with %d monitors", got, n)
		}
	})
}

// A dial while the monitor's goroutine is about to end keeps it, or starts another.
func TestMonitor_RunsWhenAnEmptyPoolIsUsedAgain(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *telemetry) {
		db.SetMaxIdleConns(-1)
		for i := range 200 {
			noError(t, db.Ping())
			time.Sleep(2*time.Second - time.Duration(i-100))
			c, err := db.Conn(t.Context())
			noError(t, err)
			synctest.Wait()
			if got := monitors(); got != 1 {
				t.Fatalf("%d monitors while a connection is open, want 1", got)
			}
			noError(t, c.Close())
		}
	})
}

// callLines returns the lines of this file at which the held connections were acquired, 0
// for one whose call site was not captured.
func callLines(t *testing.T, db *sql.DB) (lines []int) {
	t.Helper()
	s, err := otelpool.Inspect(db)
	noError(t, err)
	for _, c := range s.Conns {
		if c.Holder == nil {
			continue
		}
		line := 0
		for _, f := range c.Holder.CallSite.Frames() {
			if strings.HasSuffix(f.File, "/monitor_test.go") {
				line = f.Line
				break
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func TestCallSite_OfAPlainAcquireIsCapturedWhileHalfOfThePoolIsHeld(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *telemetry) {
		db.SetMaxOpenConns(6)
		var line int
		for range 6 {
			_, _, line, _ = runtime.Caller(0)
			plainTx(t, db)
			time.Sleep(ms)
		}
		if got, want := callLines(t, db), []int{0, 0, line + 1, line + 1, line + 1, line + 1}; !slices.Equal(dropHelper(got, line), want) {
			t.Errorf("got lines %v, want %v", got, want)
		}
		db.Close()
	})
}

// dropHelper replaces lines of helpers, which are further down, by the line of their
// caller.
func dropHelper(lines []int, line int) []int {
	for i, l := range lines {
		if l > line+5 {
			lines[i] = line + 1
		}
	}
	return lines
}

func plainTx(t *testing.T, db *sql.DB) {
	t.Helper()
	tx, err := db.Begin()
	noError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
}

func TestCallSite_OfAPlainAcquireIsCapturedAfterALongHoldWithoutOne(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *telemetry) {
		captured := func() bool {
			c, err := db.Conn(t.Context())
			noError(t, err)
			defer c.Close()
			return slices.ContainsFunc(callLines(t, db), func(line int) bool { return line != 0 })
		}
		if captured() {
			t.Error("captured in a pool without a limit")
		}
		c, err := db.Conn(t.Context())
		noError(t, err)
		wait(999 * ms)
		if captured() {
			t.Error("captured before a hold was long")
		}
		wait(1001 * ms)
		noError(t, c.Close())
		if !captured() {
			t.Error("not captured after a long hold")
		}
		wait(10*time.Minute - time.Second)
		if !captured() {
			t.Error("not captured for ten minutes")
		}
		wait(2 * time.Second)
		if captured() {
			t.Error("captured after ten minutes")
		}
	})
}

func TestWithoutCallers_CapturesNoCallSiteOfAnyHandle(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, _ *telemetry) {
		for _, on := range []pooled{db, db.DB} {
			c, err := on.Conn(t.Context())
			noError(t, err)
			wait(10 * time.Second)
			if got := callLines(t, db.DB); !slices.Equal(got, []int{0}) {
				t.Errorf("got lines %v of a %T", got, on)
			}
			noError(t, c.Close())
		}
	}, otelpool.WithoutCallers())
}

func TestInspect_HasTheHolderAndTheWaiters(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		ctx, span := seen.caller()
		_, _, line, _ := runtime.Caller(0)
		tx, err := db.BeginTx(ctx, nil)
		noError(t, err)
		wait(time.Second)
		_, err = tx.Exec("UPDATE orders SET price = 17")
		noError(t, err)
		wait(2 * time.Second)
		other, otherSpan := seen.caller()
		go func() { _ = db.PingContext(other) }()
		wait(3 * time.Second)

		s, err := otelpool.Inspect(db.DB)
		noError(t, err)
		h := s.Conns[0].Holder
		got := fmt.Sprint(h.ConnID, h.Held, h.Phase, h.InPhase, h.Idle, h.Statement, h.CallSite.Frames()[0].Line-line, h.Span.Equal(span.SpanContext()))
		if want := fmt.Sprint(1, 6*time.Second, poolinfo.PhaseTx, 5*time.Second, 5*time.Second, "UPDATE orders", 1, true); got != want {
			t.Errorf("got holder %s, want %s", got, want)
		}
		w := s.Waiters
		if len(w) != 1 || w[0].Waited != 3*time.Second || w[0].Span.SpanID() != otherSpan.SpanContext().SpanID() || len(w[0].CallSite.Frames()) == 0 {
			t.Errorf("got waiters %v", w)
		}
		if !s.HasDB || s.Waiting != 1 || s.OldestWait != 3*time.Second || s.Time != time.Now() {
			t.Errorf("got %+v", s)
		}
		noError(t, tx.Rollback())
		span.End()
		otherSpan.End()
	})
}

func TestInspect_HasTheLimitsThatWereSetThroughADB(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, _ *telemetry) {
		limits := func() string {
			s, err := otelpool.Inspect(db.DB)
			noError(t, err)
			return fmt.Sprint(s.MaxOpen, s.MaxIdle, s.MaxLifetime, s.MaxIdleTime)
		}
		got := []string{limits()}
		db.SetMaxOpenConns(20)
		db.SetMaxIdleConns(10)
		db.SetConnMaxLifetime(time.Hour)
		db.SetConnMaxIdleTime(time.Minute)
		got = append(got, limits())
		db.SetConnMaxLifetime(-1)
		db.SetConnMaxIdleTime(0)
		got = append(got, limits())
		wantLines(t, got, "1 -1 -1ns -1ns", "20 10 1h0m0s 1m0s", "20 10 0s 0s")
	})
}

func TestInspect_HasTheCallSitesOfHolds(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, _ *telemetry) {
		_, _, line, _ := runtime.Caller(0)
		for range 3 {
			c, err := db.Conn(t.Context()) // line + 2
			noError(t, err)
			time.Sleep(time.Second)
			noError(t, c.Close())
		}
		for range 5 {
			_, err := db.Exec("x") // takes no time
			noError(t, err)
		}
		c, err := db.DB.Conn(t.Context()) // line + 11
		noError(t, err)
		wait(10 * time.Second)

		s, err := otelpool.Inspect(db.DB)
		noError(t, err)
		var got []string
		for _, one := range s.Sites {
			at := 0
			if f := one.CallSite.Frames(); len(f) > 0 {
				at = f[0].Line - line
			}
			got = append(got, fmt.Sprint(at, one.Holds, one.Held, one.Short))
		}
		wantLines(t, got, "11 1 10s false", "2 3 3s false", "0 5 0s true")
		noError(t, c.Close())
	})
}

func TestInspect_HasTheLastFiveMinutes(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, _ *telemetry) {
		start := time.Now()
		fake.On(fakedb.Exec, fakedb.Sleep(95*ms))
		for range 10 {
			_, err := db.Exec("x")
			noError(t, err)
		}
		hold(t, db, t.Context(), 3*time.Second) // from 0.95s to 3.95s
		wait(500 * ms)
		goPing(t, db, 0)
		wait(4 * time.Second) // 5.45s
		inspect := func() poolinfo.Snapshot {
			s, err := otelpool.Inspect(db.DB)
			noError(t, err)
			return s
		}
		s := inspect()
		var got []string
		for _, one := range s.History {
			got = append(got, fmt.Sprint(one.Time.Sub(start), one.Held, one.Idle, one.Dialing, one.Waiting, one.OldestWait, one.Acquired, one.Opened, one.HeldTime))
		}
		wantLines(t, got,
			"1s 1 0 0 0 0s 11 1 1s",
			"2s 1 0 0 1 550ms 11 1 2s",
			"3s 1 0 0 1 1.55s 11 1 3s",
			"4s 0 1 0 0 0s 12 1 3.95s",
			"5s 0 1 0 0 0s 12 1 3.95s")
		if s.Holds.Count != 12 || s.Waits.Count != 12 {
			t.Errorf("got %d holds and %d waits, want 12 of each", s.Holds.Count, s.Waits.Count)
		}
		near := func(name string, got, want time.Duration) {
			t.Helper()
			if got < want || got > want+want/8+1024 {
				t.Errorf("%s is %v, want %v and at most an eighth more", name, got, want)
			}
		}
		near("p50 of holds", s.Holds.P50, 95*ms)
		near("p99 of holds", s.Holds.P99, 3*time.Second)
		near("longest hold", s.Holds.Most, 3*time.Second)
		near("p90 of waits", s.Waits.P90, 0)
		near("longest wait", s.Waits.Most, 2500*ms)

		wait(7 * time.Minute)
		s = inspect()
		if n := len(s.History); n != 300 || s.History[299].Time.Sub(s.History[0].Time) != 299*time.Second {
			t.Errorf("got %d samples", n)
		}
		if s.Holds != (poolinfo.Distribution{}) || s.Waits != (poolinfo.Distribution{}) {
			t.Errorf("seven minutes later: %+v, %+v", s.Holds, s.Waits)
		}
	})
}

func TestInspect_DistributionsStartAgainAfterThePoolWasEmpty(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *telemetry) {
		db.SetMaxIdleConns(-1)
		fake.On(fakedb.Exec, fakedb.Sleep(100*ms))
		holds := func(n int) int64 {
			for range n {
				_, err := db.Exec("x")
				noError(t, err)
			}
			s, err := otelpool.Inspect(db)
			noError(t, err)
			return s.Holds.Count
		}
		got := []int64{holds(50)}
		wait(time.Hour)
		got = append(got, holds(0), holds(5))
		if want := []int64{50, 0, 5}; !slices.Equal(got, want) {
			t.Errorf("got %v holds, want %v", got, want)
		}
	})
}

func TestInspect_HasASampleForEachSecondWithAnyThreshold(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *telemetry) {
		noError(t, db.Ping())
		wait(10 * time.Minute)
		s, err := otelpool.Inspect(db)
		noError(t, err)
		if n := len(s.History); n != 300 || s.History[n-1].Time.Sub(s.History[0].Time) != 299*time.Second {
			t.Errorf("got %d samples", n)
		}
	}, otelpool.WithExhaustionThreshold(100*ms))
}

func TestInspect_ListsNoClosedConns(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *telemetry) {
		conns := holdAll(t, db, 3)
		fake.Fail(fakedb.Exec, 1, driver.ErrBadConn)
		_, _ = conns[0].ExecContext(t.Context(), "x")
		giveBack(t, conns[1:2]) // the first is closed already
		s, err := otelpool.Inspect(db)
		noError(t, err)
		got := map[poolinfo.State]int{}
		for _, c := range s.Conns {
			got[c.State]++
		}
		if want := map[poolinfo.State]int{poolinfo.StateIdle: 1, poolinfo.StateHeld: 1}; !maps.Equal(got, want) || got[poolinfo.StateClosed] != 0 {
			t.Errorf("got %v, want %v", got, want)
		}
		giveBack(t, conns[2:])
	})
}

func TestInspect_WaitsAreUnknownWithoutADB(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *telemetry) {
		noError(t, db.Ping())
		s, err := otelpool.Inspect(db)
		noError(t, err)
		if s.HasDB || s.MaxOpen != 0 || s.Waiting != -1 || s.OldestWait != -1 {
			t.Errorf("of a plain *sql.DB: got HasDB %t, MaxOpen %d, Waiting %d, OldestWait %d", s.HasDB, s.MaxOpen, s.Waiting, s.OldestWait)
		}
		timed, err := otelpool.NewDB(db)
		noError(t, err)
		s, err = otelpool.Inspect(timed.DB)
		noError(t, err)
		if !s.HasDB || s.MaxOpen != 0 || s.Waiting != 0 || s.OldestWait != 0 {
			t.Errorf("of an otelpool.DB: got HasDB %t, MaxOpen %d, Waiting %d, OldestWait %d", s.HasDB, s.MaxOpen, s.Waiting, s.OldestWait)
		}
	})
}

func TestReport_MaxOpenIsUnknownWithoutADB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := observe()
		db := sql.OpenDB(otelpool.NewConnector(fakedb.New(full).Connector(), seen.options()...))
		defer db.Close()
		db.SetMaxOpenConns(7)
		c, err := db.Conn(t.Context())
		noError(t, err)
		defer c.Close()
		wait(time.Minute)
		if got := seen.takeReports(); len(got) != 1 || got[0].MaxOpen != -1 {
			t.Errorf("got %v, want one with a MaxOpen of -1", got)
		}
	})
}

func TestPools_ListsTheOpenOnes(t *testing.T) {
	names := func() (all []string) {
		for _, s := range otelpool.Pools() {
			if len(s.Pool) == 1 { // others belong to other tests
				all = append(all, fmt.Sprint(s.Pool, s.Open, s.MaxOpen))
			}
		}
		return all
	}
	synctest.Test(t, func(t *testing.T) {
		seen := observe()
		open := func(name string) *sql.DB {
			return otelpool.OpenDB(fakedb.New(full).Connector(), seen.options(otelpool.WithPoolName(name))...)
		}
		b, a := open("b"), open("a")
		unwatched := sql.OpenDB(otelpool.NewConnector(fakedb.New(full).Connector(), seen.options(otelpool.WithPoolName("c"))...))
		a.SetMaxOpenConns(7)
		unwatched.SetMaxOpenConns(7)
		noError(t, a.Ping())
		noError(t, unwatched.Ping())
		wantLines(t, names(), "a1 7", "b0 0", "c1 -1") // the limit of c is not known
		noError(t, a.Close())
		noError(t, unwatched.Close())
		wantLines(t, names(), "b0 0")
		noError(t, b.Close())
		wantLines(t, names())
	})
}
