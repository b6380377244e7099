package pool

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// hold holds c for a time, for one who asked at a place.
func hold(c *Conn, place uintptr, d time.Duration) {
	c.Acquire(c.ledger.Now(), Reused, &Holder{}, &Stack{place})
	c.Begin("")
	time.Sleep(d)
	c.End(NoEffect)
	c.Release()
}

func TestSitesAddUpToAllHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger()
		c, other := open(l), open(l)
		hold(c, 1, time.Second)
		hold(c, 1, 2*time.Second)
		hold(c, 2, time.Millisecond)
		hold(c, 2, time.Millisecond-1)
		hold(c, 3, 0)
		hold(other, 0, time.Minute)
		other.Close(Bad, true)
		c.Acquire(l.Now(), Reused, &Holder{}, &Stack{2})
		c.Begin("")
		time.Sleep(5 * time.Second)
		c.End(NoEffect)
		time.Sleep(5 * time.Second)

		want := []Site{
			{Stack: Stack{}, Holds: 1, Time: time.Minute},
			{Stack: Stack{2}, Holds: 2, Time: 10*time.Second + time.Millisecond},
			{Stack: Stack{1}, Holds: 2, Time: 3 * time.Second},
			{Short: true, Holds: 2, Time: time.Millisecond - 1},
		}
		got := l.Sites()
		slices.SortFunc(got, func(a, b Site) int { return int(b.Time - a.Time) })
		if !slices.Equal(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		var sum, held time.Duration
		for _, s := range got {
			sum += s.Time
		}
		for _, d := range l.Snapshot(nil).HeldTime {
			held += d
		}
		if sum != held {
			t.Errorf("the sites add up to %v, all holds to %v", sum, held)
		}
	})
}

func TestSitesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger()
		c := open(l)
		for i := range maxSites + 10 {
			hold(c, uintptr(i+1), time.Second)
		}
		got := l.Sites()
		beyond := slices.IndexFunc(got, func(s Site) bool { return !s.Stack.Noted() })
		if len(got) != maxSites+1 || got[beyond].Holds != 10 {
			t.Errorf("got %d sites, %d holds in that without a place; want %d and 10", len(got), got[beyond].Holds, maxSites+1)
		}
	})
}

func TestWhoReadsIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger()
		c := open(l)
		acquire(c, New)
		c.Begin("")
		c.End(RowsOpened)
		idle := func() time.Duration {
			var h [1]Holding
			l.Longest(h[:])
			return h[0].Idle
		}
		want := func(d time.Duration) {
			t.Helper()
			if got := idle(); got != d {
				t.Errorf("idle for %v, want %v", got, d)
			}
		}
		time.Sleep(time.Second)
		want(time.Second)
		c.Reads()
		time.Sleep(time.Second)
		want(0) // reads
		time.Sleep(time.Second)
		want(0) // reads still
		c.HasRead()
		want(0)
		time.Sleep(time.Second)
		want(time.Second)
		c.Reads()
		c.HasRead()
		time.Sleep(time.Second)
		want(0) // has read since the last look
		c.Reads()
		c.RowsClosed() // the driver panicked
		time.Sleep(time.Second)
		want(time.Second)
	})
}
