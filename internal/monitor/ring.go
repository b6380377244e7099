package monitor

import (
	"slices"
	"sync"
)

// ring keeps the last of many. It may be used from any goroutine.
type ring[T any] struct {
	mu   sync.Mutex // guards what follows
	kept []T
	next int
	size int // the most that are kept
}

func (r *ring[T]) add(one T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) < r.size {
		r.kept = append(r.kept, one)
		return
	}
	r.kept[r.next] = one
	r.next = (r.next + 1) % r.size
}

// all returns what is kept, the oldest first.
func (r *ring[T]) all() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.kept[r.next:], r.kept[:r.next])
}

// update calls f with what is kept, the oldest first, until it returns true. f may
// change it.
func (r *ring[T]) update(f func(*T) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.kept {
		if f(&r.kept[(r.next+i)%len(r.kept)]) {
			return
		}
	}
}

// latest returns what is kept, the latest first.
func (r *ring[T]) latest() []T {
	all := r.all()
	slices.Reverse(all)
	return all
}
