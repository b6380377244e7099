package otelpool

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
)

// ScopeName is the name of the instrumentation scope of all spans and metrics.
const ScopeName = "github.com/otelpool/otelpool"

// Version is the version of the instrumentation scope.
const Version = "0.1.0"

// Attributes that the semantic conventions do not have.
const (
	keyOperation  = attribute.Key("otelpool.operation")
	keyPhase      = attribute.Key("otelpool.phase")
	keySource     = attribute.Key("otelpool.source")
	keyReason     = attribute.Key("otelpool.reason")
	keyConnID     = attribute.Key("otelpool.connection.id")
	keyReset      = attribute.Key("otelpool.reset_time")
	keyHeld       = attribute.Key("otelpool.held")
	keyWaitTime   = attribute.Key("otelpool.wait_time")
	keyWaiters    = attribute.Key("otelpool.waiters")
	keyWaited     = attribute.Key("otelpool.waited")
	keyQueued     = attribute.Key("otelpool.wait.queued")
	keyDialed     = attribute.Key("otelpool.wait.dialed")
	keyResetPart  = attribute.Key("otelpool.wait.reset")
	keyRetried    = attribute.Key("otelpool.wait.retried")
	keyOpenTime   = attribute.Key("otelpool.rows.open_time")
	keyAffected   = attribute.Key("otelpool.rows_affected")
	keyVerdict    = attribute.Key("otelpool.verdict")
	keyReport     = attribute.Key("otelpool.report")
	keyIdle       = attribute.Key("otelpool.idle")
	keyOldestWait = attribute.Key("otelpool.oldest_wait")
	keyClass      = attribute.Key("otelpool.class")
	keyAge        = attribute.Key("otelpool.age")
	keyUses       = attribute.Key("otelpool.uses")
)

// The names of the events on the caller's span, and of the spans of a long acquire
// and a long hold.
const (
	eventAcquired  = "otelpool.connection.acquired"
	eventReleased  = "otelpool.connection.released"
	eventRetried   = "otelpool.connection.retried"
	eventClosed    = "otelpool.connection.closed"
	eventRows      = "otelpool.rows.closed"
	eventLeak      = "otelpool.connection.leak"
	eventExhausted = "otelpool.pool.exhausted"
	spanAcquire    = "acquire"
	spanHold       = "hold"
)

// op is one kind of driver call.
type op uint8

const (
	opConnect op = iota
	opPing
	opQuery
	opExec
	opPrepare
	opBegin
	opCommit
	opRollback
	opAcquire // not a call of the driver, but what precedes it; it can fail like one
	opRows    // not one call either: reading a result set
	numOps
)

func (o op) String() string {
	return [...]string{"connect", "ping", "query", "exec", "prepare", "begin", "commit", "rollback", spanAcquire, "rows"}[o]
}

// isOperation reports whether o is something that the database is asked to do,
// as opposed to getting hold of a connection.
func (o op) isOperation() bool { return o != opConnect && o != opAcquire && o != opRows }

// hasText reports whether o is about the text of a statement.
func (o op) hasText() bool { return o == opQuery || o == opExec || o == opPrepare }

// kind is how an instrument counts.
type kind string

const (
	kindHistogram         kind = "histogram"
	kindCounter           kind = "counter"
	kindObservableCounter kind = "observable counter"
	kindObservableUpDown  kind = "observable up-down counter"
	kindObservableGauge   kind = "observable gauge"
)

// definition is one row of the table of instruments: all that a reader of the
// numbers has to know. docs/metrics.md is made from it.
type definition struct {
	name    string
	kind    kind
	unit    string
	about   string
	buckets []float64
	attrs   []attribute.Key // besides the pool's own: its name and the user's attributes
	when    string          // when it is recorded, what it leaves out
}

// metricID is a row of the table.
type metricID int

const (
	mOperationDuration metricID = iota
	mCount
	mMax
	mIdleMax
	mPending
	mTimeouts
	mReturnedRows
	mCreateTime
	mWaitTime
	mUseTime
	mHeld
	mOldestHold
	mWaited
	mOldestWait
	mCancels
	mAcquired
	mClosed
	mRetries
	mLeaks
	mExhaustions
	mPeak
	numMetrics
)

