package main

import (
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
	if got := goalList(oneCell(within)); strings.Contains(got, "fails") {
		t.Errorf("660 ns and 4 allocations are within the budget:\n%s", got)
	}

	within[benchmarks.Otelpool] = cost{661, 5}
	within[benchmarks.OtelpoolDB] = cost{662, 7}
	want := `- allocations: at most the floor and 1 with no SDK, and 1 unsampled, and 3 sampled: **fails**, holds in 0 of 1.
  - no_sdk, exec: 5 allocations against 4
- time: at most 1.3 times the floor and 0.4 µs: **fails**, holds in 0 of 1.
  - no_sdk, exec: 661 ns against 660
- allocations of otelpool.DB: at most the same: **fails**, holds in 0 of 1.
  - no_sdk, exec: 7 allocations against 4
- allocations of otelpool.DB: at most otelpool's and 1: **fails**, holds in 0 of 1.
  - no_sdk, exec: 7 allocations against 6
- time of otelpool.DB: at most 1.3 times the floor and 0.4 µs: **fails**, holds in 0 of 1.
  - no_sdk, exec: 662 ns against 660
- time below XSAM: holds in 1 of 1.
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
	within := `- saturated: less than 5 % lost to call sites, and to inferring and emitting the waits: holds in 1 of 1.
- saturated: less than 5 % lost to inferring alone: holds in 1 of 1.
`
	if got := saturatedGoals(onePool(ns)); got != within {
		t.Errorf("goals:\n%s\nwant:\n%s", got, within)
	}

	ns[benchmarks.Otelpool] = 1001
	want := `- saturated: less than 5 % lost to call sites, and to inferring and emitting the waits: **fails**, holds in 0 of 1.
  - none, 1, unsampled: 5.1 %
- saturated: less than 5 % lost to inferring alone: holds in 1 of 1.
`
	if got := saturatedGoals(onePool(ns)); got != want {
		t.Errorf("goals:\n%s\nwant:\n%s", got, want)
	}
}

func TestReport_HasARowForEachCellAndNoPath(t *testing.T) {
	cells, statements := newCells(), newStatements()
	for _, c := range append(slices.Clone(cells), statements...) {
		for i, m := range c.peers {
			m.ns, m.allocs = []float64{float64(100 * (i + 1))}, float64(i)
		}
	}
	pools := newSaturatedPools()
	for _, p := range pools {
		for i, m := range p.peers {
			m.ns = []float64{float64(100 * (i + 1))}
		}
	}
	got := report(cells, statements, pools, thisMachine())
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
