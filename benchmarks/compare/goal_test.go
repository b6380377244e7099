package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/otelpool/otelpool/benchmarks"
)

// oneCell is an exec with no SDK. The bare driver takes 100 ns and 2 allocations; the
// peers take more by the given costs.
func oneCell(costs map[string]cost) []*cell {
	all := newCells()
	for _, c := range all {
		if c.mode.Name != benchmarks.NoSDK.Name || c.op.Name != "exec" || c.parallel {
			continue
		}
		for _, m := range c.peers {
			m.ns, m.allocs = []float64{150 + costs[m.Name].ns, 100 + costs[m.Name].ns}, 2+costs[m.Name].allocs
		}
		return []*cell{c}
	}
	return nil
}

func TestGoalList_ListsWhatExceedsTheBudget(t *testing.T) {
	within := map[string]cost{
		benchmarks.Floor:      {200, 3},
		benchmarks.Otelpool:   {660, 4},
		benchmarks.OtelpoolDB: {660, 4},
		benchmarks.XSAM:       {900, 12},
		benchmarks.Nhatthm:    {900, 18},
		benchmarks.Uptrace:    {700, 9},
	}
	if got := goalList(oneCell(within)); strings.Contains(got, "missed") {
		t.Errorf("660 ns and 4 allocations are within the budget:\n%s", got)
	}

	within[benchmarks.Otelpool] = cost{661, 5}
	within[benchmarks.OtelpoolDB] = cost{662, 7}
	want := `- allocations: at most the floor's, plus 1 (no_sdk, unsampled) or 3 (sampled, reduced): **missed**, met in 0 of 1 rows.
  - no_sdk, exec: 5 allocations, limit 4
- time: at most 1.3 times the floor's, plus 0.4 µs: **missed**, met in 0 of 1 rows.
  - no_sdk, exec: 661 ns, limit 660
- allocations of otelpool.DB: at most the floor's, plus 1 (no_sdk, unsampled) or 3 (sampled, reduced): **missed**, met in 0 of 1 rows.
  - no_sdk, exec: 7 allocations, limit 4
- allocations of otelpool.DB: at most otelpool's, plus 1: **missed**, met in 0 of 1 rows.
  - no_sdk, exec: 7 allocations, limit 6
- time of otelpool.DB: at most 1.3 times the floor's, plus 0.4 µs: **missed**, met in 0 of 1 rows.
  - no_sdk, exec: 662 ns, limit 660
- time: at most XSAM's: met in 1 of 1 rows.
`
	if got := goalList(oneCell(within)); !strings.HasPrefix(got, want) {
		t.Errorf("goals:\n%s\nwant at its beginning:\n%s", got, want)
	}
}

// onePool is a saturated pool on which the peers take the given time.
func onePool(ns map[string]float64) []*saturatedPool {
	s := newSaturatedPools()[0]
	for _, m := range s.peers {
		m.ns = []float64{ns[m.Name], 1, 1e9}
	}
	return []*saturatedPool{s}
}

func TestSaturatedGoals_ListsPoolsThatLoseFivePercent(t *testing.T) {
	ns := map[string]float64{
		benchmarks.Bare: 800, benchmarks.NotInferred: 950, benchmarks.Recorded: 970,
		benchmarks.Inferred: 990, benchmarks.Otelpool: 999, benchmarks.OtelpoolDB: 2000,
	}
	within := `- saturated pools: call sites, inferring the waits and emitting them cost less than 5 % of the throughput: met in 1 of 1 rows.
- saturated pools: inferring the waits alone costs less than 5 % of the throughput: met in 1 of 1 rows.
`
	if got := saturatedGoals(onePool(ns)); got != within {
		t.Errorf("goals:\n%s\nwant:\n%s", got, within)
	}

	ns[benchmarks.Otelpool] = 1001
	want := `- saturated pools: call sites, inferring the waits and emitting them cost less than 5 % of the throughput: **missed**, met in 0 of 1 rows.
  - none, 1, unsampled: 5.1 %
- saturated pools: inferring the waits alone costs less than 5 % of the throughput: met in 1 of 1 rows.
`
	if got := saturatedGoals(onePool(ns)); got != want {
		t.Errorf("goals:\n%s\nwant:\n%s", got, want)
	}
}

// anyReport is a report with numbers that nobody measured.
func anyReport() (text string, pools []*saturatedPool) {
	cells, statements := newCells(), newStatements()
	for _, c := range append(slices.Clone(cells), statements...) {
		for i, m := range c.peers {
			m.ns, m.allocs = []float64{float64(100 * (i + 1))}, float64(i)
		}
	}
	pools = newSaturatedPools()
	for _, p := range pools {
		for i, m := range p.peers {
			m.ns = []float64{float64(100 * (i + 1))}
		}
	}
	return report(cells, statements, pools, thisMachine()), pools
}

// words returns the lines of a report without the machine, the rows of tables, the rows
// that miss a goal, and the measured numbers.
func words(report string) (lines []string) {
	for line := range strings.Lines(report) {
		switch {
		case strings.HasPrefix(line, "go1."), strings.HasPrefix(line, "  - "), measuredRow.MatchString(line):
			continue
		}
		lines = append(lines, percent.ReplaceAllString(outcomes.ReplaceAllString(line, "met"), "of a percentage"))
	}
	return lines
}

var (
	measuredRow = regexp.MustCompile(`^\| .* \| [^|]*[0-9]`)
	outcomes    = regexp.MustCompile(`(\*\*missed\*\*, )?met in \d+ of \d+ rows`)
	percent     = regexp.MustCompile(`(was|within) \d+ %`)
)

func TestReport_HasTheWordsOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := anyReport()
	got, want := words(string(page)), words(text)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("docs/benchmarks.md differs from the report:\n%q\nwant:\n%q", got[min(i, len(got)):], want[min(i, len(want)):])
		}
	}
}

func TestReport_HasARowForEachCellAndNoPath(t *testing.T) {
	got, pools := anyReport()
	for _, mode := range benchmarks.Modes {
		if !strings.Contains(got, "\n## "+mode.Name+"\n") {
			t.Errorf("no chapter for mode %s", mode.Name)
		}
	}
	// Each cell has a row in the table of costs and one in that of ratios.
	for _, op := range benchmarks.Ops {
		for _, name := range []string{op.Name, op.Name + " parallel"} {
			if n := strings.Count(got, "\n| "+name+" |"); n != 2*len(benchmarks.Modes) {
				t.Errorf("%d rows for %s, want %d", n, name, 2*len(benchmarks.Modes))
			}
		}
	}
	for _, op := range benchmarks.Statements {
		if want := "\n| " + op.Name + " | 100 ns, 1 | 200 ns, 2 | 100 ns, 1 | 200 ns, 2 |\n"; strings.Count(got, want) != 1 {
			t.Errorf("not one row %q", want)
		}
	}
	for _, p := range pools {
		if n := strings.Count(got, "\n| "+p.name()+" |"); n != 2 {
			t.Errorf("%d rows for %s, want 2", n, p.name())
		}
	}
	if strings.Contains(got, "=>") || strings.Contains(got, "NaN") || strings.Contains(got, "Inf") {
		t.Errorf("report:\n%s", got)
	}
}

func TestThousands_AreSeparatedByCommas(t *testing.T) {
	for v, want := range map[float64]string{0: "0", -0.4: "0", 999.6: "1,000", -1234567: "-1,234,567", 12.3: "12"} {
		if got := thousands(v); got != want {
			t.Errorf("thousands(%v) = %q, want %q", v, got, want)
		}
	}
}
