// Package ledger is the ledger of one connection pool: which connections there
// are, what state each is in, since when, and how much time was spent in it.
//
// The ledger records moments (a dial, an acquire, the start and the end of a driver call,
// a release, a close) and derives every number from them, on one monotonic clock. It knows
// nothing of OpenTelemetry, and it does not call back.
//
// Invariants, at any time and for any [Snapshot]:
//
//   - Opened = Open + the sum of Closed + Closing;
//   - Held + Idle + Fresh = Open;
//   - the sum of Acquired = Holds (the finished ones) + Held.
//
// Who waits is known only of callers that begin with [Ledger.BeginWait].
package ledger

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// Ledger is the record of one pool. Its methods may be called from any goroutine.
type Ledger struct {
	start time.Time // the zero of the clock

	usage   usage
	waits   waits
	doubt   doubt
	sites   sites
	retries retries

	// Waits counts the waits of callers by their length.
	Waits Histogram

	// mu guards what follows. It is taken before a Conn's own lock, never after, and it
	// is not taken on the path of an acquire, a call or a release.
	mu          sync.Mutex
	conns       []*Conn // the open ones; Conn.index is the index
	dialing     int
	opened      int64 // also the number of the last connection
	closes      closes
	past        past
	reportedMax [NumPhases]time.Duration // the largest Snapshot.HeldTime so far
}

// usage is kept beside the states, to be read on the path of a release.
type usage struct {
	held   atomic.Int64 // connections that are checked out
	unheld atomic.Int64 // open connections that are not
	size   atomic.Int64 // open connections and dials in progress
	shrunk atomic.Bool  // size fell, and there may be callers that wait for what follows
	peak   atomic.Int64 // most held at once since TakePeak
}

// acquired counts a connection that is held from now on.
func (u *usage) acquired() {
	n := u.held.Add(1)
	for {
		peak := u.peak.Load()
		if n <= peak || u.peak.CompareAndSwap(peak, n) {
			return
		}
	}
}

// gone counts a connection that was closed, or could not be dialed.
func (u *usage) gone() {
	u.size.Add(-1)
	u.shrunk.Store(true)
}

// closes counts closed connections.
type closes struct {
	pending  int64 // the reason follows through Attribute
	byReason [NumReasons]int64
}

func (c *closes) add(r poolinfo.Reason) {
	if r == 0 {
		c.pending++
		return
	}
	c.byReason[r]++
}

// past is what is left of the connections that were closed.
type past struct {
	totals  totals
	lengths HistogramCounts // of their holds
	ended   [4]endedHold    // holds that ended with their connection, the last ones
	ends    int
}

// endedHold is the last hold of a connection that was closed.
type endedHold struct {
	hold Holding
	at   time.Duration
}

func (p *past) addLast(h Holding, at time.Duration) {
	p.ended[p.ends%len(p.ended)] = endedHold{h, at}
	p.ends++
}

// retries counts the attempts that database/sql retried.
type retries struct {
	mu     sync.Mutex // guards byType
	byType map[string]int64
}

// Retried counts a retry by its error.type.
func (l *Ledger) Retried(errorType string) {
	r := &l.retries
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byType == nil {
		r.byType = map[string]int64{}
	}
	r.byType[errorType]++
}

// Retries returns the retries by error.type.
func (l *Ledger) Retries() map[string]int64 {
	r := &l.retries
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]int64, len(r.byType))
	maps.Copy(all, r.byType)
	return all
}

// totals are sums over the life of a connection.
type totals struct {
	held     [NumPhases]time.Duration
	acquired [NumSources]int64
	holds    int64
}

func (t *totals) add(o *totals) {
	for i := range t.held {
		t.held[i] += o.held[i]
	}
	for i := range t.acquired {
		t.acquired[i] += o.acquired[i]
	}
	t.holds += o.holds
}

// New returns an empty ledger whose clock starts now.
func New() *Ledger { return &Ledger{start: time.Now()} }

// Now is the time on the ledger's clock. It is monotonic and costs one clock
// read.
func (l *Ledger) Now() time.Duration { return time.Since(l.start) }

// Time is the wall-clock time of a recent time on the ledger's clock. It goes back from
// now, the present: the wall clock may have been set since the ledger was made.
func (l *Ledger) Time(d time.Duration, now time.Time) time.Time {
	return now.Add(d - now.Sub(l.start))
}

// Dialing notes that a dial has begun and returns the time. Each call must be
// followed by one of Opened or DialFailed.
func (l *Ledger) Dialing() time.Duration {
	l.usage.size.Add(1)
	l.mu.Lock()
	l.dialing++
	l.mu.Unlock()
	return l.Now()
}

// DialFailed notes that a dial ended without a connection and returns the time.
func (l *Ledger) DialFailed() time.Duration {
	now := l.Now()
	l.usage.gone()
	l.mu.Lock()
	l.dialing--
	l.mu.Unlock()
	return now
}

// Opened notes that a dial that began at start ended with a connection, and
// returns its record and the time. The connection is fresh.
func (l *Ledger) Opened(start time.Duration) (*Conn, time.Duration) {
	now := l.Now()
	c := &Conn{ledger: l, opened: dial{start, now}, stateSince: now, state: poolinfo.StateFresh, hold: hold{phase: poolinfo.PhasePinned}}
	l.usage.unheld.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dialing--
	l.opened++
	c.id = uint64(l.opened) //nolint:gosec // a count is not negative
	c.index = len(l.conns)
	l.conns = append(l.conns, c)
	return c, now
}

// Attribute gives a reason to one connection that was closed without one.
func (l *Ledger) Attribute(r poolinfo.Reason) {
	l.mu.Lock()
	l.closes.pending--
	l.closes.byReason[r]++
	l.mu.Unlock()
}

// TakePeak returns the largest number of connections that were held at once
// since the last TakePeak, and starts again from the number held now.
func (l *Ledger) TakePeak() int64 {
	for {
		peak, now := l.usage.peak.Load(), l.usage.held.Load()
		if l.usage.peak.CompareAndSwap(peak, now) {
			return max(peak, now)
		}
	}
}

// removeLocked takes c out of the list of open connections.
func (l *Ledger) removeLocked(c *Conn) {
	last := len(l.conns) - 1
	moved := l.conns[last]
	l.conns[c.index] = moved
	moved.index = c.index
	l.conns[last] = nil
	l.conns = l.conns[:last]
}

// HoldLengths adds the lengths of the holds that have ended to into.
func (l *Ledger) HoldLengths(into *HistogramCounts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	into.addAll(&l.past.lengths)
	for _, c := range l.conns {
		c.mu.Lock()
		into.addAll(&c.lengths)
		c.mu.Unlock()
	}
}

// Empty reports whether no connection is open and none is being dialed.
func (l *Ledger) Empty() bool { return l.usage.size.Load() == 0 }
