// Package ledger is the ledger of one connection pool: which connections there
// are, what state each is in, since when, and how much time was spent in it.
//
// The ledger is told about moments (a dial, an acquire, the start and the end of
// a driver call, a release, a close) and derives every number from them, on one
// monotonic clock. It knows nothing of OpenTelemetry, and it does not call back.
//
// Invariants, at any time and for any [Snapshot]:
//
//   - Opened = Open + the sum of Closed + Closing;
//   - Held + Idle + Fresh = Open;
//   - the sum of Acquired = Holds (the finished ones) + Held.
//
// Who waits is known only of callers that say so by [Ledger.Ask].
package ledger

import (
	"sync"
	"sync/atomic"
	"time"
)

// Ledger is the record of one pool. Its methods may be called from any
// goroutine.
type Ledger struct {
	start time.Time // the zero of the clock

	// Kept beside the states, to be read on the path of a release.
	held   atomic.Int64 // connections that somebody has
	unheld atomic.Int64 // open connections that nobody has
	size   atomic.Int64 // open connections and dials in progress
	lost   atomic.Bool  // size fell, and there may be those who wait for what follows
	peak   atomic.Int64 // most held at once since TakePeak

	waits waits
	doubt doubt
	sites sites

	// Waits is what was noted of callers.
	Waits Spread

	// mu guards what follows. It is taken before a Conn's own lock, never after,
	// and it is not taken on the path of an acquire, a call or a release.
	mu      sync.Mutex
	lastID  uint64
	conns   []*Conn // the open ones; Conn.place is the index
	dialing int
	opened  int64
	closing int64 // closed, the reason still to come through Attribute
	closed  [NumReasons]int64
	past    totals   // of the connections that are closed
	lengths Counts   // of their holds
	ended   [4]ended // holds that ended with their connection, the last ones
	ends    int
	told    [NumPhases]time.Duration // the largest Snapshot.HeldTime so far
}

// ended is the last hold of a connection that was closed.
type ended struct {
	hold Holding
	at   time.Duration
}

// totals are sums over the life of a connection.
type totals struct {
	held     [NumPhases]time.Duration
	acquired [NumSources]int64
	holds    int64
}

func (t *totals) add(o *totals) {
	for i := range t.held {
		t.held[i] += o.held[i]
	}
	for i := range t.acquired {
		t.acquired[i] += o.acquired[i]
	}
	t.holds += o.holds
}

// NewLedger returns an empty ledger whose clock starts now.
func NewLedger() *Ledger { return &Ledger{start: time.Now()} }

// Now is the time on the ledger's clock. It is monotonic and costs one clock
// read.
func (l *Ledger) Now() time.Duration { return time.Since(l.start) }

// Time is what the clock on the wall showed at a recent time on the ledger's. It
// goes back from now, the present: the one on the wall may have been set since the
// ledger was made.
func (l *Ledger) Time(d time.Duration, now time.Time) time.Time {
	return now.Add(d - now.Sub(l.start))
}

// Dialing notes that a dial has begun and returns the time. Each call must be
// followed by one of Opened or DialFailed.
func (l *Ledger) Dialing() time.Duration {
	l.size.Add(1)
	l.mu.Lock()
	l.dialing++
	l.mu.Unlock()
	return l.Now()
}

// DialFailed notes that a dial ended without a connection and returns the time.
func (l *Ledger) DialFailed() time.Duration {
	now := l.Now()
	l.size.Add(-1)
	l.lost.Store(true)
	l.mu.Lock()
	l.dialing--
	l.mu.Unlock()
	return now
}

// Opened notes that a dial that began at start ended with a connection, and
// returns its record and the time. The connection is fresh.
func (l *Ledger) Opened(start time.Duration) (*Conn, time.Duration) {
	now := l.Now()
	c := &Conn{ledger: l, dialed: start, opened: now, since: now, phase: Pinned}
	l.unheld.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dialing--
	l.opened++
	l.lastID++
	c.id = l.lastID
	c.place = len(l.conns)
	l.conns = append(l.conns, c)
	return c, now
}

// Attribute gives a reason to one connection that was closed without one.
func (l *Ledger) Attribute(r Reason) {
	l.mu.Lock()
	l.closing--
	l.closed[r]++
	l.mu.Unlock()
}

// TakePeak returns the largest number of connections that were held at once
// since the last TakePeak, and starts again from the number held now.
func (l *Ledger) TakePeak() int64 {
	for {
		peak, now := l.peak.Load(), l.held.Load()
		if l.peak.CompareAndSwap(peak, now) {
			return max(peak, now)
		}
	}
}

// removeLocked takes c out of the list of open connections.
func (l *Ledger) removeLocked(c *Conn) {
	last := len(l.conns) - 1
	moved := l.conns[last]
	l.conns[c.place] = moved
	moved.place = c.place
	l.conns[last] = nil
	l.conns = l.conns[:last]
}

// HoldLengths adds the lengths of the holds that are over to into.
func (l *Ledger) HoldLengths(into *Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	into.addAll(&l.lengths)
	for _, c := range l.conns {
		c.mu.Lock()
		into.addAll(&c.lengths)
		c.mu.Unlock()
	}
}

// Empty reports whether no connection is open and none is being dialed.
func (l *Ledger) Empty() bool { return l.size.Load() == 0 }
