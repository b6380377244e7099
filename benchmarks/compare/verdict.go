package main

import (
	"fmt"
	"strings"

	"github.com/otelpool/otelpool/benchmarks"
)

// The budget in time: so many times the floor and so much.
const (
	budgetFactor = 1.3
	budgetNs     = 400
)

// A rule is one promise about what otelpool adds to the bare driver.
type rule struct {
	says string
	in   func(benchmarks.Mode) bool

	// limit is the most that otelpool may add in a cell and still keep the
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

// sameAsUptrace leaves out what uptrace's wrapper does not time: begin, commit
// and ping get a span from it and no duration.
func sameAsUptrace(c *cell) (cost, bool) {
	if c.op.Name == "tx" || c.op.Name == "ping" {
		return cost{}, false
	}
	return c.added(benchmarks.Uptrace)
}

var rules = []rule{
	{"allocations: at most the floor and 1 with no SDK, and 1 unsampled, and 3 sampled", every, budget, allocations, "allocations"},
	{"time: at most 1.3 times the floor and 0.4 µs", every, budget, nanoseconds, "ns"},
	{"time below XSAM", full, below(benchmarks.XSAM), nanoseconds, "ns"},
	{"allocations below XSAM", full, below(benchmarks.XSAM), allocations, "allocations"},
	{"time below nhatthm", full, below(benchmarks.Nhatthm), nanoseconds, "ns"},
	{"allocations below nhatthm", full, below(benchmarks.Nhatthm), allocations, "allocations"},
	{"time below uptrace with no SDK", noSDK, below(benchmarks.Uptrace), nanoseconds, "ns"},
	{"allocations below uptrace with no SDK", noSDK, below(benchmarks.Uptrace), allocations, "allocations"},
	{"time below uptrace with the same signals (mode reduced; it times no pings and no transactions)", reduced, sameAsUptrace, nanoseconds, "ns"},
	{"allocations below uptrace with the same signals", reduced, sameAsUptrace, allocations, "allocations"},
}

// verdict says for each rule in how many cells it holds, and names the others.
func verdict(cells []*cell) string {
	var s strings.Builder
	for _, r := range rules {
		var kept, all int
		var misses []string
		for _, c := range cells {
			if !r.in(c.mode) {
				continue
			}
			limit, ok := r.limit(c)
			if !ok {
				continue
			}
			got, _ := c.added(benchmarks.Otelpool)
			all++
			if r.of(got) <= r.of(limit) {
				kept++
				continue
			}
			misses = append(misses, fmt.Sprintf("%s, %s: %s %s against %s",
				c.mode.Name, c.name(), thousands(r.of(got)), r.unit, thousands(r.of(limit))))
		}
		word := "holds"
		if len(misses) > 0 {
			word = "**fails**, holds"
		}
		fmt.Fprintf(&s, "- %s: %s in %d of %d.\n", r.says, word, kept, all)
		for _, m := range misses {
			fmt.Fprintf(&s, "  - %s\n", m)
		}
	}
	return s.String()
}
