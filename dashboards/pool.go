package main

const (
	utilization = `sum by @by (rate(otelpool_connection_held_seconds_total{@of}[2m]))
    / on @by max by @by (db_client_connection_max{@of})`
	failedDials = `sum by @by (rate(db_client_connection_create_time_seconds_count{@of,error_type!="",error_type!="canceled"}[2m]))
    / on @by sum by @by (rate(db_client_connection_create_time_seconds_count{@of,error_type!="canceled"}[2m]))`
	dials           = `sum by @by (rate(db_client_connection_create_time_seconds_count{@of,error_type=""}[2m]))`
	dialsPerAcquire = dials + `
    / on @by sum by @by (rate(otelpool_connection_acquired_total{@of}[2m]))`
)

// increaseIn5m is the increase of a counter in five minutes. A counter appears with its
// first event, which increase does not see, so a new series counts in full.
func increaseIn5m(counter string) string {
	return counter + " unless " + counter + " offset 5m or increase(" + counter + "[5m])"
}

// rareEvents is the same for the interval of a graph, by labels.
func rareEvents(by, counter string) string {
	return "sum by (" + by + ") (" + counter + " unless " + counter + " offset $__rate_interval or increase(" + counter + "[$__rate_interval]))"
}

const (
	noneSeen    = "none"
	notReported = "not reported"
)

