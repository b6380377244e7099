package otelpool

import (
	"cmp"
	"database/sql"
	"slices"
	"time"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// Inspect returns the state of a pool. It may be called at any time from any goroutine, and does
// not block the pool's users. The connections are read one after the other within microseconds, so
// two that change hands meanwhile may both be held; the sums always agree with the connections
// listed. What is kept of the past (Waiters, Waits, Holds, Sites, History, RecentlyClosed, Reports)
// is read after them.
//
// The error says that db is nil or does not go through otelpool.
func Inspect(db *sql.DB) (poolinfo.Snapshot, error) {
	p, err := poolOf(db)
	if err != nil {
		return poolinfo.Snapshot{}, err
	}
	return inspect(p, db), nil
}

// Pools returns the state of every pool of the process that is open, by name. The MaxOpen of
// a pool that is not known to belong to a DB, see [Watch], is -1.
func Pools() []poolinfo.Snapshot {
	var all []poolinfo.Snapshot
	for _, p := range poolNames.open() {
		all = append(all, inspect(p, p.db.Load()))
	}
	return all
}

// maxWaiters bounds the waiters in a snapshot.
const maxWaiters = 100

func inspect(p *pool, db *sql.DB) poolinfo.Snapshot {
	p.reasons.resolve()
	conns := []ledger.ConnSnapshot{}
	s := p.ledger.Snapshot(&conns)
	out := poolinfo.Snapshot{
		Time:    time.Now(),
		Pool:    p.name,
		System:  p.telemetry.System(),
		Target:  p.target,
		Server:  p.servers.Latest(),
		HasDB:   p.hasDB.Load(),
		Open:    s.Open,
		Held:    s.Held,
		Idle:    s.Idle + s.Fresh,
		Dialing: s.Dialing,
		Waiting: int(s.Waiting), OldestWait: s.OldestWait,
		MaxIdle:     int(p.limits.maxIdle.get()),
		MaxLifetime: time.Duration(p.limits.maxLifetime.get()), MaxIdleTime: time.Duration(p.limits.maxIdleTime.get()),
		Opened:   s.Opened,
		Closed:   map[poolinfo.Reason]int64{},
		Acquired: map[poolinfo.Source]int64{},
		Retries:  p.ledger.Retries(),
		HeldTime: byPhase(s.HeldTime),
	}
	if db != nil {
		out.MaxOpen = db.Stats().MaxOpenConnections
	} else {
		out.MaxOpen = -1
	}
	if !out.HasDB {
		out.Waiting, out.OldestWait = -1, -1
	}
	for r, n := range s.Closed {
		if n > 0 {
			out.Closed[poolinfo.Reason(r)] = n
		}
	}
	if s.Closing > 0 {
		out.Closed[poolinfo.ReasonUnknown] += s.Closing
	}
	for source, n := range s.Acquired {
		if n > 0 {
			out.Acquired[poolinfo.Source(source)] = n
		}
	}
	slices.SortFunc(conns, func(a, b ledger.ConnSnapshot) int {
		if held := cmp.Compare(b.State, a.State); held != 0 && (a.State == poolinfo.StateHeld || b.State == poolinfo.StateHeld) {
			return held
		}
		return cmp.Or(cmp.Compare(b.For, a.For), cmp.Compare(a.ID, b.ID))
	})
	for i := range conns {
		out.Conns = append(out.Conns, describeConn(&conns[i]))
	}
	inspectPast(p, &out)
	return out
}

// inspectPast adds what is kept of the past.
func inspectPast(p *pool, out *poolinfo.Snapshot) {
	out.Waiters = p.monitor.Waiters(maxWaiters)
	out.Waits, out.Holds = p.monitor.Distributions()
	for _, one := range p.ledger.Sites() {
		out.Sites = append(out.Sites, poolinfo.Site{Holds: one.Holds, Held: one.Time, Short: one.Short, CallSite: one.CallSite})
	}
	slices.SortFunc(out.Sites, func(a, b poolinfo.Site) int { return cmp.Compare(b.Held, a.Held) })
	out.History = p.monitor.History()
	out.Reports = p.monitor.Reports()
	out.RecentlyClosed = p.monitor.RecentlyClosed()
}

func describeConn(s *ledger.ConnSnapshot) poolinfo.Conn {
	c := poolinfo.Conn{ID: s.ID, State: s.State, For: s.For, Age: s.Age, Uses: s.Uses}
	if s.State == poolinfo.StateHeld {
		holder := telemetry.HolderOf(&s.Hold)
		c.Holder, c.Phase, c.Source = &holder, holder.Phase, s.Source
		c.HeldTime = byPhase(s.Hold.Phases)
	}
	return c
}

func byPhase(d [ledger.NumPhases]time.Duration) map[poolinfo.Phase]time.Duration {
	m := make(map[poolinfo.Phase]time.Duration, len(d))
	for p := poolinfo.PhaseExecuting; p < ledger.NumPhases; p++ {
		m[p] = d[p]
	}
	return m
}
