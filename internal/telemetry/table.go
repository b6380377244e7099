package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
)

// kind is how an instrument counts.
type kind string

const (
	kindHistogram         kind = "histogram"
	kindCounter           kind = "counter"
	kindObservableCounter kind = "observable counter"
	kindObservableUpDown  kind = "observable up-down counter"
	kindObservableGauge   kind = "observable gauge"
)

// definition is one row of the table of instruments: all that a reader of the numbers
// has to know. docs/metrics.md is made from it.
type definition struct {
	name        string
	kind        kind
	unit        string
	description string
	buckets     []float64
	attrs       []attribute.Key // besides the pool's own: its name and the user's attributes
	when        string          // when it is recorded, what it leaves out
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

// table has every instrument.
var table = [numMetrics]definition{
	mOperationDuration: {
		name:        dbconv.ClientOperationDuration{}.Name(),
		kind:        kindHistogram,
		unit:        dbconv.ClientOperationDuration{}.Unit(),
		description: dbconv.ClientOperationDuration{}.Description(),
		buckets:     []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10},
		attrs: []attribute.Key{
			semconv.DBSystemNameKey, semconv.ServerAddressKey, semconv.ServerPortKey, semconv.DBNamespaceKey,
			keyOperation, semconv.DBQuerySummaryKey, semconv.ErrorTypeKey, keyClass,
		},
		when: "At the end of every query, exec, prepare, ping, begin, commit and rollback: the time inside the driver. " +
			"Not in it: waiting for a connection, dialing, reading rows. Each attempt that database/sql retries is recorded. " +
			"A call that the driver declines with ErrSkip is recorded once, from its start to the end of the prepared statement that took its place.",
	},
	mCount: {
		name:        dbconv.ClientConnectionCountObservable{}.Name(),
		kind:        kindObservableUpDown,
		unit:        dbconv.ClientConnectionCountObservable{}.Unit(),
		description: dbconv.ClientConnectionCountObservable{}.Description(),
		attrs:       []attribute.Key{semconv.DBClientConnectionStateKey},
		when: "At each collection. `used` is checked out, `idle` is open and not checked out, `dialing` is being opened: " +
			"database/sql counts a dial as in use, so that a dead database looks like a busy pool.",
	},
	mMax: {
		name:        dbconv.ClientConnectionMaxObservable{}.Name(),
		kind:        kindObservableUpDown,
		unit:        dbconv.ClientConnectionMaxObservable{}.Unit(),
		description: dbconv.ClientConnectionMaxObservable{}.Description(),
		when:        "At each collection, from `DBStats.MaxOpenConnections`. Absent while there is no limit, and while the DB is not known (see `Watch`).",
	},
	mReturnedRows: {
		name:        dbconv.ClientResponseReturnedRows{}.Name(),
		kind:        kindHistogram,
		unit:        dbconv.ClientResponseReturnedRows{}.Unit(),
		description: dbconv.ClientResponseReturnedRows{}.Description(),
		buckets:     []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000},
		attrs: []attribute.Key{
			semconv.DBSystemNameKey, semconv.ServerAddressKey, semconv.ServerPortKey, semconv.DBNamespaceKey,
			semconv.DBQuerySummaryKey, semconv.ErrorTypeKey, keyClass,
		},
		when: "When a result set is closed: the rows that the program has read of it, of all its parts together. A result set " +
			"that is closed early counts those read by then; one whose reading failed has error.type.",
	},
	mIdleMax: {
		name:        dbconv.ClientConnectionIdleMaxObservable{}.Name(),
		kind:        kindObservableUpDown,
		unit:        dbconv.ClientConnectionIdleMaxObservable{}.Unit(),
		description: dbconv.ClientConnectionIdleMaxObservable{}.Description(),
		when:        "At each collection. Absent until `SetMaxIdleConns` is called through `otelpool.DB`: database/sql does not publish it.",
	},
	mPending: {
		name:        dbconv.ClientConnectionPendingRequestsObservable{}.Name(),
		kind:        kindObservableUpDown,
		unit:        dbconv.ClientConnectionPendingRequestsObservable{}.Unit(),
		description: dbconv.ClientConnectionPendingRequestsObservable{}.Description(),
		when: "At each collection: the calls of `otelpool.DB` that have no connection yet, those that dial one themselves included. " +
			"Absent without `otelpool.DB`. Calls of the plain *sql.DB and of prepared statements are not in it.",
	},
	mTimeouts: {
		name:        dbconv.ClientConnectionTimeouts{}.Name(),
		kind:        kindCounter,
		unit:        dbconv.ClientConnectionTimeouts{}.Unit(),
		description: dbconv.ClientConnectionTimeouts{}.Description(),
		when: "When a call of `otelpool.DB` returns without a connection because its deadline passed. Calls that were canceled are in " +
			"`otelpool.connection.cancels`. Calls of the plain *sql.DB and of prepared statements are in neither.",
	},
	mCreateTime: {
		name:        dbconv.ClientConnectionCreateTime{}.Name(),
		kind:        kindHistogram,
		unit:        dbconv.ClientConnectionCreateTime{}.Unit(),
		description: dbconv.ClientConnectionCreateTime{}.Description(),
		buckets:     []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		attrs:       []attribute.Key{semconv.ErrorTypeKey, keyClass},
		when: "At the end of every dial, failed ones with error.type, those of database/sql's background opener included. " +
			"The query of `WithServerQuery` is not in it.",
	},
	mWaitTime: {
		name:        dbconv.ClientConnectionWaitTime{}.Name(),
		kind:        kindHistogram,
		unit:        dbconv.ClientConnectionWaitTime{}.Unit(),
		description: dbconv.ClientConnectionWaitTime{}.Description(),
		buckets:     []float64{0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		attrs:       []attribute.Key{semconv.ErrorTypeKey, keyClass},
		when: "Once for every acquire: from the request to the usable connection. Dialing, resetting, and attempts on connections that turned out bad are in it. " +
			"Exact for calls of `otelpool.DB`, recorded when the call returns, and with error.type for those that got no connection. For the plain *sql.DB and prepared " +
			"statements inferred when the connection is acquired, see [the error of the inference](#how-exact-the-inferred-waits-are); acquires that fail are not in it then. " +
			"Absent while the DB is not known (see `Watch`).",
	},
	mUseTime: {
		name:        dbconv.ClientConnectionUseTime{}.Name(),
		kind:        kindHistogram,
		unit:        dbconv.ClientConnectionUseTime{}.Unit(),
		description: dbconv.ClientConnectionUseTime{}.Description(),
		buckets:     []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900},
		when: "When a connection is released, or closed without a release. A hold in progress is not in it: see `otelpool.connection.held`. " +
			"A connection that was opened in the background counts as held from its first driver call.",
	},
	mHeld: {
		name:        "otelpool.connection.held",
		kind:        kindObservableCounter,
		unit:        "s",
		description: "The time that connections were held, summed over connections, holds in progress included.",
		attrs:       []attribute.Key{keyPhase},
		when: "At each collection. Its rate is the mean number of connections held. Phases: `executing` inside a driver call, " +
			"`rows` a result set is open, `tx` a transaction is open and nothing runs, `pinned` none of these.",
	},
	mOldestHold: {
		name:        "otelpool.connection.oldest_hold",
		kind:        kindObservableGauge,
		unit:        "s",
		description: "How long the longest hold in progress has lasted.",
		when:        "At each collection; 0 when nothing is held.",
	},
	mWaited: {
		name:        "otelpool.connection.waited",
		kind:        kindObservableCounter,
		unit:        "s",
		description: "The time that callers waited for a connection, summed over callers, waits in progress included.",
		when: "At each collection; its rate is the mean number of callers that wait. It counts calls of `otelpool.DB`, and is absent without one. " +
			"Waits that ended without a connection are in it.",
	},
	mOldestWait: {
		name:        "otelpool.connection.oldest_wait",
		kind:        kindObservableGauge,
		unit:        "s",
		description: "How long the longest wait in progress has lasted.",
		when:        "At each collection; 0 when nobody waits. It counts calls of `otelpool.DB`, and is absent without one.",
	},
	mCancels: {
		name:        "otelpool.connection.cancels",
		kind:        kindCounter,
		unit:        "{acquire}",
		description: "Acquires that ended because the caller's context was canceled.",
		when:        "When a call of `otelpool.DB` returns without a connection because its context was canceled. Not in it: deadlines, see `db.client.connection.timeouts`.",
	},
	mAcquired: {
		name:        "otelpool.connection.acquired",
		kind:        kindCounter,
		unit:        "{acquire}",
		description: "Connections handed to a caller.",
		attrs:       []attribute.Key{keySource},
		when: "Added at each collection and at DB.Close. `new` was dialed by the caller itself, `reused` had been used before, " +
			"`opener` was opened in the background and used for the first time. Acquires that failed are not in it.",
	},
	mClosed: {
		name:        "otelpool.connection.closed",
		kind:        kindCounter,
		unit:        "{connection}",
		description: "Connections closed.",
		attrs:       []attribute.Key{keyReason, keyClass},
		when: "When a connection is closed; a close by a limit, at the next acquire or collection after it. Reasons: `lifetime`, `idle_time` and `idle_count` are the limits of the same name, " +
			"`open_count` a lowered SetMaxOpenConns, `bad` a connection that the driver or Conn.Raw called bad, `rollback_discard` a transaction " +
			"whose context ended on a driver that cannot clean a connection, `pool_closed` is DB.Close, `unknown` a close that nothing " +
			"explains, such as one by a limit while the DB is not known (see `Watch`). Only `bad` has a class: that of the failure that broke the connection, " +
			"which may be another than the last error of the driver, see [the classes](#classes).",
	},
	mRetries: {
		name:        "otelpool.connection.retries",
		kind:        kindCounter,
		unit:        "{attempt}",
		description: "Attempts that failed with driver.ErrBadConn and were retried by database/sql without its caller knowing.",
		attrs:       []attribute.Key{semconv.ErrorTypeKey, keyClass},
		when: "When the attempt fails, with the class of the failure that caused it, as far as it is known. The last attempt of a call, whose failure the caller sees, is not in it; nor is one " +
			"that failed because the connection had passed its lifetime.",
	},
	mLeaks: {
		name:        "otelpool.connection.leaks",
		kind:        kindCounter,
		unit:        "{connection}",
		description: "Connections that were suspected of being leaked, and those of them that were released.",
		attrs:       []attribute.Key{keyLeak},
		when: "`suspected` when a connection has been held, and not used, for as long as `WithLeakThreshold` says (30 s): at that moment, up to a second later after " +
			"rows were read. `resolved` when such a connection is released or closed. Their difference is the number of leaks now.",
	},
	mExhaustions: {
		name:        "otelpool.connection.exhaustions",
		kind:        kindCounter,
		unit:        "{report}",
		description: "Reports that a pool has no connection for its callers.",
		attrs:       []attribute.Key{keyVerdict},
		when: "When one is made: a caller has waited for as long as `WithExhaustionThreshold` says (1 s), or a call of `otelpool.DB` got no connection before " +
			"its deadline; once until the pool has recovered, and at most every 10 s. Verdicts: `idle_in_code`, `slow_statements`, `lock_wait`, `database_unreachable`, " +
			"`self_deadlock`, `too_small`, see [reports.md](reports.md). With a plain *sql.DB waits are seen through DBStats, about a second late.",
	},
	mPeak: {
		name:        "otelpool.connection.peak",
		kind:        kindObservableGauge,
		unit:        "{connection}",
		description: "The most connections held at once since the last collection.",
		when:        "At each collection, which starts it anew: with two readers each sees the peak since the other's collection.",
	},
}
