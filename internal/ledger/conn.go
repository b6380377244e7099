package ledger

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
	dialed time.Duration // when the dial began
	opened time.Duration
	place  int // in ledger.conns, guarded by ledger.mu

	reading atomic.Uint64 // grows by 2 with a read that is noted; odd while one goes on that is watched
	watched atomic.Bool   // every read is noted, at both ends
	doubted uint64        // see doubt; 0 for no doubt
	taken   bool          // out of the pool, and not held yet

	mu     sync.Mutex // guards what follows
	state  State
	since  time.Duration // when it entered the state
	phase  Phase
	entry  time.Duration // when it entered the phase
	calls  int           // driver calls that run now
	rows   int           // result sets that are open
	tx     bool
	totals totals
	// lengths are those of the holds that are over. Each connection counts its own, so
	// that releases on several processors do not meet.
	lengths Counts
	mark    [NumPhases]time.Duration // totals.held when the hold began
	source  Source
	stack   Stack
	// The last two holders and how long they were, the latter at turn: of the hold in
	// progress, whose length is still to come, or of the last one.
	turn    uint8
	holders [2]Holder
	lasted  [2]time.Duration

	statement string        // the last one of the holder
	seen      uint64        // reading when it was last looked at
	active    time.Duration // when that had changed
	unread    bool          // the first read of the open result set will be noted, watched or not
	unsure    bool          // a read may go on that began before it was watched
	suspect   bool          // of being forgotten
}

// Holder is who acquired a connection. The ledger keeps it and does not look at
// it.
type Holder struct {
	Trace [16]byte
	Span  [8]byte
	Flags byte
	// Caller is what may be told of the hold while it lasts. It is forgotten with
	// the end of the hold.
	Caller any
}

// Holding is a hold, in progress or over, and whose it is.
type Holding struct {
	ID     uint64 // of the connection
	Holder Holder
	Stack  Stack // only of one in progress, and of one that was suspected
	For    time.Duration
	// Phase is what the holder does, InPhase since how long, and Idle for how long
	// nothing was done. Phases is how the time was spent.
	Phase         Phase
	InPhase, Idle time.Duration
	Phases        [NumPhases]time.Duration
	// Reading is whether a row is being read now. Unsure is that one may be, since
	// before the reads were watched.
	Reading, Unsure bool
	Statement       string // the last one
}

