package poolz

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// state is what a pool is doing, in a word.
type state string

// The states, from the best to the worst. The page and the dashboards share this
// list: a test in dashboards compares the words, the order and the first sentence of
// each comment with dashboards/state.go.
const (
	// None of the other states applies.
	ok state = "ok"
	// No connection is open, and at least one is being dialed. The dashboards do not
	// show it: most dials end before the next scrape.
	dialing state = "dialing"
	// More than every fifth acquire opens a connection. The page does not show it,
	// because one snapshot has no rates; see its finding idle_churn.
	churning state = "churning"
	// All connections that the limit allows are taken, or nearly all. On the page it is
	// all of them now, on the dashboards more than 80 % over two minutes.
	saturated state = "saturated"
	// The pool is saturated, and a caller has waited for a second or more. On the page,
	// an exhaustion that was reported and has not ended counts too. The dashboards do
	// not show it as a state: they count the reports.
	exhausted state = "exhausted"
	// More than half of all dials fail. The page does not show it, because a snapshot
	// has no failed dials; it shows dialing if no connection is open.
	cannotConnect state = "cannot connect"
	// Callers wait, connections are held, and no caller got one for a minute. The page
	// does not show it, because one snapshot has no rates; it shows exhausted.
	stuck state = "stuck"
)

// states is the list, from the best to the worst.
var states = []state{ok, dialing, churning, saturated, exhausted, cannotConnect, stuck}

// longWait is how long a caller of a saturated pool waits before the pool counts as
// exhausted.
const longWait = time.Second

// rank is the position of s in the list: the higher, the worse.
func (s state) rank() int { return slices.Index(states, s) }

// stateOf returns the state that a snapshot shows.
func stateOf(s *poolinfo.Snapshot) state {
	switch {
	case s.Open == 0 && s.Dialing > 0:
		return dialing
	case s.MaxOpen <= 0 || inUse(s) < s.MaxOpen:
		return ok
	case s.OldestWait >= longWait || exhaustionOpen(s.Reports):
		return exhausted
	}
	return saturated
}

// inUse is how many connections of the limit are not available. A connection that was
// opened for a waiter and has no holder yet counts.
func inUse(s *poolinfo.Snapshot) int {
	n := s.Held + s.Dialing
	for i := range s.Conns {
		if s.Conns[i].State == poolinfo.StateFresh {
			n++
		}
	}
	return n
}

// exhaustionOpen reports whether an exhaustion was reported and its end was not. The
// latest report is the first.
func exhaustionOpen(reports []poolinfo.Report) bool {
	for i := range reports {
		switch reports[i].Kind {
		case poolinfo.ReportExhausted:
			return true
		case poolinfo.ReportRecovered:
			return false
		default:
		}
	}
	return false
}

// sentence gives the numbers behind the state, and the largest group of holders.
func sentence(s *poolinfo.Snapshot, p *poolDoc) string {
	var b strings.Builder
	switch {
	case p.State == dialing:
		fmt.Fprintf(&b, "No connection is open, and %s being dialed.", quantity(s.Dialing, "is", "are"))
	case s.Open == 0:
		b.WriteString("No connection is open.")
	case s.MaxOpen < 0:
		fmt.Fprintf(&b, "%s held; the limit is not known.", quantity(s.Held, "connection is", "connections are"))
	case s.MaxOpen == 0:
		fmt.Fprintf(&b, "%s held; there is no limit.", quantity(s.Held, "connection is", "connections are"))
	case s.Held == 1 && s.MaxOpen == 1:
		b.WriteString("The only connection is held.")
	case s.Held >= s.MaxOpen:
		fmt.Fprintf(&b, "All %d connections are held.", s.Held)
	default:
		fmt.Fprintf(&b, "%d of %s held.", s.Held, quantity(s.MaxOpen, "connection is", "connections are"))
	}
	if p.State != dialing && s.Dialing > 0 {
		fmt.Fprintf(&b, " %s being dialed.", quantity(s.Dialing, "is", "are"))
	}
	if s.Waiting > 0 {
		fmt.Fprintf(&b, " %s, the first for %s.", quantity(s.Waiting, "caller waits", "callers wait"), seconds(s.OldestWait))
	}
	if p.State.rank() < saturated.rank() || len(p.Groups) == 0 || len(p.Groups[0].Frames) == 0 {
		return b.String()
	}
	g := p.Groups[0]
	switch {
	case s.Held == 1:
		b.WriteString(" The holder acquired its connection")
	case g.Count == s.Held:
		fmt.Fprintf(&b, " All %d holders acquired their connections", g.Count)
	default:
		fmt.Fprintf(&b, " %d of the %d holders acquired their connections", g.Count, s.Held)
	}
	fmt.Fprintf(&b, " at %s", g.Frames[0].Brief())
	if len(g.Frames) > 1 {
		fmt.Fprintf(&b, " from %s", g.Frames[1].Brief())
	}
	switch {
	case g.Unused == 0:
	case g.Count == 1:
		b.WriteString(", and has not used it for a second or more")
	case g.Unused == g.Count:
		b.WriteString(", and none of them has used it for a second or more")
	default:
		fmt.Fprintf(&b, ", and %s not used it for a second or more", quantity(g.Unused, "of them has", "of them have"))
	}
	b.WriteString(".")
	return b.String()
}

// quantity is a number and a noun in the singular or the plural.
func quantity(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
