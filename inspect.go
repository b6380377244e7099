package otelpool

import (
	"cmp"
	"database/sql"
	"slices"
	"time"

	"github.com/otelpool/otelpool/internal/pool"
)

// Snapshot is what is known of a pool at one moment. See [Inspect].
type Snapshot struct {
	// Pool is the name of the pool, System its db.system.name.
	Pool, System string
	// MaxOpen is the limit of open connections, 0 if there is none.
	MaxOpen int

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
	// the hold was spent so far, by phase.
	Phase, Source string
	HeldTime      map[string]time.Duration
}

// Inspect returns the state of a pool. It may be called at any time from any
// goroutine, and does not hold up the pool's users. The connections are read one
// after the other within microseconds, so two that change hands meanwhile may
// both be told as held; the sums always agree with the connections listed.
//
// The error says that db is nil or does not go through otelpool.
func Inspect(db *sql.DB) (Snapshot, error) {
	c, err := connectorOf(db)
	if err != nil {
		return Snapshot{}, err
	}
	c.settle()
	conns := []pool.ConnSnapshot{}
	s := c.ledger.Snapshot(&conns)
	out := Snapshot{
		Pool:    c.name,
		System:  c.system,
		MaxOpen: db.Stats().MaxOpenConnections,
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
	for r, n := range s.Closed {
		if n > 0 {
			out.Closed[pool.Reason(r).String()] = n
		}
	}
	if s.Closing > 0 {
		out.Closed[pool.Unknown.String()] += s.Closing
	}
	for src, n := range s.Acquired {
		if n > 0 {
			out.Acquired[pool.Source(src).String()] = n
		}
	}
	slices.SortFunc(conns, func(a, b pool.ConnSnapshot) int {
		if held := cmp.Compare(b.State, a.State); held != 0 && (a.State == pool.Held || b.State == pool.Held) {
			return held
		}
		return cmp.Or(cmp.Compare(b.For, a.For), cmp.Compare(a.ID, b.ID))
	})
	for _, one := range conns {
		out.Conns = append(out.Conns, describe(one))
	}
	return out, nil
}

func describe(s pool.ConnSnapshot) Conn {
	c := Conn{ID: s.ID, State: s.State.String(), For: s.For, Age: s.Age, Uses: s.Uses}
	if s.State == pool.Held {
		c.Phase, c.Source = s.Phase.String(), s.Source.String()
		c.HeldTime = byPhase(s.HeldTime)
	}
	return c
}

func byPhase(d [pool.NumPhases]time.Duration) map[string]time.Duration {
	m := make(map[string]time.Duration, len(d))
	for p, t := range d {
		m[pool.Phase(p).String()] = t
	}
	return m
}
