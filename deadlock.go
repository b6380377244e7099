package otelpool

import (
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
)

// maxDeadlocks bounds the deadlocks in a report.
const maxDeadlocks = 8

// findDeadlocks finds holders that wait for another connection. That a goroutine
// which waits is one that holds is told by its stack: it has come from where the
// connection was asked for, by the same calls, and is further down in the same
// function. Calls of a DB are known while they wait; for others p is asked, which knows
// neither the pool nor the caller's span.
//
// A goroutine may also have come by there and have given its connection back. So of
// the holders from one place those count that are as many as the goroutines which have
// come by it.
func (c *connector) findDeadlocks(holds []ledger.Holding, plain bool, p *profile) (found []Deadlock) {
	var holders []Holder
	var places []path
	for i := range holds {
		if h := &holds[i]; h.Phase != ledger.Executing && h.Stack.Noted() {
			holders, places = append(holders, holderOf(h)), append(places, pathOf(h.Stack[:]))
		}
	}
	if len(holders) == 0 {
		return nil
	}
	waiters := c.waiters(maxExamined)
	if plain {
		stacks, _ := p.in(frameConn)
		for _, pcs := range stacks {
			var w Waiter
			copy(w.stack[:], pcs)
			waiters = append(waiters, w)
		}
	}
	taken := make([]bool, len(holders))
	certain := map[stack]bool{}
	for _, w := range waiters {
		at := pathOf(w.stack[:])
		for i := range holders {
			if taken[i] || !mayBeOne(&holders[i], &w) || !cameBy(places[i], at, false) {
				continue
			}
			sure, known := certain[holders[i].stack]
			if !known {
				sure = holdersFrom(holders[i].stack, holds) == passers(places[i], p)
				certain[holders[i].stack] = sure
			}
			if sure {
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

// holdersFrom is how many hold a connection that was asked for at a place.
func holdersFrom(at stack, holds []ledger.Holding) (n int) {
	for i := range holds {
		if holds[i].Stack == at {
			n++
		}
	}
	return n
}

// passers is how many goroutines have come by a place, -1 if there are too many to
// count.
func passers(place path, p *profile) (n int) {
	var functions []string
	for _, f := range place.frames {
		functions = append(functions, f.Function)
	}
	stacks, all := p.in(functions...)
	if !all {
		return -1
	}
	for _, pcs := range stacks {
		if cameBy(place, pathOf(pcs), false) {
			n++
		}
	}
	return n
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

// waiters returns calls of a DB that wait, the first to ask first.
func (c *connector) waiters(most int) []Waiter {
	all := make([]ledger.Waiting, most)
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