// table is every instrument there is.
var table = [numMetrics]definition{
	mOperationDuration: {
		name:    dbconv.ClientOperationDuration{}.Name(),
		kind:    kindHistogram,
		unit:    dbconv.ClientOperationDuration{}.Unit(),
		about:   dbconv.ClientOperationDuration{}.Description(),
		buckets: []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10},
		attrs: []attribute.Key{
			semconv.DBSystemNameKey, semconv.ServerAddressKey, semconv.ServerPortKey, semconv.DBNamespaceKey,
			keyOperation, semconv.DBQuerySummaryKey, semconv.ErrorTypeKey, keyClass,
		},
		when: "At the end of every query, exec, prepare, ping, begin, commit and rollback: the time inside the driver. " +
			"Not in it: waiting for a connection, dialing, reading rows. Attempts that database/sql repeats are recorded each. " +
			"A call that the driver declines with ErrSkip is recorded once, from its start to the end of the prepared statement that took its place.",
	},
	mCount: {
		name:  dbconv.ClientConnectionCountObservable{}.Name(),
		kind:  kindObservableUpDown,
		unit:  dbconv.ClientConnectionCountObservable{}.Unit(),
		about: dbconv.ClientConnectionCountObservable{}.Description(),
		attrs: []attribute.Key{semconv.DBClientConnectionStateKey},
		when: "At each collection. `used` is held by somebody, `idle` is open and held by nobody, `dialing` is being opened: " +
			"database/sql counts a dial as in use, so that a dead database looks like a busy pool.",
	},
	mMax: {
		name:  dbconv.ClientConnectionMaxObservable{}.Name(),
		kind:  kindObservableUpDown,
		unit:  dbconv.ClientConnectionMaxObservable{}.Unit(),
		about: dbconv.ClientConnectionMaxObservable{}.Description(),
		when:  "At each collection, from `DBStats.MaxOpenConnections`. Absent while there is no limit, and while the DB is not known (see `Watch`).",
	},
	mReturnedRows: {
		name:    dbconv.ClientResponseReturnedRows{}.Name(),
		kind:    kindHistogram,
		unit:    dbconv.ClientResponseReturnedRows{}.Unit(),
		about:   dbconv.ClientResponseReturnedRows{}.Description(),
		buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000},
		attrs: []attribute.Key{
			semconv.DBSystemNameKey, semconv.ServerAddressKey, semconv.ServerPortKey, semconv.DBNamespaceKey,
			semconv.DBQuerySummaryKey, semconv.ErrorTypeKey, keyClass,
		},
		when: "When a result set is closed: the rows that the program has read of it, of all its parts together. A result set " +
			"that is closed early counts those read by then; one whose reading failed has error.type.",
	},
	mIdleMax: {
		name:  dbconv.ClientConnectionIdleMaxObservable{}.Name(),
		kind:  kindObservableUpDown,
		unit:  dbconv.ClientConnectionIdleMaxObservable{}.Unit(),
		about: dbconv.ClientConnectionIdleMaxObservable{}.Description(),
		when:  "At each collection. Absent until `SetMaxIdleConns` is called through `otelpool.DB`: database/sql does not tell it.",
	},
	mPending: {
		name:  dbconv.ClientConnectionPendingRequestsObservable{}.Name(),
		kind:  kindObservableUpDown,
		unit:  dbconv.ClientConnectionPendingRequestsObservable{}.Unit(),
		about: dbconv.ClientConnectionPendingRequestsObservable{}.Description(),
		when: "At each collection: the calls of `otelpool.DB` that have no connection yet, those that dial one themselves included. " +
			"Absent without `otelpool.DB`. Calls of the plain *sql.DB and of prepared statements are not in it.",
	},
	mTimeouts: {
		name:  dbconv.ClientConnectionTimeouts{}.Name(),
		kind:  kindCounter,
		unit:  dbconv.ClientConnectionTimeouts{}.Unit(),
		about: dbconv.ClientConnectionTimeouts{}.Description(),
		when: "When a call of `otelpool.DB` returns without a connection because its deadline passed. Calls that were canceled are in " +
			"`otelpool.connection.cancels`. Calls of the plain *sql.DB and of prepared statements are in neither.",
	},
	mCreateTime: {
		name:    dbconv.ClientConnectionCreateTime{}.Name(),
		kind:    kindHistogram,
		unit:    dbconv.ClientConnectionCreateTime{}.Unit(),
		about:   dbconv.ClientConnectionCreateTime{}.Description(),
		buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		attrs:   []attribute.Key{semconv.ErrorTypeKey, keyClass},
		when: "At the end of every dial, failed ones with error.type, those of database/sql's background opener included. " +
			"The query of `WithServerQuery` is not in it.",
	},
	mWaitTime: {
		name:    dbconv.ClientConnectionWaitTime{}.Name(),
		kind:    kindHistogram,
		unit:    dbconv.ClientConnectionWaitTime{}.Unit(),
		about:   dbconv.ClientConnectionWaitTime{}.Description(),
		buckets: []float64{0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		attrs:   []attribute.Key{semconv.ErrorTypeKey, keyClass},
		when: "Once for every acquire: from the request to the usable connection, with dialing, resetting, and the attempts on connections that turned out bad. " +
			"Exact for calls of `otelpool.DB`, recorded when the call returns, and with error.type for those that got no connection. For the plain *sql.DB and prepared " +
			"statements inferred when the connection is acquired, see [the error of the inference](#how-exact-the-inferred-waits-are); acquires that fail are not in it then. " +
			"Absent while the DB is not known (see `Watch`).",
	},
	mUseTime: {
		name:    dbconv.ClientConnectionUseTime{}.Name(),
		kind:    kindHistogram,
		unit:    dbconv.ClientConnectionUseTime{}.Unit(),
		about:   dbconv.ClientConnectionUseTime{}.Description(),
		buckets: []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900},
		when: "When a connection is given back, or closed without that. A hold in progress is not in it: see `otelpool.connection.held`. " +
			"A connection that was opened in the background counts as held from its first driver call.",
	},
	mHeld: {
		name:  "otelpool.connection.held",
		kind:  kindObservableCounter,
		unit:  "s",
		about: "The time that connections were held, summed over connections, holds in progress included.",
		attrs: []attribute.Key{keyPhase},
		when: "At each collection. Its rate is the mean number of connections held. Phases: `executing` inside a driver call, " +
			"`rows` a result set is open, `tx` a transaction is open and nothing runs, `pinned` none of these.",
	},
	mOldestHold: {
		name:  "otelpool.connection.oldest_hold",
		kind:  kindObservableGauge,
		unit:  "s",
		about: "How long the longest hold in progress has lasted.",
		when:  "At each collection; 0 when nothing is held.",
	},
	mWaited: {
		name:  "otelpool.connection.waited",
		kind:  kindObservableCounter,
		unit:  "s",
		about: "The time that callers waited for a connection, summed over callers, waits in progress included.",
		when: "At each collection; its rate is the mean number of callers that wait. Of the calls of `otelpool.DB`, absent without. " +
			"Waits that ended without a connection are in it.",
	},
	mOldestWait: {
		name:  "otelpool.connection.oldest_wait",
		kind:  kindObservableGauge,
		unit:  "s",
		about: "How long the longest wait in progress has lasted.",
		when:  "At each collection; 0 when nobody waits. Of the calls of `otelpool.DB`, absent without.",
	},
	mCancels: {
		name:  "otelpool.connection.cancels",
		kind:  kindCounter,
		unit:  "{acquire}",
		about: "Acquires that were given up because the caller's context was canceled.",
		when:  "When a call of `otelpool.DB` returns without a connection because its context was canceled. Not in it: deadlines, see `db.client.connection.timeouts`.",
	},
	mAcquired: {
		name:  "otelpool.connection.acquired",
		kind:  kindCounter,
		unit:  "{acquire}",
		about: "Connections handed to a caller.",
		attrs: []attribute.Key{keySource},
		when: "Added at each collection and at DB.Close. `new` was dialed by the caller itself, `reused` had been used before, " +
			"`opener` was opened in the background and used for the first time. Acquires that failed are not in it.",
	},
	mClosed: {
		name:  "otelpool.connection.closed",
		kind:  kindCounter,
		unit:  "{connection}",
		about: "Connections closed.",
		attrs: []attribute.Key{keyReason, keyClass},
		when: "When a connection is closed; a close by a limit, at the next acquire or collection after it. Reasons: `lifetime`, `idle_time` and `idle_count` are the limits of the same name, " +
			"`open_count` a lowered SetMaxOpenConns, `bad` a connection that the driver or Conn.Raw called bad, `rollback_discard` a transaction " +
			"whose context ended on a driver that cannot clean a connection, `pool_closed` is DB.Close, `unknown` a close that nothing " +
			"explains, such as one by a limit while the DB is not known (see `Watch`). Only `bad` has a class: that of the failure that condemned the connection, " +
			"which may be another than the driver told of last, see [the classes](#classes).",
	},
	mRetries: {
		name:  "otelpool.connection.retries",
		kind:  kindCounter,
		unit:  "{attempt}",
		about: "Attempts that failed with driver.ErrBadConn and were repeated by database/sql without its caller knowing.",
		attrs: []attribute.Key{semconv.ErrorTypeKey, keyClass},
		when: "When the attempt fails, with the class of the failure that is behind it as far as it is known. The last attempt of a call, whose failure the caller sees, is not in it; nor is one " +
			"that failed because the connection had passed its lifetime.",
	},
	mLeaks: {
		name:  "otelpool.connection.leaks",
		kind:  kindCounter,
		unit:  "{connection}",
		about: "Connections that were suspected of being forgotten, and those of them that were given back.",
		attrs: []attribute.Key{keyVerdict},
		when: "`suspected` when a connection has been held, and not used, for as long as `WithLeakThreshold` says (30 s): at that moment, up to a second later after " +
			"rows were read. `returned` when such a connection is given back or closed. Their difference is what is forgotten now.",
	},
	mExhaustions: {
		name:  "otelpool.connection.exhaustions",
		kind:  kindCounter,
		unit:  "{report}",
		about: "Reports that a pool has no connection for its callers.",
		attrs: []attribute.Key{keyVerdict},
		when: "When one is made: a caller has waited for as long as `WithExhaustionThreshold` says (1 s), or a call of `otelpool.DB` got no connection before " +
			"its deadline; once until that is over, and at most every 10 s. Verdicts: `idle_in_code`, `slow_statements`, `lock_wait`, `database_unreachable`, " +
			"`self_deadlock`, `too_small`, see [reports.md](reports.md). With a plain *sql.DB waits are seen through DBStats, about a second late.",
	},
	mPeak: {
		name:  "otelpool.connection.peak",
		kind:  kindObservableGauge,
		unit:  "{connection}",
		about: "The most connections held at once since the last collection.",
		when:  "At each collection, which starts it anew: with two readers each sees the peak since the other's collection.",
	},
}

