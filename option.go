package otelpool

import (
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/monitor"
	"github.com/otelpool/otelpool/internal/query"
	"github.com/otelpool/otelpool/poolinfo"
)

// What the options change. Each option says what its default means.
const (
	defaultAcquireSpanThreshold = time.Millisecond
	defaultHoldSpanThreshold    = time.Second
	defaultLeakThreshold        = 30 * time.Second
	defaultExhaustionThreshold  = time.Second
	defaultTextLimit            = 2048 // bytes
)

// Option changes what otelpool does. All entrances of the package take the same options; of two
// that contradict each other the later wins.
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// config is what the options of one pool add up to. It is built once, when the pool is made, and
// only read afterwards.
type config struct {
	tracerProvider       trace.TracerProvider
	meterProvider        metric.MeterProvider
	poolName             string
	attributes           []attribute.KeyValue
	acquireSpanThreshold time.Duration
	holdSpanThreshold    time.Duration
	callSites            bool // they are captured

	query         query.Options
	summaryMetric bool
	commenter     propagation.TextMapPropagator // nil for no comments
	arguments     bool
	hooks         Hooks

	leakThreshold       time.Duration // 0 for off
	exhaustionThreshold time.Duration // 0 for off
	logger              *slog.Logger  // nil for the default one of the moment
	reports             func(poolinfo.Report)

	adapter     Adapter
	serverQuery bool
}

func newConfig(opts []Option) config {
	c := config{
		acquireSpanThreshold: defaultAcquireSpanThreshold,
		holdSpanThreshold:    defaultHoldSpanThreshold,
		callSites:            true,
		query:                query.Options{MaxText: defaultTextLimit},
		summaryMetric:        true,
		leakThreshold:        defaultLeakThreshold,
		exhaustionThreshold:  defaultExhaustionThreshold,
	}
	for _, o := range opts {
		if o != nil {
			o.apply(&c)
		}
	}
	if c.query.MaxText == 0 { // which is no limit for package query
		c.query.Text, c.arguments = query.Off, false
	}
	if c.tracerProvider == nil {
		c.tracerProvider = otel.GetTracerProvider()
	}
	if c.meterProvider == nil {
		c.meterProvider = otel.GetMeterProvider()
	}
	return c
}

// WithTracerProvider makes spans with p. Without it, and with a nil p, the global provider is used:
// the one that is set when the pool is made, or, if none is set by then, the one that is set later.
func WithTracerProvider(p trace.TracerProvider) Option {
	return optionFunc(func(c *config) {
		if p != nil {
			c.tracerProvider = p
		}
	})
}

// WithMeterProvider records metrics with p. Without it, and with a nil p, the global provider is
// used, as in [WithTracerProvider].
func WithMeterProvider(p metric.MeterProvider) Option {
	return optionFunc(func(c *config) {
		if p != nil {
			c.meterProvider = p
		}
	})
}

// WithPoolName sets db.client.connection.pool.name, the attribute that keeps the numbers of pools
// apart. The default is the name of the database system.
//
// The name is unique among the pools that are open in the process: where it is taken, "-2", "-3"
// and so on is added to it. A name is free again after DB.Close. An empty name is ignored.
func WithPoolName(name string) Option {
	return optionFunc(func(c *config) {
		if name != "" {
			c.poolName = name
		}
	})
}

// WithAttributes adds attributes to every span and every metric of the pool. Their values are part
// of the identity of each time series, so they must not vary while the program runs. Used several
// times, it adds up. An attribute that otelpool sets itself cannot be replaced.
func WithAttributes(attrs ...attribute.KeyValue) Option {
	// The caller keeps its slice; ours must not change with it.
	attrs = append([]attribute.KeyValue(nil), attrs...)
	return optionFunc(func(c *config) {
		c.attributes = append(c.attributes, attrs...)
	})
}

// WithHoldSpanThreshold sets how long a connection must have been held for its hold to become a
// span, made when the connection is given back. The default is one second. Zero makes a span of
// every hold, a negative value of none.
func WithHoldSpanThreshold(d time.Duration) Option {
	return optionFunc(func(c *config) { c.holdSpanThreshold = d })
}

// WithAcquireSpanThreshold sets how long a caller must have waited for its connection, dialing
// included, for the acquire to become a span of its own. The default is one millisecond. Zero makes
// a span of every acquire, a negative value of none. An acquire that fails is a span however short
// it was, unless the value is negative; only a [DB] knows of those. A caller's span that was not
// sampled gets none.
func WithAcquireSpanThreshold(d time.Duration) Option {
	return optionFunc(func(c *config) { c.acquireSpanThreshold = d })
}

// WithoutCallers does not capture the call sites of acquires. Without it the calls of a [DB]
// capture up to eight callers, which takes about 0.3 us, so that an [AcquireError] can name the
// lines of those who hold the connections. Calls that release the connection themselves, such as
// Exec and QueryRow, do so only if half of the pool is held.
func WithoutCallers() Option {
	return optionFunc(func(c *config) { c.callSites = false })
}

// QueryText is how db.query.text is recorded. See [WithQueryText].
type QueryText int

const (
	// QueryTextSanitized is the text without comments and with ? in place of every literal. A
	// statement that cannot be parsed for certain has no text.
	QueryTextSanitized QueryText = iota
	// QueryTextCollapsed is the same, with IN (?, ?, ?) as IN (?) and only the first of many rows of
	// VALUES: statements that differ only in how many values they have are one text.
	QueryTextCollapsed
	// QueryTextRaw is the text as the program wrote it, with all that is in it. It is for programs
	// that put no data into their statements.
	QueryTextRaw
	// QueryTextOff is no text.
	QueryTextOff
)

