package main

import (
	"strings"
	"testing"

	"github.com/otelpool/otelpool/benchmarks"
)

// oneCell is an exec with no SDK in which the peers take the given time and
// allocations beyond the bare driver's 100 ns and 2.
func oneCell(of map[string]cost) []*cell {
	all := newCells()
	for _, c := range all {
		if c.mode.Name != benchmarks.NoSDK.Name || c.op.Name != "exec" || c.parallel {
			continue
		}
		for _, m := range c.peers {
			m.ns, m.allocs = []float64{150 + of[m.Name].ns, 100 + of[m.Name].ns}, 2+of[m.Name].allocs
		}
		return []*cell{c}
	}
	return nil
}

func TestTheVerdictNamesWhatIsOverTheBudget(t *testing.T) {
	within := map[string]cost{
		benchmarks.Floor:    {200, 3},
		benchmarks.Otelpool: {660, 4},
		benchmarks.XSAM:     {900, 12},
		benchmarks.Nhatthm:  {900, 18},
		benchmarks.Uptrace:  {700, 9},
	}
	if got := verdict(oneCell(within)); strings.Contains(got, "fails") {
		t.Errorf("660 ns and 4 allocations are within the budget:\n%s", got)
	}

	within[benchmarks.Otelpool] = cost{661, 5}
	want := `- allocations: at most the floor and 1 with no SDK, and 1 unsampled, and 3 sampled: **fails**, holds in 0 of 1.
  - no_sdk, exec: 5 allocations against 4
- time: at most 1.3 times the floor and 0.4 µs: **fails**, holds in 0 of 1.
  - no_sdk, exec: 661 ns against 660
- time below XSAM: holds in 1 of 1.
`
	if got := verdict(oneCell(within)); !strings.HasPrefix(got, want) {
		t.Errorf("verdict:\n%s\nwant at its beginning:\n%s", got, want)
	}
}

func TestAReportHasARowForEachCellAndNoPath(t *testing.T) {
	cells := newCells()
	for _, c := range cells {
		for i, m := range c.peers {
			m.ns, m.allocs = []float64{float64(100 * (i + 1))}, float64(i)
		}
	}
	got := report(cells, thisMachine())
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
	if strings.Contains(got, "=>") || strings.Contains(got, "NaN") || strings.Contains(got, "Inf") {
		t.Errorf("report:\n%s", got)
	}
}

func TestThousandsAreSeparated(t *testing.T) {
	for v, want := range map[float64]string{0: "0", -0.4: "0", 999.6: "1,000", -1234567: "-1,234,567", 12.3: "12"} {
		if got := thousands(v); got != want {
			t.Errorf("thousands(%v) = %q, want %q", v, got, want)
		}
	}
}
