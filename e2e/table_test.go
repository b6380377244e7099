package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// instrument is a row of docs/metrics.md, which is generated from the table of instruments.
type instrument struct{ name, kind, unit, about string }

var code = regexp.MustCompile("`([^`]+)`")

// readTable reads docs/metrics.md: its table, and the first line about each metric.
func readTable(t *testing.T) (all []instrument) {
	t.Helper()
	content, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		name := code.FindStringSubmatch(cells[0])
		if len(cells) != 4 || name == nil {
			continue
		}
		_, about, _ := strings.Cut(string(content), "\n## `"+name[1]+"`\n\n")
		about, _, _ = strings.Cut(about, "\n")
		all = append(all, instrument{name[1], strings.TrimSpace(cells[1]), code.FindStringSubmatch(cells[2])[1], about})
	}
	if len(all) < 21 {
		t.Fatalf("found %d instruments in docs/metrics.md: its format has changed", len(all))
	}
	return all
}
