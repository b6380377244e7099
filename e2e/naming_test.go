package e2e

import (
	"debug/buildinfo"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/otlptranslator"
)

// naming is one of the ways in which Prometheus names OpenTelemetry metrics, with the files
// shipped for it.
type naming struct {
	name        string
	strategy    otlptranslator.TranslationStrategyOption
	rules       string
	pool, fleet string // dashboards
}

var (
	underscores = naming{
		name:     "underscores",
		strategy: otlptranslator.UnderscoreEscapingWithSuffixes,
		rules:    "../docs/alerts/otelpool.rules.yaml",
		pool:     "../docs/dashboards/otelpool-pool.json",
		fleet:    "../docs/dashboards/otelpool-fleet.json",
	}
	dots = naming{
		name:     "dots",
		strategy: otlptranslator.NoUTF8EscapingWithSuffixes,
		rules:    "../docs/alerts/otelpool.utf8.rules.yaml",
		pool:     "../docs/dashboards/otelpool-pool-utf8.json",
		fleet:    "../docs/dashboards/otelpool-fleet-utf8.json",
	}
)

func (n naming) dotted() bool { return !n.strategy.ShouldEscape() }

// label is the name of an attribute's label.
func (n naming) label(attribute string) string {
	if n.dotted() {
		return attribute
	}
	return strings.ReplaceAll(attribute, ".", "_")
}

// series is a selector by the name of a metric, with its dots and the suffixes that
// Prometheus adds, and by labels, each an attribute and its value.
func (n naming) series(metric string, labels ...[2]string) string {
	all := []string{"__name__=" + strconv.Quote(n.label(metric))}
	for _, l := range labels {
		name := n.label(l[0])
		if n.dotted() {
			name = strconv.Quote(name)
		}
		all = append(all, name+"="+strconv.Quote(l[1]))
	}
	return "{" + strings.Join(all, ",") + "}"
}

// eachNaming runs a test in every naming that the installed Prometheus has. Names with dots
// need version 3.
func eachNaming(t *testing.T, test func(*testing.T, naming)) {
	t.Helper()
	need(t, "prometheus")
	need(t, "promtool")
	v := version(t, "prometheus")
	t.Log("prometheus", v)
	t.Run(underscores.name, func(t *testing.T) { test(t, underscores) })
	if !strings.HasPrefix(v, "2.") {
		t.Run(dots.name, func(t *testing.T) { test(t, dots) })
	}
}

// version is the version of a program: of the module that it was built from, or else the
// output of --version.
func version(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	if built, err := buildinfo.ReadFile(path); err == nil && strings.HasPrefix(built.Main.Version, "v") {
		return built.Main.Version
	}
	out, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	words := strings.Fields(string(out))
	if len(words) < 3 || words[1] != "version" {
		t.Fatalf("%s --version: %s", program, out)
	}
	return words[2]
}
