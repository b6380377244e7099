package monitor

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

const (
	// reportInterval is the least time between two reports of exhaustion.
	reportInterval = 10 * time.Second
	// quietPeriod is how long nobody must have waited for long for a pool to have
	// recovered.
	quietPeriod = time.Second
	// minStarvedWait is how long a call of an otelpool.DB must have waited for its
	// deadline to say something about the pool.
	minStarvedWait = 10 * time.Millisecond
)

// failedWaits are calls of an otelpool.DB that got no connection, and long waits that
// have ended, as the goroutines of the callers leave them for the monitor's.
type failedWaits struct {
	failed, starved atomic.Int64 // all; those whose deadline passed while the pool had no idle connection
	starvedDialing  atomic.Bool  // whether the last of the starved waited for a dial
	// The longest waits that ended since the last look: of the starved, and of plain
	// acquires that were too long.
	longestStarved, longestPlain atomic.Int64
}

// AcquireFailed notes that a call of an otelpool.DB got no connection, for another cause
// than a closed pool. If its deadline passed, it makes the monitor look. A deadline that
// passed before the call says nothing about the pool, nor does a call that could have had
// an idle connection.
func (m *Monitor) AcquireFailed(cause poolinfo.Cause, waited, dialed time.Duration, idle int) {
	w := &m.failedWaits
	w.failed.Add(1)
	if cause != poolinfo.CauseDeadline || waited < minStarvedWait || idle > 0 {
		return
	}
	w.starvedDialing.Store(2*dialed >= waited)
	atLeast(&w.longestStarved, waited)
	if w.starved.Add(1); m.cfg.ExhaustionThreshold > 0 {
		m.wake()
	}
}

// PlainWaited notes the wait of a plain acquire in the queue, which is known only when it
// has ended.
func (m *Monitor) PlainWaited(d time.Duration) {
	if t := m.cfg.ExhaustionThreshold; t == 0 || d < t {
		return
	}
	atLeast(&m.failedWaits.longestPlain, d)
	m.wake()
}

// atLeast raises a to d.
func atLeast(a *atomic.Int64, d time.Duration) {
	for {
		was := a.Load()
		if int64(d) <= was || a.CompareAndSwap(was, int64(d)) {
			return
		}
	}
}

// exhaustion is one episode of exhaustion, from its first sign to its end.
type exhaustion struct {
	on           bool
	reported     bool
	began        time.Duration // when the first of the waiters began to wait
	lastSeen     time.Duration
	lastReportAt time.Duration // of any episode; 0 for none

	// What was counted before it began, and at the last look.
	baseline, last waitCounts

	plain    statsWaits
	lateSeen bool // plain waits that were too long have ended
}

// waitCounts is what is counted of those who wait. None of it goes back.
type waitCounts struct {
	waits   ledger.WaitMark
	failed  int64 // calls of an otelpool.DB that got no connection
	starved int64 // those whose deadline passed while the pool had no idle connection
	plain   int64 // DBStats.WaitCount
}