// poolBoard shows one pool in detail, of one instance or of several together.
var poolBoard = board{
	name:  "otelpool-pool",
	title: "Connection pool",
	about: "One database/sql pool: who holds its connections and for how long, who waits, and whether the pool or the database is the cause.",
	variables: []variable{
		{name: "job", label: "Job", metric: "db_client_connection_count", by: "job", multi: true},
		{name: "instance", label: "Instance", metric: `db_client_connection_count{job=~"$job"}`, by: "instance", multi: true},
		{name: "pool", label: "Pool", metric: `db_client_connection_count{job=~"$job",instance=~"$instance"}`, by: "db_client_connection_pool_name"},
	},
	links: []link{{"All pools", "/d/otelpool-fleet@suffix"}, {"Runbook", runbook}},
	rows: []row{
		{"State", []panel{
			{
				title: "State", kind: word, width: 4, section: "reading-the-state", words: stateMappings(), missing: "no data",
				about:   "The state of the worst instance. " + stateMeanings() + " Saturated is more than 80 % held over two minutes. Stuck is not reported for a plain *sql.DB.",
				queries: []query{{expr: "max(" + poolState + ")"}},
			},
			{
				title: "Held of limit", kind: number, unit: "percentunit", width: 4, section: "dbpoolsaturated", missing: "no limit",
				about:   "The mean over two minutes, of the worst instance. Holds in progress count, so nothing between scrapes is missing.",
				queries: []query{{expr: "max(" + utilization + ")"}},
				steps:   []step{{0.7, "yellow"}, {0.8, "orange"}, {0.95, "red"}},
			},
			{
				title: "Oldest wait", kind: number, unit: "s", width: 4, section: "dbpoololdestwait", missing: notReported,
				about:   "The longest wait in progress. Only for otelpool.DB.",
				queries: []query{{expr: "max(otelpool_connection_oldest_wait_seconds{@of})"}},
				steps:   []step{{0.25, "yellow"}, {1, "orange"}, {5, "red"}},
			},
			{
				title: "Gave up, 5 min", kind: number, unit: "short", width: 4, section: "dbpooltimeouts", missing: noneSeen,
				about:   "Calls whose deadline passed before they got a connection. Only for otelpool.DB.",
				queries: []query{{expr: "sum(" + increaseIn5m("db_client_connection_timeouts_total{@of}") + ")"}},
				steps:   []step{{1, "red"}},
			},
			{
				title: "Retries, 5 min", kind: number, unit: "short", width: 4, section: "dbpoolhiddenretries", missing: noneSeen,
				about:   "Attempts on a bad connection that database/sql repeated. Their callers saw only a delay.",
				queries: []query{{expr: "sum(" + increaseIn5m("otelpool_connection_retries_total{@of}") + ")"}},
				steps:   []step{{1, "yellow"}},
			},
			{
				title: "Suspected leaks, now", kind: number, unit: "short", width: 4, section: "dbpoolleak", missing: noneSeen,
				about:   "Connections that were held unused for longer than WithLeakThreshold, and have not been returned.",
				queries: []query{{expr: `sum(otelpool_connection_leaks_total{@of,otelpool_leak="suspected"}) - (sum(otelpool_connection_leaks_total{@of,otelpool_leak="resolved"}) or sum(otelpool_connection_leaks_total{@of}) * 0)`}},
				steps:   []step{{1, "red"}},
			},
		}},
		{"Demand", []panel{
			{
				title: "Connections", kind: stacked, unit: "short", width: 8, section: "dbpoolsaturated",
				about: "By state, at each scrape, with the limit. Dialing connections are not used ones, as they are for database/sql, where an unreachable database looks like a busy pool. \"Most held\" is the peak between scrapes.",
				queries: []query{
					{expr: "sum by (db_client_connection_state) (db_client_connection_count{@of})", legend: "{{db.client.connection.state}}"},
					{expr: "sum(db_client_connection_max{@of})", legend: "limit"},
					{expr: "sum(otelpool_connection_peak{@of})", legend: "most held"},
				},
			},
			{
				title: "Held, by phase", kind: stacked, unit: "short", width: 8, section: "who-holds-the-connections",
				about: "The exact mean number of held connections, by what their holders do. executing: a call in the database. rows: a result set is open. tx: a transaction is open and nothing runs. pinned: none of these.",
				queries: []query{
					{expr: "sum by (otelpool_phase) (rate(otelpool_connection_held_seconds_total{@of}[$__rate_interval]))", legend: "{{otelpool.phase}}"},
					{expr: "sum(db_client_connection_max{@of})", legend: "limit"},
				},
			},
			{
				title: "Waiting", kind: lines, unit: "short", width: 8, section: "dbpoolstuck",
				about: "Callers without a connection: at each scrape, and on average between scrapes, including waits in progress. Only for otelpool.DB.",
				queries: []query{
					{expr: "sum(db_client_connection_pending_requests{@of})", legend: "at the scrape"},
					{expr: "sum(rate(otelpool_connection_waited_seconds_total{@of}[$__rate_interval]))", legend: "on average"},
				},
			},
		}},
		{"Waits", []panel{
			{
				title: "Wait", kind: lines, unit: "s", width: 8, section: "dbpoolslowacquire",
				about: "From the request to the usable connection, including dialing. An exemplar links to the trace of an acquire, which links to the holders of the connections.",
				queries: []query{
					{expr: "histogram_quantile(0.5, sum by (le) (rate(db_client_connection_wait_time_seconds_bucket{@of}[$__rate_interval])))", legend: "p50", traces: true},
					{expr: "histogram_quantile(0.95, sum by (le) (rate(db_client_connection_wait_time_seconds_bucket{@of}[$__rate_interval])))", legend: "p95", traces: true},
					{expr: "histogram_quantile(0.99, sum by (le) (rate(db_client_connection_wait_time_seconds_bucket{@of}[$__rate_interval])))", legend: "p99", traces: true},
				},
			},
			{
				title: "Waits", kind: heat, unit: "s", width: 8, section: "dbpoolslowacquire",
				about:   "The distribution of waits. Two bands are two kinds of callers, or a pool that is full at times.",
				queries: []query{{expr: "sum by (le) (increase(db_client_connection_wait_time_seconds_bucket{@of}[$__rate_interval]))", legend: "{{le}}", traces: true}},
			},
			{
				title: "Acquires that took more than 100 ms", kind: lines, unit: "percentunit", width: 8, section: "dbpoolslowacquire",
				about: "Exact, because 100 ms is the boundary of a bucket.",
				queries: []query{
					{expr: `1 - sum(rate(db_client_connection_wait_time_seconds_bucket{@of,le="0.1"}[$__rate_interval])) / sum(rate(db_client_connection_wait_time_seconds_count{@of}[$__rate_interval]))`, legend: "of all"},
				},
			},
			{
				title: "Acquires per second", kind: stacked, unit: "ops", width: 8, section: "sizing",
				about:   "By where the connection came from: new, dialed by the caller; reused; opener, dialed in the background for callers that wait.",
				queries: []query{{expr: "sum by (otelpool_source) (rate(otelpool_connection_acquired_total{@of}[$__rate_interval]))", legend: "{{otelpool.source}}"}},
			},
			{
				title: "Failed acquires", kind: bars, unit: "short", width: 8, section: "dbpooltimeouts",
				about: "Calls of otelpool.DB that returned without a connection: their deadline passed, or their context was canceled.",
				queries: []query{
					{expr: rareEvents("", "db_client_connection_timeouts_total{@of}"), legend: "deadline"},
					{expr: rareEvents("", "otelpool_connection_cancels_total{@of}"), legend: "canceled"},
				},
			},
			{
				title: "Times exhausted", kind: bars, unit: "short", width: 8, section: "dbpoolexhausted",
				about:   "Reports of an exhausted pool. Each is a log record that names the holders. For a plain *sql.DB it is the only sign of callers that still wait.",
				queries: []query{{expr: "sum(" + increaseIn5m("otelpool_connection_exhaustions_total{@of}") + ")", legend: "within 5 min"}},
			},
		}},
		{"Holds", []panel{
			{
				title: "Hold", kind: lines, unit: "s", width: 8, section: "dbpoolholddrift",
				about: "From acquire to release. Holds in progress are not included: see the oldest.",
				queries: []query{
					{expr: "histogram_quantile(0.5, sum by (le) (rate(db_client_connection_use_time_seconds_bucket{@of}[$__rate_interval])))", legend: "p50", traces: true},
					{expr: "histogram_quantile(0.95, sum by (le) (rate(db_client_connection_use_time_seconds_bucket{@of}[$__rate_interval])))", legend: "p95", traces: true},
					{expr: "histogram_quantile(0.99, sum by (le) (rate(db_client_connection_use_time_seconds_bucket{@of}[$__rate_interval])))", legend: "p99", traces: true},
				},
			},
			{
				title: "Holds", kind: heat, unit: "s", width: 8, section: "who-holds-the-connections",
				about:   "The distribution of holds. A band far above the statements is code that keeps connections.",
				queries: []query{{expr: "sum by (le) (increase(db_client_connection_use_time_seconds_bucket{@of}[$__rate_interval]))", legend: "{{le}}", traces: true}},
			},
			{
				title: "Oldest hold, and leaks", kind: lines, unit: "s", width: 8, section: "dbpoolleak",
				about:   "The longest hold in progress. A line that rises one second per second is a connection that is not returned.",
				queries: []query{{expr: "max by (instance) (otelpool_connection_oldest_hold_seconds{@of})", legend: "{{instance}}"}},
			},
		}},
		{"Opened and closed connections", []panel{
			{
				title: "Closed, by reason", kind: bars, unit: "short", width: 8, section: "dbpoolchurn",
				about:   "idle_count is SetMaxIdleConns. bad is a connection that failed, with the class of the failure.",
				queries: []query{{expr: rareEvents("otelpool_reason, otelpool_class", "otelpool_connection_closed_total{@of}"), legend: "{{otelpool.reason}} {{otelpool.class}}"}},
			},
			{
				title: "Acquires that dial", kind: lines, unit: "percentunit", width: 8, section: "dbpoolchurn",
				about: "Connections opened for each acquire. Near zero in a pool that keeps what it needs.",
				queries: []query{
					{expr: `sum(rate(db_client_connection_create_time_seconds_count{@of,error_type=""}[$__rate_interval])) / sum(rate(otelpool_connection_acquired_total{@of}[$__rate_interval]))`, legend: "of all"},
				},
			},
			{
				title: "Retries, by class", kind: bars, unit: "short", width: 8, section: "dbpoolhiddenretries",
				about:   "Attempts on a bad connection that database/sql repeated, by the class of its failure.",
				queries: []query{{expr: rareEvents("otelpool_class", "otelpool_connection_retries_total{@of}"), legend: "{{otelpool.class}}"}},
			},
			{
				title: "Dial", kind: lines, unit: "s", width: 12, section: "dbpoolcannotconnect",
				about: "The time to open a connection, with TLS and authentication. Successful dials only.",
				queries: []query{
					{expr: `histogram_quantile(0.5, sum by (le) (rate(db_client_connection_create_time_seconds_bucket{@of,error_type=""}[$__rate_interval])))`, legend: "p50", traces: true},
					{expr: `histogram_quantile(0.99, sum by (le) (rate(db_client_connection_create_time_seconds_bucket{@of,error_type=""}[$__rate_interval])))`, legend: "p99", traces: true},
				},
			},
			{
				title: "Failed dials, by class", kind: bars, unit: "short", width: 12, section: "dbpoolcannotconnect",
				about:   "Including dials of database/sql's background opener.",
				queries: []query{{expr: rareEvents("otelpool_class", `db_client_connection_create_time_seconds_count{@of,error_type!=""}`), legend: "{{otelpool.class}}", traces: true}},
			},
		}},
		{"Database", []panel{
			{
				title: "Time in the database, by statement", kind: stacked, unit: "short", width: 8, section: "is-it-the-database",
				about:   "The mean number of calls in the database: the ten statements with the most time.",
				queries: []query{{expr: "topk(10, sum by (db_query_summary) (rate(db_client_operation_duration_seconds_sum{@of}[$__rate_interval])))", legend: "{{db.query.summary}}"}},
			},
			{
				title: "Operations, p99", kind: lines, unit: "s", width: 8, section: "is-it-the-database",
				about:   "The time inside the driver. It does not include waiting for a connection, dialing and reading rows.",
				queries: []query{{expr: "histogram_quantile(0.99, sum by (otelpool_operation, le) (rate(db_client_operation_duration_seconds_bucket{@of}[$__rate_interval])))", legend: "{{otelpool.operation}}", traces: true}},
			},
			{
				title: "Failed operations, by class", kind: bars, unit: "short", width: 8, section: "is-it-the-database",
				about:   "canceled is a context that the caller canceled, and no failure of the database.",
				queries: []query{{expr: rareEvents("otelpool_class", `db_client_operation_duration_seconds_count{@of,error_type!=""}`), legend: "{{otelpool.class}}", traces: true}},
			},
			{
				title: "Rows per result set, p99", kind: lines, unit: "short", width: 12, section: "who-holds-the-connections",
				about:   "By statement, the ten largest. Much time in phase rows with few rows is code that does something else between reads.",
				queries: []query{{expr: "topk(10, histogram_quantile(0.99, sum by (db_query_summary, le) (rate(db_client_response_returned_rows_bucket{@of}[$__rate_interval]))))", legend: "{{db.query.summary}}"}},
			},
			{
				title: "Size", kind: number, unit: "short", width: 12, section: "sizing", missing: notReported,
				about: "For the largest instance. Needed: the 99th percentile over the last day of the mean held in two minutes, plus 30 %. Not valid for a pool that is full, or held by code that does not use it.",
				queries: []query{
					{expr: "max(db_client_connection_max{@of})", legend: "limit"},
					{expr: "ceil(1.3 * max(quantile_over_time(0.99, sum by @by (rate(otelpool_connection_held_seconds_total{@of}[2m]))[1d:2m])))", legend: "needed"},
				},
			},
		}},
		{"Who holds the connections", []panel{{
			kind: prose, width: 24, title: "Names are not in metrics",
			prose: "The line of code that holds a connection is not a label, because the number of such names is unbounded. It is\n\n" +
				"- on the debug page of the program (`poolz`), for the current holders;\n" +
				"- in the log record of each exhaustion and each suspected leak, with the trace of the holder;\n" +
				"- in traces: an exemplar of the panel *Wait* links to an acquire span, which links to the spans of the holders; one of the panel *Hold* links to a hold span, which has its time by phase.\n\n" +
				"[How to read them](" + runbook + "#who-holds-the-connections)",
		}}},
	},
}
