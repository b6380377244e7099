package ledger

import "time"

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
	State State
	// Source is that of the hold in progress, and without meaning if State is not Held.
	Source Source
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
		Closed:  l.closed,
		Closing: l.closing,
	}
	sum := l.past
	for _, c := range l.conns {
		one, t := c.snapshot(now, conns != nil)
		sum.add(&t)
		switch one.State {
		case Held:
			s.Held++
			s.OldestHold = max(s.OldestHold, one.For)
		case Idle:
			s.Idle++
		case Fresh:
			s.Fresh++
		case Closed: // not in the list
		}
		if conns != nil {
			*conns = append(*conns, one)
		}
	}
	for p, d := range sum.held {
		// A phase may end at a time that was read before the last snapshot.
		l.told[p] = max(l.told[p], d)
	}
	s.HeldTime, s.Acquired, s.Holds = l.told, sum.acquired, sum.holds
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

// InTheWayOf does the same for the holds that kept a connection from somebody who
// asked for one at a time: those in progress, that of c before it was given back,
// and those that ended with their connection since then. c is what he got, nil if
// nothing; his own hold of it is not among them. A hold counts if its holder has
// one of the flags.
func (l *Ledger) InTheWayOf(c *Conn, asked time.Duration, flags byte, into []Holding) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := filter{flags: flags}
	if c != nil {
		f.except = c.id
	}
	n := l.longestLocked(into, f)
	if c != nil {
		if last := c.last(); last.Holder.Flags&flags != 0 {
			n = insert(into, n, last)
		}
	}
	for i := range l.ended {
		if e := &l.ended[i]; e.at >= asked && f.takes(&e.hold) {
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

// holding returns the hold in progress at the time now.
func (c *Conn) holding(now time.Duration) (Holding, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != Held {
		return Holding{}, false
	}
	return c.holdingLocked(now), true
}

func (c *Conn) holdingLocked(now time.Duration) Holding {
	h := Holding{
		ID:        c.id,
		Holder:    c.holders[c.turn],
		Stack:     c.stack,
		For:       max(0, now-c.since),
		Phase:     c.phase,
		InPhase:   max(0, now-c.entry),
		Statement: c.statement,
	}
	for i := range h.Phases {
		h.Phases[i] = c.totals.held[i] - c.mark[i]
	}
	h.Phases[c.phase] += h.InPhase
	if c.phase != Executing {
		h.Idle = max(0, now-c.idleSinceLocked(now))
		h.Reading = c.phase == Rows && c.reading.Load()&1 == 1
		h.Unsure = c.phase == Rows && (c.unsure || !c.watched.Load())
	}
	return h
}

// idleSinceLocked is since when nothing was done with the connection. Rows that
// were read since somebody last looked were read until now, for all that is known; so
// were those of a result set that is not watched, if any was.
func (c *Conn) idleSinceLocked(now time.Duration) time.Duration {
	n := c.reading.Load()
	if n != c.seen || n&1 == 1 {
		c.seen, c.active, c.unsure, c.unread = n, now, false, false
	} else if c.phase == Rows && !c.unread && !c.watched.Load() {
		c.active = now
	}
	return max(c.entry, c.active)
}

// snapshot reads one connection at the time now, with its hold if that is wanted. A
// connection that moved on after now was read is told as of its last move.
func (c *Conn) snapshot(now time.Duration, hold bool) (ConnSnapshot, totals) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.totals
	s := ConnSnapshot{
		ID:    c.id,
		State: c.state,
		Age:   max(0, now-c.opened),
		For:   max(0, now-c.since),
	}
	for _, n := range t.acquired {
		s.Uses += n
	}
	if c.state == Held {
		t.held[c.phase] += max(0, now-c.entry)
		s.Source = c.source
		if hold {
			s.Hold = c.holdingLocked(now)
		}
	}
	return s, t
}
