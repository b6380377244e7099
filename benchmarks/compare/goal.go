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
	{benchmarks.Otelpool, "allocations: at most the floor and 1 with no SDK, and 1 unsampled, and 3 sampled", every, budget, allocations, "allocations"},
	{benchmarks.Otelpool, "time: at most 1.3 times the floor and 0.4 µs", every, budget, nanoseconds, "ns"},
	{benchmarks.OtelpoolDB, "allocations of otelpool.DB: at most the same", every, budget, allocations, "allocations"},
	{benchmarks.OtelpoolDB, "allocations of otelpool.DB: at most otelpool's and 1", every, oneMore, allocations, "allocations"},
	{benchmarks.OtelpoolDB, "time of otelpool.DB: at most 1.3 times the floor and 0.4 µs", every, budget, nanoseconds, "ns"},
	{benchmarks.Otelpool, "time below XSAM", full, below(benchmarks.XSAM), nanoseconds, "ns"},
	{benchmarks.Otelpool, "allocations below XSAM", full, below(benchmarks.XSAM), allocations, "allocations"},
	{benchmarks.Otelpool, "time below nhatthm", full, below(benchmarks.Nhatthm), nanoseconds, "ns"},
	{benchmarks.Otelpool, "allocations below nhatthm", full, below(benchmarks.Nhatthm), allocations, "allocations"},
	{benchmarks.Otelpool, "time below uptrace with no SDK", noSDK, below(benchmarks.Uptrace), nanoseconds, "ns"},
	{benchmarks.Otelpool, "allocations below uptrace with no SDK", noSDK, below(benchmarks.Uptrace), allocations, "allocations"},
	{benchmarks.Otelpool, "time below uptrace with the same signals (mode reduced, uptrace named; it records no duration of pings and transactions)", reduced, timed(benchmarks.UptraceNamed), nanoseconds, "ns"},
	{benchmarks.Otelpool, "allocations below uptrace with the same signals", reduced, timed(benchmarks.UptraceNamed), allocations, "allocations"},
	{benchmarks.Otelpool, "time below uptrace in mode reduced with fewer attributes, by default", reduced, timed(benchmarks.Uptrace), nanoseconds, "ns"},
	{benchmarks.Otelpool, "allocations below uptrace with fewer attributes", reduced, timed(benchmarks.Uptrace), allocations, "allocations"},
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
			o.add(g.value(got) <= g.value(limit), "%s, %s: %s %s against %s",
				c.mode.Name, c.name(), thousands(g.value(got)), g.unit, thousands(g.value(limit)))
		}
		o.write(&s, g.text)
	}
	return s.String()
}

// An outcome counts where a goal is met, and lists where it is missed.
type outcome struct {
	met    int
	misses []string
}

func (o *outcome) add(met bool, format string, args ...any) {
	if met {
		o.met++
	} else {
		o.misses = append(o.misses, fmt.Sprintf(format, args...))
	}
}

func (o *outcome) write(s *strings.Builder, text string) {
	word := "holds"
	if len(o.misses) > 0 {
		word = "**fails**, holds"
	}
	fmt.Fprintf(s, "- %s: %s in %d of %d.\n", text, word, o.met, o.met+len(o.misses))
	for _, m := range o.misses {
		fmt.Fprintf(s, "  - %s\n", m)
	}
}
