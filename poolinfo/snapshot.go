package poolinfo

import (
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Snapshot is what is known of a pool at one moment.
type Snapshot struct {
	// Time is the moment.
	Time time.Time
	// Pool is the name of the pool, System its db.system.name.
	Pool, System string
	// MaxOpen is the limit of open connections, 0 if there is none, -1 if it is not known
	// because the pool is not known to belong to a DB.
	MaxOpen int
	// HasDB reports whether the pool has an otelpool.DB, whose calls are known while
	// they wait.
	HasDB bool
	// MaxIdle, MaxLifetime and MaxIdleTime are the other limits, if they were set
	// through an otelpool.DB; -1 if not. Zero is what it is for database/sql.
	MaxIdle                  int
	MaxLifetime, MaxIdleTime time.Duration
	// Target is what the pool connects to. Server is the server that the last dial
	// reached, as far as an adapter knows it.
	Target Target
	Server Server

	// Open is the number of open connections, Held + Idle. Held are checked out. Idle
	// are not; among them may be one that was opened in the background for a waiter
	// who has it but has not used it yet.
	Open, Held, Idle int
	// Dialing is the number of connections being opened. They are not in Open.
	Dialing int
	// Waiting is the number of calls of an otelpool.DB that have no connection yet,
	// OldestWait the time since the first of them began. Calls of the plain *sql.DB
	// and of prepared statements are not counted. Both are -1 if there is no
	// otelpool.DB.
	Waiting    int
	OldestWait time.Duration

	// Opened is the number of connections opened so far: Open plus the sum of Closed.
	Opened int64
	// Closed counts them by reason, Acquired counts acquires by source, Retries
	// counts retried attempts by error type: the values of the metrics
	// otelpool.connection.closed, .acquired and .retries. What never happened has
	// no entry. The reason of a connection that is being closed may be
	// ReasonUnknown for a moment.
	Closed   map[Reason]int64
	Acquired map[Source]int64
	Retries  map[string]int64
	// HeldTime is the time that connections were held, by phase, holds in progress
	// included: the value of otelpool.connection.held. Every phase has an entry.
	HeldTime map[Phase]time.Duration

	// Conns are the open connections: the held ones first, longest hold first.
	Conns []Conn
	// Waiters are calls of an otelpool.DB that have no connection yet, oldest first;
	// at most a hundred.
	Waiters []Waiter

	// Waits are the finished waits of callers, Holds the finished holds, of the last
	// five minutes. Waits of plain calls are inferred.
	Waits, Holds Distribution
	// Sites are the call sites that connections were held from since the pool was
	// made, longest total time first. Holds shorter than a millisecond share one entry
	// without frames, and holds whose call site was not captured share another.
	Sites []Site
	// History is the pool at each second of the last five minutes in which it had
	// connections, oldest first.
	History []Sample
	// RecentlyClosed are the last connections that were closed, Reports the last
	// reports, latest first; at most 64 and 32.
	RecentlyClosed []ClosedConn
	Reports        []Report
}

// Target is what a pool connects to. What is not known is empty.
type Target struct {
	// System is db.system.name.
	System string
	// Address is server.address: a host name, an IP address, or the path of a
	// socket. It is empty if there are several.
	Address string
	// Port is server.port, 0 for the default port of the system.
	Port int
	// Namespace is db.namespace.
	Namespace string
	// PoolName is the name of the pool unless otelpool.WithPoolName gives one.
	PoolName string
}

// Server is what is known of the server that a connection reached.
type Server struct {
	// System is db.system.name, if the server reports what it is.
	System string
	// Version is the version as the server reports it.
	Version string
	// Address and Port are those that were reached, as in [Target], if the pool may
	// reach several. Without an address the spans have neither.
	Address string
	Port    int
	// IdleTimeout is the time without a statement after which the server closes the
	// connection, 0 if that is not known or never.
	IdleTimeout time.Duration
}

// Conn is one open connection in a [Snapshot].
type Conn struct {
	// ID numbers the connections of a pool from 1 in the order they were opened.
	ID uint64
	// State is StateHeld, StateIdle or StateFresh.
	State State
	// For is how long the connection has been in its state, Age how long it has
	// been open, Uses how often it was acquired.
	For, Age time.Duration
	Uses     int64

	// The rest is about the hold in progress, and zero if there is none. Phase is
	// what the holder does now. Source is where the connection came from. HeldTime is
	// how the hold was spent so far, by phase. Holder is who holds it.
	Phase    Phase
	Source   Source
	HeldTime map[Phase]time.Duration
	Holder   *Holder
}

// Waiter is a call that waits for a connection.
type Waiter struct {
	// Waited is how long it has waited, -1 if that is not known.
	Waited time.Duration
	// Span is the span that was current where the wait began. It is not valid if
	// there was none.
	Span trace.SpanContext
	// CallSite is where it waits. See [Holder].
	CallSite CallSite
}

// Distribution is how long things took. The percentiles are at most an eighth too
// high, and zero if Count is.
type Distribution struct {
	Count                    int64
	P50, P90, P95, P99, Most time.Duration
}

// Site is a call site that connections were acquired from.
type Site struct {
	// Holds is the number of holds that began there and took a millisecond or more,
	// Held their total time, holds in progress included.
	Holds int64
	Held  time.Duration
	// Short marks the entry of all shorter holds.
	Short bool
	// CallSite is the place. It is zero if it is not known.
	CallSite CallSite
}

// Sample is a pool at one moment of its history.
type Sample struct {
	Time                         time.Time
	Held, Idle, Dialing, Waiting int
	OldestWait                   time.Duration
	// Acquired and Opened count since the pool was made; HeldTime is the time that
	// connections were held since then, holds in progress included.
	Acquired, Opened int64
	HeldTime         time.Duration
}
