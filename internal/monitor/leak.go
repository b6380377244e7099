package monitor

import (
	"context"
	"sync"
	"time"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// leaks are suspects that were released and not reported yet.
type leaks struct {
	mu       sync.Mutex // guards resolved
	resolved []ledger.Holding
}

// maxResolved bounds them.
const maxResolved = 256

// LeakResolved notes that a suspected connection was released. It runs on the goroutine
// that released it, and leaves what may take time to the monitor's.
func (m *Monitor) LeakResolved(ctx context.Context, h *ledger.Holding) {
	m.telemetry.LeakResolved(ctx, h)
	m.leaks.add(h)
	m.Start() // it may have ended with the connection
	m.wake()
}

func (l *leaks) add(h *ledger.Holding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.resolved) < maxResolved {
		l.resolved = append(l.resolved, *h)
	}
}

func (l *leaks) takeResolved() []ledger.Holding {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.resolved
	l.resolved = nil
	return all
}

func (l *leaks) hasResolved() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.resolved) > 0
}

// lookForLeaks reports what a sweep found, and what was resolved since the last look. It
// returns when the next look is due.
func (m *Monitor) lookForLeaks(found *ledger.Sweep, now time.Duration) (due time.Duration) {
	due = found.Next
	if len(found.Unsure) > 0 {
		found.Suspects = append(found.Suspects, m.notReading(found.Unsure)...)
		due = now // at once: the suspects have changed when the next look is due
	}
	for i := range found.Suspects {
		h := &found.Suspects[i]
		ctx := telemetry.HolderContext(h)
		m.telemetry.LeakSuspected(ctx, h)
		m.reportLeak(ctx, poolinfo.ReportLeakSuspected, h)
	}
	for _, h := range m.leaks.takeResolved() {
		m.reportLeak(telemetry.HolderContext(&h), poolinfo.ReportLeakResolved, &h)
	}
	return due
}

// reportLeak reports a holder, in the context of its span.
func (m *Monitor) reportLeak(ctx context.Context, kind poolinfo.ReportKind, h *ledger.Holding) {
	r := m.newReport(kind)
	holder := telemetry.HolderOf(h)
	r.Holder = &holder
	m.report(ctx, r)
}

// notReading suspects those of some holders that are not reading a row.
func (m *Monitor) notReading(unsure []*ledger.Conn) (suspects []ledger.Holding) {
	r := findReaders(&profile{})
	for _, c := range unsure {
		h, held := c.Hold()
		switch {
		case !held:
		case r.mayInclude(&h):
			c.SetReading()
		default:
			if h, ok := c.Suspect(m.cfg.LeakThreshold); ok {
				suspects = append(suspects, h)
			}
		}
	}
	return suspects
}
