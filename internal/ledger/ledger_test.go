package ledger

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// open returns a connection that was just opened.
func open(l *Ledger) *Conn {
	c, _ := l.Opened(l.Dialing())
	return c
}

// acquire hands a connection out now.
func acquire(c *Conn, s poolinfo.Source) { c.Acquire(c.ledger.Now(), s, &Holder{}, nil) }

func TestRelease_SplitsTheHoldIntoPhasesThatAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		c := open(l)
		time.Sleep(time.Second) // fresh, and not held

		acquire(c, poolinfo.SourceNew)
		time.Sleep(1 * time.Millisecond) // pinned
		c.Begin("")
		time.Sleep(2 * time.Millisecond) // executing
		c.End(TxBegan)
		time.Sleep(4 * time.Millisecond) // tx
		c.Begin("")
		time.Sleep(8 * time.Millisecond) // executing
		c.End(RowsOpened)
		time.Sleep(16 * time.Millisecond) // rows
		c.RowsClosed()
		time.Sleep(32 * time.Millisecond) // tx
		c.Begin("")
		time.Sleep(64 * time.Millisecond) // executing
		c.End(TxEnded)
		time.Sleep(128 * time.Millisecond) // pinned

		var got Hold
		ok := c.Release(&got)
		want := Hold{Length: 255 * time.Millisecond, Phases: [NumPhases]time.Duration{
			poolinfo.PhaseExecuting: 74 * time.Millisecond,
			poolinfo.PhaseRows:      16 * time.Millisecond,
			poolinfo.PhaseTx:        36 * time.Millisecond,
			poolinfo.PhasePinned:    129 * time.Millisecond,
		}}
		if !ok || got != want {
			t.Errorf("got hold %+v, %t, want %+v, true", got, ok, want)
		}
	})
}

func TestSnapshot_HeldTimeIncludesHoldsInProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		a, b := open(l), open(l)
		acquire(a, poolinfo.SourceReused)
		time.Sleep(time.Second)
		acquire(b, poolinfo.SourceReused)
		b.Begin("")
		time.Sleep(time.Second)
		a.Release(new(Hold))
		time.Sleep(time.Second)

		got := l.Snapshot(nil)
		want := Snapshot{
			Open: 2, Held: 1, Idle: 1, Opened: 2, Holds: 1,
			Acquired:   [NumSources]int64{poolinfo.SourceReused: 2},
			HeldTime:   [NumPhases]time.Duration{poolinfo.PhasePinned: 2 * time.Second, poolinfo.PhaseExecuting: 2 * time.Second},
			OldestHold: 2 * time.Second,
		}
		if got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

func TestSnapshot_HeldTimeIncludesClosedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		c := open(l)
		acquire(c, poolinfo.SourceNew)
		time.Sleep(3 * time.Second)
		c.Release(new(Hold))
		time.Sleep(5 * time.Second)
		life, _, held, ok := c.Close(poolinfo.ReasonIdleTime)
		if want := (Life{Age: 8 * time.Second, Idle: 5 * time.Second, Uses: 1}); life != want || held || !ok {
			t.Errorf("got life %+v, held %t, ok %t, want %+v, false, true", life, held, ok, want)
		}
		got := l.Snapshot(nil)
		want := Snapshot{
			Opened: 1, Holds: 1,
			Closed:   [NumReasons]int64{poolinfo.ReasonIdleTime: 1},
			Acquired: [NumSources]int64{poolinfo.SourceNew: 1},
			HeldTime: [NumPhases]time.Duration{poolinfo.PhasePinned: 3 * time.Second},
		}
		if got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

func TestClose_EndsTheHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		c := open(l)
		acquire(c, poolinfo.SourceNew)
		c.Begin("")
		time.Sleep(time.Second)
		life, h, held, ok := c.Close(poolinfo.ReasonBad)
		if want := (Life{Age: time.Second, Uses: 1}); life != want || !ok {
			t.Errorf("got life %+v, ok %t, want %+v, true", life, ok, want)
		}
		want := Hold{Length: time.Second, Phases: [NumPhases]time.Duration{poolinfo.PhaseExecuting: time.Second}}
		if h != want || !held {
			t.Errorf("got hold %+v, %t, want %+v, true", h, held, want)
		}
		if c.Release(new(Hold)) {
			t.Error("a closed connection was released")
		}
		if _, _, _, ok := c.Close(poolinfo.ReasonBad); ok {
			t.Error("a closed connection was closed again")
		}
		if got := l.Snapshot(nil); got.Closed != [NumReasons]int64{poolinfo.ReasonBad: 1} || got.Held != 0 {
			t.Errorf("got %+v, want one close and nothing held", got)
		}
	})
}

