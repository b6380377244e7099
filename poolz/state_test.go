package poolz

import (
	"testing"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

func TestNewPoolDoc_StateAndSentence(t *testing.T) {
	type snapshot = poolinfo.Snapshot
	held := func(n int) (out []poolinfo.Conn) {
		for i := range n {
			out = append(out, poolinfo.Conn{ID: uint64(i + 1), State: poolinfo.StateHeld})
		}
		return out
	}
	reports := func(kinds ...poolinfo.ReportKind) (out []poolinfo.Report) {
		for _, k := range kinds {
			out = append(out, poolinfo.Report{Kind: k, Holder: &poolinfo.Holder{}})
		}
		return out
	}
	for _, c := range []struct {
		name     string
		pool     snapshot
		want     state
		sentence string
	}{
		{"no acquire yet", snapshot{MaxOpen: 3}, ok, "No connection is open."},
		{"there is room", snapshot{MaxOpen: 3, Open: 2, Held: 2, Conns: held(2)}, ok, "2 of 3 connections are held."},
		{"there is no limit", snapshot{Open: 1, Held: 1, Conns: held(1)}, ok, "1 connection is held; there is no limit."},
		{
			"the limit is not known",
			snapshot{MaxOpen: -1, Open: 2, Held: 2, Waiting: -1, OldestWait: -1, Conns: held(2)},
			ok,
			"2 connections are held; the limit is not known.",
		},
		{"the first connection is dialed", snapshot{MaxOpen: 3, Dialing: 1}, dialing, "No connection is open, and 1 is being dialed."},
		{
			"all are dialed",
			snapshot{MaxOpen: 3, Dialing: 3, HasDB: true, Waiting: 9, OldestWait: time.Minute},
			dialing,
			"No connection is open, and 3 are being dialed. 9 callers wait, the first for 1m00s.",
		},
		{
			"another connection is dialed",
			snapshot{MaxOpen: 3, Open: 1, Held: 1, Dialing: 1, Conns: held(1)},
			ok,
			"1 of 3 connections are held. 1 is being dialed.",
		},
		{"all connections are held", snapshot{MaxOpen: 3, Open: 3, Held: 3, Conns: held(3)}, saturated, "All 3 connections are held."},
		{"the only connection is held", snapshot{MaxOpen: 1, Open: 1, Held: 1, Conns: held(1)}, saturated, "The only connection is held."},
		{
			"the last connection is being dialed",
			snapshot{MaxOpen: 3, Open: 2, Held: 2, Dialing: 1, Conns: held(2)},
			saturated,
			"2 of 3 connections are held. 1 is being dialed.",
		},
		{"the last connection was opened for a waiter", snapshot{
			MaxOpen: 3, Open: 3, Held: 2, Idle: 1, Conns: append(held(2), poolinfo.Conn{ID: 3, State: poolinfo.StateFresh}),
		}, saturated, "2 of 3 connections are held."},
		{
			"a caller waits for less than a second",
			snapshot{MaxOpen: 1, Open: 1, Held: 1, Conns: held(1), HasDB: true, Waiting: 1, OldestWait: 999 * time.Millisecond},
			saturated, "The only connection is held. 1 caller waits, the first for 999ms.",
		},
		{
			"a caller waits for a second",
			snapshot{MaxOpen: 1, Open: 1, Held: 1, Conns: held(1), HasDB: true, Waiting: 1, OldestWait: time.Second},
			exhausted, "The only connection is held. 1 caller waits, the first for 1.0s.",
		},
		{
			"a caller waits for a second for a dial",
			snapshot{MaxOpen: 3, Open: 1, Held: 1, Dialing: 1, Conns: held(1), HasDB: true, Waiting: 1, OldestWait: time.Second},
			ok, "1 of 3 connections are held. 1 is being dialed. 1 caller waits, the first for 1.0s.",
		},
		{
			"exhaustion was reported",
			snapshot{MaxOpen: 1, Open: 1, Held: 1, Conns: held(1), Reports: reports(poolinfo.ReportLeakSuspected, poolinfo.ReportExhausted)},
			exhausted, "The only connection is held.",
		},
		{
			"exhaustion was reported, and its end",
			snapshot{MaxOpen: 1, Open: 1, Held: 1, Conns: held(1), Reports: reports(poolinfo.ReportRecovered, poolinfo.ReportExhausted)},
			saturated, "The only connection is held.",
		},
		{
			"exhaustion was reported, and there is room",
			snapshot{MaxOpen: 2, Open: 1, Held: 1, Conns: held(1), Reports: reports(poolinfo.ReportExhausted)},
			ok, "1 of 2 connections are held.",
		},
		{
			"one call site has all holders", drained(), exhausted,
			"All 10 connections are held. 40 callers wait, the first for 12.3s. All 10 holders acquired their connections at " +
				"shop_test.go:25 from shop_test.go:20, and none of them has used it for a second or more.",
		},
		{
			"one call site has most holders",
			snapshot{MaxOpen: 3, Open: 3, Held: 3, Conns: []poolinfo.Conn{
				holding(1, time.Minute, time.Minute, poolinfo.PhaseTx, "", listOrders()),
				holding(2, time.Minute, time.Minute, poolinfo.PhaseTx, "", checkout()),
				holding(3, time.Second, 0, poolinfo.PhaseTx, "", checkout()),
			}},
			saturated,
			"All 3 connections are held. 2 of the 3 holders acquired their connections at shop_test.go:30, and 1 of them has not " +
				"used it for a second or more.",
		},
		{
			"there is one holder", plainDB(), exhausted,
			"The only connection is held. The holder acquired its connection at shop_test.go:35, and has not used it for a second or more.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPoolDoc(&c.pool)
			if p.State != c.want || p.Sentence != c.sentence {
				t.Errorf("%s: %s\nwant %s: %s", p.State, p.Sentence, c.want, c.sentence)
			}
		})
	}
}

func TestNewDocument_ListsTheWorstPoolFirst(t *testing.T) {
	full := healthy()
	full.Pool, full.MaxOpen = "full", 2
	var got []string
	for _, p := range newDocument(start, []poolinfo.Snapshot{healthy(), full, unreachable(), drained(), plainDB()}, "").Pools {
		got = append(got, p.Name+" "+string(p.State))
	}
	want := "[audit exhausted orders exhausted full saturated billing dialing catalog ok]"
	if s := "[" + join(got) + "]"; s != want {
		t.Errorf("%s, want %s", s, want)
	}
}

func TestSeconds_AreShortAndNotRoundedUp(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1:                                 "0s",
		0:                                  "0s",
		1:                                  "1µs",
		999*time.Microsecond + 999:         "999µs",
		time.Millisecond:                   "1.0ms",
		9999 * time.Microsecond:            "9.9ms",
		10 * time.Millisecond:              "10ms",
		999999 * time.Microsecond:          "999ms",
		time.Second:                        "1.0s",
		59999 * time.Millisecond:           "59.9s",
		time.Minute:                        "1m00s",
		59*time.Minute + 59*time.Second:    "59m59s",
		time.Hour + 5*time.Minute:          "1h05m",
		47*time.Hour + 59*time.Minute:      "47h59m",
		49 * time.Hour:                     "2d01h",
		1000*24*time.Hour + 23*time.Minute: "1000d00h",
	} {
		if got := seconds(d).String(); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0", 1: "0", time.Microsecond: "0.000001", 1500 * time.Millisecond: "1.5", 400 * 24 * time.Hour: "34560000",
	} {
		if got, err := seconds(d).MarshalJSON(); err != nil || string(got) != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}
