package otelpool

import "sync/atomic"

// limits are the limits of a DB, as far as they were set through it.
type limits struct {
	maxIdle                  maxIdle
	maxLifetime, maxIdleTime limit
}

// limit is one of them. Its value is one more than it; 0 for unknown.
type limit struct{ value atomic.Int64 }

func (l *limit) set(n int64) { l.value.Store(max(n, 0) + 1) }

// get returns the limit, -1 if it is not known.
func (l *limit) get() int64 { return l.value.Load() - 1 }

// maxIdle is the limit of idle connections.
type maxIdle struct{ limit }

// lower does what database/sql does when the limit of open connections is set: it lowers this one
// to it, and leaves it there when that is raised again.
func (m *maxIdle) lower(maxOpen int) {
	if v := m.value.Load(); maxOpen > 0 && v > int64(maxOpen)+1 {
		m.value.CompareAndSwap(v, int64(maxOpen)+1)
	}
}