// Hold is one stay of a connection outside the pool.
type Hold struct {
	// Length is from the acquire to the release.
	Length time.Duration
	// Phases is how Length was spent; the parts add up to it.
	Phases [NumPhases]time.Duration
	// Suspect is the hold as it was at its end, if it was suspected of being
	// forgotten; else nil.
	Suspect *Holding
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

// Take notes that the connection is on its way to somebody, who will Acquire it
// when it has been reset.
func (c *Conn) Take() {
	c.believe()
	if !c.taken {
		c.taken = true
		c.ledger.unheld.Add(-1)
	}
}

// Explain notes where the one who has held the connection since then asked for it,
// if that is known only now. It does nothing if that hold is over.
func (c *Conn) Explain(stack *Stack, since time.Duration) {
	c.mu.Lock()
	if c.state == Held && c.since == since {
		c.stack = *stack
	}
	c.mu.Unlock()
}

// Dialed returns when the dial that made the connection began and ended.
func (c *Conn) Dialed() (begin, end time.Duration) { return c.dialed, c.opened }

// Acquire notes that somebody has the connection since now, who asked for it at
// the place of stack; nil is not noted. It does nothing if somebody has it already.
func (c *Conn) Acquire(now time.Duration, s Source, by *Holder, stack *Stack) {
	c.Take()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == Held {
		return
	}
	c.state, c.since, c.source = Held, now, s
	c.phase, c.entry = Pinned, now
	c.mark = c.totals.held
	c.totals.acquired[s]++
	c.turn ^= 1
	c.holders[c.turn] = *by
	c.statement, c.suspect = "", false
	c.seen, c.active = c.reading.Load(), now
	if stack != nil {
		c.stack = *stack
	} else if c.stack.Noted() {
		c.stack = Stack{}
	}
	l := c.ledger
	n := l.held.Add(1)
	for {
		peak := l.peak.Load()
		if n <= peak || l.peak.CompareAndSwap(peak, n) {
			return
		}
	}
}

// Begin notes that a driver call starts, of a statement if that is not empty, and
// returns the time.
func (c *Conn) Begin(statement string) time.Duration {
	now := c.ledger.Now()
	c.mu.Lock()
	if statement != "" {
		c.statement = statement
	}
	c.calls++
	c.enterLocked(now)
	c.mu.Unlock()
	return now
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
	c.unread = e == RowsOpened && c.rows == 1
	c.mu.Unlock()
	return now
}

// RowsClosed notes that a result set was closed, and returns the time.
func (c *Conn) RowsClosed() time.Duration {
	now := c.ledger.Now()
	c.mu.Lock()
	if c.rows > 0 {
		c.rows--
	}
	if c.reading.Load()&1 == 1 {
		c.reading.Add(1) // the driver panicked
	}
	c.watched.Store(false)
	c.enterLocked(now)
	c.mu.Unlock()
	return now
}

// Watched reports whether every read of the open result set is to be noted. If it is
// not, the first is: a read is not worth a clock, nor, in a result set that has been
// open for a short while and is likely to be closed soon, an atomic add. The others
// are taken for read until somebody looks.
func (c *Conn) Watched() bool { return c.watched.Load() }

// Reads notes that the driver begins to read a row, or to go on to the next result
// set. HasRead gets what Reads has returned.
func (c *Conn) Reads() (watched bool) {
	if !c.watched.Load() {
		c.reading.Add(2)
		return false
	}
	c.reading.Add(1)
	return true
}

// HasRead notes that the read is done.
func (c *Conn) HasRead(watched bool) {
	if watched {
		c.reading.Add(1)
	}
}

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
	c.seen, c.unread = c.reading.Load(), false
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

// Release notes that the holder gave the connection back, and puts the hold into h,
// which is empty before. It reports false if nobody had it: database/sql also hands
// back what a caller asked for and no longer wants.
func (c *Conn) Release(h *Hold) bool {
	now := c.ledger.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putBack()
	return c.releaseLocked(h, now, Idle)
}

// putBack undoes Take.
func (c *Conn) putBack() {
	if c.taken {
		c.taken = false
		c.ledger.unheld.Add(1)
	}
}

func (c *Conn) releaseLocked(h *Hold, now time.Duration, next State) bool {
	if c.state != Held {
		return false
	}
	c.enterLocked(now)
	h.Length = now - c.since
	for i := range h.Phases {
		h.Phases[i] = c.totals.held[i] - c.mark[i]
	}
	if c.suspect {
		was := c.holdingLocked(now)
		h.Suspect = &was
	}
	if h.Length >= ShortHold {
		c.ledger.sites.add(&c.stack, h.Length)
	}
	c.lengths.add(h.Length)
	c.holders[c.turn].Caller = nil
	c.lasted[c.turn] = h.Length
	c.state, c.since = next, now
	c.calls, c.rows, c.tx = 0, 0, false
	c.totals.holds++
	c.ledger.held.Add(-1)
	return true
}

// last returns the last hold that is over. It has no holder if there was none.
func (c *Conn) last() Holding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastLocked()
}

func (c *Conn) lastLocked() Holding {
	at := c.turn
	if c.state == Held {
		at ^= 1
	}
	return Holding{ID: c.id, Holder: c.holders[at], For: c.lasted[at]}
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
	c.believe()
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
	if held = c.releaseLocked(&h, now, Closed); !held {
		c.state, c.since = Closed, now
	}
	d.Uses = c.totals.holds
	c.Take()
	l.size.Add(-1)
	l.lost.Store(true)
	if d.Uses > 0 {
		l.ended[l.ends%len(l.ended)] = ended{c.lastLocked(), now}
		l.ends++
	}
	l.past.add(&c.totals)
	l.lengths.addAll(&c.lengths)
	l.removeLocked(c)
	if known {
		l.closed[r]++
	} else {
		l.closing++
	}
	return d, h, held, true
}