// maxErrorTypes bounds how many values of error.type one pool puts on its
// metrics, each counted once for each class that it comes with. The rest are _OTHER.
const maxErrorTypes = 100

// maxFailures bounds how many combinations of summary, operation and error.type
// one pool keeps apart. Further ones are told without the summary.
const maxFailures = 5000

// instruments is all that one pool needs to tell what happens, made once. The
// option lists are complete and never appended to, so that using them allocates
// nothing.
type instruments struct {
	tracer trace.Tracer

	duration, createTime, waitTime, useTime      metric.Float64Histogram
	returnedRows                                 metric.Int64Histogram
	acquired, closed, retries, timeouts, cancels metric.Int64Counter
	leaks, exhaustions                           metric.Int64Counter

	subject  atomic.Pointer[subject]
	subjects subjects
	hooks    Hooks

	internal trace.SpanStartOption // the attributes of a span that is no operation
	poolName attribute.KeyValue

	plain      []metric.RecordOption // the pool's own attributes
	plainAdd   []metric.AddOption
	acquiredBy [ledger.NumSources][]metric.AddOption
	closedBy   [ledger.NumReasons][]metric.AddOption // those that no failure condemned
	judged     map[string][]metric.AddOption         // by verdict

	base    []attribute.KeyValue // of every metric of the pool
	failing failures

	flushing sync.Mutex // guards flushed
	flushed  [ledger.NumSources]int64
}

