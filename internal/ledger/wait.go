package ledger

import (
	"sync"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// Wait is one caller's wait for a connection, from the request until it has one
// or gives up. The zero value is ready for [Ledger.BeginWait].
type Wait struct {
	// Owner is whose wait it is, CallSite where it waits. Both are set before BeginWait.
	Owner    any
	CallSite ShortCallSite

	requestedAt  time.Duration
	waitingSince time.Duration // when it began to wait, this time
	waiting      bool
	prev, next   *Wait // in waits, in the order of requestedAt
}

// RequestedAt is when the caller requested a connection.
func (w *Wait) RequestedAt() time.Duration { return w.requestedAt }

// waits are the callers that wait now, and the sums of those that did.
type waits struct {
	mu           sync.Mutex // guards what follows, and the Waits in the list
	head, tail   *Wait
	waiting      int64
	waitingSince time.Duration // the sum over those who wait
	past         time.Duration // waited by those who do not any more
	long         int64         // waits that have ended and were long
	reportedMax  time.Duration // the largest Snapshot.Waited so far
}

// WaitMark is the state of the wait counters at one moment, to compare with later.
type WaitMark struct {
	waited time.Duration
	long   int64
}

// BeginWait notes that a caller requests a connection. Each must be followed by an
// EndWait.
func (l *Ledger) BeginWait(w *Wait) {
	q := &l.waits
	w.requestedAt = l.Now()
	q.mu.Lock()
	q.addLocked(w, w.requestedAt)
	q.mu.Unlock()
}

// ResumeWait notes that a caller whose connection turned out to be bad waits again,
// and returns the time.
func (l *Ledger) ResumeWait(w *Wait) time.Duration {
	q := &l.waits
	q.mu.Lock()
	defer q.mu.Unlock()
	now := l.Now()
	if !w.waiting {
		q.addLocked(w, now)
	}
	return now
}

// addLocked puts w in its place, which is the end unless w was there before, or
// another was faster.
func (q *waits) addLocked(w *Wait, now time.Duration) {
	w.waitingSince, w.waiting = now, true
	q.waiting++
	q.waitingSince += now
	w.prev, w.next = q.tail, nil
	for w.prev != nil && w.prev.requestedAt > w.requestedAt {
		w.prev, w.next = w.prev.prev, w.prev
	}
	if w.prev == nil {
		q.head = w
	} else {
		w.prev.next = w
	}
	if w.next == nil {
		q.tail = w
	} else {
		w.next.prev = w
	}
}

// EndWait notes that a caller does not wait any more since now, and returns how long
// ago it requested a connection. A wait of at least long is counted for [Ledger.WaitedSince]. It
// reports false, and does nothing, if the caller was not waiting.
func (l *Ledger) EndWait(w *Wait, now, long time.Duration) (waited time.Duration, ok bool) {
	q := &l.waits
	q.mu.Lock()
	defer q.mu.Unlock()
	if !w.waiting {
		return 0, false
	}
	w.waiting = false
	q.waiting--
	q.waitingSince -= w.waitingSince
	q.past += now - w.waitingSince
	if w.prev == nil {
		q.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
	waited = now - w.requestedAt
	if waited >= long {
		q.long++
	}
	return waited, true
}

// waitedLocked is the time that callers waited until now, waits in progress
// included.
func (q *waits) waitedLocked(now time.Duration) time.Duration {
	return q.past + time.Duration(q.waiting)*now - q.waitingSince
}

// MarkWaits returns the state of the wait counters at the time now.
func (l *Ledger) MarkWaits(now time.Duration) WaitMark {
	q := &l.waits
	q.mu.Lock()
	defer q.mu.Unlock()
	return WaitMark{waited: q.waitedLocked(now), long: q.long}
}

// WaitedSince returns how many callers have waited since the mark, and how long
// all together: those whose wait was long and has ended, and those who wait now, if
// the first of them has for long. It returns zeros if there are none.
func (l *Ledger) WaitedSince(m WaitMark, long time.Duration) (callers int64, waited time.Duration) {
	q := &l.waits
	q.mu.Lock()
	defer q.mu.Unlock()
	callers = q.long - m.long
	if q.head == nil && callers == 0 {
		return 0, 0
	}
	now := l.Now()
	if q.head != nil && now-q.head.requestedAt >= long {
		callers += q.waiting
	}
	if callers == 0 {
		return 0, 0
	}
	return callers, q.waitedLocked(now) - m.waited
}

// snapshotWaits adds the waits to s. A wait may end at a time that was read before
// the last snapshot; the sum does not go back for it.
func (l *Ledger) snapshotWaits(s *Snapshot) {
	q := &l.waits
	q.mu.Lock()
	defer q.mu.Unlock()
	now := l.Now()
	q.reportedMax = max(q.reportedMax, q.waitedLocked(now))
	s.Waiting, s.Waited = q.waiting, q.reportedMax
	if q.head != nil {
		s.OldestWait = now - q.head.requestedAt
	}
}

// Waiting is a caller that waits.
type Waiting struct {
	Owner    any
	CallSite poolinfo.CallSite
	For      time.Duration
}

// Waiting fills into with those who wait, oldest first, and returns how
// many there are.
func (l *Ledger) Waiting(into []Waiting) int {
	q := &l.waits
	q.mu.Lock()
	defer q.mu.Unlock()
	now := l.Now()
	n := 0
	for w := q.head; w != nil && n < len(into); w = w.next {
		into[n] = Waiting{Owner: w.Owner, CallSite: w.CallSite.CallSite(), For: max(0, now-w.requestedAt)}
		n++
	}
	return n
}
