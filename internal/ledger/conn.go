package ledger

import (
	"sync"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// Conn is the record of one open connection.
//
// database/sql serialises what it does with a connection, so the methods that note a
// moment do not contend; the lock is for the reader of a [Snapshot].
type Conn struct {
	ledger *Ledger
	id     uint64
	opened dial
	index  int // in ledger.conns, guarded by ledger.mu

	reservation
	reads RowActivity

	mu         sync.Mutex // guards what follows, and of reads what says so
	state      poolinfo.State
	stateSince time.Duration
	hold       hold // the one in progress, or what is left of the last
	holders    lastHolders
	totals     totals
	// lengths are those of the holds that have ended. Each connection counts its own, so
	// that releases on several processors do not meet.
	lengths HistogramCounts
}

// dial is when a connection was dialed.
type dial struct{ began, ended time.Duration }

// reservation is the part of a connection that belongs to its next user. It is used by the
// goroutine that has the connection.
type reservation struct {
	reserved bool   // out of the pool, and not held yet
	doubted  uint64 // see doubt; 0 for no doubt
}

// hold is a hold in progress.
type hold struct {
	source        poolinfo.Source
	site          poolinfo.CallSite
	phase         poolinfo.Phase
	phaseSince    time.Duration
	calls         int // driver calls that run now
	rows          int // result sets that are open
	tx            bool
	statement     string                   // the last one
	heldAtAcquire [NumPhases]time.Duration // totals.held when the hold began
	suspect       bool                     // of being leaked
}

// lastHolders are the last two holders of a connection and how long they held it. The
// latter is at turn: of the hold in progress, whose length is still to come, or of the
// last one.
type lastHolders struct {
	turn uint8
	who  [2]Holder
	held [2]time.Duration
}

func (l *lastHolders) begin(h *Holder) {
	l.turn ^= 1
	l.who[l.turn] = *h
}

func (l *lastHolders) end(length time.Duration) {
	l.who[l.turn].Caller = nil
	l.held[l.turn] = length
}

// Holder is who acquired a connection. The ledger keeps it and does not look at it.
type Holder struct {
	Trace [16]byte
	Span  [8]byte
	Flags byte
	// Caller is the span that events of the hold go to while it lasts. It is dropped at
	// the end of the hold.
	Caller any
}

// Holding is a hold, in progress or ended, and whose it is.
type Holding struct {
	ID       uint64 // of the connection
	Holder   Holder
	CallSite poolinfo.CallSite // only of one in progress, and of one that was suspected
	For      time.Duration
	// Phase is what the holder does, InPhase since how long, and Idle for how long
	// nothing was done. Phases is how the time was spent.
	Phase         poolinfo.Phase
	InPhase, Idle time.Duration
	Phases        [NumPhases]time.Duration
	// Reading is whether a row is being read now. Unsure is that one may be, since
	// before the reads were tracked.
	Reading, Unsure bool
	Statement       string // the last one
}

// Hold is one stay of a connection outside the pool.
type Hold struct {
	// Length is from the acquire to the release.
	Length time.Duration
	// Phases is how Length was spent; the parts add up to it.
	Phases [NumPhases]time.Duration
	// Suspect is the hold as it was at its end, if it was suspected of being leaked;
	// else nil.
	Suspect *Holding
}

// Life is what is known of a connection when it is closed.
type Life struct {
	// Age is how long it was open.
	Age time.Duration
	// Idle is how long nobody had used it, zero if it was held.
	Idle time.Duration
	// Uses is how often it was acquired.
	Uses int64
}

// ID is the number of the connection within its pool, from 1 upward in the order of
// opening.
func (c *Conn) ID() uint64 { return c.id }

// Dialed returns when the dial that made the connection began and ended.
func (c *Conn) Dialed() (began, ended time.Duration) { return c.opened.began, c.opened.ended }

// Reserve notes that the connection is about to be acquired, when it has been reset.
func (c *Conn) Reserve() {
	c.endDoubt()
	if !c.reserved {
		c.reserved = true
		c.ledger.usage.unheld.Add(-1)
	}
}

// unreserve undoes Reserve.
func (c *Conn) unreserve() {
	if c.reserved {
		c.reserved = false
		c.ledger.usage.unheld.Add(1)
	}
}

// SetCallSite notes where the holder acquired the connection at the given time, if that is
// known only now. It does nothing if that hold has ended.
func (c *Conn) SetCallSite(site *poolinfo.CallSite, acquiredAt time.Duration) {
	c.mu.Lock()
	if c.state == poolinfo.StateHeld && c.stateSince == acquiredAt {
		c.hold.site = *site
	}
	c.mu.Unlock()
}

// Acquire notes that the connection is held since now, and the call site; nil is not
// captured. It does nothing if the connection is held already.
func (c *Conn) Acquire(now time.Duration, s poolinfo.Source, by *Holder, site *poolinfo.CallSite) {
	c.Reserve()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == poolinfo.StateHeld {
		return
	}
	c.state, c.stateSince = poolinfo.StateHeld, now
	h := &c.hold
	h.source = s
	h.phase, h.phaseSince = poolinfo.PhasePinned, now
	h.heldAtAcquire = c.totals.held
	c.totals.acquired[s]++
	c.holders.begin(by)
	h.statement, h.suspect = "", false
	c.reads.restartLocked(now)
	if site != nil {
		h.site = *site
	} else if !h.site.IsZero() {
		h.site = poolinfo.CallSite{}
	}
	c.ledger.usage.acquired()
}

// Begin notes that a driver call starts, of a statement if that is not empty, and returns
// the time.
func (c *Conn) Begin(statement string) time.Duration {
	now := c.ledger.Now()
	c.mu.Lock()
	if statement != "" {
		c.hold.statement = statement
	}
	c.hold.calls++
	c.enterLocked(now)
	c.mu.Unlock()
	return now
}

// End notes that the driver call has ended and what it left behind, and returns the time.
func (c *Conn) End(e Effect) time.Duration {
	now := c.ledger.Now()
	c.mu.Lock()
	if c.hold.calls > 0 {
		c.hold.calls--
	}
	c.applyLocked(e)
	c.enterLocked(now)
	c.reads.unread = e == RowsOpened && c.hold.rows == 1
	c.mu.Unlock()
	return now
}

// RowsClosed notes that a result set was closed, and returns the time.
func (c *Conn) RowsClosed() time.Duration {
	now := c.ledger.Now()
	c.mu.Lock()
	if c.hold.rows > 0 {
		c.hold.rows--
	}
	c.reads.closedLocked()
	c.enterLocked(now)
	c.mu.Unlock()
	return now
}

func (c *Conn) applyLocked(e Effect) {
	if c.state != poolinfo.StateHeld {
		return
	}
	switch e {
	case NoEffect:
	case RowsOpened:
		c.hold.rows++
	case TxBegan:
		c.hold.tx = true
	case TxEnded:
		c.hold.tx = false
	}
}

// enterLocked closes the account of the phase that ends now, and opens that of the phase
// that follows from what is going on.
func (c *Conn) enterLocked(now time.Duration) {
	if c.state != poolinfo.StateHeld {
		return
	}
	h := &c.hold
	c.totals.held[h.phase] += now - h.phaseSince
	h.phaseSince = now
	c.reads.enterLocked()
	switch {
	case h.calls > 0:
		h.phase = poolinfo.PhaseExecuting
	case h.rows > 0:
		h.phase = poolinfo.PhaseRows
	case h.tx:
		h.phase = poolinfo.PhaseTx
	default:
		h.phase = poolinfo.PhasePinned
	}
}

// Release notes that the connection was released, and puts the hold into h, which is empty
// before. It reports false if it was not held: database/sql also hands back what a caller
// requested and no longer wants.
func (c *Conn) Release(h *Hold) bool {
	now := c.ledger.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unreserve()
	return c.releaseLocked(h, now, poolinfo.StateIdle)
}

func (c *Conn) releaseLocked(h *Hold, now time.Duration, next poolinfo.State) bool {
	if c.state != poolinfo.StateHeld {
		return false
	}
	c.enterLocked(now)
	h.Length = now - c.stateSince
	for i := range h.Phases {
		h.Phases[i] = c.totals.held[i] - c.hold.heldAtAcquire[i]
	}
	if c.hold.suspect {
		was := c.holdingLocked(now)
		h.Suspect = &was
	}
	if h.Length >= ShortHold {
		c.ledger.sites.add(&c.hold.site, h.Length)
	}
	c.lengths.add(h.Length)
	c.holders.end(h.Length)
	c.state, c.stateSince = next, now
	c.hold.calls, c.hold.rows, c.hold.tx = 0, 0, false
	c.totals.holds++
	c.ledger.usage.held.Add(-1)
	return true
}

// Held reports whether the connection is held.
func (c *Conn) Held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == poolinfo.StateHeld
}

