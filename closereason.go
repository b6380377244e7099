package otelpool

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/monitor"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// closeReasons finds out which limit of a DB closed a connection. database/sql counts a close by a
// limit before it makes it, so the limit is one whose count has grown by more than was attributed
// so far. Two closes at the same moment may be attributed in each other's place; the sums are those
// of DBStats.
//
// The counts cannot be read under the close itself. A connection that is being closed holds its own
// lock, or the opener that of the DB; and sql.Stmt.Close waits for the locks of connections while
// it holds that of the DB. So the reason of a close by a limit is deferred, with the place of the
// close, and resolved at the next acquire or the next collection.
type closeReasons struct {
	ledger    *ledger.Ledger
	telemetry *telemetry.Telemetry
	monitor   *monitor.Monitor
	db        *atomic.Pointer[sql.DB]
	closed    *atomic.Bool // DB.Close was called

	deferred [numClosedBy]atomic.Int64
	pending  atomic.Int64 // the sum of deferred, or a little more

	mu         sync.Mutex // guards attributed; taken before the lock of the DB
	attributed [ledger.NumReasons]int64
}

// closedBy is a function of database/sql that closes connections by limits.
type closedBy int

const (
	byPut     closedBy = iota // a release
	byCleaner                 // the passing of time
	byMaxIdle                 // SetMaxIdleConns
	byOpener                  // a background dial whose caller is gone
	numClosedBy
)

// limitsOf are the limits that may have closed a connection, by place, the likely ones first. All
// are there, since another close may have been attributed in the place of this one.
var limitsOf = [numClosedBy][]poolinfo.Reason{
	byPut:     {poolinfo.ReasonLifetime, poolinfo.ReasonIdleCount, poolinfo.ReasonIdleTime},
	byCleaner: {poolinfo.ReasonIdleTime, poolinfo.ReasonLifetime, poolinfo.ReasonIdleCount},
	byMaxIdle: {poolinfo.ReasonIdleCount, poolinfo.ReasonLifetime, poolinfo.ReasonIdleTime},
	byOpener:  {poolinfo.ReasonIdleCount, poolinfo.ReasonLifetime, poolinfo.ReasonIdleTime},
}

// closing is a close in progress: its reason, or, if that is zero, the function by which it is
// resolved later.
type closing struct {
	reason poolinfo.Reason
	by     closedBy
}

// current returns the reason of the close that is going on, from the function of database/sql that
// makes it. It must run under that close, once, and only for a connection that cannot explain it
// itself.
func (r *closeReasons) current() closing {
	var at closedBy
	where, _ := calledFrom(framePutConn, frameConn, frameCleaner, frameMaxIdle, frameClose, frameOpener)
	switch where {
	case frameClose:
		return closing{reason: poolinfo.ReasonPoolClosed}
	case frameConn:
		// A connection that is not handed out was bad, or had passed its lifetime. It is in use by
		// then, and its lock is not waited for.
		if r.db.Load() == nil {
			return closing{reason: poolinfo.ReasonLifetime}
		}
		return closing{reason: r.limit(limitsOf[byPut])}
	case framePutConn:
		at = byPut
	case frameCleaner:
		at = byCleaner
	case frameMaxIdle:
		at = byMaxIdle
	case frameOpener:
		at = byOpener
	default:
		return closing{reason: poolinfo.ReasonUnknown}
	}
	switch {
	case r.closed.Load():
		return closing{reason: poolinfo.ReasonPoolClosed}
	case r.db.Load() != nil:
		return closing{by: at}
	case at == byMaxIdle:
		return closing{reason: poolinfo.ReasonIdleCount}
	}
	return closing{reason: poolinfo.ReasonUnknown}
}

// deferReason counts a close by a function whose reason is resolved later, once the ledger has it.
func (r *closeReasons) deferReason(at closedBy) {
	r.deferred[at].Add(1)
	r.pending.Add(1)
}

// resolve gives their reason to the closes that were deferred. It reads DBStats, so it must not run
// where a lock is held that somebody waits for while holding that of the DB: a collection holds
// none, and the lock of a connection that is just being handed to a caller is one that nobody waits
// for.
func (r *closeReasons) resolve() {
	if r.pending.Load() == 0 {
		return
	}
	for at := range numClosedBy {
		n := r.deferred[at].Swap(0)
		r.pending.Add(-n)
		for range n {
			reason := r.limit(limitsOf[at])
			r.ledger.Attribute(reason)
			r.monitor.ResolveReason(int(at), reason)
			r.telemetry.Closed(context.Background(), reason, "")
		}
	}
}

// limit returns the first of limits whose count in DBStats is ahead of what was attributed. If none
// is, the DB is closed, or more connections were open than are allowed now.
func (r *closeReasons) limit(limits []poolinfo.Reason) poolinfo.Reason {
	r.mu.Lock()
	defer r.mu.Unlock()
	db := r.db.Load()
	// With the lock held no close is attributed that these counts do not have.
	stats := db.Stats()
	counted := closeCounts(stats)
	for _, one := range limits {
		if counted[one] > r.attributed[one] {
			r.attributed[one]++
			return one
		}
	}
	switch {
	case isClosed(db):
		return poolinfo.ReasonPoolClosed
	case stats.MaxOpenConnections > 0:
		return poolinfo.ReasonOpenCount
	}
	return poolinfo.ReasonUnknown
}

// watch makes db the one whose DBStats are read, from what it has counted already. It reports false
// if there is another.
func (r *closeReasons) watch(db *sql.DB) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db.CompareAndSwap(nil, db) {
		r.attributed = closeCounts(db.Stats())
	}
	return r.db.Load() == db
}

// closeCounts returns the closes that DBStats counts.
func closeCounts(s sql.DBStats) (n [ledger.NumReasons]int64) {
	n[poolinfo.ReasonLifetime] = s.MaxLifetimeClosed
	n[poolinfo.ReasonIdleTime] = s.MaxIdleTimeClosed
	n[poolinfo.ReasonIdleCount] = s.MaxIdleClosed
	return n
}

// isClosed reports whether DB.Close was called. There is no method for it, but a DB that is open
// looks at the context first, and does not call a driver.
func isClosed(db *sql.DB) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return !errors.Is(db.PingContext(ctx), context.Canceled)
}
