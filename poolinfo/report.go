package poolinfo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// ReportKind is what a [Report] is about, the attribute otelpool.report.
type ReportKind string

const (
	// ReportLeakSuspected is a connection that was held, and not used, for as long as
	// otelpool.WithLeakThreshold says.
	ReportLeakSuspected ReportKind = "leak_suspected"
	// ReportLeakResolved is a suspected connection that was released.
	ReportLeakResolved ReportKind = "leak_resolved"
	// ReportExhausted is a pool that has no connection for its callers: one of them
	// waited for as long as otelpool.WithExhaustionThreshold says, or got none in
	// time.
	ReportExhausted ReportKind = "exhausted"
	// ReportRecovered is the end of that.
	ReportRecovered ReportKind = "recovered"
	// ReportConnectionsLost is several connections that broke within seconds, as in a
	// restart of the server.
	ReportConnectionsLost ReportKind = "connections_lost"
)

// Verdict is why a pool is exhausted, as far as its holders show it: the attribute
// otelpool.verdict.
type Verdict string

const (
	// VerdictIdleInCode is a pool most of whose connections are held by code that is
	// not using them.
	VerdictIdleInCode Verdict = "idle_in_code"
	// VerdictSlowStatements is a pool most of whose holders wait for the database.
	VerdictSlowStatements Verdict = "slow_statements"
	// VerdictLockWait is the same where the statements appear to wait for an idle
	// transaction.
	VerdictLockWait Verdict = "lock_wait"
	// VerdictDatabaseUnreachable is a pool whose dials get no connection.
	VerdictDatabaseUnreachable Verdict = "database_unreachable"
	// VerdictSelfDeadlock is a pool with holders that wait for a second connection.
	VerdictSelfDeadlock Verdict = "self_deadlock"
	// VerdictTooSmall is a pool whose connections are used for short work and change
	// hands, with more callers than connections.
	VerdictTooSmall Verdict = "too_small"
)

// Report is something that somebody on call should know.
type Report struct {
	Kind ReportKind
	// Time is when it was found.
	Time time.Time
	// Pool is the name of the pool, System its db.system.name.
	Pool, System string

	// The pool at that moment, as in [Snapshot]. Waiting is a lower bound, and not -1, if
	// the calls are those of a plain *sql.DB.
	MaxOpen, Held, Idle, Dialing, Waiting int
	OldestWait                            time.Duration

	// Holder is the suspect, or the holder that released the connection; nil in other
	// kinds of reports. The last statement of the latter says nothing.
	Holder *Holder

	// The rest is about an exhaustion, and empty in other kinds of reports. Verdict is
	// why the pool is exhausted. Groups are the holders by call site, the largest
	// group first.
	Verdict Verdict
	Groups  []HolderGroup
	// SelfDeadlocks are the holders that wait for a second connection, and where they
	// wait; at most eight.
	SelfDeadlocks []SelfDeadlock
	// Length is how long the exhaustion has lasted. Waited is the number of callers
	// that have waited since it began, or since at most a second before; Failed is the
	// number of those that got no connection, for whatever reason. Calls of a plain
	// *sql.DB that failed are not known.
	Length         time.Duration
	Waited, Failed int64

	// Lost counts the connections that broke, by class; nil in other kinds of reports.
	Lost map[Class]int64
}

// SelfDeadlock is a holder that waits for a second connection.
type SelfDeadlock struct {
	Holder Holder
	Waiter Waiter
}

// String says in one line what happened, for the person on call.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pool %s", r.Pool)
	var holder Holder
	if r.Holder != nil {
		holder = *r.Holder
	}
	switch r.Kind {
	case ReportLeakSuspected:
		fmt.Fprintf(&b, ": connection %d may be leaked: held for %s%s", holder.ConnID, holder, holder.lastStatement())
	case ReportLeakResolved:
		fmt.Fprintf(&b, ": suspected leak resolved: connection %d returned after %s%s", holder.ConnID, brief(holder.Held), holder.CallSite.at())
	case ReportExhausted:
		fmt.Fprintf(&b, " is exhausted: %s; %s%s", r.poolState(), r.explanation(), r.holders())
	case ReportRecovered:
		fmt.Fprintf(&b, " recovered after %s; %s waited", brief(r.Length), count(r.Waited, "caller"))
		switch {
		case r.Failed == r.Waited && r.Failed > 0:
			b.WriteString(" and got no connection")
		case r.Failed > 0:
			fmt.Fprintf(&b, ", %d got no connection", r.Failed)
		}
	case ReportConnectionsLost:
		var n int64
		var byClass []string
		for _, class := range slices.Sorted(maps.Keys(r.Lost)) {
			n += r.Lost[class]
			byClass = append(byClass, fmt.Sprintf("%d %s", r.Lost[class], class))
		}
		fmt.Fprintf(&b, " lost %s within seconds: %s", count(n, "connection"), strings.Join(byClass, ", "))
	}
	return b.String()
}

// count is a number of things.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// poolState describes the pool at the moment of the report.
func (r *Report) poolState() string {
	limit := ""
	if r.MaxOpen > 0 {
		limit = fmt.Sprintf("/%d", r.MaxOpen)
	}
	s := fmt.Sprintf("%d%s held, %d idle, %d dialing, %d waiting", r.Held, limit, r.Idle, r.Dialing, r.Waiting)
	if r.OldestWait > 0 {
		s += fmt.Sprintf(", the first for %s", brief(r.OldestWait))
	}
	return s
}

// explanation explains the verdict.
func (r *Report) explanation() string {
	switch r.Verdict {
	case VerdictIdleInCode:
		return "connections are held by code that is not using them"
	case VerdictSlowStatements:
		return "the holders wait for the database"
	case VerdictLockWait:
		return "statements appear to wait for locks of an idle transaction"
	case VerdictDatabaseUnreachable:
		return "the database does not answer dials"
	case VerdictSelfDeadlock:
		if len(r.SelfDeadlocks) == 0 {
			return "holders appear to wait for a second connection"
		}
		d := r.SelfDeadlocks[0]
		return fmt.Sprintf("the holder of connection %d, acquired%s, appears to wait for a second one%s",
			d.Holder.ConnID, d.Holder.CallSite.at(), d.Waiter.CallSite.at())
	case VerdictTooSmall:
		return "connections change hands quickly, but there are more callers than connections"
	}
	return string(r.Verdict)
}

// holders describes up to three groups of holders.
func (r *Report) holders() string {
	var b strings.Builder
	for i, g := range r.Groups[:min(3, len(r.Groups))] {
		fmt.Fprintf(&b, "%s%d held, longest %s%s", []string{": ", "; ", "; "}[i], g.Count, g.Longest, g.Longest.lastStatement())
	}
	if more := len(r.Groups) - 3; more > 0 {
		fmt.Fprintf(&b, "; and %d more call sites", more)
	}
	return b.String()
}
