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

// rose is how much a counter rose in five minutes. One that appeared since then
// began with its first event, which increase would not see.
func rose(counter string) string {
	return counter + " unless " + counter + " offset 5m or increase(" + counter + "[5m])"
}

// seen is how often something rare has happened within the interval of a graph, for
// each value of the labels, its first time included.
func seen(by, counter string) string {
	return "sum by (" + by + ") (" + counter + " unless " + counter + " offset $__rate_interval or increase(" + counter + "[$__rate_interval]))"
}

const (
	nobodySeen = "none"
	notTold    = "not told"
)

// poolBoard is one pool in all detail, of one instance or of several together.
var poolBoard = board{
	name:  "otelpool-pool",
	title: "Connection pool",
	about: "What a database/sql pool does, as told by otelpool: who has its connections and for how long, who waits, and whether it is the pool or the database.",
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
				about:   "The mean over two minutes, of the worst instance. It counts holds in progress, so it misses nothing between scrapes.",
				queries: []query{{expr: "max(" + utilization + ")"}},
				steps:   []step{{0.7, "yellow"}, {0.8, "orange"}, {0.95, "red"}},
			},
			{
				title: "Oldest wait", kind: number, unit: "s", width: 4, section: "dbpoololdestwait", missing: notTold,
				about:   "How long the caller that waits for longest has waited by now. Of otelpool.DB.",
				queries: []query{{expr: "max(otelpool_connection_oldest_wait_seconds{@of})"}},
				steps:   []step{{0.25, "yellow"}, {1, "orange"}, {5, "red"}},
			},
			{
				title: "Gave up, 5 min", kind: number, unit: "short", width: 4, section: "dbpooltimeouts", missing: nobodySeen,
				about:   "Calls whose deadline passed before they got a connection. Of otelpool.DB.",
				queries: []query{{expr: "sum(" + rose("db_client_connection_timeouts_total{@of}") + ")"}},
				steps:   []step{{1, "red"}},
			},
			{
				title: "Repeated in silence, 5 min", kind: number, unit: "short", width: 4, section: "dbpoolhiddenretries", missing: nobodySeen,
				about:   "Attempts that met a dead connection and were repeated by database/sql. Their callers saw nothing but a delay.",
				queries: []query{{expr: "sum(" + rose("otelpool_connection_retries_total{@of}") + ")"}},
				steps:   []step{{1, "yellow"}},
			},
			{
				title: "Suspected leaks, now", kind: number, unit: "short", width: 4, section: "dbpoolleak", missing: nobodySeen,
				about:   "Connections that were held without use for longer than WithLeakThreshold, and have not been given back.",
				queries: []query{{expr: `sum(otelpool_connection_leaks_total{@of,otelpool_verdict="suspected"}) - (sum(otelpool_connection_leaks_total{@of,otelpool_verdict="returned"}) or sum(otelpool_connection_leaks_total{@of}) * 0)`}},
				steps:   []step{{1, "red"}},
			},
		}},
		{"Demand", []panel{
			{
				title: "Connections", kind: stacked, unit: "short", width: 8, section: "dbpoolsaturated",
				about: "By state, at each scrape, with the limit. Dialing is not used: database/sql counts it so, and a dead database then looks like a busy pool. \"Most held\" is the peak between scrapes.",
				queries: []query{
					{expr: "sum by (db_client_connection_state) (db_client_connection_count{@of})", legend: "{{db.client.connection.state}}"},
					{expr: "sum(db_client_connection_max{@of})", legend: "limit"},
					{expr: "sum(otelpool_connection_peak{@of})", legend: "most held"},
				},
			},
			{
				title: "Held, by phase", kind: stacked, unit: "short", width: 8, section: "who-holds-the-connections",
				about: "The mean number of connections held, exactly, and what their holders do: executing in the database; rows, a result set is open; tx, a transaction is open and nothing runs; pinned, none of these.",
				queries: []query{
					{expr: "sum by (otelpool_phase) (rate(otelpool_connection_held_seconds_total{@of}[$__rate_interval]))", legend: "{{otelpool.phase}}"},
					{expr: "sum(db_client_connection_max{@of})", legend: "limit"},
				},
			},
			{
				title: "Waiting", kind: lines, unit: "short", width: 8, section: "dbpoolstuck",
				about: "Callers without a connection: at each scrape, and on average between scrapes, waits in progress included. Of otelpool.DB.",
				queries: []query{
					{expr: "sum(db_client_connection_pending_requests{@of})", legend: "at the scrape"},
					{expr: "sum(rate(otelpool_connection_waited_seconds_total{@of}[$__rate_interval]))", legend: "on average"},
				},
			},
		}},
		{"Waits", []panel{
			{
				title: "Wait", kind: lines, unit: "s", width: 8, section: "dbpoolslowacquire",
				about: "From the request to the usable connection, dialing included. An exemplar leads to the trace of an acquire, whose links lead to those who held the connections.",
				queries: []query{
					{expr: "histogram_quantile(0.5, sum by (le) (rate(db_client_connection_wait_time_seconds_bucket{@of}[$__rate_interval])))", legend: "p50", traces: true},
					{expr: "histogram_quantile(0.95, sum by (le) (rate(db_client_connection_wait_time_seconds_bucket{@of}[$__rate_interval])))", legend: "p95", traces: true},
					{expr: "histogram_quantile(0.99, sum by (le) (rate(db_client_connection_wait_time_seconds_bucket{@of}[$__rate_interval])))", legend: "p99", traces: true},
				},
			},
			{
				title: "Waits", kind: heat, unit: "s", width: 8, section: "dbpoolslowacquire",
				about:   "How many acquires took how long. Two clouds are two kinds of callers, or a pool that is full at times.",
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
				title: "Acquires in vain", kind: bars, unit: "short", width: 8, section: "dbpooltimeouts",
				about: "Calls of otelpool.DB that returned without a connection: their deadline passed, or their caller went away.",
				queries: []query{
					{expr: seen("", "db_client_connection_timeouts_total{@of}"), legend: "deadline"},
					{expr: seen("", "otelpool_connection_cancels_total{@of}"), legend: "canceled"},
				},
			},
			{
				title: "Times exhausted", kind: bars, unit: "short", width: 8, section: "dbpoolexhausted",
				about:   "Reports that no connection was to be had. Each is a log record that names the holders. For a plain *sql.DB it is the only sign of callers that still wait.",
				queries: []query{{expr: "sum(" + rose("otelpool_connection_exhaustions_total{@of}") + ")", legend: "within 5 min"}},
			},
		}},
		{"Holds", []panel{
			{
				title: "Hold", kind: lines, unit: "s", width: 8, section: "dbpoolholddrift",
				about: "From getting a connection to giving it back. Holds in progress are not in it: see the oldest.",
				queries: []query{
					{expr: "histogram_quantile(0.5, sum by (le) (rate(db_client_connection_use_time_seconds_bucket{@of}[$__rate_interval])))", legend: "p50", traces: true},
					{expr: "histogram_quantile(0.95, sum by (le) (rate(db_client_connection_use_time_seconds_bucket{@of}[$__rate_interval])))", legend: "p95", traces: true},
					{expr: "histogram_quantile(0.99, sum by (le) (rate(db_client_connection_use_time_seconds_bucket{@of}[$__rate_interval])))", legend: "p99", traces: true},
				},
			},
			{
				title: "Holds", kind: heat, unit: "s", width: 8, section: "who-holds-the-connections",
				about:   "How many holds took how long. A cloud far above the statements is code that keeps connections.",
				queries: []query{{expr: "sum by (le) (increase(db_client_connection_use_time_seconds_bucket{@of}[$__rate_interval]))", legend: "{{le}}", traces: true}},
			},
			{
				title: "Oldest hold, and leaks", kind: lines, unit: "s", width: 8, section: "dbpoolleak",
				about:   "How long the longest hold in progress has lasted. A line that climbs one second per second is a connection that does not come back.",
				queries: []query{{expr: "max by (instance) (otelpool_connection_oldest_hold_seconds{@of})", legend: "{{instance}}"}},
			},
		}},
		{"Connections come and go", []panel{
			{
				title: "Closed, by reason", kind: bars, unit: "short", width: 8, section: "dbpoolchurn",
				about:   "idle_count is SetMaxIdleConns, bad is a connection that died, with how it ended.",
				queries: []query{{expr: seen("otelpool_reason, otelpool_class", "otelpool_connection_closed_total{@of}"), legend: "{{otelpool.reason}} {{otelpool.class}}"}},
			},
			{
				title: "Acquires that dial", kind: lines, unit: "percentunit", width: 8, section: "dbpoolchurn",
				about: "Connections opened for each one acquired. Near zero in a pool that keeps what it needs.",
				queries: []query{
					{expr: `sum(rate(db_client_connection_create_time_seconds_count{@of,error_type=""}[$__rate_interval])) / sum(rate(otelpool_connection_acquired_total{@of}[$__rate_interval]))`, legend: "of all"},
				},
			},
			{
				title: "Repeated in silence", kind: bars, unit: "short", width: 8, section: "dbpoolhiddenretries",
				about:   "Attempts that met a dead connection, by how it had ended.",
				queries: []query{{expr: seen("otelpool_class", "otelpool_connection_retries_total{@of}"), legend: "{{otelpool.class}}"}},
			},
			{
				title: "Dial", kind: lines, unit: "s", width: 12, section: "dbpoolcannotconnect",
				about: "How long it takes to open a connection, with TLS and authentication; of dials that succeeded.",
				queries: []query{
					{expr: `histogram_quantile(0.5, sum by (le) (rate(db_client_connection_create_time_seconds_bucket{@of,error_type=""}[$__rate_interval])))`, legend: "p50", traces: true},
					{expr: `histogram_quantile(0.99, sum by (le) (rate(db_client_connection_create_time_seconds_bucket{@of,error_type=""}[$__rate_interval])))`, legend: "p99", traces: true},
				},
			},
			{
				title: "Failed dials, by class", kind: bars, unit: "short", width: 12, section: "dbpoolcannotconnect",
				about:   "Those of database/sql's background opener included.",
				queries: []query{{expr: seen("otelpool_class", `db_client_connection_create_time_seconds_count{@of,error_type!=""}`), legend: "{{otelpool.class}}", traces: true}},
			},
		}},
		{"Database", []panel{
			{
				title: "Time in the database, by statement", kind: stacked, unit: "short", width: 8, section: "is-it-the-database",
				about:   "The mean number of calls that run in the database. The ten statements that take most.",
				queries: []query{{expr: "topk(10, sum by (db_query_summary) (rate(db_client_operation_duration_seconds_sum{@of}[$__rate_interval])))", legend: "{{db.query.summary}}"}},
			},
			{
				title: "Operations, p99", kind: lines, unit: "s", width: 8, section: "is-it-the-database",
				about:   "The time inside the driver. Not in it: waiting for a connection, dialing, reading rows.",
				queries: []query{{expr: "histogram_quantile(0.99, sum by (otelpool_operation, le) (rate(db_client_operation_duration_seconds_bucket{@of}[$__rate_interval])))", legend: "{{otelpool.operation}}", traces: true}},
			},
			{
				title: "Failed operations, by class", kind: bars, unit: "short", width: 8, section: "is-it-the-database",
				about:   "canceled is a caller that went away, and no fault of the database.",
				queries: []query{{expr: seen("otelpool_class", `db_client_operation_duration_seconds_count{@of,error_type!=""}`), legend: "{{otelpool.class}}", traces: true}},
			},
			{
				title: "Rows per result set, p99", kind: lines, unit: "short", width: 12, section: "who-holds-the-connections",
				about:   "By statement, the ten largest. Long phases \"rows\" with few rows are readers that do something else meanwhile.",
				queries: []query{{expr: "topk(10, histogram_quantile(0.99, sum by (db_query_summary, le) (rate(db_client_response_returned_rows_bucket{@of}[$__rate_interval]))))", legend: "{{db.query.summary}}"}},
			},
			{
				title: "Size", kind: number, unit: "short", width: 12, section: "sizing", missing: notTold,
				about: "Of one instance, the largest. Needed: the mean held in the busiest two minutes of the last day but for 1 %, and 30 % more. It is no advice for a pool that is full, or held by code that does not use it.",
				queries: []query{
					{expr: "max(db_client_connection_max{@of})", legend: "limit"},
					{expr: "ceil(1.3 * max(quantile_over_time(0.99, sum by @by (rate(otelpool_connection_held_seconds_total{@of}[2m]))[1d:2m])))", legend: "needed"},
				},
			},
		}},
		{"Who holds the connections", []panel{{
			kind: prose, width: 24, title: "Names are not in metrics",
			prose: "Which line of which program holds a connection is no label: there is no bound on such names. It is\n\n" +
				"- on the debug page of the program (`poolz`), now;\n" +
				"- in the log record of each exhaustion and each suspected leak, with the trace of the holder;\n" +
				"- in traces: an exemplar of the panel *Wait* leads to an acquire span, and its links to the spans of those who held the connections; one of the panel *Hold* leads to a hold span, which tells how its time was spent.\n\n" +
				"[How to read them](" + runbook + "#who-holds-the-connections)",
		}}},
	},
}
