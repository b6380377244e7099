package poolz

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/ledger"
)

// start is the time of all snapshots: the time in a synctest bubble.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// spanNumber is a span context with n in its ids.
func spanNumber(n byte) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{0x5b, 0x8a, n, 15: n}, SpanID: trace.SpanID{0xa1, 7: n}, TraceFlags: trace.FlagsSampled,
	})
}

// holding is a held connection.
func holding(id uint64, held, idle time.Duration, phase, statement string, at ledger.Stack) otelpool.Conn {
	h := withStack(otelpool.Holder{
		ConnID: id, Held: held, Phase: phase, InPhase: idle, Idle: idle, Statement: statement, Span: spanNumber(byte(id)),
	}, at)
	return otelpool.Conn{
		ID: id, State: "held", For: held, Age: held + time.Minute, Uses: int64(10 * id), Phase: phase, Source: "reused",
		HeldTime: map[string]time.Duration{"executing": held - idle, "rows": 0, "tx": 0, "pinned": idle}, Holder: &h,
	}
}

// healthy is a pool with room.
func healthy() otelpool.Snapshot {
	s := otelpool.Snapshot{
		Time: start, Pool: "catalog", System: "mysql", MaxOpen: 10, Exact: true,
		MaxIdle: 10, MaxLifetime: time.Hour, MaxIdleTime: 5 * time.Minute,
		Target: otelpool.Target{System: "mysql", Address: "db.shop.example", Port: 3306, Namespace: "catalog"},
		Server: otelpool.Server{System: "mysql", Version: "8.4.2", IdleTimeout: 8 * time.Hour},
		Open:   4, Held: 1, Idle: 3, Opened: 6,
		Closed:   map[string]int64{"idle_time": 2},
		Acquired: map[string]int64{"new": 6, "reused": 8120},
		HeldTime: map[string]time.Duration{"executing": 30 * time.Second, "rows": 9 * time.Second, "tx": time.Second, "pinned": 0},
		Conns: []otelpool.Conn{
			holding(3, 4*time.Millisecond, 0, "executing", "SELECT products", checkout()),
			{ID: 4, State: "idle", For: 2 * time.Second, Age: 4 * time.Minute, Uses: 2700},
			{ID: 5, State: "idle", For: 400 * time.Millisecond, Age: 4 * time.Minute, Uses: 2720},
			{ID: 6, State: "fresh", For: time.Millisecond, Age: time.Millisecond},
		},
		Waits: otelpool.Distribution{
			Count: 8126, P50: 3 * time.Microsecond, P90: 6 * time.Microsecond, P95: 9 * time.Microsecond,
			P99: 120 * time.Microsecond, Most: 12 * time.Millisecond,
		},
		Holds: otelpool.Distribution{
			Count: 8125, P50: 4 * time.Millisecond, P90: 6 * time.Millisecond, P95: 9 * time.Millisecond,
			P99: 20 * time.Millisecond, Most: 61 * time.Millisecond,
		},
		Sites: []otelpool.Site{
			withStack(otelpool.Site{Holds: 8000, Held: 37 * time.Second}, checkout()),
			{Holds: 3000, Held: 2 * time.Second, Short: true},
			{Holds: 20, Held: time.Second},
		},
	}
	for i := range 60 {
		s.History = append(s.History, otelpool.Sample{
			Time: start.Add(time.Duration(i-59) * time.Second), Held: 1 + i%3, Idle: 3 - i%3,
			Acquired: int64(5000 + 50*i), Opened: 6, HeldTime: time.Duration(i) * 130 * time.Millisecond,
		})
	}
	return s
}

