package otelpool

import (
	"context"
	"math"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelpool/otelpool/internal/ledger"
)

// sweepInterval is how often a pool is looked at, at least, while it has
// connections.
const sweepInterval = time.Second

// shortestSweep bounds the thresholds, and so how often a pool is looked at.
const shortestSweep = 10 * time.Millisecond

// A hold of noticeable length whose callers were not noted makes the pool note
// them for watchfulFor: see connector.notesCallers.
const (
	noticeable  = time.Second
	watchfulFor = 10 * time.Minute
)

// sweeper looks at a pool from time to time, on a goroutine of its own, and tells
// what somebody should know. The goroutine is there while the pool has connections
// or dials one, until DB.Close; what is left untold then stays so.
type sweeper struct {
	running atomic.Bool
	wakes   chan struct{} // holds one

	mu       sync.Mutex // guards returned
	returned []ledger.Holding

	watchful atomic.Int64 // the time on the ledger's clock until which callers are noted

	// What follows belongs to the goroutine.
	interval time.Duration
	sampled  time.Duration // the last sample
	empty    time.Duration // since when there is no connection; 0 if there is one
	losing   bool          // connections were lost, and perhaps too few to tell
	episode  episode

	history history
	reports ring[Report]
}

// maxReturned bounds what waits to be told.
const maxReturned = 256

// startSweeper starts the goroutine if there is none. It is called after the ledger knows
// of a dial: either the goroutine sees it when it is about to end, or its end is
// seen here.
func (c *connector) startSweeper() {
	s := &c.sweeper
	if s.running.Load() || c.ended.Load() {
		return
	}
	// A bubble of testing/synctest has a clock of its own, on which a pool that was made
	// outside was made in its future. A goroutine that was started in it would belong
	// to it, and hold up its time.
	if c.ledger.Now() < 0 || !s.running.CompareAndSwap(false, true) {
		return
	}
	go c.sweepAll()
}

// wake makes the sweeper look now.
func (c *connector) wake() {
	select {
	case c.sweeper.wakes <- struct{}{}:
	default: // it will
	}
}

// sweepAll is the goroutine.
func (c *connector) sweepAll() {
	s := &c.sweeper
	pprof.SetGoroutineLabels(context.Background()) // not those of whoever dialed first
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer s.history.ended(c)
	for {
		next := c.sweep()
		if c.ended.Load() || s.idle(c.ledger) {
			s.running.Store(false)
			if c.ended.Load() || c.ledger.Empty() && !s.hasReturned() || !s.running.CompareAndSwap(false, true) {
				return
			}
			continue
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-s.wakes:
		}
	}
}

// idle reports whether there has been nothing to look at for an interval. A dial that
// fails is soon followed by another.
func (s *sweeper) idle(l *ledger.Ledger) bool {
	if !l.Empty() || s.episode.on || s.losing {
		s.empty = 0
		return false
	}
	now := l.Now()
	if s.empty == 0 {
		s.empty = now
	}
	return now-s.empty >= s.interval
}

// sweep looks once, and returns how long it may take until the next time.
func (c *connector) sweep() time.Duration {
	s := &c.sweeper
	found := c.ledger.Sweep(c.cfg.leakThreshold, noticeable)
	due := found.Next
	now := c.ledger.Now()
	if found.Unnoted && c.cfg.callers {
		s.watchful.Store(int64(now + watchfulFor))
	}
	if len(found.Unsure) > 0 {
		found.Suspects = append(found.Suspects, c.notReading(found.Unsure)...)
		due = now // there may be other times now
	}
	for i := range found.Suspects {
		c.suspected(&found.Suspects[i])
	}
	for _, h := range s.takeReturned() {
		c.leak(spanContext(&h), LeakReturned, &h)
	}
	due = earlier(due, c.watchExhaustion(now))
	lost, next := c.losses.ripe(now)
	if lost != nil {
		r := c.newReport(ConnectionsLost)
		r.Lost = lost
		c.report(context.Background(), r)
	}
	s.losing = next != 0
	due = earlier(due, next)
	next = s.sampled + sweepInterval
	if next <= now {
		s.sampled, next = now, now+sweepInterval
		c.sample(now)
	}
	return max(earlier(due, min(next, now+s.interval))-c.ledger.Now(), 0)
}

// orNever is a threshold, or, where that is off, one that is never reached.
func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return math.MaxInt64
	}
	return d
}

// earlier returns the earlier of two times, where zero is never.
func earlier(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// suspected tells a hold that nobody does anything with.
func (c *connector) suspected(h *ledger.Holding) {
	ctx := spanContext(h)
	c.ins.leaked(ctx, LeakSuspected, h)
	c.leak(ctx, LeakSuspected, h)
}

// givenBackLate tells that a connection which was suspected is back. It runs on the
// goroutine that gave it back, and leaves what may take time to the sweeper.
func (c *connector) givenBackLate(ctx context.Context, h *ledger.Holding) {
	c.ins.leaked(ctx, LeakReturned, h)
	s := &c.sweeper
	s.mu.Lock()
	if len(s.returned) < maxReturned {
		s.returned = append(s.returned, *h)
	}
	s.mu.Unlock()
	c.startSweeper() // it may have ended with the connection
	c.wake()
}

func (s *sweeper) takeReturned() []ledger.Holding {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.returned
	s.returned = nil
	return all
}

func (s *sweeper) hasReturned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.returned) > 0
}

// leak reports a holder, in the context of its span.
func (c *connector) leak(ctx context.Context, kind ReportKind, h *ledger.Holding) {
	r := c.newReport(kind)
	holder := holderOf(h)
	r.Holder = &holder
	c.report(ctx, r)
}

// newReport returns a report of the pool as it is now.
func (c *connector) newReport(kind ReportKind) Report {
	s := c.ledger.Snapshot(nil)
	r := Report{
		Kind: kind, Time: time.Now(), Pool: c.name, System: c.system(),
		Held: s.Held, Idle: s.Idle + s.Fresh, Dialing: s.Dialing,
		MaxOpen: c.maxOpen(), Waiting: int(s.Waiting), OldestWait: s.OldestWait,
	}
	return r
}

// report logs a report, keeps it, and hands it to the program.
func (c *connector) report(ctx context.Context, r Report) {
	if c.ended.Load() {
		return
	}
	c.sweeper.reports.add(r)
	c.log(ctx, &r)
	if c.cfg.reports != nil {
		defer absent("WithReports")
		c.cfg.reports(r)
	}
}

// notesCallers reports whether an acquire of a plain *sql.DB should note who asks.
// To walk through database/sql up to the program takes more than all the rest of an
// acquire. So it is done where the connection is one of the upper half of the pool,
// and for a while after somebody was seen to hold one for long: it is there for who
// runs the pool dry, and costs nothing in a pool half of which is free.
func (c *connector) notesCallers(now time.Duration) bool {
	if !c.cfg.callers {
		return false
	}
	limit := c.inference.limit.Load()
	return limit > 0 && 2*(c.ledger.Held()+1) >= limit || int64(now) < c.sweeper.watchful.Load()
}
