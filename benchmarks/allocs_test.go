//go:build !race

package benchmarks

import (
	"math"
	"testing"
)

// The race detector allocates on its own account, so this file is not built
// with it.
func TestOtelpoolAllocatesLittleMoreThanTheFloor(t *testing.T) {
	for _, op := range Ops {
		for _, mode := range Modes {
			t.Run(op.Name+"/"+mode.Name, func(t *testing.T) {
				floor := Bench{op, mode, peer(t, Floor)}.allocs(t)
				otelpool := Bench{op, mode, peer(t, Otelpool)}.allocs(t)
				if otelpool > floor+mode.Spare {
					t.Errorf("%v allocations, the floor has %v and %v are to spare", otelpool, floor, mode.Spare)
				}
			})
		}
	}
}

func TestADBAllocatesOnceMoreForACall(t *testing.T) {
	for _, op := range Ops {
		for _, mode := range Modes {
			t.Run(op.Name+"/"+mode.Name, func(t *testing.T) {
				plain := Bench{op, mode, peer(t, Otelpool)}.allocs(t)
				exact := Bench{op, mode, peer(t, OtelpoolDB)}.allocs(t)
				want := plain + 1
				if op.Name == "prepared_exec" {
					want = plain // a statement is no call of the DB
				}
				if exact != want {
					t.Errorf("%v allocations, want %v: a plain *sql.DB has %v", exact, want, plain)
				}
			})
		}
	}
}

// allocs is how often a call allocates: the least of several averages, since a
// goroutine that database/sql starts for a transaction may or may not find an
// old stack. testing.AllocsPerRun drops the fractions that the growth of the
// caller's span makes.
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
