// Package otelpool wraps any database/sql driver and reports to OpenTelemetry what the connection
// pool does: who holds a connection and for how long, why each one was closed, and whether it was
// the pool or the database.
//
// # Use
//
// Open is sql.Open, and what it returns is a *sql.DB:
//
//	db, err := otelpool.Open("mysql", dsn)
//
// [OpenDB] takes a connector, as sql.OpenDB does. [Register] makes a driver name for code that
// calls sql.Open itself; [NewConnector] and [NewDriver] are for programs that call sql.OpenDB and
// sql.Register, and [Watch] then connects the pool with its DB. All take the same options. Without
// options the global tracer and meter providers are used.
//
// # What is recorded
//
// Spans of kind client for connect, ping, query, exec, prepare, begin, commit and rollback, as
// children of the span in the caller's context; an event on that span for every acquire and
// release; a span for each hold that was longer than a threshold; and the metrics in
// docs/metrics.md. Names are those of the OpenTelemetry semantic conventions 1.43 where these have
// one, and begin with "otelpool." otherwise. No argument of a query and no text of an error is ever
// part of it.
//
// # What a program can notice
//
// Results, rows and errors are the driver's own values, and the pool behaves as it does without
// otelpool: every optional interface of database/sql/driver is either passed on or answered as its
// absence would be. Two things differ. The function given to sql.Conn.Raw gets a wrapper: see
// [Unwrap]. And DB.Driver returns a driver that makes pools with telemetry, whose Unwrap method
// gives the one below.
//
// # Words
//
// A connection is acquired when database/sql hands it to a caller, held until it is released, and
// idle after that. One that database/sql opens in the background for a waiting caller is seen when
// it is first used: a sql.Conn that got such a connection counts as held from its first call.
//
// Time spent waiting for a connection happens before any driver is called.
package otelpool
