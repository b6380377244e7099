package ledger

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// queue is the part of a snapshot that is about waits.
type queue struct {
	waiting        int64
	oldest, waited time.Duration
}

func wantQueue(t *testing.T, l *Ledger, want queue) {
	t.Helper()
	s := l.Snapshot(nil)
	if got := (queue{s.Waiting, s.OldestWait, s.Waited}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWaits_AddUpInEachOrderOfTheirEnds(t *testing.T) {
	for _, leave := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			l := New()
			w := make([]Wait, 3)
			for i := range w {
				l.BeginWait(&w[i]) // at 0s, 1s and 2s
				time.Sleep(time.Second)
			}
			wantQueue(t, l, queue{3, 3 * time.Second, 6 * time.Second})
			left := map[int]bool{}
			want := queue{waiting: 3, waited: 6 * time.Second}
			for n, i := range leave {
				now := time.Duration(3+n) * time.Second
				if got, ok := l.EndWait(&w[i], now, 0); got != now-time.Duration(i)*time.Second || !ok {
					t.Errorf("%v: wait %d: got %v, %t", leave, i, got, ok)
				}
				left[i] = true
				want.waiting--
				want.oldest = 0
				for j := range w {
					if !left[j] {
						want.oldest = now - time.Duration(j)*time.Second
						break
					}
				}
				wantQueue(t, l, want)
				time.Sleep(time.Second)
				want.waited += time.Duration(want.waiting) * time.Second
			}
			if _, ok := l.EndWait(&w[0], l.Now(), 0); ok {
				t.Errorf("%v: a wait that had ended was ended again", leave)
			}
		})
	}
}

func TestResumeWait_WaitIsAsOldAsItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		var first, second Wait
		l.BeginWait(&first)
		time.Sleep(time.Second)
		l.EndWait(&first, l.Now(), 0)
		l.BeginWait(&second)
		time.Sleep(time.Second) // first has a connection, which is bad
		if now := l.ResumeWait(&first); now != 2*time.Second {
			t.Errorf("resumed at %v, want 2s", now)
		}
		time.Sleep(time.Second)
		wantQueue(t, l, queue{2, 3 * time.Second, 4 * time.Second}) // without the second in which the first had a connection
		if got, _ := l.EndWait(&first, l.Now(), 0); got != 3*time.Second {
			t.Errorf("waited %v, want 3s", got)
		}
		wantQueue(t, l, queue{1, 2 * time.Second, 4 * time.Second})
	})
}

func TestSnapshot_WaitedDoesNotDecrease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		var w Wait
		l.BeginWait(&w)
		time.Sleep(time.Second)
		now := l.Now() // the caller has a connection, and ends its wait later
		time.Sleep(time.Second)
		wantQueue(t, l, queue{1, 2 * time.Second, 2 * time.Second})
		l.EndWait(&w, now, 0)
		wantQueue(t, l, queue{0, 0, 2 * time.Second})
	})
}

func TestWaitedSince_CountsLongWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		var before, short, long, waiting Wait
		l.BeginWait(&before)
		l.BeginWait(&long)
		time.Sleep(time.Second)
		l.EndWait(&before, l.Now(), 0)
		m := l.MarkWaits(l.Now())
		l.BeginWait(&short)
		l.BeginWait(&waiting)
		time.Sleep(time.Second)
		l.EndWait(&short, l.Now(), 2*time.Second)
		l.EndWait(&long, l.Now(), 2*time.Second)
		time.Sleep(time.Second)
		if callers, waited := l.WaitedSince(m, 2*time.Second); callers != 2 || waited != 4*time.Second {
			t.Errorf("got %d callers, %v, want 2, 4s", callers, waited)
		}
	})
}

func TestLongest_ListsTheLongestHoldFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		open(l) // not held
		for range 5 {
			acquire(open(l), poolinfo.SourceNew)
			time.Sleep(time.Second)
		}
		for _, test := range []struct {
			room int
			want []uint64
		}{
			{8, []uint64{2, 3, 4, 5, 6}},
			{2, []uint64{2, 3}},
			{0, nil},
		} {
			into := make([]Holding, test.room)
			into = into[:l.Longest(into)]
			wantIDs(t, into, test.want...)
			for i, h := range into {
				if want := time.Duration(7-h.ID) * time.Second; h.For != want || h.Phase != poolinfo.PhasePinned || h.InPhase != want {
					t.Errorf("hold %d: got %+v, want %v pinned", i, h, want)
				}
			}
		}
	})
}

