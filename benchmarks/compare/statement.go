package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/otelpool/otelpool/benchmarks"
)

// newStatements returns the cells of the statements, in the order of their modes.
func newStatements() []*cell {
	var cells []*cell
	for _, mode := range benchmarks.StatementModes {
		for _, op := range benchmarks.Statements {
			c := &cell{op: op, mode: mode}
			for _, p := range benchmarks.StatementPeers {
				c.peers = append(c.peers, &measured{Peer: p, allocs: math.Inf(1)})
			}
			cells = append(cells, c)
		}
	}
	return cells
}

// statementSection is the section of the report on statements.
func statementSection(cells []*cell) string {
	var s strings.Builder
	fmt.Fprint(&s, `## Statements

What an exec costs in one goroutine, with texts that are in the pool's cache and with texts that are not. At the first
use of a text, the pool computes its summary and its sanitised form. The cache holds both for a thousand texts, and at
most a MiB of texts. The floor computes neither: it has them before the measurement.

`)
	for _, op := range benchmarks.Statements {
		fmt.Fprintf(&s, "- %s: %s.\n", op.Name, op.Note)
	}
	var t table
	var heads []string
	for _, mode := range benchmarks.StatementModes {
		for _, peer := range benchmarks.StatementPeers[1:] {
			heads = append(heads, mode.Name+", "+peer.Name)
		}
	}
	t.row("text", heads...)
	for _, op := range benchmarks.Statements {
		var row []string
		for _, c := range cells {
			if c.op.Name != op.Name {
				continue
			}
			for _, peer := range benchmarks.StatementPeers[1:] {
				a, _ := c.added(peer.Name)
				row = append(row, a.String())
			}
		}
		t.row(op.Name, row...)
	}
	fmt.Fprintf(&s, "\nAdded to the bare driver: time, allocations.\n\n%s", &t.Builder)
	return s.String()
}