// failures holds the option lists of failed calls. They are made when an error
// is first seen, since its type is not known before.
type failures struct {
	sync.RWMutex
	record map[failure][]metric.RecordOption
	add    map[outcome][]metric.AddOption
	known  map[outcome]bool
}

// failure is a series of failed calls.
type failure struct {
	of *series // nil for what is no operation
	op op
	outcome
}

// outcome is what metrics tell of an error.
type outcome struct {
	typ   string
	class Class
}

func (o outcome) attributes() []attribute.KeyValue {
	return []attribute.KeyValue{semconv.ErrorTypeKey.String(o.typ), keyClass.String(string(o.class))}
}

// newInstruments makes the instruments of a pool. What the provider refuses is a
// no-op, and the refusals are in the error; the instruments can be used all the
// same. The registration ends the observation of the pool.
func newInstruments(cfg config, target Target, poolName string, observe func() observation) (*instruments, metric.Registration, error) {
	in := &instruments{
		tracer:   cfg.tracerProvider.Tracer(ScopeName, trace.WithInstrumentationVersion(Version), trace.WithSchemaURL(semconv.SchemaURL)),
		poolName: semconv.DBClientConnectionPoolName(poolName),
		failing: failures{
			record: map[failure][]metric.RecordOption{},
			add:    map[outcome][]metric.AddOption{},
			known:  map[outcome]bool{},
		},
	}
	// Later values replace earlier ones in a set, so the user's come first.
	in.base = append(append([]attribute.KeyValue(nil), cfg.attributes...), in.poolName)
	in.internal = trace.WithAttributes(in.base...)
	in.plain = recordOptions(in.base)
	in.plainAdd = addOptions(in.base)
	in.subjects.cfg, in.subjects.base = cfg, with(in.base, target.attributes()...)
	in.isOf(target.System)
	in.hooks = cfg.hooks
	for s := range ledger.Source(ledger.NumSources) {
		in.acquiredBy[s] = addOptions(with(in.base, keySource.String(s.String())))
	}
	for r := range ledger.Reason(ledger.NumReasons) {
		in.closedBy[r] = addOptions(with(in.base, keyReason.String(r.String())))
	}

	in.judged = map[string][]metric.AddOption{}
	for _, v := range verdicts {
		in.judged[v] = addOptions(with(in.base, keyVerdict.String(v)))
	}

	m := maker{meter: cfg.meterProvider.Meter(ScopeName, metric.WithInstrumentationVersion(Version), metric.WithSchemaURL(semconv.SchemaURL))}
	noFloats, noCounts := metric.Float64Histogram(noop.Float64Histogram{}), metric.Int64Counter(noop.Int64Counter{})
	in.duration = instrument(&m, mOperationDuration, noFloats, m.meter.Float64Histogram)
	in.returnedRows = instrument(&m, mReturnedRows, metric.Int64Histogram(noop.Int64Histogram{}), m.meter.Int64Histogram)
	in.createTime = instrument(&m, mCreateTime, noFloats, m.meter.Float64Histogram)
	in.waitTime = instrument(&m, mWaitTime, noFloats, m.meter.Float64Histogram)
	in.useTime = instrument(&m, mUseTime, noFloats, m.meter.Float64Histogram)
	in.acquired = instrument(&m, mAcquired, noCounts, m.meter.Int64Counter)
	in.closed = instrument(&m, mClosed, noCounts, m.meter.Int64Counter)
	in.retries = instrument(&m, mRetries, noCounts, m.meter.Int64Counter)
	in.timeouts = instrument(&m, mTimeouts, noCounts, m.meter.Int64Counter)
	in.cancels = instrument(&m, mCancels, noCounts, m.meter.Int64Counter)
	in.leaks = instrument(&m, mLeaks, noCounts, m.meter.Int64Counter)
	in.exhaustions = instrument(&m, mExhaustions, noCounts, m.meter.Int64Counter)
	registration := m.observe(in, observe)
	return in, registration, errors.Join(m.refused...)
}

