package main

// fleetBoard shows all pools of all programs, to find those that are not ok.
var fleetBoard = board{
	name:  "otelpool-fleet",
	title: "Connection pools",
	about: "All database/sql pools that otelpool watches, and how many connections they may open together.",
	variables: []variable{
		{name: "job", label: "Job", metric: "db_client_connection_count", by: "job", multi: true},
		{name: "instance", label: "Instance", metric: `db_client_connection_count{job=~"$job"}`, by: "instance", multi: true},
	},
	links: []link{{"Runbook", runbook}},
	rows: []row{
		{"State", []panel{
			{
				title: "Worst state", kind: word, width: 4, section: "reading-the-state", words: stateMappings(), missing: "no data",
				about:   "The worst state of any pool of any instance. The table has the state of each pool.",
				queries: []query{{expr: "max(" + poolState + ")"}},
			},
			{
				title: "Pools not ok", kind: number, unit: "short", width: 4, section: "reading-the-state",
				about:   "Pools whose state is not ok. Each instance counts.",
				queries: []query{{expr: "count((" + poolState + ") > 0) or count(db_client_connection_count{@of}) * 0", legend: "not ok"}},
				steps:   []step{{1, "red"}},
			},
			{
				title: "Oldest wait", kind: number, unit: "s", width: 4, section: "dbpoololdestwait", missing: notReported,
				about:   "The longest wait in progress of any otelpool.DB.",
				queries: []query{{expr: "max(otelpool_connection_oldest_wait_seconds{@of})"}},
				steps:   []step{{0.25, "yellow"}, {1, "orange"}, {5, "red"}},
			},
			{
				title: "Gave up, 5 min", kind: number, unit: "short", width: 4, section: "dbpooltimeouts", missing: noneSeen,
				about:   "Calls whose deadline passed before they got a connection.",
				queries: []query{{expr: "sum(" + increaseIn5m("db_client_connection_timeouts_total{@of}") + ")"}},
				steps:   []step{{1, "red"}},
			},
			{
				title: "Open connections", kind: number, unit: "short", width: 4, section: "sizing",
				about:   "Of all pools together, without dialing ones.",
				queries: []query{{expr: `sum(db_client_connection_count{@of,db_client_connection_state!="dialing"})`}},
			},
			{
				title: "Limits / server limit", kind: number, unit: "percentunit", width: 4, section: "dbfleetovercommitted", missing: "no server limit",
				about:   "The sum of the limits of all pools, as a share of the connections that the server accepts. With several servers, the smallest limit. Needs mysqld_exporter or postgres_exporter.",
				queries: []query{{expr: "sum(db_client_connection_max{@of}) / on () min(mysql_global_variables_max_connections or pg_settings_max_connections)"}},
				steps:   []step{{0.8, "orange"}, {1, "red"}},
			},
		}},
		{"Pools", []panel{{
			title: "Pools", kind: rank, width: 24, section: "reading-the-state",
			about: "One row for each pool of each job. Counts and rates are of all instances together, other values of the worst instance. A click opens the pool.",
			queries: []query{
				{expr: "max by (job, db_client_connection_pool_name) (" + poolState + ")", legend: stateLegend()},
				{expr: "count by (job, db_client_connection_pool_name) (sum by @by (db_client_connection_count{@of}))", legend: "instances"},
				{expr: "sum by (job, db_client_connection_pool_name) (rate(otelpool_connection_acquired_total{@of}[2m]))", legend: "acquires/s"},
				{expr: "max by (job, db_client_connection_pool_name) (" + utilization + ")", legend: "held of limit"},
				{expr: `max by (job, db_client_connection_pool_name) (sum by @by (rate(otelpool_connection_held_seconds_total{@of,otelpool_phase!="executing"}[2m])) / on @by sum by @by (rate(otelpool_connection_held_seconds_total{@of}[2m])))`, legend: "not executing"},
				{expr: "max by (job, db_client_connection_pool_name) (otelpool_connection_oldest_wait_seconds{@of})", legend: "oldest wait"},
				{expr: "max by (job, db_client_connection_pool_name) (otelpool_connection_oldest_hold_seconds{@of})", legend: "oldest hold"},
				{expr: "sum by (job, db_client_connection_pool_name) (" + increaseIn5m("db_client_connection_timeouts_total{@of}") + ")", legend: "gave up, 5 min"},
				{expr: "max by (job, db_client_connection_pool_name) (" + failedDials + ")", legend: "failed dials"},
				{expr: "sum by (job, db_client_connection_pool_name) (" + increaseIn5m("otelpool_connection_retries_total{@of}") + ")", legend: "retries, 5 min"},
			},
		}}},
		{"Over time", []panel{
			{
				title: "Held of limit", kind: lines, unit: "percentunit", width: 12, section: "dbpoolsaturated",
				about:   "The worst instance of each pool, on average between scrapes; the ten highest.",
				queries: []query{{expr: "topk(10, max by (job, db_client_connection_pool_name) (" + utilization + "))", legend: "{{job}} {{db.client.connection.pool.name}}"}},
			},
			{
				title: "Callers that wait, on average", kind: lines, unit: "short", width: 12, section: "dbpoolslowacquire",
				about:   "Of all instances, including waits in progress; the ten highest. Only for otelpool.DB.",
				queries: []query{{expr: "topk(10, sum by (job, db_client_connection_pool_name) (rate(otelpool_connection_waited_seconds_total{@of}[$__rate_interval])))", legend: "{{job}} {{db.client.connection.pool.name}}"}},
			},
			{
				title: "Wait, p99", kind: lines, unit: "s", width: 12, section: "dbpoolslowacquire",
				about:   "Of each pool, its instances together. An exemplar links to the trace of an acquire.",
				queries: []query{{expr: "histogram_quantile(0.99, sum by (job, db_client_connection_pool_name, le) (rate(db_client_connection_wait_time_seconds_bucket{@of}[$__rate_interval])))", legend: "{{job}} {{db.client.connection.pool.name}}", traces: true}},
			},
			{
				title: "Times exhausted", kind: bars, unit: "short", width: 12, section: "dbpoolexhausted",
				about:   "Within five minutes. Each is a log record that names the holders.",
				queries: []query{{expr: "sum by (job, db_client_connection_pool_name) (" + increaseIn5m("otelpool_connection_exhaustions_total{@of}") + ")", legend: "{{job}} {{db.client.connection.pool.name}}"}},
			},
			{
				title: "Connections opened, per second", kind: lines, unit: "ops", width: 12, section: "dbpoolchurn",
				about:   "Successful dials. A restart of the server is a peak in all pools at once.",
				queries: []query{{expr: `sum by (job, db_client_connection_pool_name) (rate(db_client_connection_create_time_seconds_count{@of,error_type=""}[$__rate_interval]))`, legend: "{{job}} {{db.client.connection.pool.name}}"}},
			},
			{
				title: "Connections lost", kind: bars, unit: "short", width: 12, section: "dbpoolconnectionslost",
				about:   "Connections that were closed as bad, by the class of the failure.",
				queries: []query{{expr: rareEvents("job, otelpool_class", `otelpool_connection_closed_total{@of,otelpool_reason="bad"}`), legend: "{{job}} {{otelpool.class}}"}},
			},
			{
				title: "Limits and open connections", kind: lines, unit: "short", width: 24, section: "dbfleetovercommitted",
				about: "The limits of all instances together, the open connections, and the limit of the server, if an exporter reports it.",
				queries: []query{
					{expr: "sum by (job, db_client_connection_pool_name) (db_client_connection_max{@of})", legend: "limits of {{job}} {{db.client.connection.pool.name}}"},
					{expr: `sum by (job, db_client_connection_pool_name) (db_client_connection_count{@of,db_client_connection_state!="dialing"})`, legend: "open in {{job}} {{db.client.connection.pool.name}}"},
					{expr: "min(mysql_global_variables_max_connections or pg_settings_max_connections)", legend: "server limit"},
				},
			},
		}},
	},
}
