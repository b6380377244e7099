package ledger

import (
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// Snapshot is the state of a pool at one moment. The connections are read one
// after the other, so two that change hands meanwhile may both be seen held; the
// sums always agree with the connections that were read.
type Snapshot struct {
	Open, Held, Idle, Fresh int
	// Dialing is the number of dials in progress. database/sql counts them as in
	// use; here they are not part of Open.
	Dialing int
	// Opened is how many dials succeeded.
	Opened int64
	// Closed counts closes by reason; Closing those without a reason yet.
	Closed  [NumReasons]int64
	Closing int64
	// Acquired counts acquires by source, Holds the finished holds.
	Acquired [NumSources]int64
	Holds    int64
	// HeldTime is the time spent held, by phase, holds in progress included.
	HeldTime [NumPhases]time.Duration
	// OldestHold is how long the longest hold in progress has lasted, zero if
	// there is none.
	OldestHold time.Duration
	// Waiting is how many callers wait, OldestWait how long ago the first of them
	// asked, Waited the time that all callers waited, waits in progress included.
	Waiting            int64
	OldestWait, Waited time.Duration
}

// ConnSnapshot is the state of one connection.
type ConnSnapshot struct {
	ID    uint64
	State poolinfo.State
	// Source is that of the hold in progress, and without meaning if State is not Held.
	Source poolinfo.Source
	// Age is how long the connection has been open, For how long it has been in
	// its State.
	Age, For time.Duration
	// Uses is how often it was acquired.
	Uses int64
	// Hold is the hold in progress, if State is Held.
	Hold Holding
}

// Snapshot reads the pool. The connections are appended to conns if that is not
// nil, in no particular order.
func (l *Ledger) Snapshot(conns *[]ConnSnapshot) Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	s := Snapshot{
		Open:    len(l.conns),
		Dialing: l.dialing,
		Opened:  l.opened,
		Closed:  l.closes.byReason,
		Closing: l.closes.pending,
	}
	sum := l.past.totals
	for _, c := range l.conns {
		one, t := c.snapshot(now, conns != nil)
		sum.add(&t)
		switch one.State {
		case poolinfo.StateHeld:
			s.Held++
			s.OldestHold = max(s.OldestHold, one.For)
		case poolinfo.StateIdle:
			s.Idle++
		case poolinfo.StateFresh:
			s.Fresh++
		case poolinfo.StateClosed: // not in the list
		}
		if conns != nil {
			*conns = append(*conns, one)
		}
	}
	for p, d := range sum.held {
		// A phase may end at a time that was read before the last snapshot.
		l.reportedMax[p] = max(l.reportedMax[p], d)
	}
	s.HeldTime, s.Acquired, s.Holds = l.reportedMax, sum.acquired, sum.holds
	l.snapshotWaits(&s)
	return s
}

// Longest fills into with the longest holds in progress, the longest first, and
// returns how many there are.
func (l *Ledger) Longest(into []Holding) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.longestLocked(into, filter{})
}

// Holdings returns all holds in progress, in no particular order.
func (l *Ledger) Holdings() (all []Holding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	for _, c := range l.conns {
		if h, held := c.holding(now); held {
			all = append(all, h)
		}
	}
	return all
}

// filter says which holds count: those whose holder has one of the flags, if there
// are any, but not that of one connection.
type filter struct {
	flags  byte
	except uint64
}

func (f filter) takes(h *Holding) bool {
	return (f.flags == 0 || h.Holder.Flags&f.flags != 0) && h.ID != f.except
}

// Blockers fills into with the longest of the holds that kept a connection from a caller that began to
// wait at a time: those in progress, that of got before it was released, and those that
// ended with their connection since then. got is the connection that the caller got, nil
// if none; the caller's own hold of it is not among them. A hold counts if its holder has
// one of the flags.
func (l *Ledger) Blockers(got *Conn, began time.Duration, flags byte, into []Holding) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := filter{flags: flags}
	if got != nil {
		f.except = got.id
	}
	n := l.longestLocked(into, f)
	if got != nil {
		if last := got.lastHold(); last.Holder.Flags&flags != 0 {
			n = insert(into, n, last)
		}
	}
	for i := range l.past.ended {
		if e := &l.past.ended[i]; e.at >= began && f.takes(&e.hold) {
			n = insert(into, n, e.hold)
		}
	}
	return n
}

func (l *Ledger) longestLocked(into []Holding, f filter) int {
	now := l.Now()
	n := 0
	for _, c := range l.conns {
		if h, held := c.holding(now); held && f.takes(&h) {
			n = insert(into, n, h)
		}
	}
	return n
}

// insert puts h in its place among the n longest, and returns how many there are
// then.
func insert(into []Holding, n int, h Holding) int {
	at := n
	for at > 0 && into[at-1].For < h.For {
		at--
	}
	if at == len(into) {
		return n
	}
	n = min(n+1, len(into))
	copy(into[at+1:n], into[at:])
	into[at] = h
	return n
}

// snapshot reads one connection at the time now, with its hold if that is wanted. A
// connection that changed after now was read is recorded as of its last change.
func (c *Conn) snapshot(now time.Duration, hold bool) (ConnSnapshot, totals) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.totals
	s := ConnSnapshot{
		ID:    c.id,
		State: c.state,
		Age:   max(0, now-c.opened.ended),
		For:   max(0, now-c.stateSince),
	}
	for _, n := range t.acquired {
		s.Uses += n
	}
	if c.state == poolinfo.StateHeld {
		t.held[c.hold.phase] += max(0, now-c.hold.phaseSince)
		s.Source = c.hold.source
		if hold {
			s.Hold = c.holdingLocked(now)
		}
	}
	return s, t
}