// observation is what a collection reads of a pool.
type observation struct {
	ledger.Snapshot
	peak int64
	max  int // 0 if there is no limit or it is not known

	maxIdle      int64
	maxIdleKnown bool
	exact        bool // callers that wait are known
}

// observe makes the observable instruments and the one callback that serves
// them. An instrument that is refused must not be registered with the others,
// or none of them would be observed.
func (m *maker) observe(in *instruments, read func() observation) metric.Registration {
	var (
		all   []metric.Observable
		count = observable(m, mCount, &all, m.meter.Int64ObservableUpDownCounter)
		limit = observable(m, mMax, &all, m.meter.Int64ObservableUpDownCounter)
		idles = observable(m, mIdleMax, &all, m.meter.Int64ObservableUpDownCounter)
		queue = observable(m, mPending, &all, m.meter.Int64ObservableUpDownCounter)
		wait  = observable(m, mWaited, &all, m.meter.Float64ObservableCounter)
		first = observable(m, mOldestWait, &all, m.meter.Float64ObservableGauge)
		held  = observable(m, mHeld, &all, m.meter.Float64ObservableCounter)
		old   = observable(m, mOldestHold, &all, m.meter.Float64ObservableGauge)
		peak  = observable(m, mPeak, &all, m.meter.Int64ObservableGauge)

		plain   = observeOptions(in.base)
		used    = observeOptions(with(in.base, semconv.DBClientConnectionStateUsed))
		idle    = observeOptions(with(in.base, semconv.DBClientConnectionStateIdle))
		dialing = observeOptions(with(in.base, semconv.DBClientConnectionStateKey.String("dialing")))
		phases  [ledger.NumPhases][]metric.ObserveOption
	)
	for p := range ledger.Phase(ledger.NumPhases) {
		phases[p] = observeOptions(with(in.base, keyPhase.String(p.String())))
	}
	registration, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := read()
		in.flush(&s.Snapshot)
		if count != nil {
			o.ObserveInt64(count, int64(s.Held), used...)
			o.ObserveInt64(count, int64(s.Idle+s.Fresh), idle...)
			o.ObserveInt64(count, int64(s.Dialing), dialing...)
		}
		if limit != nil && s.max > 0 {
			o.ObserveInt64(limit, int64(s.max), plain...)
		}
		if idles != nil && s.maxIdleKnown {
			o.ObserveInt64(idles, s.maxIdle, plain...)
		}
		if queue != nil && s.exact {
			o.ObserveInt64(queue, s.Waiting, plain...)
		}
		if wait != nil && s.exact {
			o.ObserveFloat64(wait, s.Waited.Seconds(), plain...)
		}
		if first != nil && s.exact {
			o.ObserveFloat64(first, s.OldestWait.Seconds(), plain...)
		}
		if held != nil {
			for p, d := range s.HeldTime {
				o.ObserveFloat64(held, d.Seconds(), phases[p]...)
			}
		}
		if old != nil {
			o.ObserveFloat64(old, s.OldestHold.Seconds(), plain...)
		}
		if peak != nil {
			o.ObserveInt64(peak, s.peak, plain...)
		}
		return nil
	}, all...)
	if err != nil {
		m.refused = append(m.refused, err)
	}
	return registration
}

