package poolz

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/poolinfo"
)

// start is the time of all snapshots: the time in a synctest bubble.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// spanNumber is a span context with n in its ids.
func spanNumber(n byte) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{0x5b, 0x8a, n, 15: n}, SpanID: trace.SpanID{0xa1, 7: n}, TraceFlags: trace.FlagsSampled,
	})
}

// heldTime is the time in each phase.
func heldTime(executing, rows, tx, pinned time.Duration) map[poolinfo.Phase]time.Duration {
	return map[poolinfo.Phase]time.Duration{
		poolinfo.PhaseExecuting: executing, poolinfo.PhaseRows: rows, poolinfo.PhaseTx: tx, poolinfo.PhasePinned: pinned,
	}
}

// holding is a held connection.
func holding(id uint64, held, idle time.Duration, phase poolinfo.Phase, statement string, at poolinfo.CallSite) poolinfo.Conn {
	h := poolinfo.Holder{
		ConnID: id, Held: held, Phase: phase, InPhase: idle, Idle: idle, Statement: statement, Span: spanNumber(byte(id)),
		CallSite: at,
	}
	return poolinfo.Conn{
		ID: id, State: poolinfo.StateHeld, For: held, Age: held + time.Minute, Uses: int64(10 * id), Phase: phase, Source: poolinfo.SourceReused,
		HeldTime: heldTime(held-idle, 0, 0, idle), Holder: &h,
	}
}

// healthy is a pool with room.
func healthy() poolinfo.Snapshot {
	s := poolinfo.Snapshot{
		Time: start, Pool: "catalog", System: "mysql", MaxOpen: 10, HasDB: true,
		MaxIdle: 10, MaxLifetime: time.Hour, MaxIdleTime: 5 * time.Minute,
		Target: poolinfo.Target{System: "mysql", Address: "db.shop.example", Port: 3306, Namespace: "catalog"},
		Server: poolinfo.Server{System: "mysql", Version: "8.4.2", IdleTimeout: 8 * time.Hour},
		Open:   4, Held: 1, Idle: 3, Opened: 6,
		Closed:   map[poolinfo.Reason]int64{poolinfo.ReasonIdleTime: 2},
		Acquired: map[poolinfo.Source]int64{poolinfo.SourceNew: 6, poolinfo.SourceReused: 8120},
		HeldTime: heldTime(30*time.Second, 9*time.Second, time.Second, 0),
		Conns: []poolinfo.Conn{
			holding(3, 4*time.Millisecond, 0, poolinfo.PhaseExecuting, "SELECT products", checkout()),
			{ID: 4, State: poolinfo.StateIdle, For: 2 * time.Second, Age: 4 * time.Minute, Uses: 2700},
			{ID: 5, State: poolinfo.StateIdle, For: 400 * time.Millisecond, Age: 4 * time.Minute, Uses: 2720},
			{ID: 6, State: poolinfo.StateFresh, For: time.Millisecond, Age: time.Millisecond},
		},
		Waits: poolinfo.Distribution{
			Count: 8126, P50: 3 * time.Microsecond, P90: 6 * time.Microsecond, P95: 9 * time.Microsecond,
			P99: 120 * time.Microsecond, Most: 12 * time.Millisecond,
		},
		Holds: poolinfo.Distribution{
			Count: 8125, P50: 4 * time.Millisecond, P90: 6 * time.Millisecond, P95: 9 * time.Millisecond,
			P99: 20 * time.Millisecond, Most: 61 * time.Millisecond,
		},
		Sites: []poolinfo.Site{
			{Holds: 8000, Held: 37 * time.Second, CallSite: checkout()},
			{Holds: 3000, Held: 2 * time.Second, Short: true},
			{Holds: 20, Held: time.Second},
		},
	}
	for i := range 60 {
		s.History = append(s.History, poolinfo.Sample{
			Time: start.Add(time.Duration(i-59) * time.Second), Held: 1 + i%3, Idle: 3 - i%3,
			Acquired: int64(5000 + 50*i), Opened: 6, HeldTime: time.Duration(i) * 130 * time.Millisecond,
		})
	}
	return s
}

