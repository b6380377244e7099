package ledger

import (
	"sync"
	"sync/atomic"
)

// doubt counts the connections that nobody holds and that may not be free either:
// one that is released while callers wait is handed to one of them, who has not
// used it yet. The ledger does not know the waiters of a plain *sql.DB, so it
// doubts each connection that is released at a moment when somebody may wait,
// until it is acquired again, or NoDoubt is called.
type doubt struct {
	n atomic.Int64

	mu    sync.Mutex // guards the writing of n, and Conn.doubted
	round uint64     // doubts of earlier rounds are settled
}

// MayWait reports whether a caller may be waiting, if the pool has the given
// limit: nothing more may be opened, and no connection is free beyond doubt.
// Zero is no limit, and then nobody waits.
//
// Where connections were closed or could not be dialed, database/sql may be
// about to open others, which it counts before it dials them one after the other.
func (l *Ledger) MayWait(limit int64) bool {
	return limit > 0 && (l.usage.size.Load() >= limit || l.usage.shrunk.Load()) && !l.AnyFree()
}

// AnyFree reports whether a connection is free beyond doubt.
func (l *Ledger) AnyFree() bool { return l.usage.unheld.Load() > l.doubt.n.Load() }

// AllReplaced notes that database/sql is not about to open connections for those that
// were closed or could not be dialed.
func (l *Ledger) AllReplaced() { l.usage.shrunk.Store(false) }

// Held is how many connections somebody has.
func (l *Ledger) Held() int64 { return l.usage.held.Load() }

// Unheld is how many connections are open and held by nobody.
func (l *Ledger) Unheld() int64 { return l.usage.unheld.Load() }

// Doubt notes that the connection, which is about to be released, may go to
// somebody who waits for it.
func (c *Conn) Doubt() {
	d := &c.ledger.doubt
	d.mu.Lock()
	if c.doubted != d.round+1 {
		c.doubted = d.round + 1
		d.n.Add(1)
	}
	d.mu.Unlock()
}

// endDoubt ends the doubt, if there is one.
func (c *Conn) endDoubt() {
	if c.doubted == 0 {
		return
	}
	d := &c.ledger.doubt
	d.mu.Lock()
	if c.doubted == d.round+1 {
		d.n.Add(-1)
	}
	c.doubted = 0
	d.mu.Unlock()
}

// NoDoubt notes that every connection that nobody holds is free.
func (l *Ledger) NoDoubt() {
	d := &l.doubt
	d.mu.Lock()
	d.round++
	d.n.Store(0)
	d.mu.Unlock()
}
