package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/otelpool/otelpool/benchmarks"
)

// The budget in time: so many times the floor and so much.
const (
	budgetFactor = 1.3
	budgetNs     = 400
)

// A rule is one promise about what a peer, otelpool in one of its forms, adds to
// the bare driver.
type rule struct {
	peer string
	says string
	in   func(benchmarks.Mode) bool

	// limit is the most that the peer may add in a cell and still keep the
	// promise; ok is false if the cell is none of the rule's business.
	limit func(*cell) (_ cost, ok bool)
	of    func(cost) float64
	unit  string
}

func nanoseconds(c cost) float64 { return c.ns }
func allocations(c cost) float64 { return c.allocs }

func full(m benchmarks.Mode) bool    { return m.Name != benchmarks.Reduced.Name }
func reduced(m benchmarks.Mode) bool { return m.Name == benchmarks.Reduced.Name }
func noSDK(m benchmarks.Mode) bool   { return m.Name == benchmarks.NoSDK.Name }
func every(benchmarks.Mode) bool     { return true }

// below is the limit of being cheaper than another peer.
func below(peer string) func(*cell) (cost, bool) {
	return func(c *cell) (cost, bool) { return c.added(peer) }
}

// budget is the limit that the floor sets.
func budget(c *cell) (cost, bool) {
	f, ok := c.added(benchmarks.Floor)
	return cost{budgetFactor*max(f.ns, 0) + budgetNs, f.allocs + c.mode.Spare}, ok
}

// oneMore is the limit for a DB: what it adds to the plain *sql.DB.
func oneMore(c *cell) (cost, bool) {
	plain, ok := c.added(benchmarks.Otelpool)
	return cost{math.Inf(1), plain.allocs + 1}, ok
}

// timed is the limit of being cheaper than uptrace's wrapper in one of its forms
// where that times: begin, commit and ping get a span from it and no duration.
func timed(peer string) func(*cell) (cost, bool) {
	return func(c *cell) (cost, bool) {
		if c.op.Name == "tx" || c.op.Name == "ping" {
			return cost{}, false
		}
		return c.added(peer)
	}
}

var rules = []rule{
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
	{benchmarks.Otelpool, "time below uptrace with the same signals (mode reduced, uptrace named; it times no pings and no transactions)", reduced, timed(benchmarks.UptraceNamed), nanoseconds, "ns"},
	{benchmarks.Otelpool, "allocations below uptrace with the same signals", reduced, timed(benchmarks.UptraceNamed), allocations, "allocations"},
	{benchmarks.Otelpool, "time below uptrace in mode reduced with fewer attributes, by default", reduced, timed(benchmarks.Uptrace), nanoseconds, "ns"},
	{benchmarks.Otelpool, "allocations below uptrace with fewer attributes", reduced, timed(benchmarks.Uptrace), allocations, "allocations"},
}

// verdict says for each rule in how many cells it holds, and names the others.
func verdict(cells []*cell) string {
	var s strings.Builder
	for _, r := range rules {
		var o outcome
		for _, c := range cells {
			if !r.in(c.mode) {
				continue
			}
			limit, ok := r.limit(c)
			if !ok {
				continue
			}
			got, _ := c.added(r.peer)
			o.add(r.of(got) <= r.of(limit), "%s, %s: %s %s against %s",
				c.mode.Name, c.name(), thousands(r.of(got)), r.unit, thousands(r.of(limit)))
		}
		o.write(&s, r.says)
	}
	return s.String()
}

// An outcome is where a promise is kept, and where it is not.
type outcome struct {
	kept   int
	misses []string
}

func (o *outcome) add(kept bool, format string, args ...any) {
	if kept {
		o.kept++
	} else {
		o.misses = append(o.misses, fmt.Sprintf(format, args...))
	}
}

func (o *outcome) write(s *strings.Builder, says string) {
	word := "holds"
	if len(o.misses) > 0 {
		word = "**fails**, holds"
	}
	fmt.Fprintf(s, "- %s: %s in %d of %d.\n", says, word, o.kept, o.kept+len(o.misses))
	for _, m := range o.misses {
		fmt.Fprintf(s, "  - %s\n", m)
	}
}