func TestTakePeak_StartsAgainFromWhatIsHeld(t *testing.T) {
	l := New()
	conns := []*Conn{open(l), open(l), open(l)}
	for _, c := range conns {
		acquire(c, poolinfo.SourceNew)
	}
	conns[0].Release(new(Hold))
	conns[1].Release(new(Hold))
	for i, want := range []int64{3, 1, 1} {
		if got := l.TakePeak(); got != want {
			t.Errorf("take %d: got peak %d, want %d", i, got, want)
		}
	}
	acquire(conns[0], poolinfo.SourceReused)
	conns[0].Release(new(Hold))
	if got := l.TakePeak(); got != 2 {
		t.Errorf("got peak %d, want 2", got)
	}
}

func TestSnapshot_CountsDialsApart(t *testing.T) {
	l := New()
	l.Dialing()
	l.Dialing()
	if s := l.Snapshot(nil); s.Dialing != 2 || s.Open != 0 || s.Opened != 0 {
		t.Errorf("got %+v, want two dials", s)
	}
	l.DialFailed()
	c, _ := l.Opened(0)
	if s := l.Snapshot(nil); s.Dialing != 0 || s.Fresh != 1 || s.Opened != 1 {
		t.Errorf("got %+v, want one fresh connection", s)
	}
	if c.ID() != 1 {
		t.Errorf("got connection %d, want 1: a failed dial makes none", c.ID())
	}
}

func TestAttribute_GivesACloseItsReasonLater(t *testing.T) {
	l := New()
	open(l).Close(0)
	if s := l.Snapshot(nil); s.Closing != 1 || s.Closed != [NumReasons]int64{} {
		t.Errorf("got %+v, want one close without a reason", s)
	}
	l.Attribute(poolinfo.ReasonOpenCount)
	if s := l.Snapshot(nil); s.Closing != 0 || s.Closed != [NumReasons]int64{poolinfo.ReasonOpenCount: 1} {
		t.Errorf("got %+v, want the reason", s)
	}
}

func TestSnapshot_ListsTheConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		held, idle := open(l), open(l)
		open(l).Close(poolinfo.ReasonLifetime)
		open(l)
		acquire(idle, poolinfo.SourceNew)
		idle.Release(new(Hold))
		time.Sleep(time.Second)
		acquire(held, poolinfo.SourceReused)
		held.Begin("SELECT a")
		time.Sleep(time.Second)

		got := []ConnSnapshot{}
		l.Snapshot(&got)
		want := map[uint64]ConnSnapshot{
			1: {
				ID: 1, State: poolinfo.StateHeld, Source: poolinfo.SourceReused, Age: 2 * time.Second, For: time.Second, Uses: 1,
				Hold: Holding{
					ID: 1, For: time.Second, Phase: poolinfo.PhaseExecuting, InPhase: time.Second, Statement: "SELECT a",
					Phases: [NumPhases]time.Duration{poolinfo.PhaseExecuting: time.Second},
				},
			},
			2: {ID: 2, State: poolinfo.StateIdle, Age: 2 * time.Second, For: 2 * time.Second, Uses: 1},
			4: {ID: 4, State: poolinfo.StateFresh, Age: 2 * time.Second, For: 2 * time.Second},
		}
		if len(got) != len(want) {
			t.Fatalf("got %d connections, want %d", len(got), len(want))
		}
		for _, c := range got {
			if c != want[c.ID] {
				t.Errorf("got  %+v\nwant %+v", c, want[c.ID])
			}
		}
	})
}

func TestLedger_AHoldAllocatesNothing(t *testing.T) {
	l := New()
	c := open(l)
	var w Wait
	var by Holder
	var longest [2]Holding
	if n := testing.AllocsPerRun(100, func() {
		l.BeginWait(&w)
		now := l.Now()
		l.EndWait(&w, now, 0)
		c.Acquire(now, poolinfo.SourceReused, &by, nil)
		l.Longest(longest[:])
		l.Blockers(c, now, 1, longest[:])
		c.Begin("")
		c.End(RowsOpened)
		c.Reads().End(c.Reads().Begin())
		c.RowsClosed()
		c.Release(new(Hold))
		l.Snapshot(nil)
	}); n != 0 {
		t.Errorf("a hold and a snapshot allocate %v times, want 0", n)
	}
}
