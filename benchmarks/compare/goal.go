package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/otelpool/otelpool/benchmarks"
)

// The budget in time: budgetFactor times the floor plus budgetNs.
const (
	budgetFactor = 1.3
	budgetNs     = 400
)

// A goal limits what a peer, otelpool or otelpool.DB, adds to the bare driver.
type goal struct {
	peer string
	text string
	in   func(benchmarks.Mode) bool

	// limit is the most that the peer may add in a cell. ok is false if the goal does
	// not apply to the cell.
	limit func(*cell) (_ cost, ok bool)
	value func(cost) float64
	unit  string
}

func nanoseconds(c cost) float64 { return c.ns }
func allocations(c cost) float64 { return c.allocs }

func full(m benchmarks.Mode) bool    { return m.Name != benchmarks.Reduced.Name }
func reduced(m benchmarks.Mode) bool { return m.Name == benchmarks.Reduced.Name }
func noSDK(m benchmarks.Mode) bool   { return m.Name == benchmarks.NoSDK.Name }
func every(benchmarks.Mode) bool     { return true }

// below returns the cost of another peer as the limit.
func below(peer string) func(*cell) (cost, bool) {
	return func(c *cell) (cost, bool) { return c.added(peer) }
}

// budget returns the limit relative to the floor.
func budget(c *cell) (cost, bool) {
	f, ok := c.added(benchmarks.Floor)
	return cost{budgetFactor*max(f.ns, 0) + budgetNs, f.allocs + c.mode.Spare}, ok
}

// oneMore limits an otelpool.DB to one allocation more than the plain *sql.DB.
func oneMore(c *cell) (cost, bool) {
	plain, ok := c.added(benchmarks.Otelpool)
	return cost{math.Inf(1), plain.allocs + 1}, ok
}

// timed returns the cost of uptrace's wrapper as the limit, for operations whose duration
// it records: begin, commit and ping only get a span.
func timed(peer string) func(*cell) (cost, bool) {
	return func(c *cell) (cost, bool) {
		if c.op.Name == "tx" || c.op.Name == "ping" {
			return cost{}, false
		}
		return c.added(peer)
	}
}

var goals = []goal{
	{benchmarks.Otelpool, "allocations: at most the floor's, plus 1 (no_sdk, unsampled) or 3 (sampled, reduced)", every, budget, allocations, "allocations"},
	{benchmarks.Otelpool, "time: at most 1.3 times the floor's, plus 0.4 µs", every, budget, nanoseconds, "ns"},
	{benchmarks.OtelpoolDB, "allocations of otelpool.DB: at most the floor's, plus 1 (no_sdk, unsampled) or 3 (sampled, reduced)", every, budget, allocations, "allocations"},
	{benchmarks.OtelpoolDB, "allocations of otelpool.DB: at most otelpool's, plus 1", every, oneMore, allocations, "allocations"},
	{benchmarks.OtelpoolDB, "time of otelpool.DB: at most 1.3 times the floor's, plus 0.4 µs", every, budget, nanoseconds, "ns"},
	{benchmarks.Otelpool, "time: at most XSAM's", full, below(benchmarks.XSAM), nanoseconds, "ns"},
	{benchmarks.Otelpool, "allocations: at most XSAM's", full, below(benchmarks.XSAM), allocations, "allocations"},
	{benchmarks.Otelpool, "time: at most nhatthm's", full, below(benchmarks.Nhatthm), nanoseconds, "ns"},
	{benchmarks.Otelpool, "allocations: at most nhatthm's", full, below(benchmarks.Nhatthm), allocations, "allocations"},
	{benchmarks.Otelpool, "time with no SDK: at most uptrace's", noSDK, below(benchmarks.Uptrace), nanoseconds, "ns"},
	{benchmarks.Otelpool, "allocations with no SDK: at most uptrace's", noSDK, below(benchmarks.Uptrace), allocations, "allocations"},
	{benchmarks.Otelpool, "time in mode reduced: at most that of \"uptrace, named\", which emits the same signals (except in tx and ping, of which uptrace records no duration)", reduced, timed(benchmarks.UptraceNamed), nanoseconds, "ns"},
	{benchmarks.Otelpool, "allocations in mode reduced: at most those of \"uptrace, named\" (except in tx and ping)", reduced, timed(benchmarks.UptraceNamed), allocations, "allocations"},
	{benchmarks.Otelpool, "time in mode reduced: at most uptrace's, which has fewer attributes by default (except in tx and ping)", reduced, timed(benchmarks.Uptrace), nanoseconds, "ns"},
	{benchmarks.Otelpool, "allocations in mode reduced: at most uptrace's, which has fewer attributes by default (except in tx and ping)", reduced, timed(benchmarks.Uptrace), allocations, "allocations"},
}

// goalList lists the goals, in how many cells each is met, and the cells that miss it.
func goalList(cells []*cell) string {
	var s strings.Builder
	for _, g := range goals {
		var o outcome
		for _, c := range cells {
			if !g.in(c.mode) {
				continue
			}
			limit, ok := g.limit(c)
			if !ok {
				continue
			}
			got, _ := c.added(g.peer)
			o.add(g.value(got) <= g.value(limit), "%s, %s: %s %s, limit %s",
				c.mode.Name, c.name(), thousands(g.value(got)), g.unit, thousands(g.value(limit)))
		}
		o.write(&s, g.text)
	}
	return s.String()
}

// An outcome counts where a goal is met, and lists where it is missed.
type outcome struct {
	passed int
	misses []string
}

func (o *outcome) add(passed bool, format string, args ...any) {
	if passed {
		o.passed++
	} else {
		o.misses = append(o.misses, fmt.Sprintf(format, args...))
	}
}

func (o *outcome) write(s *strings.Builder, text string) {
	word := "met"
	if len(o.misses) > 0 {
		word = "**missed**, met"
	}
	fmt.Fprintf(s, "- %s: %s in %d of %d rows.\n", text, word, o.passed, o.passed+len(o.misses))
	for _, m := range o.misses {
		fmt.Fprintf(s, "  - %s\n", m)
	}
}