// maker makes instruments from the table and keeps what was refused.
type maker struct {
	meter   metric.Meter
	refused []error
}

// instrument makes one instrument with the meter's method for its kind. One that is
// refused is the given no-op.
func instrument[I comparable, O any](m *maker, id metricID, noop I, grant func(string, ...O) (I, error)) I {
	d := &table[id]
	all := []any{metric.WithUnit(d.unit), metric.WithDescription(d.about)}
	if d.buckets != nil {
		all = append(all, metric.WithExplicitBucketBoundaries(d.buckets...))
	}
	opts := make([]O, len(all))
	for i := range all {
		opts[i] = all[i].(O)
	}
	i, err := grant(d.name, opts...)
	if err != nil {
		m.refused = append(m.refused, err)
	}
	var none I
	if err != nil || i == none {
		return noop
	}
	return i
}

// observable makes one observable instrument, and adds it to all. A refused one is
// nil.
func observable[I interface {
	comparable
	metric.Observable
}, O any](m *maker, id metricID, all *[]metric.Observable, grant func(string, ...O) (I, error),
) I {
	var none I
	i := instrument(m, id, none, grant)
	if i != none {
		*all = append(*all, i)
	}
	return i
}

// with returns a new list: base and more.
func with(base []attribute.KeyValue, more ...attribute.KeyValue) []attribute.KeyValue {
	return append(base[:len(base):len(base)], more...)
}

func recordOptions(attrs []attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

func addOptions(attrs []attribute.KeyValue) []metric.AddOption {
	return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

func observeOptions(attrs []attribute.KeyValue) []metric.ObserveOption {
	return []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

// begin starts the span of a call, unless Hooks.Keep is to decide on it.
func (in *instruments) begin(k *call) {
	if in.hooks.Keep != nil && k.op.hasText() {
		k.ctx, k.span = k.from, trace.SpanFromContext(context.Background())
		k.late = wantsSpan(k.from)
		return
	}
	in.startSpan(k, k.st.start)
}

func (in *instruments) startSpan(k *call, opts []trace.SpanStartOption) {
	k.ctx, k.span = in.tracer.Start(k.from, in.spanName(k), opts...)
	if in.hooks.Attributes != nil && k.op.hasText() && k.span.IsRecording() {
		k.span.SetAttributes(in.moreAttributes(k)...)
	}
}

// finish tells the end of a call: its duration, in the context of its span, so
// that an exemplar leads there, and the end of the span. f is what is told of err.
func (in *instruments) finish(k *call, took time.Duration, err error, f fault) {
	var ended []trace.SpanEndOption
	if !k.over.IsZero() {
		ended = []trace.SpanEndOption{trace.WithTimestamp(k.over)}
	}
	if k.late {
		end := nowIn(k.from) // before the hook, which takes its time
		if in.keep(k, Outcome{Duration: took, Err: err}) {
			in.startSpan(k, append(k.st.start[:len(k.st.start):len(k.st.start)], trace.WithTimestamp(end.Add(-took))))
			k.span.SetAttributes(k.noted...)
			in.addHops(k.span, k.hops)
			ended = []trace.SpanEndOption{trace.WithTimestamp(end)}
			if k.rows != nil {
				k.rows.ctx = k.ctx
			}
		}
	}
	h, of := in.duration, k.st.series
	if !k.op.isOperation() {
		h, of = in.createTime, nil
	}
	if err == nil {
		if h.Enabled(k.ctx) {
			h.Record(k.ctx, took.Seconds(), in.succeeded(k.op, of)...)
		}
		k.span.End(ended...)
		return
	}
	if h.Enabled(k.ctx) {
		h.Record(k.ctx, took.Seconds(), in.failed(k.op, of, f)...)
	}
	fail(k.from, k.span, err, f, ended...)
}

// tellHops tells the attempts before a call on its span, or keeps them until there
// is one.
func (in *instruments) tellHops(k *call, hops []hop) {
	if k.late {
		k.hops = hops
		return
	}
	in.addHops(k.span, hops)
}

func (in *instruments) addHops(span trace.Span, hops []hop) {
	for i := range hops {
		if span.IsRecording() {
			hops[i].tell(span, in.poolName)
		}
	}
}

func (in *instruments) succeeded(o op, of *series) []metric.RecordOption {
	if of == nil {
		return in.plain
	}
	return of.succeeded[o]
}

// startAcquire starts the span of an acquire that was asked for at the given
// time.
func (in *instruments) startAcquire(ctx context.Context, asked time.Time) (context.Context, trace.Span) {
	return in.tracer.Start(ctx, spanAcquire, in.internal, trace.WithTimestamp(asked))
}

// endAcquire ends the span of an acquire that was served at the given time, by a
// connection that is nil if it was not seen.
func (in *instruments) endAcquire(span trace.Span, c *ledger.Conn, s ledger.Source, w wait, served time.Time) {
	if span.IsRecording() {
		attrs := append(partsOf(w), keySource.String(s.String()))
		if c != nil {
			attrs = append(attrs, connID(c.ID()))
		}
		span.SetAttributes(attrs...)
	}
	span.End(trace.WithTimestamp(served))
}

// failAcquire ends the span of an acquire that got none.
func (in *instruments) failAcquire(from context.Context, span trace.Span, w wait, e *AcquireError, f fault, gaveUp time.Time) {
	if span.IsRecording() {
		span.SetAttributes(partsOf(w)...)
	}
	fail(from, span, e.err, f, trace.WithTimestamp(gaveUp))
}

// partsOf are the attributes that say what a wait went to, with room for two more.
func partsOf(w wait) []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 6),
		keyQueued.Float64(w.queued().Seconds()),
		keyDialed.Float64(w.dialed.Seconds()),
		keyResetPart.Float64(w.reset.Seconds()),
	)
	if w.retried > 0 {
		attrs = append(attrs, keyRetried.Float64(w.retried.Seconds()))
	}
	return attrs
}

