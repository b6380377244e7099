package ledger

import (
	"sync"
	"time"
)

// StackDepth is how many program counters of an acquire are kept.
const StackDepth = 16

// Stack is where a connection was asked for: program counters as runtime.Callers
// gives them, with zeros after the last.
type Stack [StackDepth]uintptr

// ShortStack is the same of a caller that is nearer to the program.
type ShortStack [StackDepth / 2]uintptr

// Noted reports whether there is anything in it.
func (s *ShortStack) Noted() bool { return s[0] != 0 }

// Long returns it as a Stack.
func (s *ShortStack) Long() (long Stack) {
	copy(long[:], s[:])
	return long
}

// Noted reports whether there is anything in it.
func (s *Stack) Noted() bool { return s[0] != 0 }

// ShortHold is how long a hold must be to be told by its site: to look the site up
// is nothing beside a millisecond, but not beside a microsecond.
const ShortHold = time.Millisecond

// maxSites bounds how many stacks are kept apart. Those beyond count as not noted.
const maxSites = 1000

// Site is the holds that began at one place.
type Site struct {
	Stack Stack
	Holds int64
	Time  time.Duration
	Short bool // all holds that were shorter than ShortHold
}

// sites are the holds that are over, by place.
type sites struct {
	mu    sync.Mutex // guards known and what it points to
	known map[Stack]*Site
}

func (s *sites) add(at *Stack, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.known[*at]
	if one == nil && len(s.known) >= maxSites {
		at = &Stack{}
		one = s.known[*at]
	}
	if one == nil {
		if s.known == nil {
			s.known = map[Stack]*Site{}
		}
		one = &Site{Stack: *at}
		s.known[*at] = one
	}
	one.Holds++
	one.Time += d
}

func (s *sites) read() []Site {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Site, 0, len(s.known))
	for _, one := range s.known {
		all = append(all, *one)
	}
	return all
}

// Sites returns how long connections were held, by the place where they were asked
// for, holds in progress included. Their times add up to that of all holds.
func (l *Ledger) Sites() []Site {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.sites.read() // first: a hold that ends meanwhile is short for now, and not there twice
	now := l.Now()
	short := Site{Short: true}
	at := map[Stack]int{}
	var all []Site
	add := func(s *Stack, holds int64, d time.Duration) {
		i, ok := at[*s]
		if !ok {
			i = len(all)
			at[*s] = i
			all = append(all, Site{Stack: *s})
		}
		all[i].Holds += holds
		all[i].Time += d
	}
	sum := l.past
	for _, c := range l.conns {
		c.mu.Lock()
		sum.add(&c.totals)
		if c.state == Held {
			d := max(0, now-c.since)
			add(&c.stack, 1, d)
			// What of it is in the totals already is not of a hold that is over.
			for p := range c.mark {
				sum.held[p] -= c.totals.held[p] - c.mark[p]
			}
		}
		c.mu.Unlock()
	}
	short.Holds = sum.holds
	for _, d := range sum.held {
		short.Time += d
	}
	for _, one := range known {
		add(&one.Stack, one.Holds, one.Time)
		short.Holds -= one.Holds
		short.Time -= one.Time
	}
	if short.Holds > 0 {
		all = append(all, short)
	}
	return all
}
