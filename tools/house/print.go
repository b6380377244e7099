package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// What is listed. A file, struct, type or function beyond these is likely to be several.
const (
	maxFileLines = 400
	maxFields    = 12
	minMethods   = 10
	maxFuncLines = 60
)

// print writes all figures, in the same order each time.
func (h *house) print(w io.Writer, edges bool) error {
	fmt.Fprintln(w, "figures of", h.module)
	table(w, "packages", func(row func(...any)) {
		row("", "files", "lines", "largest file", "")
		for _, p := range h.packages {
			largest := p.filesAbove(-1)[0]
			row(h.short(p), len(p.files), p.lines(), largest.file, largest.n)
		}
	})
	table(w, "exported names; methods and fields are those of exported types, and fields are not in the sum", func(row func(...any)) {
		row("", "consts", "vars", "funcs", "types", "methods", "sum", "fields")
		for _, p := range h.packages {
			a := p.api()
			row(h.short(p), a.consts, a.vars, a.funcs, a.types, a.methods, a.total(), a.fields)
		}
	})
	table(w, "imports", func(row func(...any)) {
		for _, p := range h.packages {
			if to := h.imports(p); len(to) > 0 {
				row(h.short(p) + " -> " + strings.Join(to, ", "))
			}
		}
	})
	root := h.root()
	if root == nil {
		return fmt.Errorf("no package at the root of %s", h.module)
	}
	name := h.short(root)
	list(w, fmt.Sprintf("%s: files above %d lines", name, maxFileLines), root.filesAbove(maxFileLines))
	list(w, fmt.Sprintf("%s: structs with more than %d fields", name, maxFields), root.structsAbove(maxFields))
	list(w, fmt.Sprintf("%s: types with %d methods or more", name, minMethods), root.methodsFrom(minMethods))
	list(w, fmt.Sprintf("%s: functions longer than %d lines", name, maxFuncLines), root.functionsAbove(h.fset, maxFuncLines))

	g := root.graph(h.fset)
	cycle, pairs := g.largestCycle(), g.bothWays()
	table(w, name+": files that depend on files", func(row func(...any)) {
		row("files", len(g))
		row("dependencies", g.edges())
		row("pairs that use each other", len(pairs))
		row("files in the largest cycle", len(cycle))
	})
	if len(cycle) > 0 {
		fmt.Fprintf(w, "\n%s: the largest cycle\n%s", name, wrap(cycle))
	}
	if edges {
		g.print(w, name, pairs)
	}
	return nil
}

// print writes each dependency with the names that make it, those in both directions
// first.
func (g graph) print(w io.Writer, name string, pairs [][2]string) {
	names := func(a, b string) string { return strings.Join(slices.Sorted(maps.Keys(g[a][b])), ", ") }
	table(w, name+": pairs that use each other", func(row func(...any)) {
		for _, p := range pairs {
			row(p[0]+" -> "+p[1], names(p[0], p[1]))
			row(p[1]+" -> "+p[0], names(p[1], p[0]))
		}
	})
	table(w, name+": all dependencies", func(row func(...any)) {
		for _, a := range slices.Sorted(maps.Keys(g)) {
			for _, b := range slices.Sorted(maps.Keys(g[a])) {
				row(a+" -> "+b, names(a, b))
			}
		}
	})
}

// list writes counts under a heading that says how many there are.
func list(w io.Writer, heading string, counts []count) {
	table(w, fmt.Sprintf("%s: %d", heading, len(counts)), func(row func(...any)) {
		for _, c := range counts {
			if c.name == "" {
				row(c.file, c.n)
			} else {
				row(c.name, c.n, c.file)
			}
		}
	})
}

// table writes a heading and aligned rows: text to the left, numbers to the right.
func table(w io.Writer, heading string, fill func(row func(cells ...any))) {
	var rows [][]any
	fill(func(cells ...any) { rows = append(rows, cells) })
	var widths []int
	for _, cells := range rows {
		for i, c := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len(fmt.Sprint(c)))
		}
	}
	fmt.Fprintf(w, "\n%s\n", heading)
	for _, cells := range rows {
		line := ""
		for i, c := range cells {
			// A heading is aligned as the numbers below it.
			_, number := rows[len(rows)-1][i].(int)
			if number {
				line += fmt.Sprintf("  %*v", widths[i], c)
			} else {
				line += fmt.Sprintf("  %-*v", widths[i], c)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// wrap breaks a list of names into indented lines of at most 100 columns.
func wrap(names []string) string {
	var b strings.Builder
	column := 0
	for _, n := range names {
		if column > 0 && column+1+len(n) > 98 {
			b.WriteString("\n")
			column = 0
		}
		if column == 0 {
			b.WriteString(" ")
		}
		b.WriteString(" " + n)
		column += 1 + len(n)
	}
	return b.String() + "\n"
}
