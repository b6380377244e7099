package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/otelpool/otelpool/benchmarks"
)

// A cell is one operation in one mode, serial or parallel, with all its peers.
type cell struct {
	op       benchmarks.Op
	mode     benchmarks.Mode
	parallel bool
	peers    []*measured
}

// measured is a peer with its measurements.
type measured struct {
	benchmarks.Peer
	ns     []float64 // per operation, one for each round
	allocs float64   // per operation, the minimum of all rounds
	runs   int       // operations in a round, 0 before the first
}

func newCells() []*cell {
	var cells []*cell
	for _, mode := range benchmarks.Modes {
		for _, op := range benchmarks.Ops {
			for _, parallel := range []bool{false, true} {
				c := &cell{op: op, mode: mode, parallel: parallel}
				for _, p := range benchmarks.Peers {
					if p.In(mode) {
						c.peers = append(c.peers, &measured{Peer: p, allocs: math.Inf(1)})
					}
				}
				cells = append(cells, c)
			}
		}
	}
	return cells
}

// name returns the name of the operation, with "parallel" if it runs in parallel.
func (c *cell) name() string {
	if c.parallel {
		return c.op.Name + " parallel"
	}
	return c.op.Name
}

func (c *cell) peer(name string) (*measured, bool) {
	i := slices.IndexFunc(c.peers, func(m *measured) bool { return m.Name == name })
	if i < 0 {
		return nil, false
	}
	return c.peers[i], true
}

// cost is the cost of a call, or the difference of two costs.
type cost struct{ ns, allocs float64 }

func (c cost) String() string { return fmt.Sprintf("%s ns, %.0f", thousands(c.ns), c.allocs) }

// fastest returns the minimum cost of a call: a disturbance can only add to it.
func (m *measured) fastest() cost {
	return cost{slices.Min(m.ns), m.allocs}
}

// added returns what a peer adds to the bare driver. ok is false if the cell does not
// have the peer.
func (c *cell) added(name string) (_ cost, ok bool) {
	m, ok := c.peer(name)
	if !ok {
		return cost{}, false
	}
	bare, _ := c.peer(benchmarks.Bare)
	b, f := bare.fastest(), m.fastest()
	return cost{f.ns - b.ns, math.Round(f.allocs - b.allocs)}, true
}

// rounds is how often each peer is measured. Each round covers all cells, so that a
// disturbance affects one round of many cells, not all rounds of one cell.
const rounds = 15

// measure measures the cells, in about the given time.
func measure(name string, cells []*cell, total time.Duration, progress io.Writer) error {
	var runs int
	for _, c := range cells {
		runs += len(c.peers)
	}
	each := total / time.Duration(runs*rounds)
	for round := range rounds {
		began := time.Now()
		for _, c := range cells {
			// Each round starts with another peer, so that no peer always runs after
			// the same one.
			for i := range c.peers {
				m := c.peers[(i+round)%len(c.peers)]
				b := benchmarks.Bench{Op: c.op, Mode: c.mode, Peer: m.Peer}
				if err := m.run(each, func(tb *testing.B) { b.Run(tb, c.parallel) }); err != nil {
					return fmt.Errorf("%s in mode %s: %w", c.name(), c.mode.Name, err)
				}
			}
		}
		fmt.Fprintf(progress, "%s: round %d of %d took %v\n", name, round+1, rounds, time.Since(began).Round(time.Second))
	}
	return nil
}

// run measures a peer once. The first run determines how many operations fill the time;
// later runs do that many.
func (m *measured) run(d time.Duration, bench func(*testing.B)) error {
	length := d.String()
	if m.runs > 0 {
		length = strconv.Itoa(m.runs) + "x"
	}
	if err := flag.Set("test.benchtime", length); err != nil {
		return err
	}
	r := testing.Benchmark(bench)
	if r.N == 0 {
		return fmt.Errorf("%s failed", m.Name)
	}
	ns := float64(r.T.Nanoseconds()) / float64(r.N)
	m.ns = append(m.ns, ns)
	m.allocs = min(m.allocs, float64(r.MemAllocs)/float64(r.N))
	m.runs = max(1, int(float64(d.Nanoseconds())/ns))
	return nil
}
