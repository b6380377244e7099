package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// width is the number of columns of the output.
const width = 96

// printTitle prints the heading of a scene.
func printTitle(out io.Writer, number, total int, s scene) {
	head := fmt.Sprintf("── %d/%d  %s: %s ", number, total, s.name, s.title)
	fmt.Fprintf(out, "\n%s%s\n\n", head, strings.Repeat("─", max(0, width-len([]rune(head)))))
	printWrapped(out, s.about)
	printWrapped(out, "Look for: "+s.look)
	fmt.Fprintln(out)
}

// printWrapped prints a paragraph, indented.
func printWrapped(out io.Writer, text string) {
	for _, line := range wrapped(text, width-2) {
		fmt.Fprintln(out, " ", line)
	}
}

// printStory prints an event with its time. Continuation lines are indented to where its
// text begins.
func printStory(out io.Writer, after time.Duration, text string) {
	head := fmt.Sprintf("  %4.1f s  ", after.Seconds())
	for paragraph := range strings.SplitSeq(text, "\n") {
		for _, line := range wrapped(paragraph, width-len(head)) {
			fmt.Fprintf(out, "%s%s\n", head, line)
			head = strings.Repeat(" ", len(head))
		}
	}
}

// wrapped breaks a paragraph into lines of at most the given columns. A longer word gets a
// line of its own.
func wrapped(text string, columns int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > columns {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// printTable prints the SDK's figures for a scene, then the clients' counts.
func printTable(out io.Writer, f *figures, t tally) {
	row := func(label string, cells ...string) {
		fmt.Fprintf(out, "  %-15s%s\n", label, strings.TrimRight(strings.Join(cells, ""), " "))
	}
	fmt.Fprintf(out, "\n  pool %q, as recorded by the SDK (percentiles are estimated from buckets)\n", poolName)
	row("connections",
		cell("limit", number(f.limit)), cell("most held", number(max(f.mostUsed, f.peak))),
		cell("held now", number(f.used)), cell("idle now", number(f.idle)), cell("dialing now", number(f.dialing)))
	row("held over time", sparkline(f.usedOverTime, f.limit, 60))
	row("hold time", percentiles(&f.holds)...)
	row("", cell("over 1 s", strconv.FormatUint(f.holds.atLeast(time.Second), 10)), cell("longest so far", short(f.mostOldestHold)))
	row("wait time", percentiles(&f.waits)...)
	row("failed waits", percentiles(&f.failedWaits)...)
	row("waiting",
		cell("most at once", number(f.mostWaiting)), cell("longest", short(f.mostOldestWait)), cell("total", short(seconds(f.waited))),
		cell("timed out", number(f.timeouts)), cell("canceled", number(f.cancels)))
	row("statement time", percentiles(&f.statements)...)
	row("dial time", percentiles(&f.dials)...)
	row("held by phase", cells(f.heldFor, []string{"executing", "rows", "tx", "pinned"}, func(s float64) string { return short(seconds(s)) })...)
	row("acquired", cells(f.acquired, []string{"new", "reused", "opener"}, number)...)
	row("closed", cells(f.closed, []string{reasonBad}, number)...)
	row("retries", cells(f.retries, nil, number)...)

	fmt.Fprintf(out, "\n  HTTP requests, as counted by the clients\n")
	statuses := map[string]int64{}
	for status, n := range t.byStatus {
		statuses["status "+strconv.Itoa(status)] = int64(n)
	}
	if t.lost > 0 {
		statuses["no response"] = int64(t.lost)
	}
	row("requests", cell("ok", number(int64(t.ok()))), cell("failed", number(int64(t.failed()))),
		cell("slowest", short(t.slowest)))
	row("responses", cells(statuses, nil, number)...)
}

// cell is a name and its value, padded to the width of a column.
func cell(name, value string) string {
	return fmt.Sprintf("%-16s ", name+" "+value)
}

// cells lists counts: first those that are always shown, then the others, sorted by name.
func cells[N int64 | float64](counts map[string]N, always []string, show func(N) string) []string {
	names := slices.Clone(always)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	var all []string
	for _, name := range names {
		all = append(all, cell(name, show(counts[name])))
	}
	if all == nil {
		return []string{"none"}
	}
	return all
}

func percentiles(h *histogram) []string {
	if h.count == 0 {
		return []string{"none"}
	}
	return []string{
		cell("p50", short(h.quantile(0.5))), cell("p95", short(h.quantile(0.95))), cell("p99", short(h.quantile(0.99))),
		cell("max", short(seconds(h.max))), cell("count", strconv.FormatUint(h.count, 10)),
	}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// short formats a duration with about two digits; buckets are no more precise.
func short(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case d == 0:
		return "0"
	case d < time.Millisecond:
		return fmt.Sprintf("%.2f ms", ms)
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", ms)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// sparkline draws samples between 0 and limit with one mark per column, and states the time
// that a mark covers. A mark shows the maximum of its samples; 0 is blank.
func sparkline(samples []int64, limit int64, columns int) string {
	if len(samples) == 0 || limit <= 0 {
		return "none"
	}
	marks := []rune(" ▁▂▃▄▅▆▇█")
	perColumn := (len(samples) + columns - 1) / columns
	var line []rune
	for part := range slices.Chunk(samples, perColumn) {
		most := int64(len(marks) - 1)
		level := (slices.Max(part)*most + limit - 1) / limit
		line = append(line, marks[min(level, most)])
	}
	return fmt.Sprintf("|%s| %v per mark", string(line), time.Duration(perColumn)*watchEvery)
}
