package monitor

import (
	"context"
	"database/sql"
	"math"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

const (
	// interval is how often a pool is looked at, at least, while it has connections.
	interval = time.Second
	// MinThreshold bounds the thresholds, and so how often a pool is looked at.
	MinThreshold = 10 * time.Millisecond

	// A hold of at least longHold without a call site makes the pool capture call
	// sites for capturingFor. See [Monitor.Capturing].
	longHold     = time.Second
	capturingFor = 10 * time.Minute

	maxReports = 32
)

// Config is what a monitor works with.
type Config struct {
	PoolName  string
	Ledger    *ledger.Ledger
	Telemetry *telemetry.Telemetry
	DB        func() *sql.DB // nil until it is known
	HasDB     func() bool    // callers that wait are known

	CallSites           bool          // they may be captured
	LeakThreshold       time.Duration // 0 for off
	ExhaustionThreshold time.Duration // 0 for off
	OnReport            func(poolinfo.Report)
}

// Monitor watches one pool. Its exported methods may be called from any goroutine.
type Monitor struct {
	cfg       Config
	ledger    *ledger.Ledger
	telemetry *telemetry.Telemetry

	running atomic.Bool
	closed  atomic.Bool
	wakes   chan struct{} // holds one
	// capturingUntil is the time on the ledger's clock until which call sites are
	// captured.
	capturingUntil atomic.Int64

	leaks          leaks
	failedWaits    failedWaits
	losses         losses
	samples        ring[poolinfo.Sample]
	distributions  distributions
	recentlyClosed ring[ClosedConn]
	reports        ring[poolinfo.Report]

	loop loop
}

// loop is the state of the goroutine, and belongs to it.
type loop struct {
	every      time.Duration // between two looks, at most
	lastSample time.Duration
	emptySince time.Duration // since when there is no connection; 0 if there is one
	losing     bool          // connections were lost, and perhaps too few to report
	exhaustion exhaustion
}

// New returns a monitor whose goroutine is not running.
func New(cfg Config) *Monitor {
	m := &Monitor{cfg: cfg, ledger: cfg.Ledger, telemetry: cfg.Telemetry, wakes: make(chan struct{}, 1)}
	m.loop.every = min(interval, orNever(cfg.LeakThreshold), orNever(cfg.ExhaustionThreshold))
	m.samples.size = maxSamples
	m.recentlyClosed.size = maxClosed
	m.reports.size = maxReports
	return m
}

// Start starts the goroutine if it is not running. It is called after the ledger knows
// of a dial: either the goroutine sees it when it is about to end, or its end is seen
// here.
func (m *Monitor) Start() {
	if m.running.Load() || m.closed.Load() {
		return
	}
	// A bubble of testing/synctest has a clock of its own, on which a pool that was made
	// outside was made in its future. A goroutine that was started in it would belong
	// to it, and hold up its time.
	if m.ledger.Now() < 0 || !m.running.CompareAndSwap(false, true) {
		return
	}
	go m.run()
}

// Close ends the goroutine. What it has not reported by then is not reported.
func (m *Monitor) Close() {
	m.closed.Store(true)
	m.wake()
}

// Capturing reports whether call sites are captured at the time now, because somebody
// held a connection for long without one.
func (m *Monitor) Capturing(now time.Duration) bool { return int64(now) < m.capturingUntil.Load() }

// Reports returns the last reports, latest first.
func (m *Monitor) Reports() []poolinfo.Report { return m.reports.latest() }

// wake makes the goroutine look now.
func (m *Monitor) wake() {
	select {
	case m.wakes <- struct{}{}:
	default: // it will
	}
}

// run is the goroutine.
func (m *Monitor) run() {
	pprof.SetGoroutineLabels(context.Background()) // not those of the first caller that dialed
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	defer func() { m.distributions.copy(m.ledger, m.ledger.Now()) }()
	for {
		next := m.look()
		if m.closed.Load() || m.idle() {
			if m.stop() {
				return
			}
			continue
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-m.wakes:
		}
	}
}

// stop ends the goroutine, unless there is work again: a Start after idle looked saw that the
// goroutine was running and started none.
func (m *Monitor) stop() bool {
	m.running.Store(false)
	return m.closed.Load() || m.ledger.Empty() && !m.leaks.hasResolved() || !m.running.CompareAndSwap(false, true)
}

// idle reports whether there has been nothing to look at for an interval. A dial that
// fails is soon followed by another.
func (m *Monitor) idle() bool {
	l := &m.loop
	if !m.ledger.Empty() || l.exhaustion.on || l.losing {
		l.emptySince = 0
		return false
	}
	now := m.ledger.Now()
	if l.emptySince == 0 {
		l.emptySince = now
	}
	return now-l.emptySince >= l.every
}

// look looks at the pool once, and returns how long it may take until the next time.
func (m *Monitor) look() time.Duration {
	found := m.ledger.Sweep(m.cfg.LeakThreshold, longHold)
	now := m.ledger.Now()
	if found.WithoutSite && m.cfg.CallSites {
		m.capturingUntil.Store(int64(now + capturingFor))
	}
	due := m.lookForLeaks(&found, now)
	due = earlier(due, m.lookForExhaustion(now))
	due = earlier(due, m.lookForLosses(now))

	l := &m.loop
	next := l.lastSample + interval
	if next <= now {
		l.lastSample, next = now, now+interval
		m.takeSample(now)
	}
	return max(earlier(due, min(next, now+l.every))-m.ledger.Now(), 0)
}

// lookForLosses reports the burst of losses that is due, and returns when the next look
// is.
func (m *Monitor) lookForLosses(now time.Duration) (due time.Duration) {
	lost, due := m.losses.due(now)
	if lost != nil {
		r := m.newReport(poolinfo.ReportConnectionsLost)
		r.Lost = lost
		m.report(context.Background(), r)
	}
	m.loop.losing = due != 0
	return due
}

// newReport returns a report of the pool as it is now.
func (m *Monitor) newReport(kind poolinfo.ReportKind) poolinfo.Report {
	s := m.ledger.Snapshot(nil)
	r := poolinfo.Report{
		Kind: kind, Time: time.Now(), Pool: m.cfg.PoolName, System: m.telemetry.System(),
		Held: s.Held, Idle: s.Idle + s.Fresh, Dialing: s.Dialing,
		Waiting: int(s.Waiting), OldestWait: s.OldestWait,
	}
	r.MaxOpen = -1
	if db := m.cfg.DB(); db != nil {
		r.MaxOpen = db.Stats().MaxOpenConnections
	}
	return r
}

// report keeps a report, logs it, and hands it to the program.
func (m *Monitor) report(ctx context.Context, r poolinfo.Report) {
	if m.closed.Load() {
		return
	}
	m.reports.add(r)
	m.telemetry.Log(ctx, &r)
	if m.cfg.OnReport != nil {
		defer telemetry.RecoverHook("WithReports")
		m.cfg.OnReport(r)
	}
}

// orNever is a threshold, or, where that is off, one that is never reached.
func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return math.MaxInt64
	}
	return d
}

// earlier returns the earlier of two times, where zero is never.
func earlier(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
