package ledger

import (
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// Sweep is what a look at every connection has found.
type Sweep struct {
	// Suspects are the holds in which nothing was done for as long as the threshold,
	// and which were not suspected before.
	Suspects []Holding
	// Unsure lists holds with an open result set where a read that started before
	// tracking began may still be running. Each must be followed by a call of
	// [Conn.Suspect] or [Conn.SetReading].
	Unsure []*Conn
	// Next is when there may be another, zero for never as things are.
	Next time.Duration
	// WithoutSite reports whether a connection is held for long and its call site was
	// not captured.
	WithoutSite bool
}

// Sweep looks at every connection for holds in which nothing was done for as long as
// after; zero is not to look for them. A hold of at least long is one of WithoutSite.
func (l *Ledger) Sweep(after, long time.Duration) (s Sweep) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	for _, c := range l.conns {
		var due time.Duration
		c.mu.Lock()
		if c.state == poolinfo.StateHeld {
			s.WithoutSite = s.WithoutSite || now-c.stateSince >= long && c.hold.site.IsZero()
			due = c.sweepLocked(now, after, &s)
		}
		c.mu.Unlock()
		if due > now && (s.Next == 0 || due < s.Next) {
			s.Next = due
		}
	}
	return s
}

// sweepLocked looks at a connection that is held, and returns when it is to be suspected
// if nothing happens.
func (c *Conn) sweepLocked(now, after time.Duration, s *Sweep) (due time.Duration) {
	idle := c.idleSinceLocked(now)
	h := &c.hold
	if h.phase == poolinfo.PhaseRows {
		c.reads.trackLocked()
	}
	if after == 0 || h.suspect || h.phase == poolinfo.PhaseExecuting {
		return 0
	}
	if due = idle + after; due > now {
		return due
	}
	if h.phase == poolinfo.PhaseRows && c.reads.unsure {
		s.Unsure = append(s.Unsure, c)
		return 0
	}
	h.suspect = true
	s.Suspects = append(s.Suspects, c.holdingLocked(now))
	return 0
}
