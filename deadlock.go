package otelpool

import (
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/pool"
)

// maxDeadlocks bounds the deadlocks in a report.
const maxDeadlocks = 8

// findDeadlocks finds holders that wait for another connection. That a goroutine
// which waits is one that holds is told by its stack: it has come from where the
// connection was asked for, by the same calls, and is further down in the same
// function. Calls of a DB are known while they wait; for others a profile of the
// goroutines is taken, which knows neither the pool nor the caller's span.
func (c *connector) findDeadlocks(holds []pool.Holding, plain bool) []Deadlock {
	holders := make([]Holder, 0, len(holds))
	paths := make([]path, 0, len(holds))
	for i := range holds {
		if h := holderOf(&holds[i]); h.Phase != pool.Executing.String() {
			if p := pathOf(h.stack); len(p.frames) > 0 {
				holders, paths = append(holders, h), append(paths, p)
			}
		}
	}
	if len(holders) == 0 {
		return nil
	}
	waiters := c.waiters(maxExamined)
	if plain {
		waiters = append(waiters, waitingGoroutines()...)
	}
	var found []Deadlock
	taken := make([]bool, len(holders))
	for _, w := range waiters {
		at := pathOf(w.stack)
		for i := range holders {
			if !taken[i] && mayBeOne(&holders[i], &w) && cameBy(paths[i], at) {
				taken[i] = true
				found = append(found, Deadlock{Holder: holders[i], Waiter: w})
				break
			}
		}
		if len(found) == maxDeadlocks {
			break
		}
	}
	return found
}

// mayBeOne reports whether what is known of the two does not speak against their
// being one: they are of one trace, and the holder has done nothing since the waiter
// asked.
func mayBeOne(h *Holder, w *Waiter) bool {
	if h.Span.IsValid() && w.Span.IsValid() && h.Span.TraceID() != w.Span.TraceID() {
		return false
	}
	return h.InPhase >= w.Waited
}

// cameBy reports whether a goroutine that is at one place has come by another: both
// were called in the same way up to one function, in which it is further down now.
func cameBy(by, now path) bool {
	for i := range by.frames {
		for j := range now.frames {
			a, b := &by.frames[i], &now.frames[j]
			if a.Function == b.Function && a.Line < b.Line && sameCalls(by.from(i+1), now.from(j+1)) {
				return true
			}
		}
	}
	return false
}

func (p path) from(i int) path { return path{p.frames[i:], p.whole} }

// sameCalls compares two paths as far as both are known.
func sameCalls(a, b path) bool {
	n := min(len(a.frames), len(b.frames))
	if whole := a.whole && b.whole; whole && len(a.frames) != len(b.frames) || !whole && n == 0 {
		return false
	}
	for i := range n {
		if a.frames[i].Function != b.frames[i].Function || a.frames[i].Line != b.frames[i].Line {
			return false
		}
	}
	return true
}

// waiters returns calls of a DB that wait, the first to ask first.
func (c *connector) waiters(most int) []Waiter {
	all := make([]pool.Waiting, most)
	all = all[:c.ledger.Waiting(all)]
	out := make([]Waiter, len(all))
	for i := range all {
		out[i] = Waiter{Waited: all[i].For, stack: all[i].Stack}
		if a, ok := all[i].Owner.(*acquire); ok {
			out[i].Span = trace.SpanContextFromContext(a.Context)
		}
	}
	return out
}

// waitingGoroutines returns the goroutines of the process that wait in database/sql
// for a connection of some pool.
func waitingGoroutines() (out []Waiter) {
	for _, s := range goroutinesIn(frameConn) {
		out = append(out, Waiter{stack: s})
	}
	return out
}
