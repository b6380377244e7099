package poolz

import (
	"fmt"
	"strings"
	"time"

	"github.com/otelpool/otelpool"
)

// state is the state of a pool in a word.
type state string

const (
	// ok is a pool that has room.
	ok state = "ok"
	// dialing is one that has no connection yet and dials.
	dialing state = "dialing"
	// saturated is one whose connections are all taken: the next caller waits.
	saturated state = "saturated"
	// exhausted is a saturated one that has let a caller wait for a second, or of
	// which a report of that is not over.
	exhausted state = "exhausted"
)

// longWait is how long somebody must have waited for a saturated pool to be
// exhausted.
const longWait = time.Second

// rank orders states, the worst last.
func (s state) rank() int {
	switch s {
	case dialing:
		return 1
	case saturated:
		return 2
	case exhausted:
		return 3
	default:
		return 0
	}
}

func judge(s *otelpool.Snapshot) state {
	switch {
	case s.Open == 0 && s.Dialing > 0:
		return dialing
	case s.MaxOpen <= 0 || taken(s) < s.MaxOpen:
		return ok
	case s.OldestWait >= longWait || inEpisode(s.Reports):
		return exhausted
	}
	return saturated
}

// taken is how many connections of the limit nobody can have: those that were
// opened for a waiter have no holder, but are not free.
func taken(s *otelpool.Snapshot) int {
	n := s.Held + s.Dialing
	for i := range s.Conns {
		if s.Conns[i].State == "fresh" {
			n++
		}
	}
	return n
}

// inEpisode reports whether the pool was reported as exhausted, and not yet that
// this is over. The latest report is the first.
func inEpisode(reports []otelpool.Report) bool {
	for i := range reports {
		switch reports[i].Kind {
		case otelpool.Exhausted:
			return true
		case otelpool.ExhaustionOver:
			return false
		default:
		}
	}
	return false
}

// sentence says what the state is made of, and who has the connections.
func sentence(s *otelpool.Snapshot, p *poolDoc) string {
	var b strings.Builder
	switch {
	case p.State == dialing:
		fmt.Fprintf(&b, "No connection is open, and %s being dialed.", are(s.Dialing, "is", "are"))
	case s.Open == 0:
		b.WriteString("No connection is open.")
	case s.MaxOpen == 0:
		fmt.Fprintf(&b, "%s held; there is no limit.", are(s.Held, "connection is", "connections are"))
	case s.Held == 1 && s.MaxOpen == 1:
		b.WriteString("The only connection is held.")
	case s.Held >= s.MaxOpen:
		fmt.Fprintf(&b, "All %d connections are held.", s.Held)
	default:
		fmt.Fprintf(&b, "%d of %s held.", s.Held, are(s.MaxOpen, "connection is", "connections are"))
	}
	if p.State != dialing && s.Dialing > 0 {
		fmt.Fprintf(&b, " %s being dialed.", are(s.Dialing, "is", "are"))
	}
	if s.Exact && s.Waiting > 0 {
		fmt.Fprintf(&b, " %s, the first for %s.", are(s.Waiting, "caller waits", "callers wait"), seconds(s.OldestWait))
	}
	if p.State.rank() < saturated.rank() || len(p.Groups) == 0 || len(p.Groups[0].Frames) == 0 {
		return b.String()
	}
	g := p.Groups[0]
	switch {
	case s.Held == 1:
		b.WriteString(" The holder")
	case g.Count == s.Held:
		fmt.Fprintf(&b, " All %d holders", g.Count)
	default:
		fmt.Fprintf(&b, " %d of the %d holders", g.Count, s.Held)
	}
	fmt.Fprintf(&b, " asked at %s", g.Frames[0].Brief())
	if len(g.Frames) > 1 {
		fmt.Fprintf(&b, " from %s", g.Frames[1].Brief())
	}
	switch {
	case g.Idle == 0:
	case g.Count == 1:
		b.WriteString(", and has done nothing for a second or more")
	case g.Idle == g.Count:
		b.WriteString(", and all of them have done nothing for a second or more")
	default:
		fmt.Fprintf(&b, ", and %d of them %s done nothing for a second or more", g.Idle, map[bool]string{true: "has", false: "have"}[g.Idle == 1])
	}
	b.WriteString(".")
	return b.String()
}

// are is a number and what follows it, in the singular or the plural.
func are(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
