package otelpool

import (
	"cmp"
	"database/sql"
	"runtime"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
)

// Snapshot is what is known of a pool at one moment. See [Inspect].
type Snapshot struct {
	// Time is the moment.
	Time time.Time
	// Pool is the name of the pool, System its db.system.name.
	Pool, System string
	// MaxOpen is the limit of open connections, 0 if there is none.
	MaxOpen int
	// Exact reports whether there is a [DB], whose calls are known while they wait.
	Exact bool
	// MaxIdle, MaxLifetime and MaxIdleTime are the other limits, if they were set
	// through a [DB]; -1 if not. Zero is what it is for database/sql.
	MaxIdle                  int
	MaxLifetime, MaxIdleTime time.Duration
	// Target is what the pool connects to, and Server what the last connection has
	// reached, as far as an [Adapter] knows.
	Target Target
	Server Server

	// Open is the number of connections, Held + Idle. Held have a holder. Idle
	// have none; among them may be one that was opened in the background for a
	// waiter who has it, but has not used it yet.
	Open, Held, Idle int
	// Dialing is the number of connections being opened. They are not in Open.
	Dialing int
	// Waiting is how many calls of a [DB] have no connection yet, OldestWait how
	// long ago the first of them asked. Calls of the plain *sql.DB and of prepared
	// statements are not in it.
	Waiting    int
	OldestWait time.Duration

	// Opened is how many connections there ever were: Open plus the sum of Closed.
	Opened int64
	// Closed counts them by reason, Acquired counts acquires by source, Retries
	// counts masked retries by error type: the values of the metrics
	// otelpool.connection.closed, .acquired and .retries. What never happened has
	// no entry. A connection that is being closed may be "unknown" for a moment.
	Closed, Acquired, Retries map[string]int64
	// HeldTime is the time that connections were held, by phase, with the holds
	// in progress: the value of otelpool.connection.held. All phases have an
	// entry.
	HeldTime map[string]time.Duration

	// Conns are the open connections: the held ones first, longest hold first.
	Conns []Conn
	// Waiters are calls of a [DB] that have no connection yet, the first to ask
	// first; at most a hundred.
	Waiters []Waiter

	// Waits are the waits of callers that have ended, Holds the holds, of the last
	// five minutes. Waits of plain calls are inferred.
	Waits, Holds Distribution
	// Sites is where connections were held, since the pool was made, the longest
	// time first. Holds shorter than a millisecond are together in one without
	// frames, and so are those whose callers were not noted, in another.
	Sites []Site
	// History is the pool at each second of the last five minutes in which it had
	// connections, the oldest first.
	History []Sample
	// Deaths are the last connections that were closed, and Reports the last
	// reports, the latest first; at most 64 and 32.
	Deaths  []Death
	Reports []Report
}

// Conn is one open connection in a [Snapshot].
type Conn struct {
	// ID numbers the connections of a pool from 1 in the order they were opened.
	ID uint64
	// State is "held", "idle", or "fresh" for one that was opened in the
	// background and not used yet.
	State string
	// For is how long the connection has been in its state, Age how long it has
	// been open, Uses how often it was acquired.
	For, Age time.Duration
	Uses     int64

	// The rest is about the hold in progress, and zero if there is none. Phase is
	// what the holder does now: "executing", "rows", "tx" or "pinned". Source is
	// where the connection came from: "new", "reused" or "opener". HeldTime is how
	// the hold was spent so far, by phase. Holder is who has it.
	Phase, Source string
	HeldTime      map[string]time.Duration
	Holder        *Holder
}

// Waiter is a call that waits for a connection.
type Waiter struct {
	// Waited is how long ago it asked, zero if that is not known.
	Waited time.Duration
	// Span is the span that was current where it asked. It is not valid if there was
	// none.
	Span trace.SpanContext

	stack stack
}

// Frames returns where the connection was asked for, see [Holder.Frames].
func (w Waiter) Frames() []runtime.Frame { return callers(w.stack) }

// Distribution is how long things took. The percentiles are at most an eighth too
// high, and zero if Count is.
type Distribution struct {
	Count                    int64
	P50, P90, P95, P99, Most time.Duration
}

// Site is a place where connections were asked for.
type Site struct {
	// Holds is how many holds began there and took a millisecond or more, Held how
	// long they took all together, those in progress included.
	Holds int64
	Held  time.Duration
	// Short marks the one of all shorter holds.
	Short bool

	stack stack
}

// Frames returns the place, see [Holder.Frames]. There are none if it is not known.
func (s Site) Frames() []runtime.Frame { return callers(s.stack) }

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

