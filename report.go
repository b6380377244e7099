package otelpool

import (
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
	// kinds of reports.
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
	// waited since it began and Failed how many of them got nothing, if that is
	// known: calls of a plain *sql.DB that failed are not.
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
	// Idle is how many did nothing with their connection for a second or more.
	Idle int
}

// Deadlock is a holder that waits for another connection.
type Deadlock struct {
	Holder Holder
	Waiter Waiter
}
