package monitor

import (
	"database/sql"
	"time"

	"github.com/otelpool/otelpool/internal/ledger"
)

// statsWaits is what DBStats shows of the callers of a plain *sql.DB. WaitCount grows
// when a wait begins and WaitDuration when one ends: what began since the last end still
// waits. A caller that gives up ends a wait as well, and may not have been the only
// waiter; so in a pool that is full, and in which nobody gets a connection, callers that
// come one after the other count as one that waits.
type statsWaits struct {
	base    int64         // WaitCount when WaitDuration last grew
	waited  time.Duration // WaitDuration then
	pending int           // how many wait, at least
	seenAt  time.Duration // when they were first seen to

	// stuck is a pool that is full, and in which nobody has got a connection since the
	// last look. It has been so since stuckSince.
	stuck      bool
	stuckSince time.Duration
	acquired   [ledger.NumSources]int64
	count      int64         // WaitCount at the last look
	arriving   bool          // callers come
	arrivedAt  time.Duration // since when
	lastArrive time.Duration // when the last one was seen

	deadlocked bool          // a profile has shown holders that wait
	search     time.Duration // when the next profile is worth its cost
}

// look reads DBStats at the time now.
func (p *statsWaits) look(s *sql.DBStats, acquired [ledger.NumSources]int64, now time.Duration) {
	full := s.MaxOpenConnections > 0 && s.InUse >= s.MaxOpenConnections
	p.stuck = full && acquired == p.acquired
	switch {
	case !p.stuck:
		p.acquired, p.stuckSince, p.search = acquired, now, 0
		p.arriving, p.deadlocked = false, false
	case s.WaitCount > p.count:
		if !p.arriving {
			p.arriving, p.arrivedAt = true, now
		}
		p.lastArrive = now
	case now-p.lastArrive > 2*interval:
		p.arriving = false
	}
	p.count = s.WaitCount
	switch n := s.WaitCount - p.base; {
	case !full, s.WaitDuration != p.waited:
		p.base, p.waited, p.pending = s.WaitCount, s.WaitDuration, 0
	case n > 0:
		if p.pending == 0 {
			p.seenAt = now
		}
		p.pending = int(n)
	}
}

// waitedFor is for how long somebody has waited, at least.
func (p *statsWaits) waitedFor(now time.Duration) (d time.Duration) {
	if p.pending > 0 {
		d = now - p.seenAt
	}
	if p.arriving {
		d = max(d, p.lastArrive-p.arrivedAt)
	}
	if p.deadlocked {
		d = max(d, now-p.stuckSince)
	}
	return d
}

// searchSelfDeadlock looks for holders that wait in a pool that has been stuck for long.
// One that began to wait just when another wait ended is not in the counts. Each search
// takes a profile of all goroutines, so each is as far from the last as that was from the
// beginning.
func (m *Monitor) searchSelfDeadlock(now time.Duration) {
	p := &m.loop.exhaustion.plain
	d := now - p.stuckSince
	if !p.stuck || p.deadlocked || p.arriving || p.pending > 0 || m.cfg.HasDB() || d < m.cfg.ExhaustionThreshold || now < p.search {
		return
	}
	p.search = now + d
	var goroutines profile
	p.deadlocked = len(m.findSelfDeadlocks(m.holds(&goroutines), true, &goroutines)) > 0
}
