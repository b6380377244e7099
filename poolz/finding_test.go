package poolz

import (
	"testing"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// history is n seconds of a pool with held connections, and with this many opened and
// acquired meanwhile.
func history(n int, held float64, opened, acquired int64) []poolinfo.Sample {
	h := make([]poolinfo.Sample, n+1)
	for i := range h {
		part := float64(i) / float64(n)
		h[i] = poolinfo.Sample{
			Time: start.Add(time.Duration(i-n) * time.Second), Held: int(held), HeldTime: time.Duration(held * float64(i) * 1e9),
			Opened: int64(part * float64(opened)), Acquired: int64(part * float64(acquired)),
		}
	}
	return h
}

// TestFindingsOf_ReturnsEachFinding has pools on both sides of each condition.
func TestFindingsOf_ReturnsEachFinding(t *testing.T) {
	type snapshot = poolinfo.Snapshot
	type closed = map[poolinfo.Reason]int64
	type acquired = map[poolinfo.Source]int64
	const none = ""
	with := func(change func(*snapshot)) snapshot {
		s := snapshot{MaxOpen: 10, MaxIdle: -1, MaxLifetime: -1, MaxIdleTime: -1}
		change(&s)
		return s
	}
	for _, c := range []struct {
		name, id, want string
		pool           snapshot
	}{
		{
			"a pool without a limit", "no_limit",
			"There is no limit of open connections: a burst of callers is a burst of connections at the server. " +
				"Set one with SetMaxOpenConns.",
			with(func(s *snapshot) { s.MaxOpen = 0 }),
		},
		{"a pool whose limit is not known", "no_limit", none, with(func(s *snapshot) { s.MaxOpen = -1 })},
		{"a pool with a limit", "no_limit", none, with(func(*snapshot) {})},

		{
			"few may stay idle, and many are opened", "idle_churn",
			"2 connections may stay idle, and 100 were opened for 1000 acquires in the last 1m00s. " +
				"Set SetMaxIdleConns to the same as SetMaxOpenConns, and let SetConnMaxIdleTime close what is not used.",
			with(func(s *snapshot) {
				s.MaxIdle, s.Closed, s.History = 2, closed{poolinfo.ReasonIdleCount: 10}, history(60, 3, 100, 1000)
			}),
		},
		{"few may stay idle, and few are opened", "idle_churn", none, with(func(s *snapshot) {
			s.MaxIdle, s.Closed, s.History = 2, closed{poolinfo.ReasonIdleCount: 10}, history(60, 3, 99, 1000)
		})},
		{"many may stay idle, and many are opened", "idle_churn", none, with(func(s *snapshot) {
			s.MaxIdle, s.Closed, s.History = 6, closed{poolinfo.ReasonIdleCount: 10}, history(60, 3, 100, 1000)
		})},
		{"many are opened, and another limit closes them", "idle_churn", none, with(func(s *snapshot) {
			s.MaxIdle, s.Closed, s.History = 2, closed{poolinfo.ReasonIdleCount: 9, poolinfo.ReasonLifetime: 91}, history(60, 3, 100, 1000)
		})},
		{
			"MaxIdle is unknown, and many were closed by it", "idle_churn",
			"10 connections were closed because as many as allowed were idle already, in 100 acquires. " +
				"Set SetMaxIdleConns to the same as SetMaxOpenConns, and let SetConnMaxIdleTime close what is not used.",
			with(func(s *snapshot) {
				s.Closed, s.Acquired = closed{poolinfo.ReasonIdleCount: 10}, acquired{poolinfo.SourceNew: 11, poolinfo.SourceReused: 89}
			}),
		},
		{"MaxIdle is unknown, and few were closed by it", "idle_churn", none, with(func(s *snapshot) {
			s.Closed, s.Acquired = closed{poolinfo.ReasonIdleCount: 10}, acquired{poolinfo.SourceNew: 11, poolinfo.SourceReused: 90}
		})},

		{
			"the pool keeps connections for longer than the server", "outlives_server",
			"The server closes connections that are idle for 10m00s, the pool keeps them for 30m00s. " +
				"Set SetConnMaxIdleTime to less than 10m00s.",
			with(func(s *snapshot) {
				s.Server.IdleTimeout, s.MaxLifetime, s.MaxIdleTime = 10*time.Minute, time.Hour, 30*time.Minute
			}),
		},
		{
			"the pool keeps connections for ever", "outlives_server",
			"The server closes connections that are idle for 10m00s, the pool keeps them for ever. " +
				"Set SetConnMaxIdleTime to less than 10m00s.",
			with(func(s *snapshot) { s.Server.IdleTimeout, s.MaxLifetime, s.MaxIdleTime = 10*time.Minute, 0, 0 }),
		},
		{
			"the pool keeps connections for as long as the server", "outlives_server",
			"The server closes connections that are idle for 10m00s, the pool keeps them for 10m00s. " +
				"Set SetConnMaxIdleTime to less than 10m00s.",
			with(func(s *snapshot) {
				s.Server.IdleTimeout, s.MaxLifetime, s.MaxIdleTime = 10*time.Minute, 0, 10*time.Minute
			}),
		},
		{"the lifetime is shorter", "outlives_server", none, with(func(s *snapshot) {
			s.Server.IdleTimeout, s.MaxLifetime, s.MaxIdleTime = 10*time.Minute, 9*time.Minute, 0
		})},
		{"the idle time is shorter", "outlives_server", none, with(func(s *snapshot) {
			s.Server.IdleTimeout, s.MaxLifetime, s.MaxIdleTime = 10*time.Minute, 0, 9*time.Minute
		})},
		{"the lifetime is unknown", "outlives_server", none, with(func(s *snapshot) {
			s.Server.IdleTimeout, s.MaxIdleTime = 10*time.Minute, 0
		})},
		{"the time-out of the server is unknown", "outlives_server", none, with(func(s *snapshot) {
			s.MaxLifetime, s.MaxIdleTime = 0, 0
		})},
		{"no connection may stay idle", "outlives_server", none, with(func(s *snapshot) {
			s.Server.IdleTimeout, s.MaxLifetime, s.MaxIdleTime, s.MaxIdle = 10*time.Minute, 0, 0, 0
		})},

		{
			"the mean is too near to the limit", "too_small",
			"8.0 of 10 connections were held on average in the last 1m00s, and 8 at most. " +
				"Callers who waited are not in the mean, so this work needs 11 connections or more, if the server can take them.",
			with(func(s *snapshot) { s.History = history(60, 8, 0, 0) }),
		},
		{
			"the mean is too near to the limit, and holders work for less than half of the time", "too_small",
			"8.0 of 10 connections were held on average in the last 1m00s, and 8 at most. " +
				"Only 49 % of the time that connections were held went into statements and results: shorten the holds first. " +
				"As it is, this work needs 11 connections or more.",
			with(func(s *snapshot) {
				s.History = history(60, 8, 0, 0)
				s.HeldTime = heldTime(40*time.Second, 9*time.Second, time.Second, 50*time.Second)
			}),
		},
		{"the mean leaves room", "too_small", none, with(func(s *snapshot) { s.History = history(60, 7.6, 0, 0) })},
		{"the history is too short", "too_small", none, with(func(s *snapshot) { s.History = history(29, 8, 0, 0) })},
		{"there is no limit", "too_small", none, with(func(s *snapshot) {
			s.MaxOpen, s.History = 0, history(60, 8, 0, 0)
		})},

		{
			"all holders have one call site", "one_site",
			"All 10 holders acquired their connection at poolz/shop_test.go:25, in poolz.notifications.lastEvent. " +
				"If it keeps the connection for longer than it uses it, give it back first: close the rows, end the " +
				"transaction, and only then wait, stream or call another service.",
			with(func(s *snapshot) { s.Conns = drained().Conns }),
		},
		{"one holder has another call site", "one_site", none, with(func(s *snapshot) {
			s.Conns = append(drained().Conns[:9], holding(1, time.Second, 0, poolinfo.PhaseTx, "", checkout()))
		})},
		{"the call site of one holder is unknown", "one_site", none, with(func(s *snapshot) {
			s.Conns = append(drained().Conns[:9], poolinfo.Conn{ID: 1, State: poolinfo.StateHeld})
		})},
		{"only two holders", "one_site", none, with(func(s *snapshot) { s.MaxOpen, s.Conns = 2, drained().Conns[:2] })},
		{"the holders are less than half of the limit", "one_site", none, with(func(s *snapshot) { s.Conns = drained().Conns[:4] })},

		{
			"the server is full", "server_full",
			"The server has refused connections because it has too many. Keep the sum of the limits of all processes, with " +
				"those of a rolling deployment, below the limit of the server, and leave room for an administrator.",
			with(func(s *snapshot) {
				s.RecentlyClosed = []poolinfo.ClosedConn{{}, {Class: poolinfo.ClassTooManyConnections}}
			}),
		},
		{
			"a report has the class too_many_connections", "server_full",
			"The server has refused connections because it has too many. Keep the sum of the limits of all processes, with " +
				"those of a rolling deployment, below the limit of the server, and leave room for an administrator.",
			with(func(s *snapshot) {
				s.Reports = []poolinfo.Report{{Lost: map[poolinfo.Class]int64{poolinfo.ClassTooManyConnections: 1}}}
			}),
		},
		{"connections were closed for another class", "server_full", none, with(func(s *snapshot) {
			s.RecentlyClosed = []poolinfo.ClosedConn{{Class: poolinfo.ClassNetwork}}
		})},
	} {
		t.Run(c.id+", "+c.name, func(t *testing.T) {
			got := none
			for _, f := range findingsOf(&c.pool) {
				if f.ID == c.id {
					got = f.What + " " + f.Advice
				}
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestFindingsOf_AHealthyPoolHasNone(t *testing.T) {
	s := healthy()
	if got := findingsOf(&s); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
