package monitor

import (
	"sync"
	"time"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/poolinfo"
)

// How much of the past is kept.
const (
	maxSamples  = 300
	copyEvery   = time.Minute
	maxCopies   = 6
	copiedRange = (maxCopies - 1) * copyEvery
)

// takeSample keeps the state of the pool.
func (m *Monitor) takeSample(now time.Duration) {
	s := m.ledger.Snapshot(nil)
	one := poolinfo.Sample{
		Time: time.Now(),
		Held: s.Held, Idle: s.Idle + s.Fresh, Dialing: s.Dialing,
		Waiting: int(s.Waiting), OldestWait: s.OldestWait,
		Opened: s.Opened,
	}
	if plain := &m.loop.exhaustion.plain; !m.cfg.HasDB() {
		one.Waiting, one.OldestWait = plain.pending, plain.waitedFor(now)
	}
	for _, n := range s.Acquired {
		one.Acquired += n
	}
	for _, d := range s.HeldTime {
		one.HeldTime += d
	}
	m.samples.add(one)
	m.distributions.copyIfDue(m.ledger, now)
}

// History returns the samples, oldest first.
func (m *Monitor) History() []poolinfo.Sample { return m.samples.all() }

// distributions remembers the histograms of holds and waits, a minute apart, so that
// those of the last five minutes are a difference.
type distributions struct {
	mu     sync.Mutex   // guards copies
	copies []histograms // the oldest first
}

// histograms are those of holds and waits at one moment.
type histograms struct {
	at           time.Duration
	holds, waits ledger.HistogramCounts
}

// copyIfDue copies the histograms if the last copy is a minute old.
func (d *distributions) copyIfDue(l *ledger.Ledger, now time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.copies); n == 0 || now-d.copies[n-1].at >= copyEvery {
		d.copyLocked(l, now)
	}
}

// copy copies the histograms now. It is called when the pool is not looked at any more: until it
// is again there is nothing to count.
func (d *distributions) copy(l *ledger.Ledger, now time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.copyLocked(l, now)
}

func (d *distributions) copyLocked(l *ledger.Ledger, now time.Duration) {
	if len(d.copies) == maxCopies {
		copy(d.copies, d.copies[1:])
		d.copies = d.copies[:maxCopies-1]
	}
	d.copies = append(d.copies, histograms{at: now})
	last := &d.copies[len(d.copies)-1]
	last.holds = ledger.HistogramCounts{}
	l.HoldLengths(&last.holds)
	l.Waits.Read(&last.waits)
}

// Distributions returns how long the waits and holds took that ended in the last five
// minutes; all since the pool was made, if it is not as old.
func (m *Monitor) Distributions() (waits, holds poolinfo.Distribution) {
	var w, h, zero ledger.HistogramCounts
	m.ledger.HoldLengths(&h)
	m.ledger.Waits.Read(&w)
	d := &m.distributions
	d.mu.Lock()
	defer d.mu.Unlock()
	waitsBefore, holdsBefore := &zero, &zero
	now := m.ledger.Now()
	for i := range d.copies {
		if one := &d.copies[i]; now-one.at >= copiedRange {
			waitsBefore, holdsBefore = &one.waits, &one.holds
		}
	}
	w.Subtract(waitsBefore)
	h.Subtract(holdsBefore)
	return distribution(&w), distribution(&h)
}

func distribution(c *ledger.HistogramCounts) poolinfo.Distribution {
	return poolinfo.Distribution{
		Count: c.Total(),
		P50:   c.Quantile(0.5), P90: c.Quantile(0.9), P95: c.Quantile(0.95), P99: c.Quantile(0.99), Most: c.Quantile(1),
	}
}
