package monitor

import (
	"sync"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

const (
	// burstSize is how many connections must be lost within lossWindow for a report.
	burstSize = 3
	// lossWindow bounds how long losses are gathered, and is the least time between
	// two reports.
	lossWindow = 10 * time.Second
	// lossPause is how long nothing must have been lost for a burst to have ended.
	lossPause = time.Second
)

// losses gathers connections that broke, so that a restart of the server is one report
// and not one for each of them. Its times are those of the ledger.
//
// Three within ten seconds are a burst. It is due when nothing was lost for a second, or
// ten seconds after its first, but not before ten seconds after the one before. What is
// lost until then is part of it.
type losses struct {
	mu           sync.Mutex // guards what follows
	pending      [burstSize - 1]loss
	n            int           // how many there are in pending, none if there is a burst
	first        time.Duration // of the burst
	last         time.Duration
	burst        map[poolinfo.Class]int64 // nil for none
	lastReportAt time.Duration            // 0 if there was none
}

// loss is a connection that was lost.
type loss struct {
	at    time.Duration
	class poolinfo.Class
}

// add notes a connection that was lost.
func (l *losses) add(now time.Duration, c poolinfo.Class) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = max(l.last, now)
	if l.burst != nil {
		l.burst[c]++
		return
	}
	for l.n > 0 && now-l.pending[0].at > lossWindow {
		copy(l.pending[:], l.pending[1:])
		l.n--
	}
	if l.n < len(l.pending) {
		l.pending[l.n] = loss{now, c}
		l.n++
		return
	}
	l.first, l.burst = l.pending[0].at, map[poolinfo.Class]int64{c: 1}
	for _, one := range l.pending {
		l.burst[one.class]++
	}
	l.n = 0
}

// due returns how many connections of each class were lost in the burst that is due now,
// once. Without one it is nil, and next is when one will be due unless more is lost until
// then; 0 if nothing is to come.
func (l *losses) due(now time.Duration) (lost map[poolinfo.Class]int64, next time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.burst == nil {
		return nil, 0
	}
	at := min(l.last+lossPause, l.first+lossWindow)
	if l.lastReportAt > 0 {
		at = max(at, l.lastReportAt+lossWindow)
	}
	if now < at {
		return nil, at
	}
	lost, l.burst = l.burst, nil
	l.lastReportAt = now
	return lost, 0
}