func wantIDs(t *testing.T, holds []Holding, want ...uint64) {
	t.Helper()
	var got []uint64
	for _, h := range holds {
		got = append(got, h.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got holds of %v, want %v", got, want)
	}
}

func TestBlockers_AreTheHoldsInProgressAndThoseThatEndedDuringTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flag = 1
		l := New()
		acquireAs := func(flags byte) *Conn {
			c := open(l)
			c.Acquire(l.Now(), poolinfo.SourceNew, &Holder{Flags: flags, Caller: t}, nil)
			time.Sleep(time.Second)
			return c
		}
		before, ends, given, unmarked := acquireAs(flag), acquireAs(flag), acquireAs(flag), acquireAs(0)
		acquireAs(flag) // 5
		before.Close(poolinfo.ReasonBad)
		time.Sleep(time.Second)
		requestedAt := l.Now()
		time.Sleep(time.Second)
		ends.Close(poolinfo.ReasonBad) // after 6s
		given.Release(new(Hold))       // after 5s
		acquire(given, poolinfo.SourceReused)
		time.Sleep(3 * time.Second)
		into := make([]Holding, 8)
		wantIDs(t, into[:l.Blockers(given, requestedAt, flag, into)], 5, 2, 3)
		if into[0].Holder.Caller == nil || into[1].Holder.Caller != nil || into[2].Holder.Caller != nil {
			t.Error("the caller of a hold that ended is kept, or the caller of a hold in progress is not")
		}
		wantIDs(t, into[:l.Blockers(unmarked, requestedAt, flag, into)], 5, 2)
		wantIDs(t, into[:l.Blockers(nil, requestedAt, flag, into[:1])], 5)
		wantIDs(t, into[:l.Blockers(nil, 0, flag, into)], 5, 2, 1)
	})
}

func TestSetCallSite_IgnoresAnEarlierHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		c := open(l)
		acquire(c, poolinfo.SourceNew)
		first := l.Now()
		time.Sleep(time.Second)
		c.Release(new(Hold)) // database/sql took it back
		acquire(c, poolinfo.SourceReused)
		c.SetCallSite(&poolinfo.CallSite{1}, first)
		var h [1]Holding
		if l.Longest(h[:]); h[0].CallSite[0] != 0 {
			t.Error("the second hold has the site of the first")
		}
		c.SetCallSite(&poolinfo.CallSite{2}, l.Now())
		if l.Longest(h[:]); h[0].CallSite[0] != 2 {
			t.Error("the second hold has no site")
		}
	})
}

func TestMayWait_IfNoConnectionIsKnownToBeFree(t *testing.T) {
	l := New()
	a, b := open(l), open(l)
	want := func(step string, limit int64, want bool) {
		t.Helper()
		if got := l.MayWait(limit); got != want {
			t.Errorf("%s, limit %d: got %t, want %t", step, limit, got, want)
		}
	}
	want("two are free", 2, false)
	acquire(a, poolinfo.SourceNew)
	acquire(b, poolinfo.SourceNew)
	want("two are held", 2, true)
	want("two are held", 3, false)
	want("two are held", 0, false)
	l.Dialing()
	want("two are held and one is dialed", 3, true)
	l.DialFailed()
	a.Doubt()
	a.Release(new(Hold))
	want("one is released, perhaps to a waiter", 2, true)
	acquire(a, poolinfo.SourceReused)
	a.Release(new(Hold))
	want("one is released and free", 2, false)
	b.Doubt()
	b.Release(new(Hold))
	want("one is free, one perhaps", 2, false)
	acquire(a, poolinfo.SourceReused)
	want("one is held, one is perhaps free", 2, true)
	l.NoDoubt()
	want("one is held, one is free after all", 2, false)
	acquire(b, poolinfo.SourceReused) // NoDoubt confirmed it already: it is not subtracted again
	want("two are held", 2, true)
	a.Doubt()
	a.Close(poolinfo.ReasonBad)
	want("one is closed, another may follow", 2, true)
	l.AllReplaced()
	want("one is closed, and none follows", 2, false)
	l.Dialing()
	l.DialFailed()
	want("a dial has failed, another may follow", 2, true)
	b.Release(new(Hold))
	want("one is closed, the other free", 1, false)
	b.Reserve()
	want("the other is on its way to a caller", 1, true)
	b.Release(new(Hold))
	b.Doubt()
	b.Doubt()
	acquire(b, poolinfo.SourceOpener)
	b.Release(new(Hold))
	want("the other was unconfirmed twice, and is free", 1, false)
}
