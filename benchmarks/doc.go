// Package benchmarks measures the cost of otelpool and its peers with a driver that
// does nothing. Each is compared with the bare driver and with the floor: the cost of
// otelpool's signals alone.
//
// Every number is a difference to the bare driver in the same mode: the cost of the
// wrapper and of the OpenTelemetry SDK, without a database. Saturated pools are
// measured separately, by their throughput.
//
//	go test -bench . ./benchmarks          # plain benchmarks
//	go run ./benchmarks/compare            # side by side, with the goals
package benchmarks