// Hold returns the hold in progress, and false if there is none.
func (c *Conn) Hold() (Holding, bool) { return c.holding(c.ledger.Now()) }

// holding returns the hold in progress at the time now.
func (c *Conn) holding(now time.Duration) (Holding, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != poolinfo.StateHeld {
		return Holding{}, false
	}
	return c.holdingLocked(now), true
}

func (c *Conn) holdingLocked(now time.Duration) Holding {
	h := &c.hold
	one := Holding{
		ID:        c.id,
		Holder:    c.holders.who[c.holders.turn],
		CallSite:  h.site,
		For:       max(0, now-c.stateSince),
		Phase:     h.phase,
		InPhase:   max(0, now-h.phaseSince),
		Statement: h.statement,
	}
	for i := range one.Phases {
		one.Phases[i] = c.totals.held[i] - h.heldAtAcquire[i]
	}
	one.Phases[h.phase] += one.InPhase
	if h.phase != poolinfo.PhaseExecuting {
		one.Idle = max(0, now-c.idleSinceLocked(now))
		one.Reading = h.phase == poolinfo.PhaseRows && c.reads.inProgress()
		one.Unsure = h.phase == poolinfo.PhaseRows && (c.reads.unsure || !c.reads.Tracked())
	}
	return one
}

