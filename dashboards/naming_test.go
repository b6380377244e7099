package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// otherMetrics are metrics of others: the limit of the server, and the alerts of
// Prometheus.
var otherMetrics = []string{"mysql_global_variables_max_connections", "pg_settings_max_connections", "ALERTS"}

// metricName is the label with the name of a metric.
const metricName = "__name__"

// otherLabels are the labels that Prometheus adds.
var otherLabels = []string{"job", "instance", "le", "alertname", "alertstate"}

func TestNaming_EveryNameIsInTheTableOfInstruments(t *testing.T) {
	table := readTable(t)
	for _, m := range metrics {
		i, ok := table.instrument(m.name)
		if !ok {
			t.Errorf("%s is not in docs/metrics.md", m.name)
			continue
		}
		namer := otlptranslator.MetricNamer{WithMetricSuffixes: true}
		kind := map[string]otlptranslator.MetricType{
			"histogram": otlptranslator.MetricTypeHistogram, "counter": otlptranslator.MetricTypeMonotonicCounter,
			"observable counter": otlptranslator.MetricTypeMonotonicCounter, "observable gauge": otlptranslator.MetricTypeGauge,
			"observable up-down counter": otlptranslator.MetricTypeNonMonotonicCounter,
		}[i.kind]
		name, err := namer.Build(otlptranslator.Metric{Name: i.name, Unit: i.unit, Type: kind})
		if err != nil {
			t.Fatal(err)
		}
		if want := escape(m.name) + m.suffix; name != want {
			t.Errorf("Prometheus calls %s %s, want %s", m.name, name, want)
		}
		namer.UTF8Allowed = true
		name, err = namer.Build(otlptranslator.Metric{Name: i.name, Unit: i.unit, Type: kind})
		if err != nil {
			t.Fatal(err)
		}
		if want := m.name + m.suffix; name != want {
			t.Errorf("with dots, Prometheus calls %s %s, want %s", m.name, name, want)
		}
	}
	for _, a := range attributes {
		if !slices.Contains(table.attributes, a) {
			t.Errorf("%s is not in docs/metrics.md", a)
		}
	}
}

// everyExpression calls f with each expression of dashboards and rules, with the
// variables replaced by possible values.
func everyExpression(t *testing.T, n naming, f func(where, expr string)) {
	t.Helper()
	values := strings.NewReplacer("$__rate_interval", "1m", "$job", "shop", "$instance", ".+", "$pool", "orders")
	for _, b := range []board{poolBoard, fleetBoard} {
		write := b.replacer()
		for _, r := range b.rows {
			for _, p := range r.panels {
				for _, q := range p.queries {
					f(b.name+": "+p.title, values.Replace(n.expression(write.Replace(q.expr))))
				}
			}
		}
		for _, v := range b.variables {
			f(b.name+": variable "+v.name, values.Replace(n.expression(v.metric)))
		}
	}
	for _, r := range readRules(t, n) {
		f("rules: "+r.name(), r.Expr)
	}
}

func promql() parser.Parser { return parser.NewParser(parser.Options{}) }

func TestExpressions_ParseAndUseKnownNames(t *testing.T) {
	table := readTable(t)
	everyExpression(t, underscores, func(where, expr string) {
		e, err := promql().ParseExpr(expr)
		if err != nil {
			t.Errorf("%s: %v\n%s", where, err, expr)
			return
		}
		for _, name := range namesIn(e) {
			if !isMetric(name) && !slices.Contains(otherMetrics, name) && !strings.HasPrefix(name, "otelpool:") {
				t.Errorf("%s: there is no metric %s", where, name)
			}
		}
		for _, name := range labelsIn(e) {
			if !slices.Contains(otherLabels, name) && !slices.ContainsFunc(attributes, func(a string) bool { return escape(a) == name }) {
				t.Errorf("%s: there is no label %s", where, name)
			}
		}
		for _, m := range matchersIn(e) {
			attribute := attributes[max(0, slices.IndexFunc(attributes, func(a string) bool { return escape(a) == m.Name }))]
			if about, ok := table.values[attribute]; ok && escape(attribute) == m.Name && m.Value != "" && m.Value != "orders" && m.Name != "db_client_connection_pool_name" {
				if !strings.Contains(about, "`"+m.Value+"`") {
					t.Errorf("%s: %s is never %q", where, attribute, m.Value)
				}
			}
		}
	})
}

func TestNaming_BothNamingsHaveTheSameExpressions(t *testing.T) {
	var plain []string
	everyExpression(t, underscores, func(_, expr string) {
		e, err := promql().ParseExpr(expr)
		if err != nil {
			t.Fatal(err)
		}
		plain = append(plain, e.String())
	})
	i := 0
	everyExpression(t, dots, func(where, expr string) {
		e, err := promql().ParseExpr(expr)
		if err != nil {
			t.Errorf("%s: %v\n%s", where, err, expr)
			return
		}
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			switch n := n.(type) {
			case *parser.VectorSelector:
				n.Name = ""
				for j, m := range n.LabelMatchers {
					if m.Name == metricName {
						n.Name = escape(m.Value)
						m = labels.MustNewMatcher(m.Type, m.Name, n.Name)
					}
					n.LabelMatchers[j] = labels.MustNewMatcher(m.Type, escape(m.Name), m.Value)
				}
			case *parser.AggregateExpr:
				for j := range n.Grouping {
					n.Grouping[j] = escape(n.Grouping[j])
				}
			case *parser.BinaryExpr:
				if n.VectorMatching != nil {
					for j := range n.VectorMatching.MatchingLabels {
						n.VectorMatching.MatchingLabels[j] = escape(n.VectorMatching.MatchingLabels[j])
					}
				}
			}
			return nil
		})
		back, err := promql().ParseExpr(e.String())
		if err != nil {
			t.Fatal(err)
		}
		if back.String() != plain[i] {
			t.Errorf("%s: with dots it is\n%s\nwant\n%s", where, back, plain[i])
		}
		i++
	})
	if i != len(plain) {
		t.Errorf("%d expressions with dots, %d without", i, len(plain))
	}
}

// isMetric reports whether name is one of the metrics, in underscores.
func isMetric(name string) bool {
	base := regexp.MustCompile(`(_seconds|_rows)(_bucket|_sum|_count)$`).ReplaceAllString(name, "$1")
	return slices.ContainsFunc(metrics, func(m metric) bool { return escape(m.name)+m.suffix == base })
}

func namesIn(e parser.Expr) (names []string) {
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			names = append(names, s.Name)
		}
		return nil
	})
	return names
}

func matchersIn(e parser.Expr) (matchers []*labels.Matcher) {
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			for _, m := range s.LabelMatchers {
				if m.Name != metricName {
					matchers = append(matchers, m)
				}
			}
		}
		return nil
	})
	return matchers
}

func labelsIn(e parser.Expr) (names []string) {
	for _, m := range matchersIn(e) {
		names = append(names, m.Name)
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.AggregateExpr:
			names = append(names, n.Grouping...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				names = append(names, n.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	return names
}
