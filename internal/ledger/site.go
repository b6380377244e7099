package ledger

import (
	"sync"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// ShortCallSite is a [poolinfo.CallSite] that was captured nearer to the program, where
// fewer program counters are enough.
type ShortCallSite [8]uintptr

// IsZero reports whether it was not captured.
func (s *ShortCallSite) IsZero() bool { return s[0] == 0 }

// CallSite returns it in full length.
func (s *ShortCallSite) CallSite() (long poolinfo.CallSite) {
	copy(long[:], s[:])
	return long
}

// ShortHold is how long a hold must be to count for its call site: to look the site up
// is nothing beside a millisecond, but not beside a microsecond.
const ShortHold = time.Millisecond

// maxSites bounds how many stacks are kept apart. Those beyond count as not captured.
const maxSites = 1000

// Site is the holds that began at one call site.
type Site struct {
	CallSite poolinfo.CallSite
	Holds    int64
	Time     time.Duration
	Short    bool // all holds that were shorter than ShortHold
}

// sites are the holds that have ended, by call site.
type sites struct {
	mu    sync.Mutex // guards known and what it points to
	known map[poolinfo.CallSite]*Site
}

func (s *sites) add(at *poolinfo.CallSite, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.known[*at]
	if one == nil && len(s.known) >= maxSites {
		at = &poolinfo.CallSite{}
		one = s.known[*at]
	}
	if one == nil {
		if s.known == nil {
			s.known = map[poolinfo.CallSite]*Site{}
		}
		one = &Site{CallSite: *at}
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
	rest := Site{Short: true}
	at := map[poolinfo.CallSite]int{}
	var all []Site
	add := func(s *poolinfo.CallSite, holds int64, d time.Duration) {
		i, ok := at[*s]
		if !ok {
			i = len(all)
			at[*s] = i
			all = append(all, Site{CallSite: *s})
		}
		all[i].Holds += holds
		all[i].Time += d
	}
	sum := l.past.totals
	for _, c := range l.conns {
		c.mu.Lock()
		sum.add(&c.totals)
		if c.state == poolinfo.StateHeld {
			d := max(0, now-c.stateSince)
			add(&c.hold.site, 1, d)
			// What of it is in the totals already is not of a hold that is over.
			for p := range c.hold.heldAtAcquire {
				sum.held[p] -= c.totals.held[p] - c.hold.heldAtAcquire[p]
			}
		}
		c.mu.Unlock()
	}
	rest.Holds = sum.holds
	for _, d := range sum.held {
		rest.Time += d
	}
	for _, one := range known {
		add(&one.CallSite, one.Holds, one.Time)
		rest.Holds -= one.Holds
		rest.Time -= one.Time
	}
	if rest.Holds > 0 {
		all = append(all, rest)
	}
	return all
}
