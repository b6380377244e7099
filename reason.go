package otelpool

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/otelpool/otelpool/internal/ledger"
)

// reasons tells apart the limits of a DB that closed a connection. database/sql
// counts a close by a limit before it makes it, so the limit is one whose count
// has grown by more than was told so far. Two closes at the same moment may be
// told in each other's place; the sums are those of DBStats.
//
// The counts cannot be read under the close itself. A connection that is being
// closed holds its own lock, or the opener that of the DB; and sql.Stmt.Close
// waits for the locks of connections while it holds that of the DB. So a close by
// a limit is put down with its place, and settled soon after: at the next
// acquire or the next collection.
type reasons struct {
	unsettled [numPlaces]atomic.Int64
	waiting   atomic.Int64 // the sum of unsettled, or a little more

	mu   sync.Mutex // guards told; taken before the lock of the DB
	told [ledger.NumReasons]int64
}

// place is a function of database/sql that closes connections by limits.
type place int

const (
	placePut     place = iota // a release
	placeCleaner              // the passing of time
	placeMaxIdle              // SetMaxIdleConns
	placeOpener               // a background dial whose caller is gone
	numPlaces
	placeKnown // the reason is known, nothing is to be settled
)

// limitsAt are the limits that may have closed a connection, by place, the likely
// ones first. All are there, since another close may have been told in the place
// of this one.
var limitsAt = [numPlaces][]ledger.Reason{
	placePut:     {ledger.Lifetime, ledger.IdleCount, ledger.IdleTime},
	placeCleaner: {ledger.IdleTime, ledger.Lifetime, ledger.IdleCount},
	placeMaxIdle: {ledger.IdleCount, ledger.Lifetime, ledger.IdleTime},
	placeOpener:  {ledger.IdleCount, ledger.Lifetime, ledger.IdleTime},
}

// closeReason returns the reason of the close that is going on, from the function
// of database/sql that makes it, or the place by which it is to be put down. It
// must run under that close, once, and only for a connection that cannot explain
// it itself.
func (c *connector) closeReason() (ledger.Reason, place) {
	var at place
	where, _ := calledFrom(framePutConn, frameConn, frameCleaner, frameMaxIdle, frameClose, frameOpener)
	switch where {
	case frameClose:
		return ledger.PoolClosed, placeKnown
	case frameConn:
		// A connection that is not handed out was bad, or had passed its lifetime.
		// It is in use by then, and the lock of such a one is not waited for.
		if c.db.Load() == nil {
			return ledger.Lifetime, placeKnown
		}
		return c.limit(limitsAt[placePut]), placeKnown
	case framePutConn:
		at = placePut
	case frameCleaner:
		at = placeCleaner
	case frameMaxIdle:
		at = placeMaxIdle
	case frameOpener:
		at = placeOpener
	default:
		return ledger.Unknown, placeKnown
	}
	switch {
	case c.ended.Load():
		return ledger.PoolClosed, placeKnown
	case c.db.Load() != nil:
		return 0, at
	case at == placeMaxIdle:
		return ledger.IdleCount, placeKnown
	}
	return ledger.Unknown, placeKnown
}

// putDown puts down a close at a place, once the ledger knows that it has no
// reason yet.
func (c *connector) putDown(at place) {
	c.reasons.unsettled[at].Add(1)
	c.reasons.waiting.Add(1)
}

// settle gives their reason to the closes that were put down. It asks the DB, so
// it must not run where a lock is held that somebody waits for with that of the
// DB in hand: a collection holds none, and the lock of a connection that is just
// being handed to a caller is one that nobody asks for.
func (c *connector) settle() {
	if c.reasons.waiting.Load() == 0 {
		return
	}
	for at := range numPlaces {
		n := c.reasons.unsettled[at].Swap(0)
		c.reasons.waiting.Add(-n)
		for range n {
			r := c.limit(limitsAt[at])
			c.ledger.Attribute(r)
			c.deaths.settle(at, r)
			c.ins.died(context.Background(), r, "")
		}
	}
}

// limit returns the first of limits whose count in DBStats is ahead of what was
// told. If none is, the DB is closed, or more connections were open than are
// allowed now.
func (c *connector) limit(limits []ledger.Reason) ledger.Reason {
	c.reasons.mu.Lock()
	defer c.reasons.mu.Unlock()
	db := c.db.Load()
	// With the lock held no close is told that these counts do not have.
	stats := db.Stats()
	counted := counts(stats)
	for _, r := range limits {
		if counted[r] > c.reasons.told[r] {
			c.reasons.told[r]++
			return r
		}
	}
	switch {
	case isClosed(db):
		return ledger.PoolClosed
	case stats.MaxOpenConnections > 0:
		return ledger.OpenCount
	}
	return ledger.Unknown
}

// watch makes db the one to ask, from what it has counted already. It reports
// false if there is another.
func (c *connector) watch(db *sql.DB) bool {
	c.reasons.mu.Lock()
	defer c.reasons.mu.Unlock()
	if c.db.CompareAndSwap(nil, db) {
		c.reasons.told = counts(db.Stats())
	}
	return c.db.Load() == db
}

// counts returns the closes that DBStats counts.
func counts(s sql.DBStats) (n [ledger.NumReasons]int64) {
	n[ledger.Lifetime] = s.MaxLifetimeClosed
	n[ledger.IdleTime] = s.MaxIdleTimeClosed
	n[ledger.IdleCount] = s.MaxIdleClosed
	return n
}

// isClosed reports whether DB.Close was called. There is no method for it, but a
// DB that is open looks at the context first, and asks no driver.
func isClosed(db *sql.DB) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return !errors.Is(db.PingContext(ctx), context.Canceled)
}
