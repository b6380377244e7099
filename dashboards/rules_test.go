package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// requireEnv turns a missing program from a skip into a failure.
const requireEnv = "OTELPOOL_REQUIRE_SERVERS"

// rule is one alert or recording rule.
type rule struct {
	Alert       string            `yaml:"alert,omitempty"`
	Record      string            `yaml:"record,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

func (r rule) name() string { return r.Alert + r.Record }

type ruleGroup struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

type ruleFile struct {
	Groups []ruleGroup `yaml:"groups"`
}

func readRules(t *testing.T, n naming) (all []rule) {
	t.Helper()
	var file ruleFile
	name := map[naming]string{underscores: rulesFile, dots: "docs/alerts/otelpool.utf8.rules.yaml"}[n]
	readYAML(t, filepath.Join("..", name), &file)
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// situation is one test of promtool.
type situation struct {
	Name        string          `yaml:"name"`
	Every       string          `yaml:"interval"`
	Series      []series        `yaml:"input_series"`
	Expressions []expectation   `yaml:"promql_expr_test,omitempty"`
	Alerts      []alertExpected `yaml:"alert_rule_test,omitempty"`
}

type series struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type expectation struct {
	Expr string   `yaml:"expr"`
	At   string   `yaml:"eval_time"`
	Want []sample `yaml:"exp_samples"`
}

type sample struct {
	Labels string  `yaml:"labels"`
	Value  float64 `yaml:"value"`
}

type alertExpected struct {
	Name string      `yaml:"alertname"`
	At   string      `yaml:"eval_time"`
	Want []yaml.Node `yaml:"exp_alerts"`
}

type situationFile struct {
	Rules []string    `yaml:"rule_files"`
	Every string      `yaml:"evaluation_interval"`
	Tests []situation `yaml:"tests"`
}

var situationFiles = []string{"otelpool.test.yaml", "otelpool.days.test.yaml"}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func writeYAML(t *testing.T, name string, content any) {
	t.Helper()
	b, err := yaml.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// promtool runs Prometheus's own checker in the folder of the rules.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		const lacking = "no promtool; to get it: apt-get install --no-install-recommends prometheus"
		if os.Getenv(requireEnv) != "" {
			t.Fatal(lacking)
		}
		t.Skip(lacking)
	}
	c := exec.CommandContext(t.Context(), "promtool", args...)
	c.Dir = "../docs/alerts"
	out, err := c.CombinedOutput()
	return string(out), err
}

func TestRules_PromtoolAcceptsThem(t *testing.T) {
	t.Parallel()
	if out, err := promtool(t, "check", "rules", "--lint=all", "--lint-fatal", "otelpool.rules.yaml"); err != nil {
		t.Error(err, out)
	}
}

func TestRules_FireInTheirSituations(t *testing.T) {
	for _, name := range situationFiles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if out, err := promtool(t, "test", "rules", name); err != nil {
				t.Error(err, out)
			}
		})
	}
}

func TestRules_EveryAlertHasItsRunbook(t *testing.T) {
	sections, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readRules(t, underscores) {
		if r.Record != "" {
			continue
		}
		if !slices.Contains([]string{"page", "warning", "ticket"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
		if !strings.Contains(r.Annotations["description"], "First: ") {
			t.Errorf("%s: its description has no \"First: \"", r.Alert)
		}
		if r.Annotations["summary"] == "" {
			t.Errorf("%s: no summary", r.Alert)
		}
		if want := runbook + "#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		if !strings.Contains(string(sections), "\n### "+r.Alert+"\n") {
			t.Errorf("%s: docs/operating.md has no section of that name", r.Alert)
		}
		e, err := promql().ParseExpr(r.Expr)
		if err != nil {
			t.Fatal(err)
		}
		kept := labelsKept(e)
		for _, text := range r.Annotations {
			for _, found := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(text, -1) {
				if !slices.Contains(kept, found[1]) {
					t.Errorf("%s uses the label %s, and has only %v", r.Alert, found[1], kept)
				}
			}
		}
	}
}

// labelsKept are the labels of the result of an expression: those of its leftmost
// aggregation.
func labelsKept(e parser.Expr) []string {
	switch e := e.(type) {
	case *parser.AggregateExpr:
		return e.Grouping
	case *parser.BinaryExpr:
		if kept := labelsKept(e.LHS); kept != nil {
			return kept
		}
		return labelsKept(e.RHS)
	case *parser.ParenExpr:
		return labelsKept(e.Expr)
	}
	return nil
}

// mutant is a rule without one of its conditions.
type mutant struct {
	what string
	rule rule
}

// mutants removes each condition of a rule in turn: a comparison, either side of and,
// or and unless, a label matcher, the for.
func mutants(t *testing.T, r rule) (all []mutant) {
	t.Helper()
	change := func(what string, to parser.Expr) {
		changed := r
		changed.Expr = to.String()
		all = append(all, mutant{what, changed})
	}
	e, err := promql().ParseExpr(r.Expr)
	if err != nil {
		t.Fatal(err)
	}
	// visit gets a pointer to each part of the expression.
	var visit func(at *parser.Expr)
	visit = func(at *parser.Expr) {
		whole := *at
		put := func(what string, part parser.Expr) {
			*at = part
			change(what, e)
			*at = whole
		}
		switch x := whole.(type) {
		case *parser.BinaryExpr:
			switch {
			case x.Op.IsComparisonOperator():
				put(fmt.Sprintf("the comparison %s %s", x.Op, x.RHS), x.LHS)
			case x.Op.IsSetOperator():
				put(fmt.Sprintf("%s %s", x.Op, x.RHS), x.LHS)
				if x.Op != parser.LUNLESS {
					put(fmt.Sprintf("%s %s", x.LHS, x.Op), x.RHS)
				}
			}
			visit(&x.LHS)
			visit(&x.RHS)
		case *parser.AggregateExpr:
			visit(&x.Expr)
		case *parser.ParenExpr:
			visit(&x.Expr)
		case *parser.Call:
			for i := range x.Args {
				visit(&x.Args[i])
			}
		case *parser.MatrixSelector:
			visit(&x.VectorSelector)
		case *parser.VectorSelector:
			matchers := x.LabelMatchers
			for i, m := range matchers {
				if m.Name == metricName {
					continue
				}
				x.LabelMatchers = slices.Delete(slices.Clone(matchers), i, i+1)
				change("the matcher "+m.String()+" of "+x.Name, e)
			}
			x.LabelMatchers = matchers
		}
	}
	visit(&e)
	if r.For != "" {
		immediate := r
		immediate.For = ""
		all = append(all, mutant{"for: " + r.For, immediate})
	}
	return all
}

func TestRules_EveryConditionIsTested(t *testing.T) {
	var all []situationFile
	for _, name := range situationFiles {
		var file situationFile
		readYAML(t, filepath.Join("../docs/alerts", name), &file)
		all = append(all, file)
	}
	for _, r := range readRules(t, underscores) {
		t.Run(r.name(), func(t *testing.T) {
			t.Parallel()
			left := mutants(t, r)
			// A few situations detect most mutants, in less time than all situations.
			for _, metric := range append(rarest(t, r, all), "") {
				if len(left) > 0 {
					left = survivors(t, r, left, all, metric)
				}
			}
			for _, m := range left {
				t.Errorf("without %s every situation is as before:\n%s", m.what, m.rule.Expr)
			}
		})
	}
}

// survivors replaces a rule by its mutants in the situations that have a metric, or in
// all situations if metric is empty. It returns the mutants that behave as the rule
// does. All mutants are tried at once, under different names.
func survivors(t *testing.T, r rule, tried []mutant, all []situationFile, metric string) (left []mutant) {
	t.Helper()
	dir := t.TempDir()
	changed := filepath.Join(dir, "rules.yaml")
	group := ruleGroup{Name: "mutants"}
	for i, m := range tried {
		m.rule.Alert, m.rule.Record = called(r.Alert, i), called(r.Record, i)
		group.Rules = append(group.Rules, m.rule)
	}
	writeYAML(t, changed, ruleFile{[]ruleGroup{group}})
	args := []string{"test", "rules"}
	for i, file := range all {
		file.Rules = []string{changed}
		file.Tests = about(r, len(tried), having(metric, file.Tests))
		if len(file.Tests) > 0 {
			name := filepath.Join(dir, situationFiles[i])
			writeYAML(t, name, file)
			args = append(args, name)
		}
	}
	if len(args) == 2 {
		return tried
	}
	out, err := promtool(t, args...)
	if err != nil && !strings.Contains(out, "got:") {
		t.Fatalf("promtool failed before the tests: %v\n%s", err, out)
	}
	for i, m := range tried {
		if !strings.Contains(out, called(r.name(), i)) {
			left = append(left, m)
		}
	}
	return left
}

// called is the name of a mutant, empty if the rule has no such name.
func called(rule string, i int) string {
	if rule == "" {
		return ""
	}
	return fmt.Sprintf("%s_without_%d_", rule, i)
}

// rarest are the metrics of a rule, the one in the fewest situations first.
func rarest(t *testing.T, r rule, all []situationFile) []string {
	t.Helper()
	e, err := promql().ParseExpr(r.Expr)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, name := range namesIn(e) {
		n := 0
		for _, file := range all {
			n += len(having(name, file.Tests))
		}
		count[name] = n
	}
	return slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(count[a]-count[b], strings.Compare(a, b))
	})
}

// having returns the situations that have a metric, or all if metric is empty.
func having(metric string, all []situation) (some []situation) {
	for _, s := range all {
		if metric == "" || slices.ContainsFunc(s.Series, func(in series) bool { return strings.HasPrefix(in.Series, metric+"{") }) {
			some = append(some, s)
		}
	}
	return some
}

// about returns the situations with the expectations of one rule, for n mutants of it.
func about(r rule, n int, all []situation) (some []situation) {
	for _, s := range all {
		var expected []expectation
		for _, x := range s.Expressions {
			if strings.Contains(x.Expr, "ALERTS") != (r.Alert != "") || r.Record != "" && x.Expr != r.Record {
				continue
			}
			for i := range n {
				name := called(r.name(), i)
				y := expectation{Expr: name, At: x.At}
				if r.Alert != "" {
					y.Expr = fmt.Sprintf(`count by (alertname) (ALERTS{alertname="%s",alertstate="firing"})`, name)
				}
				for _, want := range x.Want {
					if strings.Contains(want.Labels, `"`+r.name()+`"`) {
						y.Want = append(y.Want, sample{strings.Replace(want.Labels, r.name(), name, 1), want.Value})
					}
				}
				expected = append(expected, y)
			}
		}
		s.Alerts = nil
		if s.Expressions = expected; expected != nil {
			some = append(some, s)
		}
	}
	return some
}
