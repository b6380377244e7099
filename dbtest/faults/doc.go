// Package faults tests what otelpool emits for faults between a pool and a real server. It
// has tests only.
//
// Each fault is a row: a script that causes it, and the possible outcomes for each driver
// that can detect it, as text. A line of an outcome is a step of the script with the
// caller's error, or a fact from the telemetry:
//
//	query: *mysql.MySQLError 1317    the caller of the step "query"
//	failed query 1317 killed         a failed operation: its error.type and class
//	unread 1317 killed               a result set that was not read to its end: the same
//	retried bad_connection network   a masked retry: the same
//	closed bad killed 1317           a connection: reason, class, last error.type
//
// A failure has a span and a metric, a close has a metric and an entry in Snapshot.RecentlyClosed,
// and the two must agree. A script runs on the bare driver and through otelpool, and the
// errors of its callers must be equal. It runs a third time with a driver whose calls are
// logged, to count the masked retries.
//
// The soak test causes random faults under load. OTELPOOL_SOAK is its duration, such as
// 30m; the default is a few seconds. OTELPOOL_SEED repeats the run whose log has that
// seed.
package faults