// connID is the attribute of a connection's number.
func connID(id uint64) attribute.KeyValue {
	return keyConnID.Int64(int64(id)) //nolint:gosec // a count of connections stays far below 2^63
}

// waited records the wait of an acquire that got a connection.
func (in *instruments) waited(ctx context.Context, d time.Duration) {
	if in.waitTime.Enabled(ctx) {
		in.waitTime.Record(ctx, d.Seconds(), in.plain...)
	}
}

// notServed records an acquire that got none.
func (in *instruments) notServed(ctx context.Context, e *AcquireError, f fault) {
	switch e.Cause {
	case AcquireDeadline:
		in.timeouts.Add(ctx, 1, in.plainAdd...)
	case AcquireCanceled:
		in.cancels.Add(ctx, 1, in.plainAdd...)
	case AcquirePoolClosed, AcquireDial, AcquireBackgroundDial, AcquireBadConn: // in wait_time, by error.type
	}
	if in.waitTime.Enabled(ctx) {
		in.waitTime.Record(ctx, e.Waited.Seconds(), in.failed(opAcquire, nil, f)...)
	}
}

// fail ends the span of a failed operation. The text of the error stays out: it
// may hold data. A caller that hung up is no fault, and the status stays unset.
func fail(ctx context.Context, span trace.Span, err error, f fault, opts ...trace.SpanEndOption) {
	if span.IsRecording() {
		span.SetAttributes(semconv.ErrorTypeKey.String(f.typ), keyClass.String(string(f.class)))
		if f.code != "" {
			span.SetAttributes(semconv.DBResponseStatusCode(f.code))
		}
		if !hungUp(ctx, err) {
			span.SetStatus(codes.Error, "")
		}
	}
	span.End(opts...)
}

// failed returns the record options of an operation that failed.
func (in *instruments) failed(o op, of *series, why fault) []metric.RecordOption {
	f := &in.failing
	end := outcome{why.typ, why.class}
	f.RLock()
	opts, ok := f.record[failure{of, o, end}]
	f.RUnlock()
	if ok {
		return opts
	}
	f.Lock()
	defer f.Unlock()
	end = f.boundLocked(end)
	if of != nil && len(f.record) >= maxFailures {
		of = in.subject.Load().statements.nothing
	}
	opts, ok = f.record[failure{of, o, end}]
	if !ok {
		attrs := in.base
		if of != nil {
			attrs = of.attrs(o)
		}
		opts = recordOptions(with(attrs, end.attributes()...))
		f.record[failure{of, o, end}] = opts
	}
	return opts
}

