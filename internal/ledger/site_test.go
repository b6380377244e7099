package ledger

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// holdFor holds c for a time, acquired at a program counter.
func holdFor(c *Conn, pc uintptr, d time.Duration) {
	c.Acquire(c.ledger.Now(), poolinfo.SourceReused, &Holder{}, &poolinfo.CallSite{pc})
	c.Begin("")
	time.Sleep(d)
	c.End(NoEffect)
	c.Release(new(Hold))
}

func TestSites_AddUpToAllHolds(t *testing.T) {
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

func TestSites_AreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		c := open(l)
		for i := range maxSites + 10 {
			holdFor(c, uintptr(i+1), time.Second)
		}
		got := l.Sites()
		beyond := slices.IndexFunc(got, func(s Site) bool { return s.CallSite.IsZero() })
		if len(got) != maxSites+1 || got[beyond].Holds != 10 {
			t.Errorf("got %d sites, %d holds in the one without a call site; want %d and 10", len(got), got[beyond].Holds, maxSites+1)
		}
	})
}

func TestHold_IsNotIdleWhileRowsAreRead(t *testing.T) {
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
		want(0) // a row was read since the last look
		time.Sleep(time.Second)
		want(0)                       // further untracked reads are not recorded
		l.Sweep(time.Hour, time.Hour) // reads are tracked from here on
		time.Sleep(time.Second)
		want(time.Second)
		tracked := c.Reads().Begin()
		time.Sleep(time.Second)
		want(0) // a read is in progress
		time.Sleep(time.Second)
		want(0) // and still is
		c.Reads().End(tracked)
		want(0)
		time.Sleep(time.Second)
		want(time.Second)
		c.Reads().Begin()
		c.RowsClosed() // the driver panicked
		time.Sleep(time.Second)
		want(time.Second)
	})
}

// After another driver call during an open result set it is not known whether a row was
// read, until reads are tracked.
func TestHold_CountsAsReadingAfterAnotherCallDuringAResultSet(t *testing.T) {
	for name, call := range map[string]func(*Conn){
		"statement":          func(c *Conn) { c.Begin(""); c.End(NoEffect) },
		"result set":         func(c *Conn) { c.Begin(""); c.End(RowsOpened) },
		"result set, closed": func(c *Conn) { c.Begin(""); c.End(RowsOpened); c.RowsClosed() },
		"result set, closed, while reads are tracked": func(c *Conn) { c.ledger.Sweep(0, 0); c.Begin(""); c.End(RowsOpened); c.RowsClosed() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := New()
				c := open(l)
				acquire(c, poolinfo.SourceNew)
				c.Begin("")
				c.End(RowsOpened)
				call(c)
				time.Sleep(time.Second)
				if h, _ := c.Hold(); h.Idle != 0 || !h.Unsure {
					t.Errorf("idle for %v, unsure %t; want 0, true", h.Idle, h.Unsure)
				}
				l.Sweep(0, 0)
				time.Sleep(time.Second)
				if h, _ := c.Hold(); h.Idle != time.Second || !h.Unsure {
					t.Errorf("tracked: idle for %v, unsure %t; want 1s, true", h.Idle, h.Unsure)
				}
			})
		})
	}
}

func TestSweep_IsUnsureOfAReadThatBeganUntracked(t *testing.T) {
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
		want(0, 0, 11*time.Second) // it sees a read
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
		want(0, 0, 0) // a hold is suspected once
	})
}
