// Package benchmarks measures what it costs to watch a pool: otelpool and its
// peers over one driver that does nothing, each beside the bare driver and
// beside the floor, which is the price of otelpool's signals alone.
//
// Every number is a difference against the bare driver in the same mode, so it
// is the cost of the wrapper and of the OpenTelemetry SDK below it, never of a
// database. A pool that is too small is measured apart, by what its callers get
// done.
//
//	go test -bench . ./benchmarks          # as go test shows them
//	go run ./benchmarks/compare            # side by side, with the verdict
package benchmarks
