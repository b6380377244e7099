package main

import (
	"regexp"
	"strings"
)

// naming is one of the ways in which Prometheus names what comes from
// OpenTelemetry. All expressions are written in underscores.
type naming int

const (
	underscores naming = iota // the default: every character that is not a letter or a digit is a _
	dots                      // names keep their dots: NoUTF8EscapingWithSuffixes
)

// suffix is what tells the files of a naming apart.
func (n naming) suffix() string { return [...]string{"", "-utf8"}[n] }

// metric is one metric that is read, with the suffix that Prometheus adds for its
// unit and kind.
type metric struct{ name, suffix string }

// metrics are all that dashboards and rules read. A test compares them with the
// table of instruments.
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

// attributes are all that dashboards and rules tell series apart by.
var attributes = []string{
	"db.client.connection.pool.name",
	"db.client.connection.state",
	"db.query.summary",
	"error.type",
	"otelpool.class",
	"otelpool.operation",
	"otelpool.phase",
	"otelpool.reason",
	"otelpool.source",
	"otelpool.verdict",
}

// escape is what the default naming makes of a name.
func escape(name string) string { return strings.ReplaceAll(name, ".", "_") }

// expression is an expression in this naming.
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

// label is the name of an attribute's label, as it stands in a legend or a field.
func (n naming) label(attribute string) string {
	if n == underscores {
		return escape(attribute)
	}
	return attribute
}

// legend is the text of a legend, in which an attribute is {{its name}}.
func (n naming) legend(text string) string {
	for _, a := range attributes {
		text = strings.ReplaceAll(text, "{{"+a+"}}", "{{"+n.label(a)+"}}")
	}
	return text
}

// dottedRules are alert rules in the other naming: their expressions, and the
// labels that their texts tell.
func dottedRules(rules string) string {
	for _, a := range attributes {
		rules = strings.ReplaceAll(rules, "$labels."+escape(a), `index $labels "`+a+`"`)
	}
	var all []string
	for line := range strings.Lines(rules) {
		// Comments and texts tell no names of metrics; an expression has no quoted dots yet.
		if !strings.Contains(line, "#") && !strings.Contains(line, "$labels") && !strings.Contains(line, "index $labels") {
			line = dots.expression(line)
		}
		all = append(all, line)
	}
	header := "# Made from " + rulesFile[strings.LastIndexByte(rulesFile, '/')+1:] + " by: go run ./dashboards\n"
	return header + strings.Join(all, "")
}