// Death is the end of a connection.
type Death struct {
	// Time is when it was closed.
	Time time.Time
	// Pool is the name of the pool, ConnID the number of the connection, see [Conn].
	Pool   string
	ConnID uint64
	// Reason is why it was closed: a value of otelpool.reason. It is empty for a
	// close by a limit that is not known yet.
	Reason string
	// Class is the failure that condemned it, empty if there was none.
	Class Class
	// Age is how long it was open, Uses how often it was acquired. Idle is how long
	// nothing had been done with it when it failed, or was closed for another reason;
	// in the latter case it is zero if it was held.
	Age, Idle time.Duration
	Uses      int64
	// ErrorType and Code are error.type and db.response.status_code of the error that
	// condemned it, or else of the last one that the driver returned for it, if no call
	// has succeeded since; empty if there was none.
	ErrorType, Code string
	// Said is what the driver said about its end outside of its results, such as to its
	// logger; nil if there is no adapter, or nothing was said. Its text is not
	// told anywhere else.
	Said error
	// Server is what was known of the server.
	Server Server
	// Advice says in one sentence what to change, empty if there is nothing.
	Advice string
}

// Inspect returns the state of a pool. It may be called at any time from any
// goroutine, and does not hold up the pool's users. The connections are read one
// after the other within microseconds, so two that change hands meanwhile may
// both be told as held; the sums always agree with the connections listed. What is
// kept of the past (Waiters, Waits, Holds, Sites, History, Deaths, Reports) is read
// after them.
//
// The error says that db is nil or does not go through otelpool.
func Inspect(db *sql.DB) (Snapshot, error) {
	c, err := connectorOf(db)
	if err != nil {
		return Snapshot{}, err
	}
	return c.inspect(db), nil
}

// Pools returns the state of every pool of the process that is open, by name. A pool
// that is not known to belong to a DB, see [Watch], has no MaxOpen.
func Pools() []Snapshot {
	var all []Snapshot
	for _, c := range poolNames.open() {
		all = append(all, c.inspect(c.db.Load()))
	}
	return all
}

// maxWaiters bounds the waiters in a snapshot.
const maxWaiters = 100

func (c *connector) inspect(db *sql.DB) Snapshot {
	c.settle()
	conns := []ledger.ConnSnapshot{}
	s := c.ledger.Snapshot(&conns)
	out := Snapshot{
		Time:    time.Now(),
		Pool:    c.name,
		System:  c.system(),
		Target:  c.target,
		Server:  c.servers.latest(),
		Exact:   c.exact.Load(),
		Open:    s.Open,
		Held:    s.Held,
		Idle:    s.Idle + s.Fresh,
		Dialing: s.Dialing,
		Waiting: int(s.Waiting), OldestWait: s.OldestWait,
		Opened:   s.Opened,
		Closed:   map[string]int64{},
		Acquired: map[string]int64{},
		Retries:  c.retriesByType(),
		HeldTime: byPhase(s.HeldTime),
	}
	if db != nil {
		out.MaxOpen = db.Stats().MaxOpenConnections
	}
	idle, _ := c.maxIdle.get()
	lifetime, _ := c.maxLifetime.get()
	idleTime, _ := c.maxIdleTime.get()
	out.MaxIdle, out.MaxLifetime, out.MaxIdleTime = int(idle), time.Duration(lifetime), time.Duration(idleTime)
	for r, n := range s.Closed {
		if n > 0 {
			out.Closed[ledger.Reason(r).String()] = n
		}
	}
	if s.Closing > 0 {
		out.Closed[ledger.Unknown.String()] += s.Closing
	}
	for src, n := range s.Acquired {
		if n > 0 {
			out.Acquired[ledger.Source(src).String()] = n
		}
	}
	slices.SortFunc(conns, func(a, b ledger.ConnSnapshot) int {
		if held := cmp.Compare(b.State, a.State); held != 0 && (a.State == ledger.Held || b.State == ledger.Held) {
			return held
		}
		return cmp.Or(cmp.Compare(b.For, a.For), cmp.Compare(a.ID, b.ID))
	})
	for i := range conns {
		out.Conns = append(out.Conns, describe(&conns[i]))
	}
	out.Waiters = c.waiters(maxWaiters)
	out.Waits, out.Holds = c.spread()
	for _, one := range c.ledger.Sites() {
		out.Sites = append(out.Sites, Site{Holds: one.Holds, Held: one.Time, Short: one.Short, stack: one.Stack})
	}
	slices.SortFunc(out.Sites, func(a, b Site) int { return cmp.Compare(b.Held, a.Held) })
	out.History = c.sweeper.history.samples.all()
	out.Reports = c.sweeper.reports.latest()
	out.Deaths = c.deaths.told()
	return out
}

func describe(s *ledger.ConnSnapshot) Conn {
	c := Conn{ID: s.ID, State: s.State.String(), For: s.For, Age: s.Age, Uses: s.Uses}
	if s.State == ledger.Held {
		holder := holderOf(&s.Hold)
		c.Holder, c.Phase, c.Source = &holder, holder.Phase, s.Source.String()
		c.HeldTime = byPhase(s.Hold.Phases)
	}
	return c
}

func byPhase(d [ledger.NumPhases]time.Duration) map[string]time.Duration {
	m := make(map[string]time.Duration, len(d))
	for p, t := range d {
		m[ledger.Phase(p).String()] = t
	}
	return m
}
