package pool

import (
	"sync"
	"sync/atomic"
	"time"
)

// Conn is the record of one open connection.
//
// database/sql serialises what it does with a connection, so the methods that
// note a moment do not contend; the lock is for the reader of a [Snapshot].
type Conn struct {
	ledger *Ledger
	id     uint64
	opened time.Duration
	place  int // in ledger.conns, guarded by ledger.mu

	activity atomic.Uint64 // calls and rows so far; only ever compared

	mu     sync.Mutex // guards what follows
	state  State
	since  time.Duration // when it entered the state
	phase  Phase
	entry  time.Duration // when it entered the phase
	calls  int           // driver calls that run now
	rows   int           // result sets that are open
	tx     bool
	totals totals
	mark   [NumPhases]time.Duration // totals.held when the hold began
	source Source
}

// Hold is one stay of a connection outside the pool.
type Hold struct {
	// Length is from the acquire to the release.
	Length time.Duration
	// Phases is how Length was spent; the parts add up to it.
	Phases [NumPhases]time.Duration
}

// Death is what is known of a connection when it is closed.
type Death struct {
	// Age is how long it was open.
	Age time.Duration
	// Idle is how long nobody had used it, zero if it was held.
	Idle time.Duration
	// Uses is how often it was acquired.
	Uses int64
}

// ID is the number of the connection within its pool, from 1 upward in the
// order of opening.
func (c *Conn) ID() uint64 { return c.id }

// Acquire notes that somebody has the connection from now on, and returns the
// time. It does nothing if somebody has it already.
func (c *Conn) Acquire(s Source) time.Duration {
	now := c.ledger.Now()
	c.mu.Lock()
	if c.state != Held {
		c.acquireLocked(now, s)
	}
	c.mu.Unlock()
	return now
}

func (c *Conn) acquireLocked(now time.Duration, s Source) {
	c.state, c.since, c.source = Held, now, s
	c.phase, c.entry = Pinned, now
	c.mark = c.totals.held
	c.totals.acquired[s]++
	l := c.ledger
	n := l.held.Add(1)
	for {
		peak := l.peak.Load()
		if n <= peak || l.peak.CompareAndSwap(peak, n) {
			return
		}
	}
}

// Begin notes that a driver call starts, and returns the time. A call on a
// connection that nobody had is its acquire, which first reports: this is how
// the first use of a connection opened in the background is seen.
func (c *Conn) Begin() (now time.Duration, first bool) {
	now = c.ledger.Now()
	c.activity.Add(1)
	c.mu.Lock()
	if c.state != Held {
		first = true
		c.acquireLocked(now, Opener)
	}
	c.calls++
	c.enterLocked(now)
	c.mu.Unlock()
	return now, first
}

// End notes that the driver call is over and what it left behind, and returns
// the time.
func (c *Conn) End(e Effect) time.Duration {
	now := c.ledger.Now()
	c.mu.Lock()
	if c.calls > 0 {
		c.calls--
	}
	c.applyLocked(e)
	c.enterLocked(now)
	c.mu.Unlock()
	return now
}

// RowsClosed notes that a result set was closed.
func (c *Conn) RowsClosed() {
	now := c.ledger.Now()
	c.mu.Lock()
	if c.rows > 0 {
		c.rows--
	}
	c.enterLocked(now)
	c.mu.Unlock()
}

// Active notes that the holder does something that is not worth a clock read,
// such as reading a row.
func (c *Conn) Active() { c.activity.Add(1) }

func (c *Conn) applyLocked(e Effect) {
	if c.state != Held {
		return
	}
	switch e {
	case NoEffect:
	case RowsOpened:
		c.rows++
	case TxBegan:
		c.tx = true
	case TxEnded:
		c.tx = false
	}
}

// enterLocked closes the account of the phase that ends now, and opens that of
// the phase that follows from what is going on.
func (c *Conn) enterLocked(now time.Duration) {
	if c.state != Held {
		return
	}
	c.totals.held[c.phase] += now - c.entry
	c.entry = now
	switch {
	case c.calls > 0:
		c.phase = Executing
	case c.rows > 0:
		c.phase = Rows
	case c.tx:
		c.phase = Tx
	default:
		c.phase = Pinned
	}
}

// Release notes that the holder gave the connection back, and returns the hold.
// It reports false if nobody had it: database/sql also hands back what a caller
// asked for and no longer wants.
func (c *Conn) Release() (Hold, bool) {
	now := c.ledger.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.releaseLocked(now, Idle)
}

func (c *Conn) releaseLocked(now time.Duration, next State) (Hold, bool) {
	if c.state != Held {
		return Hold{}, false
	}
	c.enterLocked(now)
	h := Hold{Length: now - c.since}
	for i := range h.Phases {
		h.Phases[i] = c.totals.held[i] - c.mark[i]
	}
	c.state, c.since = next, now
	c.calls, c.rows, c.tx = 0, 0, false
	c.totals.holds++
	c.ledger.held.Add(-1)
	return h, true
}

// Held reports whether somebody has the connection.
func (c *Conn) Held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == Held
}

// Close notes that the connection is closed and why. A hold that is still going
// on ends with it, and is returned. If the reason is not known it must follow
// through [Ledger.Attribute]. A second Close does nothing and reports false.
func (c *Conn) Close(r Reason, known bool) (d Death, h Hold, held, ok bool) {
	l := c.ledger
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == Closed {
		return Death{}, Hold{}, false, false
	}
	d.Age = now - c.opened
	if c.state != Held {
		d.Idle = now - c.since
	}
	if h, held = c.releaseLocked(now, Closed); !held {
		c.state, c.since = Closed, now
	}
	d.Uses = c.totals.holds
	l.past.add(&c.totals)
	l.removeLocked(c)
	if known {
		l.closed[r]++
	} else {
		l.closing++
	}
	return d, h, held, true
}
