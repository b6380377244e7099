package ledger

import (
	"sync/atomic"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// RowActivity is whether rows of an open result set are being read. A clock for each row
// would cost more than most rows, and so would an atomic add in a result set that closes
// within milliseconds. So rows are counted, and only once the monitor has seen the result
// set are both ends of a read recorded ("tracked").
//
//	result set                       at a look it counts as
//	-------------------------------  -----------------------------------------------
//	untracked, no row read yet       idle since the query returned (unread)
//	untracked, a row was read        reading now: a look cannot know better
//	tracked, count is odd            reading: a read is in progress
//	tracked, count changed           reading until now
//	tracked, count did not change    idle since the last look that saw it change (active)
//	tracked, unsure                  the same, but a read that began before tracking may
//	                                 still run: a goroutine profile decides
type RowActivity struct {
	// count grows by 2 with a read that is recorded; between the two ends of a tracked
	// read it is odd.
	count   atomic.Uint64
	tracked atomic.Bool

	// Guarded by Conn.mu.
	seen   uint64        // count at the last look
	active time.Duration // when that changed
	unread bool          // the first read of the open result set has not been recorded
	unsure bool
}

// Tracked reports whether both ends of every read are recorded. Else only the first read
// of a result set is.
func (r *RowActivity) Tracked() bool { return r.tracked.Load() }

// Begin notes that the driver begins to read a row, or to advance to the next result set.
// End gets its result.
func (r *RowActivity) Begin() (tracked bool) {
	if !r.tracked.Load() {
		r.count.Add(2)
		return false
	}
	r.count.Add(1)
	return true
}

// End notes that the read has ended.
func (r *RowActivity) End(tracked bool) {
	if tracked {
		r.count.Add(1)
	}
}

// Reads records the reads of rows. It is used by the goroutine that reads.
func (c *Conn) Reads() *RowActivity { return &c.reads }

func (r *RowActivity) inProgress() bool { return r.count.Load()&1 == 1 }

// restartLocked begins a hold.
func (r *RowActivity) restartLocked(now time.Duration) { r.seen, r.active = r.count.Load(), now }

// enterLocked begins a phase.
func (r *RowActivity) enterLocked() { r.seen, r.unread = r.count.Load(), false }

// closedLocked ends a result set.
func (r *RowActivity) closedLocked() {
	if r.inProgress() {
		r.count.Add(1) // the driver panicked
	}
	r.tracked.Store(false)
}

// activeLocked returns when a row was last read, as far as a look at the time now can
// know: see the table above. open is whether a result set is open and no call runs.
func (r *RowActivity) activeLocked(now time.Duration, open bool) time.Duration {
	n := r.count.Load()
	if n != r.seen || n&1 == 1 {
		r.seen, r.active, r.unsure, r.unread = n, now, false, false
	} else if open && !r.unread && !r.tracked.Load() {
		r.active = now
	}
	return r.active
}

// trackLocked begins to track the open result set.
func (r *RowActivity) trackLocked() {
	if !r.tracked.Load() {
		r.tracked.Store(true)
		r.unsure = true
	}
}

// Suspect suspects the hold in progress, and returns it. It reports false if the hold has
// ended meanwhile, or something was done.
func (c *Conn) Suspect(after time.Duration) (Holding, bool) {
	now := c.ledger.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != poolinfo.StateHeld || c.hold.suspect || c.hold.phase != poolinfo.PhaseRows || now-c.idleSinceLocked(now) < after {
		return Holding{}, false
	}
	c.hold.suspect = true
	return c.holdingLocked(now), true
}

// SetReading notes that a row is being read.
func (c *Conn) SetReading() {
	now := c.ledger.Now()
	c.mu.Lock()
	c.reads.active = now
	c.mu.Unlock()
}
