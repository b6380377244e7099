package telemetry

import (
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/query"
)

// The bounds of what one pool keeps of statements. A text that is not kept is parsed
// each time; a summary that is not kept is not put on metrics. An SDK keeps 2000 sets of
// attributes of one instrument, of all pools together, and a summary may come with three
// operations and with failures.
const (
	maxStatements     = 1000
	maxStatementBytes = 1 << 20
	maxSummaries      = 200
)

// beginning is how much is read of a text that is too long to be kept, for its summary:
// to read all of it each time would cost more than the rest.
const beginning = 4 << 10

// Statement is what is recorded of one text, made once for as long as it is in use.
type Statement struct {
	text   string
	parsed query.Statement
	start  []trace.SpanStartOption // of its spans
	series *series
}

// Summary returns db.query.summary, "" if there is none.
func (s *Statement) Summary() string { return s.parsed.Summary }

// series is the options for the metrics of all statements with one summary.
type series struct {
	base      []attribute.KeyValue
	succeeded [numOps][]metric.RecordOption
}

// statements makes and keeps what is recorded of statements.
type statements struct {
	cache *query.Cache[*Statement]
	base  []attribute.KeyValue // of every span
	parse query.Options

	mu       sync.Mutex // guards known
	known    map[string]*series
	overflow *series // of those without a summary, and of those beyond maxSummaries
}

// newStatements makes the statements of a database system. base is what is recorded of
// all operations.
func newStatements(cfg *Config, base []attribute.KeyValue, system string) *statements {
	s := &statements{
		base:     base,
		parse:    cfg.Query,
		known:    map[string]*series{},
		overflow: newSeries(base, Op.isOperation),
	}
	s.parse.Dialect = query.DialectOf(system)
	if cfg.SummaryMetric {
		s.known[""] = s.overflow
	}
	s.cache = query.NewCache(maxStatements, maxStatementBytes, s.newStatement)
	return s
}

func (s *statements) newStatement(text string) *Statement {
	st := &Statement{text: text, parsed: s.read(text)}
	attrs := append(make([]attribute.KeyValue, 0, len(s.base)+2), s.base...)
	if st.parsed.Summary != "" {
		attrs = append(attrs, semconv.DBQuerySummary(st.parsed.Summary))
	}
	if st.parsed.Text != "" {
		attrs = append(attrs, semconv.DBQueryText(st.parsed.Text))
	}
	st.start = clientSpan(attrs)
	st.series = s.seriesOf(st.parsed.Summary)
	return st
}

// read parses a text. A text that is too long is truncated at white space, so that its
// last word is not a fragment.
func (s *statements) read(text string) query.Statement {
	if s.cache.Keeps(text) || s.parse.Text == query.AsWritten {
		return query.Parse(text, s.parse)
	}
	o := s.parse
	o.Text = query.Off
	begins := text[:beginning]
	return query.Parse(begins[:strings.LastIndexAny(begins, " \t\r\n")+1], o)
}

// seriesOf returns the series of a summary, or the overflow if the summary is not to be
// on metrics, or there are too many.
func (s *statements) seriesOf(summary string) *series {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.known[summary]; one != nil {
		return one
	}
	if len(s.known) == 0 || len(s.known) >= maxSummaries {
		return s.overflow
	}
	one := newSeries(with(s.base, semconv.DBQuerySummary(summary)), Op.hasText)
	s.known[summary] = one
	return one
}

// newSeries makes the series for some operations, and for the rows of their results.
func newSeries(base []attribute.KeyValue, has func(Op) bool) *series {
	s := &series{base: base}
	for o := range numOps {
		if has(o) || o == opRows {
			s.succeeded[o] = recordOptions(s.attrs(o))
		}
	}
	return s
}

// attrs returns the attributes of an operation's metrics, or of those of rows.
func (s *series) attrs(o Op) []attribute.KeyValue {
	if !o.isOperation() {
		return s.base
	}
	return with(s.base, keyOperation.String(o.String()))
}
