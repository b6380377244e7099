//go:build !race

package benchmarks

import (
	"math"
	"testing"
)

// The race detector allocates too, so this file is not built with it.
func TestAllocs_OtelpoolStaysWithinTheBudget(t *testing.T) {
	for _, op := range Ops {
		for _, mode := range Modes {
			t.Run(op.Name+"/"+mode.Name, func(t *testing.T) {
				floor := Bench{op, mode, peer(t, Floor)}.allocs(t)
				otelpool := Bench{op, mode, peer(t, Otelpool)}.allocs(t)
				if otelpool > floor+mode.Spare {
					t.Errorf("%v allocations, want at most the floor's %v and %v more", otelpool, floor, mode.Spare)
				}
			})
		}
	}
}

func TestAllocs_ADBAddsOneForACall(t *testing.T) {
	for _, op := range Ops {
		for _, mode := range Modes {
			t.Run(op.Name+"/"+mode.Name, func(t *testing.T) {
				plain := Bench{op, mode, peer(t, Otelpool)}.allocs(t)
				withDB := Bench{op, mode, peer(t, OtelpoolDB)}.allocs(t)
				want := plain + 1
				if op.Name == "prepared_exec" {
					want = plain // a statement does not go through the DB
				}
				if withDB != want {
					t.Errorf("%v allocations, want %v: a plain *sql.DB has %v", withDB, want, plain)
				}
			})
		}
	}
}

// allocs returns the allocations of a call: the minimum of several averages, since
// a goroutine that database/sql starts for a transaction may or may not reuse a
// stack. testing.AllocsPerRun rounds down, which removes the growth of the caller's
// span.
func (b Bench) allocs(t *testing.T) float64 {
	t.Helper()
	s := b.start(t, b.Mode.providers())
	c := newCaller(s.providers)
	t.Cleanup(c.end)
	least := math.Inf(1)
	for range 5 {
		least = min(least, testing.AllocsPerRun(10*callsPerCaller, func() {
			if _, err := s.call(c.context()); err != nil {
				t.Error(err)
			}
		}))
	}
	return least
}