// drained is a pool whose connections are all held by one handler, while others wait.
func drained() poolinfo.Snapshot {
	s := poolinfo.Snapshot{
		Time: start, Pool: "orders", System: "postgresql", MaxOpen: 10, HasDB: true,
		MaxIdle: 2, MaxLifetime: -1, MaxIdleTime: -1,
		Target: poolinfo.Target{System: "postgresql", Address: "10.0.0.7", Port: 5432, Namespace: "shop"},
		Open:   10, Held: 10, Dialing: 0, Waiting: 40, OldestWait: 12300 * time.Millisecond, Opened: 214,
		Closed:   map[poolinfo.Reason]int64{poolinfo.ReasonBad: 2, poolinfo.ReasonIdleCount: 202},
		Acquired: map[poolinfo.Source]int64{poolinfo.SourceNew: 214, poolinfo.SourceReused: 1300, poolinfo.SourceOpener: 3},
		Retries:  map[string]int64{"bad_connection": 2},
		HeldTime: heldTime(6*time.Second, 0, 0, 2400*time.Second),
		Waits: poolinfo.Distribution{
			Count: 1517, P50: 8 * time.Microsecond, P90: 900 * time.Microsecond, P95: 4 * time.Second,
			P99: 5 * time.Second, Most: 5 * time.Second,
		},
		Holds: poolinfo.Distribution{
			Count: 1507, P50: 3 * time.Millisecond, P90: 7 * time.Millisecond, P95: 11 * time.Millisecond,
			P99: 2 * time.Second, Most: 30 * time.Second,
		},
		Sites: []poolinfo.Site{
			{Holds: 10, Held: 2395 * time.Second, CallSite: notifications{}.stream()},
			{Holds: 1500, Held: 9 * time.Second, CallSite: listOrders()},
			{Holds: 7, Held: 2 * time.Millisecond, Short: true},
		},
	}
	var longest poolinfo.Holder
	for i := range 10 {
		held := 312*time.Second - time.Duration(i)*15*time.Second
		c := holding(uint64(205+i), held, held-20*time.Millisecond, poolinfo.PhasePinned, "SELECT events", notifications{}.stream())
		if i == 0 {
			longest = *c.Holder
		}
		s.Conns = append(s.Conns, c)
	}
	for i := range 40 {
		at := checkout()
		if i%3 == 0 {
			at = listOrders()
		}
		s.Waiters = append(s.Waiters, poolinfo.Waiter{
			Waited: 12300*time.Millisecond - time.Duration(i)*290*time.Millisecond, Span: spanNumber(byte(100 + i)), CallSite: at,
		})
	}
	for i := range 300 {
		h := poolinfo.Sample{
			Time: start.Add(time.Duration(i-299) * time.Second), Held: min(10, i/25), Idle: 2,
			Acquired: int64(20 * i), Opened: int64(2 * i), HeldTime: time.Duration(i*i) * 17 * time.Millisecond,
		}
		if h.Held == 10 {
			h.Idle, h.Waiting, h.OldestWait = 0, min(40, i-250), time.Duration(i-250)*time.Second
			h.Acquired, h.Opened = 5000, 500
		}
		s.History = append(s.History, h)
	}
	s.RecentlyClosed = []poolinfo.ClosedConn{
		{
			Time: start.Add(-42 * time.Second), Pool: "orders", ConnID: 203, Reason: poolinfo.ReasonBad, Class: poolinfo.ClassServerIdleTimeout,
			Age: 9 * time.Minute, Idle: 5 * time.Minute, Uses: 14, ErrorType: "57P05", Code: "57P05",
			DriverNotice: errors.New("the driver reports what was in the statement"),
			Advice:       "Set SetConnMaxIdleTime to less than the server's idle_session_timeout.",
		},
		{Time: start.Add(-3 * time.Minute), Pool: "orders", ConnID: 198, Age: 2 * time.Second, Uses: 1},
	}
	exhausted := poolinfo.Report{
		Kind: poolinfo.ReportExhausted, Time: start.Add(-11 * time.Second), Pool: "orders", System: "postgresql",
		MaxOpen: 10, Held: 10, Waiting: 4, OldestWait: time.Second, Verdict: poolinfo.VerdictIdleInCode,
		Groups: []poolinfo.HolderGroup{{Count: 10, Longest: longest, Phases: map[poolinfo.Phase]int{poolinfo.PhasePinned: 10}, InCode: 10}},
		Length: time.Second, Waited: 4,
	}
	s.Reports = []poolinfo.Report{
		exhausted,
		{
			Kind: poolinfo.ReportLeakSuspected, Time: start.Add(-4 * time.Minute), Pool: "orders", System: "postgresql",
			MaxOpen: 10, Held: 3, Idle: 1, Holder: &longest,
		},
	}
	return s
}

// plainDB is a pool of a plain *sql.DB in a self-deadlock.
func plainDB() poolinfo.Snapshot {
	h := holding(1, 6*time.Second, 5*time.Second, poolinfo.PhaseTx, "INSERT audit", listOrders())
	return poolinfo.Snapshot{
		Time: start, Pool: "audit", System: "sqlite", MaxOpen: 1, MaxIdle: -1, MaxLifetime: -1, MaxIdleTime: -1,
		Open: 1, Held: 1, Opened: 1, Conns: []poolinfo.Conn{h},
		Reports: []poolinfo.Report{{
			Kind: poolinfo.ReportExhausted, Time: start.Add(-time.Second), Pool: "audit", MaxOpen: 1, Held: 1, Waiting: 1,
			OldestWait: time.Second, Verdict: poolinfo.VerdictSelfDeadlock,
			SelfDeadlocks: []poolinfo.SelfDeadlock{{Holder: *h.Holder, Waiter: poolinfo.Waiter{Waited: -1, CallSite: checkout()}}},
		}},
	}
}

// unreachable is a pool whose database does not answer.
func unreachable() poolinfo.Snapshot {
	return poolinfo.Snapshot{
		Time: start, Pool: "billing", System: "mysql", HasDB: true, MaxIdle: 2,
		Dialing: 7, Waiting: 7, OldestWait: 4 * time.Second,
	}
}

// longNames is a pool whose names are all too long for a line.
func longNames() poolinfo.Snapshot {
	s := drained()
	at := repositoryOfEverythingThatWasEverBoughtInAnyOfOurShops[string, []byte]{}.findAllByCustomerAndPeriodOrderedByDate()
	s.Pool = "the_pool_of_the_service_that_nobody_has_ever_given_a_shorter_name_since_it_was_made_in_production_eu_west_1"
	for i := range s.Conns {
		statement := "SELECT a_table_with_a_name_that_does_not_end a_second_table_with_a_name_that_does_not_end_either"
		s.Conns[i] = holding(s.Conns[i].ID, s.Conns[i].For, 0, poolinfo.PhaseExecuting, statement, at)
	}
	for i := range s.Waiters {
		s.Waiters[i].CallSite = at
	}
	return s
}

// fleet is thirty pools, one drained and one unreachable.
func fleet() []poolinfo.Snapshot {
	all := []poolinfo.Snapshot{drained(), unreachable()}
	for i := range 28 {
		s := healthy()
		s.Pool = fmt.Sprintf("shard-%02d", i)
		all = append(all, s)
	}
	return all
}
