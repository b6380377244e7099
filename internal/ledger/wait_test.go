package ledger

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
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

func TestWaitsAddUpWhoeverLeavesFirst(t *testing.T) {
	for _, leave := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLedger()
			w := make([]Wait, 3)
			for i := range w {
				l.Ask(&w[i]) // at 0s, 1s and 2s
				time.Sleep(time.Second)
			}
			wantQueue(t, l, queue{3, 3 * time.Second, 6 * time.Second})
			left := map[int]bool{}
			want := queue{waiting: 3, waited: 6 * time.Second}
			for n, i := range leave {
				now := time.Duration(3+n) * time.Second
				if got, ok := l.Stop(&w[i], now, 0); got != now-time.Duration(i)*time.Second || !ok {
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
			if _, ok := l.Stop(&w[0], l.Now(), 0); ok {
				t.Errorf("%v: a wait that is over was stopped", leave)
			}
		})
	}
}

func TestAWaitThatResumesIsAsOldAsItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger()
		var first, second Wait
		l.Ask(&first)
		time.Sleep(time.Second)
		l.Stop(&first, l.Now(), 0)
		l.Ask(&second)
		time.Sleep(time.Second) // first has a connection, which is bad
		if now := l.Resume(&first); now != 2*time.Second {
			t.Errorf("resumed at %v, want 2s", now)
		}
		time.Sleep(time.Second)
		wantQueue(t, l, queue{2, 3 * time.Second, 4 * time.Second}) // the second in hand is nobody's wait
		if got, _ := l.Stop(&first, l.Now(), 0); got != 3*time.Second {
			t.Errorf("waited %v, want 3s", got)
		}
		wantQueue(t, l, queue{1, 2 * time.Second, 4 * time.Second})
	})
}

func TestTheTimeWaitedDoesNotGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger()
		var w Wait
		l.Ask(&w)
		time.Sleep(time.Second)
		now := l.Now() // the caller is served, and takes a while to say so
		time.Sleep(time.Second)
		wantQueue(t, l, queue{1, 2 * time.Second, 2 * time.Second})
		l.Stop(&w, now, 0)
		wantQueue(t, l, queue{0, 0, 2 * time.Second})
	})
}

func TestWaitedSinceCountsWhoWaitedLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger()
		var before, short, long, waiting Wait
		l.Ask(&before)
		l.Ask(&long)
		time.Sleep(time.Second)
		l.Stop(&before, l.Now(), 0)
		m := l.Mark(l.Now())
		l.Ask(&short)
		l.Ask(&waiting)
		time.Sleep(time.Second)
		l.Stop(&short, l.Now(), 2*time.Second)
		l.Stop(&long, l.Now(), 2*time.Second)
		time.Sleep(time.Second)
		if callers, waited := l.WaitedSince(m, 2*time.Second); callers != 2 || waited != 4*time.Second {
			t.Errorf("got %d callers, %v, want 2, 4s", callers, waited)
		}
	})
}

func TestLongestHoldsComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger()
		open(l) // held by nobody
		for range 5 {
			acquire(open(l), New)
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
				if want := time.Duration(7-h.ID) * time.Second; h.For != want || h.Phase != Pinned || h.InPhase != want {
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

func TestThoseInTheWayAreTheHoldersNowAndThoseWhoGaveUpAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flag = 1
		l := NewLedger()
		acquireAs := func(flags byte) *Conn {
			c := open(l)
			c.Acquire(l.Now(), New, &Holder{Flags: flags, Caller: t}, nil)
			time.Sleep(time.Second)
			return c
		}
		before, ends, given, unmarked := acquireAs(flag), acquireAs(flag), acquireAs(flag), acquireAs(0)
		acquireAs(flag) // 5
		before.Close(Bad, true)
		time.Sleep(time.Second)
		asked := l.Now()
		time.Sleep(time.Second)
		ends.Close(Bad, true)    // after 6s
		given.Release(new(Hold)) // after 5s
		acquire(given, Reused)
		time.Sleep(3 * time.Second)
		into := make([]Holding, 8)
		wantIDs(t, into[:l.InTheWayOf(given, asked, flag, into)], 5, 2, 3)
		if into[0].Holder.Caller == nil || into[1].Holder.Caller != nil || into[2].Holder.Caller != nil {
			t.Error("the callers of those whose holds are over are kept, or that of a hold in progress is not")
		}
		wantIDs(t, into[:l.InTheWayOf(unmarked, asked, flag, into)], 5, 2)
		wantIDs(t, into[:l.InTheWayOf(nil, asked, flag, into[:1])], 5)
		wantIDs(t, into[:l.InTheWayOf(nil, 0, flag, into)], 5, 2, 1)
	})
}

func TestASiteIsOfTheHoldThatItWasFoundIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLedger()
		c := open(l)
		acquire(c, New)
		first := l.Now()
		time.Sleep(time.Second)
		c.Release(new(Hold)) // database/sql took it back
		acquire(c, Reused)
		c.Explain(&Stack{1}, first)
		var h [1]Holding
		if l.Longest(h[:]); h[0].Stack[0] != 0 {
			t.Error("the second hold has the site of the first")
		}
		c.Explain(&Stack{2}, l.Now())
		if l.Longest(h[:]); h[0].Stack[0] != 2 {
			t.Error("the second hold has no site")
		}
	})
}

func TestThereMayBeWaitersWhereNothingIsKnownToBeFree(t *testing.T) {
	l := NewLedger()
	a, b := open(l), open(l)
	want := func(step string, limit int64, want bool) {
		t.Helper()
		if got := l.MayWait(limit); got != want {
			t.Errorf("%s, limit %d: got %t, want %t", step, limit, got, want)
		}
	}
	want("two are free", 2, false)
	acquire(a, New)
	acquire(b, New)
	want("two are held", 2, true)
	want("two are held", 3, false)
	want("two are held", 0, false)
	l.Dialing()
	want("two are held and one is dialed", 3, true)
	l.DialFailed()
	a.Doubt()
	a.Release(new(Hold))
	want("one is given back, perhaps to somebody", 2, true)
	acquire(a, Reused)
	a.Release(new(Hold))
	want("one is given back and free", 2, false)
	b.Doubt()
	b.Release(new(Hold))
	want("one is free, one perhaps", 2, false)
	acquire(a, Reused)
	want("one is held, one is perhaps free", 2, true)
	l.NoDoubt()
	want("one is held, one is free after all", 2, false)
	acquire(b, Reused) // its doubt is settled, and must not be taken back again
	want("two are held", 2, true)
	a.Doubt()
	a.Close(Bad, true)
	want("one is closed, another may follow", 2, true)
	l.NoneLost()
	want("one is closed, and none follows", 2, false)
	l.Dialing()
	l.DialFailed()
	want("a dial has failed, another may follow", 2, true)
	b.Release(new(Hold))
	want("one is closed, the other free", 1, false)
	b.Take()
	want("the other is on its way to somebody", 1, true)
	b.Release(new(Hold))
	b.Doubt()
	b.Doubt()
	acquire(b, Opener)
	b.Release(new(Hold))
	want("the other was doubted twice, and is free", 1, false)
}
