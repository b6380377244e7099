package ledger

import (
	"sync"
	"time"
)

// Wait is one caller's wait for a connection, from the request until it has one
// or gives up. The zero value is ready for [Ledger.Ask].
type Wait struct {
	// Owner is whose wait it is, Stack where he asked. Both are set before Ask.
	Owner any
	Stack ShortStack

	asked      time.Duration // when the caller asked
	since      time.Duration // when it began to wait, this time
	waiting    bool
	prev, next *Wait // in waits, in the order of asked
}

// Asked is when the caller asked.
func (w *Wait) Asked() time.Duration { return w.asked }

// waits are the callers that wait now, and the sums of those that did.
type waits struct {
	mu         sync.Mutex // guards what follows, and the Waits in the list
	head, tail *Wait
	waiting    int64
	since      time.Duration // the sum over those who wait
	past       time.Duration // waited by those who do not any more
	long       int64         // waits that are over and were long
	told       time.Duration // the largest Snapshot.Waited so far
}

// Mark is a moment in the waits of a pool, to tell what came after it.
type Mark struct {
	waited time.Duration
	long   int64
}

// Ask notes that a caller asks for a connection. Each must be followed by a Stop.
func (l *Ledger) Ask(w *Wait) {
	q := &l.waits
	w.asked = l.Now()
	q.mu.Lock()
	q.addLocked(w, w.asked)
	q.mu.Unlock()
}

// Resume notes that a caller whose connection turned out to be bad waits again,
// and returns the time.
func (l *Ledger) Resume(w *Wait) time.Duration {
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
	w.since, w.waiting = now, true
	q.waiting++
	q.since += now
	w.prev, w.next = q.tail, nil
	for w.prev != nil && w.prev.asked > w.asked {
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

// Stop notes that a caller does not wait any more since now, and returns how long
// ago it asked. A wait of at least long is counted for [Ledger.WaitedSince]. It
// reports false, and does nothing, if the caller was not waiting.
func (l *Ledger) Stop(w *Wait, now, long time.Duration) (waited time.Duration, ok bool) {
	q := &l.waits
	q.mu.Lock()
	defer q.mu.Unlock()
	if !w.waiting {
		return 0, false
	}
	w.waiting = false
	q.waiting--
	q.since -= w.since
	q.past += now - w.since
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
	waited = now - w.asked
	if waited >= long {
		q.long++
	}
	return waited, true
}

// waitedLocked is the time that callers waited until now, waits in progress
// included.
func (q *waits) waitedLocked(now time.Duration) time.Duration {
	return q.past + time.Duration(q.waiting)*now - q.since
}

// Mark returns the moment now.
func (l *Ledger) Mark(now time.Duration) Mark {
	q := &l.waits
	q.mu.Lock()
	defer q.mu.Unlock()
	return Mark{waited: q.waitedLocked(now), long: q.long}
}

// WaitedSince returns how many callers have waited since the mark, and how long
// all together: those whose wait was long and is over, and those who wait now, if
// the first of them has for long. It returns zeros if there are none.
func (l *Ledger) WaitedSince(m Mark, long time.Duration) (callers int64, waited time.Duration) {
	q := &l.waits
	q.mu.Lock()
	defer q.mu.Unlock()
	callers = q.long - m.long
	if q.head == nil && callers == 0 {
		return 0, 0
	}
	now := l.Now()
	if q.head != nil && now-q.head.asked >= long {
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
	q.told = max(q.told, q.waitedLocked(now))
	s.Waiting, s.Waited = q.waiting, q.told
	if q.head != nil {
		s.OldestWait = now - q.head.asked
	}
}

// Waiting is a caller that waits.
type Waiting struct {
	Owner any
	Stack Stack
	For   time.Duration
}

// Waiting fills into with those who wait, the first to ask first, and returns how
// many there are.
func (l *Ledger) Waiting(into []Waiting) int {
	q := &l.waits
	q.mu.Lock()
	defer q.mu.Unlock()
	now := l.Now()
	n := 0
	for w := q.head; w != nil && n < len(into); w = w.next {
		into[n] = Waiting{Owner: w.Owner, Stack: w.Stack.Long(), For: max(0, now-w.asked)}
		n++
	}
	return n
}
