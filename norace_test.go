//go:build !race

package otelpool_test

// raceEnabled is whether the race detector is on.
const raceEnabled = false
