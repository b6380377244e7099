package otelpool

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/query"
)

// The bounds of what one pool keeps of statements. A text that is not kept is read
// anew each time; a summary that is not kept is not put on metrics. An SDK keeps
// 2000 sets of attributes of one instrument, of all pools together, and a summary
// may be told with three operations and with failures.
const (
	maxStatements     = 1000
	maxStatementBytes = 1 << 20
	maxSummaries      = 200
)

// Of a text that is too long to be kept only the summary of its beginning is told:
// to read all of it each time would cost more than the rest.
const beginning = 4 << 10

// Statement is a statement as it is told. See [Hooks].
type Statement struct {
	// Operation is the call that runs it: "query", "exec" or "prepare".
	Operation string
	// Query is the text as the program wrote it. It may hold data.
	Query string
	// Summary is db.query.summary: the operations and their targets. It is empty
	// if the text has no operation that is known.
	Summary string
	// Text is db.query.text, empty if it is not told.
	Text string
}

// Outcome is how a statement ended. See [Hooks].
type Outcome struct {
	// Duration is the time inside the driver.
	Duration time.Duration
	// Err is the error of the driver, nil if it succeeded.
	Err error
}

// Hooks are what a program may say about the spans of its statements: those of
// query, exec and prepare. Each function may be nil. They are called on the
// goroutine of the statement, while that waits; several may be called at once. A
// hook that panics counts as absent for that call, which is reported through
// otel.Handle.
type Hooks struct {
	// SpanName returns the name of the span, in place of the summary. It should be
	// one of few. If it is empty, the summary stays.
	SpanName func(ctx context.Context, s Statement) string
	// Attributes returns attributes to add to the span. It is called if the span is
	// recorded, with the context of the call.
	Attributes func(ctx context.Context, s Statement) []attribute.KeyValue
	// Keep decides at the end whether there is a span at all, for instance only of
	// what failed or was slow. With it the span is made at the end, with its true
	// start, so that spans of the driver are children of the caller's span and not
	// of the statement's. Metrics are recorded in any case.
	Keep func(ctx context.Context, s Statement, o Outcome) bool
}

// statement is what is told of one text, made once for as long as it is in use.
type statement struct {
	text   string
	parsed query.Statement
	start  []trace.SpanStartOption // of its spans
	series *series
}

// series is the options for the metrics of all statements with one summary.
type series struct {
	base      []attribute.KeyValue
	succeeded [numOps][]metric.RecordOption
}

// statements makes and keeps what is told of statements.
type statements struct {
	cache *query.Cache[*statement]
	base  []attribute.KeyValue // of every span
	parse query.Options

	mu      sync.Mutex // guards what follows
	known   map[string]*series
	nothing *series // for those without a summary, and those of too many
}

// newStatements makes the statements of a database system. base is what is told of
// all operations.
func newStatements(cfg config, base []attribute.KeyValue, system string) *statements {
	s := &statements{
		base:    base,
		parse:   cfg.query,
		known:   map[string]*series{},
		nothing: newSeries(base, op.isOperation),
	}
	s.parse.Dialect = query.DialectOf(system)
	if cfg.summaryMetric {
		s.known[""] = s.nothing
	}
	s.cache = query.NewCache(maxStatements, maxStatementBytes, s.make)
	return s
}

func (s *statements) make(text string) *statement {
	st := &statement{text: text, parsed: s.read(text)}
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

// read reads a text. What remains of one that is cut is told as far as it is
// certain, so it is cut between two words.
func (s *statements) read(text string) query.Statement {
	if s.cache.Keeps(text) || s.parse.Text == query.AsWritten {
		return query.Parse(text, s.parse)
	}
	o := s.parse
	o.Text = query.Off
	begins := text[:beginning]
	return query.Parse(begins[:strings.LastIndexAny(begins, " \t\r\n")+1], o)
}

// seriesOf returns the series of a summary, or of nothing if that is not to be on
// metrics, or there are too many.
func (s *statements) seriesOf(summary string) *series {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of := s.known[summary]; of != nil {
		return of
	}
	if len(s.known) == 0 || len(s.known) >= maxSummaries {
		return s.nothing
	}
	of := newSeries(with(s.base, semconv.DBQuerySummary(summary)), op.hasText)
	s.known[summary] = of
	return of
}

// newSeries makes the series for some operations, and for the rows of their
// results.
func newSeries(base []attribute.KeyValue, has func(op) bool) *series {
	of := &series{base: base}
	for o := range numOps {
		if has(o) || o == opRows {
			of.succeeded[o] = recordOptions(of.attrs(o))
		}
	}
	return of
}

// attrs returns the attributes of an operation's metrics, or of those of rows.
func (of *series) attrs(o op) []attribute.KeyValue {
	if !o.isOperation() {
		return of.base
	}
	return with(of.base, keyOperation.String(o.String()))
}

// told is the statement as the hooks get it.
func (k *call) told() Statement {
	return Statement{Operation: k.op.String(), Query: k.st.text, Summary: k.st.parsed.Summary, Text: k.st.parsed.Text}
}

// spanName returns the name of a call's span: the summary of what it runs, else
// what the call is. A statement that is only prepared does not run.
func (in *instruments) spanName(k *call) string {
	name := k.st.parsed.Summary
	if name == "" || k.op == opPrepare {
		name = k.op.String()
	}
	if in.hooks.SpanName != nil && k.op.hasText() {
		return cmp.Or(in.ownName(k), name)
	}
	return name
}

// ownName asks the hook for a name. It is empty if there is none.
func (in *instruments) ownName(k *call) string {
	defer absent("Hooks.SpanName")
	return in.hooks.SpanName(k.from, k.told())
}

func (in *instruments) moreAttributes(k *call) []attribute.KeyValue {
	defer absent("Hooks.Attributes")
	return in.hooks.Attributes(k.from, k.told())
}

// keep asks the hook for its decision. One that panics keeps the span.
func (in *instruments) keep(k *call, o Outcome) (yes bool) {
	yes = true
	defer absent("Hooks.Keep")
	yes = in.hooks.Keep(k.from, k.told(), o)
	return yes
}

// absent is deferred by what calls a hook: one that panics is not there. What it
// panicked with may hold data.
func absent(hook string) {
	if p := recover(); p != nil {
		report(fmt.Errorf("otelpool: %s panicked with a %T", hook, p))
	}
}

// note puts attributes on the span of the call, or keeps them until there is one.
func (k *call) note(attrs ...attribute.KeyValue) {
	if k.late {
		k.noted = append(k.noted, attrs...)
		return
	}
	k.span.SetAttributes(attrs...)
}

// wantsNotes reports whether there is, or may be, a span to note something on.
func (k *call) wantsNotes() bool { return k.late || k.span.IsRecording() }

// clientSpan returns the start options of an operation's span.
func clientSpan(attrs []attribute.KeyValue) []trace.SpanStartOption {
	return []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...)}
}
