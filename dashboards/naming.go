package main

import (
	"regexp"
	"strings"
)

// naming is a way in which Prometheus names metrics and attributes of OpenTelemetry.
// All expressions in this package are in underscores.
type naming int

const (
	underscores naming = iota // the default: every character that is not a letter or a digit is a _
	dots                      // names keep their dots: NoUTF8EscapingWithSuffixes
)

// suffix is the suffix of the file names of a naming.
func (n naming) suffix() string { return [...]string{"", "-utf8"}[n] }

// metric is the name of a metric, with the suffix that Prometheus adds for its unit and
// kind.
type metric struct{ name, suffix string }

// metrics are the metrics in dashboards and rules. A test compares them with the table
// of instruments.
var metrics = []metric{
	{"db.client.operation.duration", "_seconds"},
	{"db.client.response.returned_rows", ""},
	{"db.client.connection.count", ""},
	{"db.client.connection.max", ""},
	{"db.client.connection.pending_requests", ""},
	{"db.client.connection.timeouts", "_total"},
	{"db.client.connection.create_time", "_seconds"},
	{"db.client.connection.wait_time", "_seconds"},
	{"db.client.connection.use_time", "_seconds"},
	{"otelpool.connection.held", "_seconds_total"},
	{"otelpool.connection.oldest_hold", "_seconds"},
	{"otelpool.connection.waited", "_seconds_total"},
	{"otelpool.connection.oldest_wait", "_seconds"},
	{"otelpool.connection.cancels", "_total"},
	{"otelpool.connection.acquired", "_total"},
	{"otelpool.connection.closed", "_total"},
	{"otelpool.connection.retries", "_total"},
	{"otelpool.connection.leaks", "_total"},
	{"otelpool.connection.exhaustions", "_total"},
	{"otelpool.connection.peak", ""},
}

// attributes are the attributes in dashboards and rules.
var attributes = []string{
	"db.client.connection.pool.name",
	"db.client.connection.state",
	"db.query.summary",
	"error.type",
	"otelpool.class",
	"otelpool.leak",
	"otelpool.operation",
	"otelpool.phase",
	"otelpool.reason",
	"otelpool.source",
	"otelpool.verdict",
}

// escape is a name in the default naming.
func escape(name string) string { return strings.ReplaceAll(name, ".", "_") }

// expression converts an expression to this naming.
func (n naming) expression(text string) string {
	if n == underscores {
		return text
	}
	for _, m := range metrics {
		text = regexp.MustCompile(`\b`+escape(m.name)+m.suffix+`(_bucket|_sum|_count)?\b(\{?)`).
			ReplaceAllStringFunc(text, func(found string) string {
				name, more := strings.CutSuffix(found, "{")
				name = `{"` + m.name + strings.TrimPrefix(name, escape(m.name))
				if more {
					return name + `", `
				}
				return name + `"}`
			})
	}
	for _, a := range attributes {
		text = regexp.MustCompile(`\b`+escape(a)+`\b`).ReplaceAllString(text, `"`+a+`"`)
	}
	return text
}

// label is the label of an attribute in this naming.
func (n naming) label(attribute string) string {
	if n == underscores {
		return escape(attribute)
	}
	return attribute
}

// legend converts a legend, in which an attribute is {{its name}}, to this naming.
func (n naming) legend(text string) string {
	for _, a := range attributes {
		text = strings.ReplaceAll(text, "{{"+a+"}}", "{{"+n.label(a)+"}}")
	}
	return text
}

// dotRules converts alert rules to the naming with dots: their expressions, and the
// labels in their texts.
func dotRules(rules string) string {
	for _, a := range attributes {
		rules = strings.ReplaceAll(rules, "$labels."+escape(a), `index $labels "`+a+`"`)
	}
	var all []string
	for line := range strings.Lines(rules) {
		// Comments and texts have no names of metrics.
		if !strings.Contains(line, "#") && !strings.Contains(line, "$labels") && !strings.Contains(line, "index $labels") {
			line = dots.expression(line)
		}
		all = append(all, line)
	}
	header := "# Made from " + rulesFile[strings.LastIndexByte(rulesFile, '/')+1:] + " by: go run ./dashboards\n"
	return header + strings.Join(all, "")
}
