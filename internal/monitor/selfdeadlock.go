package monitor

import (
	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// maxSelfDeadlocks bounds the self-deadlocks in a report.
const maxSelfDeadlocks = 8

// findSelfDeadlocks finds holders that wait for a second connection. One goroutine
// appears to hold a connection while waiting for a second. Evidence: its stack passes
// through the line that acquired the first connection, and exactly as many goroutines
// pass through that line as connections are held from it.
//
// Calls of an otelpool.DB are known while they wait. Others are looked up in p, which
// knows neither the pool nor the caller's span.
func (m *Monitor) findSelfDeadlocks(holds []ledger.Holding, plain bool, p *profile) (found []poolinfo.SelfDeadlock) {
	var holders []poolinfo.Holder
	var paths []path
	for i := range holds {
		if h := &holds[i]; h.Phase != poolinfo.PhaseExecuting && !h.CallSite.IsZero() {
			holders, paths = append(holders, telemetry.HolderOf(h)), append(paths, pathOf(h.CallSite[:]))
		}
	}
	if len(holders) == 0 {
		return nil
	}
	waiters := m.Waiters(maxExamined)
	if plain {
		waiters = append(waiters, p.waiters()...)
	}
	taken := make([]bool, len(holders))
	certain := map[poolinfo.CallSite]bool{}
	for _, w := range waiters {
		at := pathOf(w.CallSite[:])
		for i := range holders {
			if taken[i] || !mayBeSame(&holders[i], &w) || !passedThrough(paths[i], at, false) {
				continue
			}
			site := holders[i].CallSite
			sure, known := certain[site]
			if !known {
				sure = countHolders(site, holds) == countPassed(paths[i], p)
				certain[site] = sure
			}
			if sure {
				taken[i] = true
				found = append(found, poolinfo.SelfDeadlock{Holder: holders[i], Waiter: w})
				break
			}
		}
		if len(found) == maxSelfDeadlocks {
			break
		}
	}
	return found
}

// countHolders is how many hold a connection that was acquired at a call site.
func countHolders(at poolinfo.CallSite, holds []ledger.Holding) (n int) {
	for i := range holds {
		if holds[i].CallSite == at {
			n++
		}
	}
	return n
}

// countPassed is how many goroutines have passed through a call site, -1 if there are too
// many to count.
func countPassed(site path, p *profile) (n int) {
	var functions []string
	for _, f := range site.frames {
		functions = append(functions, f.Function)
	}
	stacks, all := p.in(functions...)
	if !all {
		return -1
	}
	for _, pcs := range stacks {
		if passedThrough(site, pathOf(pcs), false) {
			n++
		}
	}
	return n
}

// mayBeSame reports whether nothing that is known speaks against a holder and a waiter
// being one goroutine: they have one trace, and the holder has done nothing since the
// wait began.
func mayBeSame(h *poolinfo.Holder, w *poolinfo.Waiter) bool {
	if h.Span.IsValid() && w.Span.IsValid() && h.Span.TraceID() != w.Span.TraceID() {
		return false
	}
	return h.InPhase >= w.Waited
}

// Waiters returns calls of an otelpool.DB that wait, oldest first.
func (m *Monitor) Waiters(most int) []poolinfo.Waiter {
	all := make([]ledger.Waiting, most)
	all = all[:m.ledger.Waiting(all)]
	out := make([]poolinfo.Waiter, len(all))
	for i := range all {
		out[i] = poolinfo.Waiter{Waited: all[i].For, CallSite: all[i].CallSite}
		if owner, ok := all[i].Owner.(telemetry.Caller); ok {
			out[i].Span = owner.SpanContext()
		}
	}
	return out
}
