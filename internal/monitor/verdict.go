package monitor

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// minHold is how long a hold must have lasted to say something about its holder.
const minHold = 100 * time.Millisecond

// groupByCallSite groups holds by the call site that acquired the connections.
func groupByCallSite(holds []ledger.Holding) []poolinfo.HolderGroup {
	var groups []poolinfo.HolderGroup
	at := map[poolinfo.CallSite]int{}
	for i := range holds {
		h := &holds[i]
		g, ok := at[h.CallSite]
		if !ok {
			g = len(groups)
			at[h.CallSite] = g
			groups = append(groups, poolinfo.HolderGroup{Longest: telemetry.HolderOf(h), Phases: map[poolinfo.Phase]int{}})
		}
		groups[g].Count++
		groups[g].Phases[h.Phase]++
		if isInCode(h) {
			groups[g].InCode++
		}
	}
	slices.SortStableFunc(groups, func(a, b poolinfo.HolderGroup) int { return cmp.Compare(b.Count, a.Count) })
	return groups
}

// isInCode reports whether a hold was spent in the program more than in the database. A
// holder that is reading a row waits for the database.
func isInCode(h *ledger.Holding) bool {
	return h.For >= minHold && 2*h.Phases[poolinfo.PhaseExecuting] < h.For && !h.Reading
}

// isSlow reports whether it was spent in the database.
func isSlow(h *ledger.Holding) bool { return h.For >= minHold && !isInCode(h) }

// verdict says why an exhausted pool is exhausted. dialed is whether the last caller that
// got no connection waited for a dial.
func verdict(r *poolinfo.Report, holds []ledger.Holding, dialed bool) poolinfo.Verdict {
	inCode, slow := 0, 0
	for i := range holds {
		switch h := &holds[i]; {
		case isInCode(h):
			inCode++
		case isSlow(h):
			slow++
		}
	}
	switch n := len(holds); {
	case len(r.SelfDeadlocks) > 0:
		return poolinfo.VerdictSelfDeadlock
	case r.Dialing > n, r.Dialing > 0 && (r.MaxOpen <= 0 || r.Held+r.Idle+r.Dialing < r.MaxOpen):
		return poolinfo.VerdictDatabaseUnreachable // a waiter below the limit waits for a dial
	case n == 0 && dialed:
		return poolinfo.VerdictDatabaseUnreachable
	case 2*slow >= n && slow > 0 && isBlocked(holds):
		return poolinfo.VerdictLockWait
	case 2*inCode >= n && inCode > 0 && inCode >= slow:
		return poolinfo.VerdictIdleInCode
	case 2*slow >= n && slow > 0:
		return poolinfo.VerdictSlowStatements
	}
	return poolinfo.VerdictTooSmall
}

// isBlocked reports whether statements appear to wait for locks of an idle transaction:
// it has written to their targets.
func isBlocked(holds []ledger.Holding) bool {
	written := map[string]bool{}
	for i := range holds {
		if h := &holds[i]; h.Phase == poolinfo.PhaseTx && isInCode(h) {
			for _, t := range targets(h, true) {
				written[t] = true
			}
		}
	}
	waiting := 0
	for i := range holds {
		if h := &holds[i]; isSlow(h) && h.Phase == poolinfo.PhaseExecuting {
			if slices.ContainsFunc(targets(h, false), func(t string) bool { return written[t] }) {
				waiting++
			}
		}
	}
	return 2*waiting >= len(holds)-1 && waiting > 0
}

// verbs are the words of a summary that are not targets, and whether they write.
var verbs = map[string]bool{
	"SELECT": false, "INSERT": true, "UPDATE": true, "DELETE": true, "REPLACE": true, "MERGE": true,
}

// targets are the targets of a holder's last statement, or those that it writes. A
// statement with another verb, such as one that defines a table, has no targets here.
func targets(h *ledger.Holding, written bool) (all []string) {
	writes, known := false, false
	for _, word := range strings.Fields(h.Statement) {
		if w, isVerb := verbs[strings.ToUpper(word)]; isVerb {
			writes, known = w, true
		} else if known && (writes || !written) {
			all = append(all, word)
		}
	}
	return all
}
