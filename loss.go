package otelpool

import (
	"sync"
	"time"
)

const (
	// burstSize is how many connections must be lost within lossWindow to be told.
	burstSize = 3
	// lossWindow bounds how long losses are gathered, and is the least time between
	// two that are told.
	lossWindow = 10 * time.Second
	// lossPause is how long nothing must have been lost for a burst to be over.
	lossPause = time.Second
)

// losses gathers connections that went bad, so that a restart of the server is told
// once and not for each of them. Its times are those of the ledger.
//
// Three within ten seconds are a burst. It is ripe when nothing was lost for a
// second, or ten seconds after its first, but not before ten seconds after the one
// before. What is lost until then is part of it.
type losses struct {
	mu    sync.Mutex // guards what follows
	few   [burstSize - 1]loss
	n     int           // how many there are in few, none if there is a burst
	first time.Duration // of the burst
	last  time.Duration
	burst map[Class]int64 // nil for none
	told  time.Duration   // when the last burst was ripe; 0 if there was none
}

// loss is a connection that was lost.
type loss struct {
	at    time.Duration
	class Class
}

// lost notes a connection that was lost.
func (l *losses) lost(now time.Duration, c Class) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = max(l.last, now)
	if l.burst != nil {
		l.burst[c]++
		return
	}
	for l.n > 0 && now-l.few[0].at > lossWindow {
		copy(l.few[:], l.few[1:])
		l.n--
	}
	if l.n < len(l.few) {
		l.few[l.n] = loss{now, c}
		l.n++
		return
	}
	l.first, l.burst = l.few[0].at, map[Class]int64{c: 1}
	for _, one := range l.few {
		l.burst[one.class]++
	}
	l.n = 0
}

// ripe returns how many connections of each class were lost in the burst that is
// ripe now, once. Without one it is nil, and next is when there will be one unless
// more is lost until then; 0 if nothing is to come.
func (l *losses) ripe(now time.Duration) (lost map[Class]int64, next time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.burst == nil {
		return nil, 0
	}
	at := min(l.last+lossPause, l.first+lossWindow)
	if l.told > 0 {
		at = max(at, l.told+lossWindow)
	}
	if now < at {
		return nil, at
	}
	lost, l.burst = l.burst, nil
	l.told = now
	return lost, 0
}

// lost notes a connection that went bad. One that its caller gave up is not lost:
// many drivers close it, and nothing is wrong with the server.
func (c *connector) lost(class Class) {
	if class != ClassCanceled && class != ClassDeadline {
		c.losses.lost(c.ledger.Now(), class)
	}
}
