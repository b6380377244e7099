package main

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/otelpool/otelpool/benchmarks"
)

// machine describes where the numbers come from. It has no path and no host name.
type machine struct {
	goVersion, platform string
	cpus                int
	date                string
	versions            []string // of the peers and of OpenTelemetry
}

func thisMachine() machine {
	m := machine{
		goVersion: runtime.Version(),
		platform:  runtime.GOOS + "/" + runtime.GOARCH,
		cpus:      runtime.GOMAXPROCS(0),
		date:      time.Now().UTC().Format(time.DateOnly),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return m
	}
	shown := []string{"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/sdk/metric"}
	for _, p := range benchmarks.Peers {
		if p.Module != "" {
			shown = append(shown, p.Module)
		}
	}
	for _, d := range info.Deps {
		if slices.Contains(shown, d.Path) {
			m.versions = append(m.versions, d.Path+" "+d.Version)
		}
	}
	return m
}

func report(cells, statements []*cell, pools []*saturatedPool, m machine) string {
	var s strings.Builder
	fmt.Fprint(&s, `# What it costs

Made by `+"`go run ./benchmarks/compare`"+`; do not edit. Each number is the cost of a call minus its cost with the bare
driver, which does nothing, in the same mode of the same run. What remains is the cost of the wrapper and of the
OpenTelemetry SDK. A mode is a setup of the SDK, and has a section below.

- floor emits otelpool's signals directly to the SDK, with options built beforehand. No wrapper that emits these signals
  can be cheaper.
- otelpool is the plain *sql.DB.
- otelpool.DB is the same pool through the methods of that type. They also record the call site of each acquire, and
  report callers that wait and callers that get no connection.
- XSAM, nhatthm, uptrace and sqlmw are other wrappers. They emit fewer signals: none reports acquires, releases, waits
  and hold times.

`)
	fmt.Fprintf(&s, "%s, %s, %d CPUs, %s. %s.\n\n", m.goVersion, m.platform, m.cpus, m.date, strings.Join(m.versions, ", "))
	fmt.Fprintf(&s, "Each number is the fastest of %d rounds; in a round each wrapper runs once. %s.\n\n", rounds, noise(cells))
	fmt.Fprintf(&s, "## Goals\n\n%s\n%s", goalsNote, goalList(cells)+saturatedGoals(pools))
	for _, mode := range benchmarks.Modes {
		fmt.Fprintf(&s, "\n## %s\n\n%s\n\n", mode.Name, mode.Note)
		inMode := slices.DeleteFunc(slices.Clone(cells), func(c *cell) bool { return c.mode.Name != mode.Name })
		fmt.Fprintf(&s, "Added to the bare driver: time, allocations.\n\n%s\n", addedTable(inMode))
		fmt.Fprintf(&s, "The same time, divided by the floor's and, in brackets, by otelpool's.\n\n%s", ratioTable(inMode))
	}
	fmt.Fprintf(&s, "\n%s\n%s", statementSection(statements), saturatedSection(pools))
	return s.String()
}

const goalsNote = `Each goal is a limit for rows of the tables below. The rows that miss it follow, with their number and the limit.
`

// noise describes the spread of the bare driver's runs.
func noise(cells []*cell) string {
	var deviations []float64
	for _, c := range cells {
		if m, ok := c.peer(benchmarks.Bare); ok {
			deviations = append(deviations, median(m.ns)/slices.Min(m.ns)-1)
		}
	}
	return fmt.Sprintf("The median round of the bare driver was %.0f %% slower than its fastest", 100*median(deviations))
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// addedTable has a column for each peer. The cells have the same mode.
func addedTable(cells []*cell) string {
	var t table
	t.row("operation", names(cells[0].peers)...)
	for _, c := range cells {
		var row []string
		for _, m := range c.peers {
			if m.Name == benchmarks.Bare {
				f := m.fastest()
				row = append(row, "("+f.String()+")")
				continue
			}
			a, _ := c.added(m.Name)
			row = append(row, a.String())
		}
		t.row(c.name(), row...)
	}
	return t.String()
}

func ratioTable(cells []*cell) string {
	var t table
	t.row("operation", names(cells[0].peers)[2:]...)
	for _, c := range cells {
		floor, _ := c.added(benchmarks.Floor)
		ours, _ := c.added(benchmarks.Otelpool)
		var row []string
		for _, m := range c.peers[2:] {
			a, _ := c.added(m.Name)
			text := ratio(a.ns, floor.ns)
			if m.Name != benchmarks.Otelpool {
				text += " (" + ratio(a.ns, ours.ns) + ")"
			}
			row = append(row, text)
		}
		t.row(c.name(), row...)
	}
	return t.String()
}

func names(peers []*measured) []string {
	var names []string
	for _, m := range peers {
		names = append(names, m.Name)
	}
	return names
}

// ratio returns "-" for a cost below the noise.
func ratio(a, b float64) string {
	if a <= 0 || b <= 0 {
		return "-"
	}
	return strconv.FormatFloat(a/b, 'f', 1, 64)
}

// thousands writes a whole number with commas.
func thousands(v float64) string {
	s := strconv.FormatFloat(math.Abs(math.Round(v)), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if math.Round(v) < 0 {
		s = "-" + s
	}
	return s
}

// table is a Markdown table. Its first row is the head.
type table struct{ strings.Builder }

func (t *table) row(first string, more ...string) {
	head := t.Len() == 0
	fmt.Fprintf(t, "| %s | %s |\n", first, strings.Join(more, " | "))
	if head {
		fmt.Fprintf(t, "| --- |%s\n", strings.Repeat(" ---: |", len(more)))
	}
}
