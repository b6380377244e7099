package pool

import "time"

// Sweep looks at every connection, and returns those whose holder has done nothing
// for as long as after, and which were not suspected before; none if after is zero.
// Next is when there may be another, zero for never as things are. Unnoted reports
// whether somebody holds a connection for long and it is not known where he asked.
//
// Rows that are read take no clock: a sweep that finds that some were read since the
// last takes them for read now.
func (l *Ledger) Sweep(after, long time.Duration) (suspects []Holding, next time.Duration, unnoted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.Now()
	for _, c := range l.conns {
		suspect, due := false, time.Duration(0)
		c.mu.Lock()
		if c.state == Held {
			unnoted = unnoted || now-c.since >= long && !c.stack.Noted()
			idle := c.idleSinceLocked(now)
			if after > 0 && !c.suspect && c.phase != Executing {
				due = idle + after
				suspect = due <= now
			}
			if suspect {
				c.suspect = true
				suspects = append(suspects, c.holdingLocked(now))
			}
		}
		c.mu.Unlock()
		if due > now && (next == 0 || due < next) {
			next = due
		}
	}
	return suspects, next, unnoted
}
