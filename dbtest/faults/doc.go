// Package faults has what goes wrong between a pool and a real server, and what
// otelpool tells of it. It has tests only.
//
// Each fault is a row: a script that makes it, and for each driver that can see
// it all that comes of it, as text. A line of that is a step of the script with
// what its caller got, or what was told:
//
//	query: *mysql.MySQLError 1317    the caller of the step "query"
//	failed query 1317 killed         a failed operation: its error.type and class
//	unread 1317 killed               a result set that was not read to its end: the same
//	retried bad_connection network   a masked retry: the same
//	closed bad killed 1317           a connection: reason, class, last error.type
//
// What failed is told by a span and by a metric, what was closed by a metric and
// by a certificate, and the two must agree. A script is played on the bare driver
// and through otelpool, and the errors of its callers are the same, to the letter.
// It is played a third time over a driver whose calls are logged, to count the
// masked retries.
//
// The soak test is the same at random and under load. OTELPOOL_SOAK is how long it
// takes, as in 30m; without it, a few seconds. OTELPOOL_SEED is the seed of an
// earlier run, which the log has.
package faults