// WithQueryText sets how db.query.text is recorded. The default is [QueryTextSanitized]. A value
// that is none of the constants is [QueryTextOff].
func WithQueryText(t QueryText) Option {
	return optionFunc(func(c *config) {
		c.query.Text, c.query.Collapse = query.Off, t == QueryTextCollapsed
		switch t {
		case QueryTextSanitized, QueryTextCollapsed:
			c.query.Text = query.Sanitised
		case QueryTextRaw:
			c.query.Text = query.AsWritten
		case QueryTextOff:
		}
	})
}

// WithQueryTextLimit sets how many bytes of db.query.text are recorded; the rest is cut off, at the
// end of a character. The default is 2048. A negative value is no limit, zero is no text.
func WithQueryTextLimit(bytes int) Option {
	return optionFunc(func(c *config) { c.query.MaxText = bytes })
}

// WithoutQuerySummaryMetric leaves db.query.summary out of the metrics. It is for programs whose
// statements are made by machines, so that there are very many. By default a pool puts up to 200
// different summaries on its metrics, and records the statements beyond without one. An SDK keeps
// 2000 different sets of attributes of one instrument by default, of all pools together.
func WithoutQuerySummaryMetric() Option {
	return optionFunc(func(c *config) { c.summaryMetric = false })
}

// WithQueryParameters records the arguments of statements as db.query.parameter.<name>, or <index>
// from 0 for those without a name.
//
// Arguments are the data of your users. They go wherever your spans go, and stay there for as long
// as these do. Each is cut as [WithQueryTextLimit] says; with a limit of zero none is recorded.
func WithQueryParameters() Option {
	return optionFunc(func(c *config) { c.arguments = true })
}

// WithSQLCommenter appends the context of the statement's span to the text that the driver gets, in
// the form of https://google.github.io/sqlcommenter/spec: a database that logs its statements then
// logs to which trace each belongs. A nil p is the global propagator. With [Hooks].Keep there is no
// span of the statement yet, and the context is that of its caller.
//
// It is done to what a connection runs directly, never to what is prepared, since each text would
// be prepared anew; for the same reason it does not go with a driver that prepares behind the
// scenes, as pgx does by default. A statement that has a comment already is not changed. The text
// in the span is that without the comment.
func WithSQLCommenter(p propagation.TextMapPropagator) Option {
	if p == nil {
		p = otel.GetTextMapPropagator()
	}
	return optionFunc(func(c *config) { c.commenter = p })
}

// WithHooks lets the program name the spans of its statements, add attributes to them, and decide
// which are kept. Used several times, the last one counts.
func WithHooks(h Hooks) Option {
	return optionFunc(func(c *config) { c.hooks = h })
}

// WithLeakThreshold sets how long a connection must have been held and not used, both, to be
// suspected of being leaked. The default is 30 seconds. A negative value is off; less than ten
// milliseconds is ten.
//
// Used means that a driver call runs or that rows are read. A long statement, a long transaction
// that works and a long result set that is being read are not suspected, however long they take.
// What is done in [sql.Conn.Raw] is not seen: a long COPY or LISTEN there looks idle. Rows are
// counted, not timed: a result set whose reading stops is suspected up to a second late.
func WithLeakThreshold(d time.Duration) Option {
	return optionFunc(func(c *config) { c.leakThreshold = threshold(d) })
}

// threshold returns the threshold that applies, 0 for off.
func threshold(d time.Duration) time.Duration {
	if d < 0 {
		return 0
	}
	return max(d, monitor.MinThreshold)
}

// WithExhaustionThreshold sets how long a caller must have waited, while no connection is free, for
// the pool to be reported as exhausted. The default is one second. A call of a [DB] that waited for
// ten milliseconds or more while no connection was idle, and got none before its deadline, makes a
// report too. A negative value is off, for both; less than ten milliseconds is ten.
func WithExhaustionThreshold(d time.Duration) Option {
	return optionFunc(func(c *config) { c.exhaustionThreshold = threshold(d) })
}

// WithLogger writes the reports of the pool to l: what is suspected, exhausted or lost as a
// warning, what was resolved as information. The default, and nil, is the [slog.Default] of the
// moment. A logger with [slog.DiscardHandler] is silence.
//
// A record about a holder is logged in a context with the span of that holder, so that a bridge to
// OpenTelemetry correlates the two; its attributes are listed in docs/reports.md. The logger is
// called on the monitor's goroutine, as the function of [WithReports] is: one that acquires a
// connection of the same pool waits for those that it reports.
func WithLogger(l *slog.Logger) Option {
	return optionFunc(func(c *config) { c.logger = l })
}

// WithReports calls f with each report of the pool, after it was logged: to page somebody, or to
// dump a profile. It is called on a goroutine of the pool, the monitor's, one report at a time. The
// pool is not held up while f runs, but finds nothing more until it returns. What a report points
// to is shared with [Inspect] and must not be changed. A panic of f is reported through
// otel.Handle. Used several times, the last one counts.
func WithReports(f func(poolinfo.Report)) Option {
	return optionFunc(func(c *config) { c.reports = f })
}

// WithAdapter uses what is known of a family of drivers. Used several times, the last one counts.
func WithAdapter(a Adapter) Option {
	return optionFunc(func(c *config) { c.adapter = a })
}

// WithServerQuery allows the adapter one query to the server after a dial, to learn after how long
// the server closes idle connections. It is made after the first dial, and after one a minute or
// more later, since the answer may change with the server. Of servers with several versions, it is
// made for each version that the driver knows without a query. It is made again if the caller of
// the dial canceled. That caller waits for it, a second at most; create_time does not include it.
// If it fails the connection is handed out all the same, or, if the query broke it, another that is
// not queried.
func WithServerQuery() Option {
	return optionFunc(func(c *config) { c.serverQuery = true })
}