// lookForExhaustion looks whether callers wait for too long, and returns when the next
// look is due.
func (m *Monitor) lookForExhaustion(now time.Duration) (due time.Duration) {
	e := &m.loop.exhaustion
	w := &m.failedWaits
	s := m.ledger.Snapshot(nil)
	at := waitCounts{waits: m.ledger.MarkWaits(now), failed: w.failed.Load(), starved: w.starved.Load()}
	if db := m.cfg.DB(); db != nil {
		stats := db.Stats()
		at.plain = stats.WaitCount
		e.plain.look(&stats, s.Acquired, now)
	}
	threshold := m.cfg.ExhaustionThreshold
	if threshold == 0 {
		return 0
	}
	m.searchSelfDeadlock(now)
	oldest := max(s.OldestWait, e.plain.waitedFor(now))
	longest := max(oldest, time.Duration(w.longestStarved.Swap(0)))
	if d := time.Duration(w.longestPlain.Swap(0)); d > 0 && at.plain-e.last.plain > 1 {
		longest = max(longest, d) // it has ended, but others wait as it did
		e.lateSeen = true
	}
	starved := longest >= threshold || at.starved > e.last.starved || e.on && e.plain.stuck
	if starved && !e.on {
		e.on, e.reported = true, false
		e.began = now - longest
		e.baseline = e.last
		if e.plain.pending > 0 {
			e.baseline.plain = e.plain.base
		}
	}
	e.last = at
	if starved {
		e.lastSeen = now
	}
	if !e.on {
		return earlier(dueAfter(s.OldestWait, threshold, now), dueAfter(e.plain.waitedFor(now), threshold, now))
	}
	if !e.reported {
		if wait := e.lastReportAt + reportInterval - now; e.lastReportAt > 0 && wait > 0 {
			due = now + wait
		} else if starved {
			e.lastReportAt, e.reported = now, true
			m.reportExhaustion(now, oldest)
		}
	}
	if !starved && now-e.lastSeen >= quietPeriod {
		e.on, e.lateSeen = false, false
		if e.reported {
			m.reportRecovery()
		}
		return due
	}
	return earlier(due, e.lastSeen+quietPeriod)
}

// dueAfter is when a wait reaches a threshold that it has not reached; never, if there is
// none.
func dueAfter(waited, threshold, now time.Duration) time.Duration {
	if waited == 0 || waited >= threshold {
		return 0
	}
	return now + threshold - waited
}

// reportExhaustion reports the exhaustion that is on.
func (m *Monitor) reportExhaustion(now, oldest time.Duration) {
	e := &m.loop.exhaustion
	var p profile
	holds := m.holds(&p)
	r := m.newReport(poolinfo.ReportExhausted)
	plain := !m.cfg.HasDB() || e.plain.pending > r.Waiting || e.lateSeen
	r.Waiting = max(r.Waiting, e.plain.pending)
	r.OldestWait = max(r.OldestWait, oldest)
	r.Length = now - e.began
	r.Waited, r.Failed = m.waitersSince(e)
	r.Groups = groupByCallSite(holds)
	r.SelfDeadlocks = m.findSelfDeadlocks(holds, plain, &p)
	r.Verdict = verdict(&r, holds, m.failedWaits.starvedDialing.Load())
	m.telemetry.Exhausted(&r, holds)
	ctx := context.Background()
	if len(r.Groups) > 0 {
		ctx = telemetry.ReportContext(&r.Groups[0].Longest)
	}
	m.report(ctx, r)
}

// reportRecovery reports the end of the exhaustion.
func (m *Monitor) reportRecovery() {
	e := &m.loop.exhaustion
	r := m.newReport(poolinfo.ReportRecovered)
	r.Length = e.lastSeen - e.began
	r.Waited, r.Failed = m.waitersSince(e)
	m.report(context.Background(), r)
}

// waitersSince is how many callers have waited, and failed, since the exhaustion began, as
// of the last look. Without an otelpool.DB it is what DBStats counts.
func (m *Monitor) waitersSince(e *exhaustion) (waited, failed int64) {
	if m.cfg.HasDB() {
		waited, _ = m.ledger.WaitedSince(e.baseline.waits, telemetry.MinWait)
	}
	return max(waited, e.last.plain-e.baseline.plain), e.last.failed - e.baseline.failed
}

// holds returns all holds in progress, the longest first. For holders whose state is
// unknown, a goroutine profile decides whether they are reading a row.
func (m *Monitor) holds(p *profile) []ledger.Holding {
	all := m.ledger.Holdings()
	slices.SortFunc(all, func(a, b ledger.Holding) int { return cmp.Compare(b.For, a.For) })
	if slices.ContainsFunc(all, func(h ledger.Holding) bool { return h.Unsure }) {
		r := findReaders(p)
		for i := range all {
			all[i].Reading = all[i].Reading || all[i].Unsure && r.mayInclude(&all[i])
		}
	}
	return all
}
