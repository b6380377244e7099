package poolz

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/otelpool/otelpool/poolinfo"
)

// The size of the text: columns of a line, and rows of a list.
const (
	width    = 100
	textRows = 20
)

// writeText writes a summary for a terminal. No line is longer than width.
func writeText(w *bytes.Buffer, d *document) {
	if len(d.Pools) == 0 {
		w.WriteString("No pool is open.\n")
		return
	}
	for i, p := range d.Pools {
		if i > 0 {
			w.WriteString("\n")
		}
		textPool(w, p)
	}
}

func textPool(w *bytes.Buffer, p *poolDoc) {
	line(w, "", fmt.Sprintf("%s: %s (%s)", p.Name, strings.ToUpper(string(p.State)), p.About()))
	wrap(w, "", p.Sentence)
	waiting := "unknown"
	if p.Waiting != nil {
		waiting = fmt.Sprint(*p.Waiting)
	}
	limit := "none"
	switch most := p.Limits.maxOpen(); {
	case most < 0:
		limit = "unknown"
	case most > 0:
		limit = fmt.Sprint(most)
	}
	fmt.Fprintf(w, "limit %s  open %d  held %d  idle %d  dialing %d  waiting %s\n", limit, p.Open, p.Held, p.Idle, p.Dialing, waiting)

	for _, f := range p.Findings {
		wrap(w, "  ! ", f.What+" "+f.Advice)
	}
	if p.Waits.Count+p.Holds.Count > 0 {
		t := newTable("5 minutes", ">count", ">p50", ">p90", ">p95", ">p99", ">most")
		for _, row := range []struct {
			name         string
			distribution distribution
		}{{"waits", p.Waits}, {"holds", p.Holds}} {
			d := row.distribution
			t.row(row.name, d.Count, d.P50, d.P90, d.P95, d.P99, d.Most)
		}
		t.write(w)
	}
	if len(p.Groups) > 0 {
		t := newTable(">holders", ">unused", ">longest", "call site")
		for _, g := range p.Groups {
			t.row(g.Count, g.Unused, g.Longest, textSite(g.Frames))
		}
		t.write(w)
	}
	if held := slices.DeleteFunc(slices.Clone(p.Conns), func(c connDoc) bool { return c.State != poolinfo.StateHeld }); len(held) > 0 {
		t := newTable(">conn", ">held", ">unused", "phase", "statement", "trace", "call site")
		for _, c := range held {
			h := cmp.Or(c.Holder, &holder{})
			t.row(c.ID, c.For, h.UnusedFor, c.Phase, truncate(h.Statement, 20), textTrace(h.span), textSite(h.Frames))
		}
		t.write(w)
	}
	if len(p.Waiters) > 0 {
		t := newTable(">waited", "trace", "call site")
		for _, a := range p.Waiters {
			waited := "unknown"
			if a.Waited != nil {
				waited = a.Waited.String()
			}
			t.row(waited, textTrace(a.span), textSite(a.Frames))
		}
		t.write(w)
	}
	if len(p.Closed) > 0 {
		var parts []string
		for _, reason := range slices.Sorted(maps.Keys(p.Closed)) {
			parts = append(parts, fmt.Sprintf("%s %d", reason, p.Closed[reason]))
		}
		fmt.Fprintln(w)
		wrap(w, "", fmt.Sprintf("opened %d; closed: %s", p.Opened, strings.Join(parts, ", ")))
	}
	for _, x := range p.RecentlyClosed[:min(len(p.RecentlyClosed), textRows)] {
		wrap(w, fmt.Sprintf("%8s ago  ", seconds(p.Time.Sub(x.Time).Round(time.Second))), x.Sentence)
	}
	if len(p.Reports) > 0 {
		w.WriteString("\nreports\n")
	}
	for _, r := range p.Reports[:min(len(p.Reports), textRows)] {
		wrap(w, fmt.Sprintf("%8s ago  ", seconds(p.Time.Sub(r.Time).Round(time.Second))), r.Sentence)
	}
}

func textSite(frames []frame) string {
	if len(frames) == 0 {
		return "not recorded"
	}
	s := frames[0].Where()
	if len(frames) > 1 {
		s += " from " + frames[1].Where()
	}
	return s
}

func textTrace(s span) string {
	if s.TraceID == nil {
		return "-"
	}
	return *s.TraceID
}

// table aligns its columns. A column whose name begins with > has numbers, and is
// aligned to the right. A line is truncated at width.
type table struct {
	right []bool
	rows  [][]string
}

func newTable(names ...string) *table {
	t := &table{}
	for i, n := range names {
		t.right = append(t.right, strings.HasPrefix(n, ">"))
		names[i] = strings.TrimPrefix(n, ">")
	}
	t.rows = [][]string{names}
	return t
}

func (t *table) row(cells ...any) {
	t.rows = append(t.rows, each(cells, func(c any) string { return fmt.Sprint(c) }))
}

func (t *table) write(w *bytes.Buffer) {
	more := len(t.rows) - 1 - textRows
	rows := t.rows[:min(len(t.rows), 1+textRows)]
	wide := make([]int, len(t.right))
	for _, r := range rows {
		for i, c := range r {
			wide[i] = max(wide[i], utf8.RuneCountInString(c))
		}
	}
	w.WriteString("\n")
	for _, r := range rows {
		var b strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", wide[i]-utf8.RuneCountInString(c))
			if i > 0 {
				b.WriteString("  ")
			}
			if t.right[i] {
				b.WriteString(pad + c)
			} else {
				b.WriteString(c + pad)
			}
		}
		line(w, "", b.String())
	}
	if more > 0 {
		fmt.Fprintf(w, "and %d more, see ?format=json\n", more)
	}
}

// line writes one line, truncated at width.
func line(w *bytes.Buffer, indent, s string) {
	w.WriteString(indent)
	w.WriteString(truncate(strings.TrimRight(s, " "), width-utf8.RuneCountInString(indent)))
	w.WriteString("\n")
}

// truncate shortens s to n columns. It replaces unprintable characters, because a
// terminal interprets control characters.
func truncate(s string, n int) string {
	s = printable(s)
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// wrap writes s in several lines. The first begins with head, the others with an
// indent of its width.
func wrap(w *bytes.Buffer, head, s string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	room := width - utf8.RuneCountInString(head)
	b := ""
	for _, word := range strings.Fields(s) {
		if b != "" && utf8.RuneCountInString(b)+1+utf8.RuneCountInString(word) > room {
			line(w, head, b)
			head, b = indent, ""
		}
		if b != "" {
			b += " "
		}
		b += word
	}
	line(w, head, b)
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\ufffd'
	}, s)
}
