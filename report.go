package otelpool

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// ReportKind is what a [Report] is about.
type ReportKind string

const (
	// LeakSuspected is a connection that was held, and not used, for longer than
	// [WithLeakThreshold] says.
	LeakSuspected ReportKind = "leak_suspected"
	// LeakReturned is one that was suspected and has been given back.
	LeakReturned ReportKind = "leak_returned"
	// Exhausted is a pool that has no connection for its callers: one of them has
	// waited for longer than [WithExhaustionThreshold] says, or got none in time.
	Exhausted ReportKind = "exhausted"
	// ExhaustionOver is the end of that.
	ExhaustionOver ReportKind = "exhaustion_over"
	// ConnectionsLost is several connections that went bad within seconds, as in a
	// restart of the server.
	ConnectionsLost ReportKind = "connections_lost"
)

// Verdict is what an exhausted pool looks like.
type Verdict string

const (
	// IdleInCode is a pool most of whose connections are held by code that does
	// nothing with them.
	IdleInCode Verdict = "idle_in_code"
	// SlowStatements is a pool most of whose holders wait for the database.
	SlowStatements Verdict = "slow_statements"
	// LockWait is the same where the statements seem to wait for a transaction that
	// does nothing.
	LockWait Verdict = "lock_wait"
	// DatabaseUnreachable is a pool that dials and gets nothing.
	DatabaseUnreachable Verdict = "database_unreachable"
	// SelfDeadlock is a pool with holders that wait for another connection
	// themselves.
	SelfDeadlock Verdict = "self_deadlock"
	// TooSmall is a pool whose connections are used for short work and change
	// hands, for more callers than it has connections for.
	TooSmall Verdict = "too_small"
)

// Report is something that somebody on call should know. See [WithReports].
type Report struct {
	Kind ReportKind
	// Time is when it was found.
	Time time.Time
	// Pool is the name of the pool, System its db.system.name.
	Pool, System string

	// The pool at that moment, as in [Snapshot]. Waiting is a lower bound if the
	// calls are those of a plain *sql.DB.
	MaxOpen, Held, Idle, Dialing, Waiting int
	OldestWait                            time.Duration

	// Holder is who is suspected, or has given the connection back; nil in other
	// kinds of reports. What the latter did last says nothing.
	Holder *Holder

	// The rest is about an exhaustion. Verdict is what it looks like, and Groups are
	// those who hold the connections, by the place where they asked for them: the
	// largest group first. They are empty in other kinds of reports.
	Verdict Verdict
	Groups  []HolderGroup
	// Deadlocks are the holders that were found to wait for another connection, and
	// where they do; at most eight.
	Deadlocks []Deadlock
	// Length is how long the exhaustion has lasted, Waited how many callers have
	// waited since it began, or since at most a second before, and Failed how many of
	// them got nothing, for whatever reason. Calls of a plain *sql.DB that failed are
	// not known.
	Length         time.Duration
	Waited, Failed int64

	// Lost are the connections that went bad, by class; nil in other kinds of
	// reports.
	Lost map[Class]int64
}

// HolderGroup is several holders that asked for their connections at one place.
type HolderGroup struct {
	// Count is how many there are, Longest the one who has held for longest. Its
	// frames are those of all of them.
	Count   int
	Longest Holder
	// Phases is how many are in which phase.
	Phases map[string]int
	// InCode is how many have held for a tenth of a second or more, and spent less
	// than half of that in the database.
	InCode int
}

// Deadlock is a holder that waits for another connection.
type Deadlock struct {
	Holder Holder
	Waiter Waiter
}

// String says in one line what happened, for whoever is on call.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pool %s", r.Pool)
	var holder Holder
	if r.Holder != nil {
		holder = *r.Holder
	}
	switch r.Kind {
	case LeakSuspected:
		fmt.Fprintf(&b, ": connection %d may be forgotten: held for %s", holder.ConnID, holder.String())
		holder.lastStatement(&b)
	case LeakReturned:
		fmt.Fprintf(&b, ": connection %d, which seemed forgotten, is back after %s%s",
			holder.ConnID, brief(holder.Held), where(holder.Frames()))
	case Exhausted:
		fmt.Fprintf(&b, " is exhausted: %s; %s", r.state(), r.verdict())
		r.holders(&b)
	case ExhaustionOver:
		fmt.Fprintf(&b, " has connections again, after %s; %d callers have waited", brief(r.Length), r.Waited)
		if r.Failed > 0 {
			fmt.Fprintf(&b, ", %d of them in vain", r.Failed)
		}
	case ConnectionsLost:
		var n int64
		var classes []string
		for _, class := range slices.Sorted(maps.Keys(r.Lost)) {
			n += r.Lost[class]
			classes = append(classes, fmt.Sprintf("%d %s", r.Lost[class], class))
		}
		fmt.Fprintf(&b, " has lost %d connections within seconds: %s", n, strings.Join(classes, ", "))
	}
	return b.String()
}

// state says what the pool looked like.
func (r *Report) state() string {
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

// verdict says what it looks like.
func (r *Report) verdict() string {
	switch r.Verdict {
	case IdleInCode:
		return "the connections are kept by code that does little with them"
	case SlowStatements:
		return "the holders wait for the database"
	case LockWait:
		return "statements seem to wait for locks of a transaction that does nothing"
	case DatabaseUnreachable:
		return "the database does not answer dials"
	case SelfDeadlock:
		for _, d := range r.Deadlocks {
			return fmt.Sprintf("who holds connection %d, asked for%s, seems to wait for another%s",
				d.Holder.ConnID, where(d.Holder.Frames()), where(d.Waiter.Frames()))
		}
		return "holders seem to wait for other connections"
	case TooSmall:
		return "the connections change hands, for more callers than there are connections"
	}
	return string(r.Verdict)
}

// holders lists up to three groups of holders.
func (r *Report) holders(b *strings.Builder) {
	for i, g := range r.Groups[:min(3, len(r.Groups))] {
		fmt.Fprintf(b, "%s%d held, longest %s", []string{": ", "; ", "; "}[i], g.Count, g.Longest.String())
		g.Longest.lastStatement(b)
	}
	if more := len(r.Groups) - 3; more > 0 {
		fmt.Fprintf(b, "; and %d more places", more)
	}
}

// lastStatement says what the holder ran last.
func (h *Holder) lastStatement(b *strings.Builder) {
	if h.Statement != "" {
		fmt.Fprintf(b, ", last %s", h.Statement)
	}
}