// idleSinceLocked is since when nothing was done with the connection.
func (c *Conn) idleSinceLocked(now time.Duration) time.Duration {
	return max(c.hold.phaseSince, c.reads.activeLocked(now, c.hold.phase == poolinfo.PhaseRows))
}

// lastHoldLocked returns the last hold that has ended. It has no holder if there was none.
func (c *Conn) lastHoldLocked() Holding {
	at := c.holders.turn
	if c.state == poolinfo.StateHeld {
		at ^= 1
	}
	return Holding{ID: c.id, Holder: c.holders.who[at], For: c.holders.held[at]}
}

// lastHold is the same without the lock held.
func (c *Conn) lastHold() Holding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastHoldLocked()
}

// Close notes that the connection is closed and why. A hold in progress ends with it, and
// is returned. A reason of zero is not known yet and follows through [Ledger.Attribute]. A
// second Close does nothing and reports false.
func (c *Conn) Close(r poolinfo.Reason) (life Life, h Hold, held, ok bool) {
	l := c.ledger
	now := l.Now()
	c.endDoubt()
	l.mu.Lock()
	defer l.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == poolinfo.StateClosed {
		return Life{}, Hold{}, false, false
	}
	life.Age = now - c.opened.ended
	if c.state != poolinfo.StateHeld {
		life.Idle = now - c.stateSince
	}
	if held = c.releaseLocked(&h, now, poolinfo.StateClosed); !held {
		c.state, c.stateSince = poolinfo.StateClosed, now
	}
	life.Uses = c.totals.holds
	c.Reserve()
	l.usage.gone()
	if life.Uses > 0 {
		l.past.addLast(c.lastHoldLocked(), now)
	}
	l.past.totals.add(&c.totals)
	l.past.lengths.addAll(&c.lengths)
	l.removeLocked(c)
	l.closes.add(r)
	return life, h, held, true
}
