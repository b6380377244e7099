package otelpool

import (
	"slices"
	"sync"
	"time"

	"github.com/otelpool/otelpool/internal/ledger"
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

// find calls f with what is kept, the oldest first, until it returns true. f may change
// it.
func (r *ring[T]) find(f func(*T) bool) {
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

// How much is kept.
const (
	maxSamples   = 300
	maxReports   = 32
	spreadMinute = time.Minute
	spreadCopies = 6
)

// history is what a pool looked like of late.
type history struct {
	samples ring[Sample]

	mu     sync.Mutex // guards what follows
	copies []spreads  // a minute apart, the oldest first
}

// spreads are the counts of holds and waits at one moment.
type spreads struct {
	at           time.Duration
	holds, waits ledger.Counts
}

// sample notes the state of the pool.
func (c *connector) sample(now time.Duration) {
	s := c.ledger.Snapshot(nil)
	one := Sample{
		Time: time.Now(),
		Held: s.Held, Idle: s.Idle + s.Fresh, Dialing: s.Dialing,
		Waiting: int(s.Waiting), OldestWait: s.OldestWait,
		Opened: s.Opened,
	}
	if e := &c.sweeper.episode; !c.exact.Load() {
		one.Waiting, one.OldestWait = e.plain.pending, e.plain.waitedFor(now)
	}
	for _, n := range s.Acquired {
		one.Acquired += n
	}
	for _, d := range s.HeldTime {
		one.HeldTime += d
	}
	h := &c.sweeper.history
	h.samples.add(one)

	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.copies); n == 0 || now-h.copies[n-1].at >= spreadMinute {
		h.copyLocked(c, now)
	}
}

// ended notes the counts when the pool is not looked at any more: until it is again
// there is nothing to count.
func (h *history) ended(c *connector) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.copyLocked(c, c.ledger.Now())
}

func (h *history) copyLocked(c *connector, now time.Duration) {
	if len(h.copies) == spreadCopies {
		copy(h.copies, h.copies[1:])
		h.copies = h.copies[:spreadCopies-1]
	}
	h.copies = append(h.copies, spreads{at: now})
	last := &h.copies[len(h.copies)-1]
	last.holds = ledger.Counts{}
	c.ledger.HoldLengths(&last.holds)
	c.ledger.Waits.Read(&last.waits)
}

// spread returns how long holds and waits took that ended in the last five minutes;
// in those since the pool was made, if it is not as old.
func (c *connector) spread() (waits, holds Distribution) {
	var w, d, none ledger.Counts
	c.ledger.HoldLengths(&d)
	c.ledger.Waits.Read(&w)
	h := &c.sweeper.history
	h.mu.Lock()
	defer h.mu.Unlock()
	beforeWaits, beforeHolds := &none, &none
	now := c.ledger.Now()
	for i := range h.copies {
		if one := &h.copies[i]; now-one.at >= (spreadCopies-1)*spreadMinute {
			beforeWaits, beforeHolds = &one.waits, &one.holds
		}
	}
	w.Since(beforeWaits)
	d.Since(beforeHolds)
	return distribution(&w), distribution(&d)
}

func distribution(c *ledger.Counts) Distribution {
	return Distribution{
		Count: c.Total(),
		P50:   c.Quantile(0.5), P90: c.Quantile(0.9), P95: c.Quantile(0.95), P99: c.Quantile(0.99), Most: c.Quantile(1),
	}
}