// boundLocked returns o, with the type _OTHER if the pool has seen too many.
func (f *failures) boundLocked(o outcome) outcome {
	if !f.known[o] {
		if len(f.known) >= maxErrorTypes {
			return outcome{errorTypeOther, o.class}
		}
		f.known[o] = true
	}
	return o
}

// retried counts an attempt that database/sql repeats, and returns the type that
// it was counted under.
func (in *instruments) retried(ctx context.Context, why fault) string {
	f := &in.failing
	f.Lock()
	end := f.boundLocked(outcome{why.typ, why.class})
	opts, ok := f.add[end]
	if !ok {
		opts = addOptions(with(in.base, end.attributes()...))
		f.add[end] = opts
	}
	f.Unlock()
	in.retries.Add(ctx, 1, opts...)
	return end.typ
}

// died counts a connection that was closed, by the class of the failure that
// condemned it, if there was one.
func (in *instruments) died(ctx context.Context, r ledger.Reason, c Class) {
	opts := in.closedBy[r]
	if c != "" {
		opts = addOptions(with(in.base, keyReason.String(r.String()), keyClass.String(string(c))))
	}
	in.closed.Add(ctx, 1, opts...)
}

// flush adds to the counter what was acquired since the last flush. An acquire
// is counted in the ledger, and told only when somebody collects: the counter
// costs nothing while nobody does, and still outlives the pool, as an observable
// counter would not. The context of the collection has no part in it: it would
// make exemplars of the collector's own spans.
func (in *instruments) flush(s *ledger.Snapshot) {
	in.flushing.Lock()
	defer in.flushing.Unlock()
	for i, n := range s.Acquired {
		if more := n - in.flushed[i]; more > 0 {
			in.acquired.Add(context.Background(), more, in.acquiredBy[i]...)
			in.flushed[i] = n
		}
	}
}

// held tells the end of a hold. If it was long it becomes a span as well, made
// now with its true start, and that is where the exemplar leads.
func (in *instruments) held(ctx context.Context, id uint64, h *ledger.Hold, threshold time.Duration) {
	if threshold >= 0 && h.Length >= threshold {
		end := nowIn(ctx)
		var span trace.Span
		ctx, span = in.tracer.Start(ctx, spanHold, in.internal, trace.WithTimestamp(end.Add(-h.Length)))
		if span.IsRecording() {
			span.SetAttributes(connID(id))
			for p, d := range h.Phases {
				span.SetAttributes(heldKeys[p].Float64(d.Seconds()))
			}
		}
		defer span.End(trace.WithTimestamp(end))
	}
	if in.useTime.Enabled(ctx) {
		in.useTime.Record(ctx, h.Length.Seconds(), in.plain...)
	}
}

// verdicts are the values of otelpool.verdict.
var verdicts = []string{
	leakVerdict(LeakSuspected), leakVerdict(LeakReturned),
	string(IdleInCode), string(SlowStatements), string(LockWait), string(DatabaseUnreachable), string(SelfDeadlock), string(TooSmall),
}

// leakVerdict is the kind of a report about a leak as the verdict of the metric.
func leakVerdict(kind ReportKind) string { return strings.TrimPrefix(string(kind), "leak_") }

// leaked counts a verdict on a holder, and tells it to the holder's span if that
// still records.
func (in *instruments) leaked(ctx context.Context, kind ReportKind, h *ledger.Holding) {
	verdict := leakVerdict(kind)
	in.leaks.Add(ctx, 1, in.judged[verdict]...)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		attrs := append(holdAttrs(h), in.poolName, keyVerdict.String(verdict))
		if kind == LeakReturned { // what is done with it now is to give it back
			attrs = []attribute.KeyValue{connID(h.ID), keyHeld.Float64(h.For.Seconds()), in.poolName, keyVerdict.String(verdict)}
		}
		span.AddEvent(eventLeak, trace.WithAttributes(attrs...))
	}
}

// exhausted counts a report.
func (in *instruments) exhausted(v Verdict) {
	in.exhaustions.Add(context.Background(), 1, in.judged[string(v)]...)
}

// heldKeys are the attributes of a hold span that say how it was spent.
var heldKeys = [ledger.NumPhases]attribute.Key{
	ledger.Executing: keyHeld + ".executing",
	ledger.Rows:      keyHeld + ".rows",
	ledger.Tx:        keyHeld + ".tx",
	ledger.Pinned:    keyHeld + ".pinned",
}

// report hands an error of our own to OpenTelemetry's handler; it has no place
// in a result.
func report(err error) {
	if err != nil {
		otel.Handle(err)
	}
}