// drained is a pool whose connections are all held by one handler, while others wait.
func drained() otelpool.Snapshot {
	s := otelpool.Snapshot{
		Time: start, Pool: "orders", System: "postgresql", MaxOpen: 10, Exact: true,
		MaxIdle: 2, MaxLifetime: -1, MaxIdleTime: -1,
		Target: otelpool.Target{System: "postgresql", Address: "10.0.0.7", Port: 5432, Namespace: "shop"},
		Open:   10, Held: 10, Dialing: 0, Waiting: 40, OldestWait: 12300 * time.Millisecond, Opened: 214,
		Closed:   map[string]int64{"bad": 2, "idle_count": 202},
		Acquired: map[string]int64{"new": 214, "reused": 1300, "opener": 3},
		Retries:  map[string]int64{"bad_connection": 2},
		HeldTime: map[string]time.Duration{"executing": 6 * time.Second, "rows": 0, "tx": 0, "pinned": 2400 * time.Second},
		Waits: otelpool.Distribution{
			Count: 1517, P50: 8 * time.Microsecond, P90: 900 * time.Microsecond, P95: 4 * time.Second,
			P99: 5 * time.Second, Most: 5 * time.Second,
		},
		Holds: otelpool.Distribution{
			Count: 1507, P50: 3 * time.Millisecond, P90: 7 * time.Millisecond, P95: 11 * time.Millisecond,
			P99: 2 * time.Second, Most: 30 * time.Second,
		},
		Sites: []otelpool.Site{
			withStack(otelpool.Site{Holds: 10, Held: 2395 * time.Second}, notifications{}.stream()),
			withStack(otelpool.Site{Holds: 1500, Held: 9 * time.Second}, listOrders()),
			{Holds: 7, Held: 2 * time.Millisecond, Short: true},
		},
	}
	var longest otelpool.Holder
	for i := range 10 {
		held := 312*time.Second - time.Duration(i)*15*time.Second
		c := holding(uint64(205+i), held, held-20*time.Millisecond, "pinned", "SELECT events", notifications{}.stream())
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
		s.Waiters = append(s.Waiters, withStack(otelpool.Waiter{
			Waited: 12300*time.Millisecond - time.Duration(i)*290*time.Millisecond, Span: spanNumber(byte(100 + i)),
		}, at))
	}
	for i := range 300 {
		h := otelpool.Sample{
			Time: start.Add(time.Duration(i-299) * time.Second), Held: min(10, i/25), Idle: 2,
			Acquired: int64(20 * i), Opened: int64(2 * i), HeldTime: time.Duration(i*i) * 17 * time.Millisecond,
		}
		if h.Held == 10 {
			h.Idle, h.Waiting, h.OldestWait = 0, min(40, i-250), time.Duration(i-250)*time.Second
			h.Acquired, h.Opened = 5000, 500
		}
		s.History = append(s.History, h)
	}
	s.Deaths = []otelpool.Death{
		{
			Time: start.Add(-42 * time.Second), ConnID: 203, Reason: "bad", Class: otelpool.ClassServerIdleTimeout,
			Age: 9 * time.Minute, Idle: 5 * time.Minute, Uses: 14, ErrorType: "57P05", Code: "57P05",
			Said:   errors.New("the driver reports what was in the statement"),
			Advice: "Set SetConnMaxIdleTime to less than the server's idle_session_timeout.",
		},
		{Time: start.Add(-3 * time.Minute), ConnID: 198, Age: 2 * time.Second, Uses: 1},
	}
	exhausted := otelpool.Report{
		Kind: otelpool.Exhausted, Time: start.Add(-11 * time.Second), Pool: "orders", System: "postgresql",
		MaxOpen: 10, Held: 10, Waiting: 4, OldestWait: time.Second, Verdict: otelpool.IdleInCode,
		Groups: []otelpool.HolderGroup{{Count: 10, Longest: longest, Phases: map[string]int{"pinned": 10}, InCode: 10}},
		Length: time.Second, Waited: 4,
	}
	s.Reports = []otelpool.Report{
		exhausted,
		{
			Kind: otelpool.LeakSuspected, Time: start.Add(-4 * time.Minute), Pool: "orders", System: "postgresql",
			MaxOpen: 10, Held: 3, Idle: 1, Holder: &longest,
		},
	}
	return s
}

// plainDB is a pool of a plain *sql.DB in a self-deadlock.
func plainDB() otelpool.Snapshot {
	h := holding(1, 6*time.Second, 5*time.Second, "tx", "INSERT audit", listOrders())
	return otelpool.Snapshot{
		Time: start, Pool: "audit", System: "sqlite", MaxOpen: 1, MaxIdle: -1, MaxLifetime: -1, MaxIdleTime: -1,
		Open: 1, Held: 1, Opened: 1, Conns: []otelpool.Conn{h},
		Reports: []otelpool.Report{{
			Kind: otelpool.Exhausted, Time: start.Add(-time.Second), Pool: "audit", MaxOpen: 1, Held: 1, Waiting: 1,
			OldestWait: time.Second, Verdict: otelpool.SelfDeadlock,
			Deadlocks: []otelpool.Deadlock{{Holder: *h.Holder, Waiter: withStack(otelpool.Waiter{}, checkout())}},
		}},
	}
}

// unreachable is a pool whose database does not answer.
func unreachable() otelpool.Snapshot {
	return otelpool.Snapshot{
		Time: start, Pool: "billing", System: "mysql", Exact: true, MaxIdle: 2,
		Dialing: 7, Waiting: 7, OldestWait: 4 * time.Second,
	}
}

// longNames is a pool whose names are all too long for a line.
func longNames() otelpool.Snapshot {
	s := drained()
	at := repositoryOfEverythingThatWasEverBoughtInAnyOfOurShops[string, []byte]{}.findAllByCustomerAndPeriodOrderedByDate()
	s.Pool = "the_pool_of_the_service_that_nobody_has_ever_given_a_shorter_name_since_it_was_made_in_production_eu_west_1"
	for i := range s.Conns {
		statement := "SELECT a_table_with_a_name_that_does_not_end a_second_table_with_a_name_that_does_not_end_either"
		s.Conns[i] = holding(s.Conns[i].ID, s.Conns[i].For, 0, "executing", statement, at)
	}
	for i := range s.Waiters {
		s.Waiters[i] = withStack(s.Waiters[i], at)
	}
	return s
}

// fleet is thirty pools, one drained and one unreachable.
func fleet() []otelpool.Snapshot {
	all := []otelpool.Snapshot{drained(), unreachable()}
	for i := range 28 {
		s := healthy()
		s.Pool = fmt.Sprintf("shard-%02d", i)
		all = append(all, s)
	}
	return all
}
