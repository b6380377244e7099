package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/otelpool/otelpool/benchmarks"
)

// newStatements are the cells of the statements, in the order of their modes.
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

// statementChapter is the chapter of the report on statements.
func statementChapter(cells []*cell) string {
	var s strings.Builder
	fmt.Fprint(&s, `## Statements

What a call takes by how well the pool knows its text: an exec, one goroutine. What a text is told as is made when it
comes for the first time, and kept for a thousand texts and a MiB of them. The floor has made it beforehand.

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
