// Package telemetry is everything that one pool sends to OpenTelemetry: the table of
// its instruments, a method for each fact that is recorded, spans, events, and the log
// records of reports.
//
//	table.go        every instrument: name, unit, buckets, attributes, when it is recorded
//	attribute.go    the names of attributes, events and spans
//	telemetry.go    Telemetry, made once for a pool
//	observe.go      what is read at a collection
//	call.go         a call of the driver: its span and its duration
//	statement.go    what is recorded of a statement's text; system.go, for each database system
//	acquire.go      waits for a connection; hold.go, holds; event.go, events on the caller's span
//	failure.go      option lists by error.type and class, bounded
//	log.go          reports as log records
//	clock.go        wall-clock times of spans that are made when they end
//
// Option lists are built with the pool, or when an error or a statement is first seen, and
// indexed per call, so that recording allocates nothing. A value that is an attribute is
// one of a list, or bounded.
package telemetry
