//go:build race

package otelpool_test

// raceEnabled is whether the race detector is on. It allocates by itself, so
// allocations are not counted then.
const raceEnabled = true
