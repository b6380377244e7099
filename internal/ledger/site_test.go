package ledger

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// hold holds c for a time, for one who asked at a place.
func holdFor(c *Conn, place uintptr, d time.Duration) {
	c.Acquire(c.ledger.Now(), poolinfo.SourceReused, &Holder{}, &poolinfo.CallSite{place})
	c.Begin("")
	time.Sleep(d)
	c.End(NoEffect)
	c.Release(new(Hold))
}

func TestSitesAddUpToAllHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		c, other := open(l), open(l)
		holdFor(c, 1, time.Second)
		holdFor(c, 1, 2*time.Second)
		holdFor(c, 2, time.Millisecond)
		holdFor(c, 2, time.Millisecond-1)
		holdFor(c, 3, 0)
		holdFor(other, 0, time.Minute)
		other.Close(poolinfo.ReasonBad)
		c.Acquire(l.Now(), poolinfo.SourceReused, &Holder{}, &poolinfo.CallSite{2})
		c.Begin("")
		time.Sleep(5 * time.Second)
		c.End(NoEffect)
		time.Sleep(5 * time.Second)

		want := []Site{
			{CallSite: poolinfo.CallSite{}, Holds: 1, Time: time.Minute},
			{CallSite: poolinfo.CallSite{2}, Holds: 2, Time: 10*time.Second + time.Millisecond},
			{CallSite: poolinfo.CallSite{1}, Holds: 2, Time: 3 * time.Second},
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
		l := New()
		c := open(l)
		for i := range maxSites + 10 {
			holdFor(c, uintptr(i+1), time.Second)
		}
		got := l.Sites()
		beyond := slices.IndexFunc(got, func(s Site) bool { return s.CallSite.IsZero() })
		if len(got) != maxSites+1 || got[beyond].Holds != 10 {
			t.Errorf("got %d sites, %d holds in that without a place; want %d and 10", len(got), got[beyond].Holds, maxSites+1)
		}
	})
}

func TestWhoReadsIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		c := open(l)
		acquire(c, poolinfo.SourceNew)
		c.Begin("")
		c.End(RowsOpened)
		want := func(d time.Duration) {
			t.Helper()
			if h, _ := c.Hold(); h.Idle != d {
				t.Errorf("idle for %v, want %v", h.Idle, d)
			}
		}
		time.Sleep(time.Second)
		want(time.Second)
		c.Reads().End(c.Reads().Begin())
		time.Sleep(time.Second)
		want(0) // has read since the last look
		time.Sleep(time.Second)
		want(0)                       // may have read: further reads are not noted
		l.Sweep(time.Hour, time.Hour) // watched from here on
		time.Sleep(time.Second)
		want(time.Second)
		watched := c.Reads().Begin()
		time.Sleep(time.Second)
		want(0) // reads
		time.Sleep(time.Second)
		want(0) // reads still
		c.Reads().End(watched)
		want(0)
		time.Sleep(time.Second)
		want(time.Second)
		c.Reads().Begin()
		c.RowsClosed() // the driver panicked
		time.Sleep(time.Second)
		want(time.Second)
	})
}

// Of a result set that is not the first read on a connection it is not known whether
// anything was read of it, until it is watched.
func TestWhatIsBesideAResultSetMayHaveBeenRead(t *testing.T) {
	for name, beside := range map[string]func(*Conn){
		"statement":    func(c *Conn) { c.Begin(""); c.End(NoEffect) },
		"result set":   func(c *Conn) { c.Begin(""); c.End(RowsOpened) },
		"its end":      func(c *Conn) { c.Begin(""); c.End(RowsOpened); c.RowsClosed() },
		"end of watch": func(c *Conn) { c.ledger.Sweep(0, 0); c.Begin(""); c.End(RowsOpened); c.RowsClosed() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New()
				c := open(l)
				acquire(c, poolinfo.SourceNew)
				c.Begin("")
				c.End(RowsOpened)
				beside(c)
				time.Sleep(time.Second)
				if h, _ := c.Hold(); h.Idle != 0 || !h.Unsure {
					t.Errorf("idle for %v, unsure %t; want 0, true", h.Idle, h.Unsure)
				}
				l.Sweep(0, 0)
				time.Sleep(time.Second)
				if h, _ := c.Hold(); h.Idle != time.Second || !h.Unsure {
					t.Errorf("watched: idle for %v, unsure %t; want 1s, true", h.Idle, h.Unsure)
				}
			})
		})
	}
}

func TestAReadThatBeganUnwatchedMayGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		c := open(l)
		acquire(c, poolinfo.SourceNew)
		c.Begin("")
		c.End(RowsOpened)
		c.Reads().Begin()
		want := func(unsure, suspects int, next time.Duration) {
			t.Helper()
			s := l.Sweep(10*time.Second, time.Hour)
			if len(s.Unsure) != unsure || len(s.Suspects) != suspects || s.Next != next {
				t.Errorf("at %v: got %d unsure, %d suspects, next at %v; want %d, %d, %v",
					l.Now(), len(s.Unsure), len(s.Suspects), s.Next, unsure, suspects, next)
			}
		}
		time.Sleep(time.Second)
		want(0, 0, 11*time.Second) // a read was seen
		time.Sleep(10 * time.Second)
		want(1, 0, 0)
		c.SetReading()
		want(0, 0, 21*time.Second)
		time.Sleep(10 * time.Second)
		want(1, 0, 0)
		if _, ok := c.Suspect(10 * time.Second); !ok {
			t.Error("not suspected")
		}
		want(0, 0, 0)
		if _, ok := c.Suspect(10 * time.Second); ok {
			t.Error("suspected twice")
		}
		c.Reads().End(c.Reads().Begin())
		time.Sleep(time.Hour)
		want(0, 0, 0) // of one hold only once
	})
}
