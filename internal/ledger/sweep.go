package ledger

import "time"

// Sweep is what a look at every connection has found.
type Sweep struct {
	// Suspects are the holds in which nothing was done for as long as the threshold,
	// and which were not suspected before.
	Suspects []Holding
	// Unsure are those in which a row may be being read since then. Each is to be
	// followed by a call of [Conn.Suspect] or [Conn.Reading].
	Unsure []*Conn
	// Next is when there may be another, zero for never as things are.
	Next time.Duration
	// Unnoted reports whether somebody holds a connection for long and it is not
	// known where he asked.
	Unnoted bool
}

// Sweep looks at every connection for holds in which nothing was done for as long as
// after; zero is not to look for them.
//
// Rows that are read take no clock: a sweep that finds that some were read since the
// last takes them for read now.
func (l *Ledger) Sweep(after, long time.Duration) (s Sweep) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	for _, c := range l.conns {
		var due time.Duration
		c.mu.Lock()
		if c.state == Held {
			s.Unnoted = s.Unnoted || now-c.since >= long && !c.stack.Noted()
			due = c.sweepLocked(now, after, &s)
		}
		c.mu.Unlock()
		if due > now && (s.Next == 0 || due < s.Next) {
			s.Next = due
		}
	}
	return s
}

// sweepLocked looks at a connection that is held, and returns when it is to be
// suspected if nothing happens.
func (c *Conn) sweepLocked(now, after time.Duration, s *Sweep) (due time.Duration) {
	idle := c.idleSinceLocked(now)
	if c.phase == Rows && !c.watched.Load() {
		c.watched.Store(true)
		c.unsure = true
	}
	if after == 0 || c.suspect || c.phase == Executing {
		return 0
	}
	if due = idle + after; due > now {
		return due
	}
	if c.phase == Rows && c.unsure {
		s.Unsure = append(s.Unsure, c)
		return 0
	}
	c.suspect = true
	s.Suspects = append(s.Suspects, c.holdingLocked(now))
	return 0
}

// Suspect suspects the hold in progress, and returns it. It reports false if that has
// ended meanwhile, or something was done.
func (c *Conn) Suspect(after time.Duration) (Holding, bool) {
	now := c.ledger.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != Held || c.suspect || c.phase != Rows || now-c.idleSinceLocked(now) < after {
		return Holding{}, false
	}
	c.suspect = true
	return c.holdingLocked(now), true
}

// Reading notes that a row is being read.
func (c *Conn) Reading() {
	now := c.ledger.Now()
	c.mu.Lock()
	c.active = now
	c.mu.Unlock()
}

// Hold returns the hold in progress, and false if there is none.
func (c *Conn) Hold() (Holding, bool) { return c.holding(c.ledger.Now()) }
