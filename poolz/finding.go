package poolz

import (
	"fmt"
	"math"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// finding is something to change about a pool, whatever its state is now.
type finding struct {
	// ID is one of the list in docs/poolz.md.
	ID string `json:"id"`
	// What is the finding with its numbers, Advice is what to do about it.
	What   string `json:"what"`
	Advice string `json:"advice"`
}

const (
	// headroom is the limit that a pool needs, as a multiple of the mean number of busy
	// connections. Above about three quarters of the limit, waits grow without bound.
	headroom = 1.3
	// churnShare is the least share of acquires that open a connection for idle_churn,
	// and churnMin the least number.
	churnShare = 0.1
	churnMin   = 10
	// sizeWindow is the least history for a mean.
	sizeWindow = 30 * time.Second
	// minHolders is the least number of holders at one call site for one_site.
	minHolders = 3
)

// findingsOf returns the findings about a pool.
func findingsOf(s *poolinfo.Snapshot) []finding {
	out := []finding{}
	for _, check := range []func(*poolinfo.Snapshot) (finding, bool){
		serverFull, oneSite, tooSmall, noLimit, idleChurn, outlivesServer,
	} {
		if f, found := check(s); found {
			out = append(out, f)
		}
	}
	return out
}

// serverFull finds a server that refuses connections because its limit, or its limit
// for the user, is reached.
func serverFull(s *poolinfo.Snapshot) (finding, bool) {
	n := 0
	for i := range s.RecentlyClosed {
		if s.RecentlyClosed[i].Class == poolinfo.ClassTooManyConnections {
			n++
		}
	}
	for i := range s.Reports {
		n += int(s.Reports[i].Lost[poolinfo.ClassTooManyConnections])
	}
	return finding{
		ID:   "server_full",
		What: "The server has refused connections because it has too many.",
		Advice: "Keep the sum of the limits of all processes, with those of a rolling deployment, below the limit of the " +
			"server, and leave room for an administrator.",
	}, n > 0
}

// oneSite finds a pool whose connections were all acquired at one call site.
func oneSite(s *poolinfo.Snapshot) (finding, bool) {
	var at frame
	n := 0
	for i := range s.Conns {
		c := &s.Conns[i]
		if c.State != poolinfo.StateHeld {
			continue
		}
		if c.Holder == nil {
			return finding{}, false
		}
		f := topFrame(framesOf(c.Holder.CallSite.Frames()))
		if f == (frame{}) || n > 0 && f != at {
			return finding{}, false
		}
		at = f
		n++
	}
	return finding{
		ID:   "one_site",
		What: fmt.Sprintf("All %d holders acquired their connection at %s, in %s.", n, at.Where(), at.Name()),
		Advice: "If it keeps the connection for longer than it uses it, give it back first: close the rows, end the " +
			"transaction, and only then wait, stream or call another service.",
	}, n >= minHolders && 2*n >= s.MaxOpen
}

// tooSmall finds a pool whose mean number of held connections is too near to its
// limit. By Little's law it is the mean number of callers with a connection.
func tooSmall(s *poolinfo.Snapshot) (finding, bool) {
	z := sizeOf(s.History)
	if z == nil || s.MaxOpen <= 0 || z.Enough <= s.MaxOpen {
		return finding{}, false
	}
	f := finding{
		ID: "too_small",
		What: fmt.Sprintf("%.1f of %d connections were held on average in the last %s, and %d at most.",
			z.Mean, s.MaxOpen, z.Window, z.Peak),
		Advice: fmt.Sprintf("Callers who waited are not in the mean, so this work needs %d connections or more, if the "+
			"server can take them.", z.Enough),
	}
	if working, known := workingShare(s.HeldTime); known && working < 0.5 {
		f.Advice = fmt.Sprintf("Only %.0f %% of the time that connections were held went into statements and results: shorten the "+
			"holds first. As it is, this work needs %d connections or more.", math.Floor(100*working), z.Enough)
	}
	return f, true
}

// workingShare is the share of the held time in the phases executing and rows.
func workingShare(held map[poolinfo.Phase]time.Duration) (share float64, known bool) {
	var all time.Duration
	for _, d := range held {
		all += d
	}
	if all <= 0 {
		return 0, false
	}
	return (held[poolinfo.PhaseExecuting] + held[poolinfo.PhaseRows]).Seconds() / all.Seconds(), true
}

// size is how large the pool should be, from its history.
type size struct {
	Window seconds `json:"window"`
	// Mean is how many connections were held on average, from the integral of holds.
	// Peak is the most in any sample.
	Mean float64 `json:"mean_held"`
	Peak int     `json:"peak_held"`
	// Enough is the limit with headroom over the mean, and at least the peak.
	Enough int `json:"enough"`
}

// sizeOf is nil if there is not enough history.
func sizeOf(h []poolinfo.Sample) *size {
	if len(h) < 2 {
		return nil
	}
	first, last := h[0], h[len(h)-1]
	window := last.Time.Sub(first.Time)
	if window < sizeWindow {
		return nil
	}
	z := size{
		Window: seconds(window),
		Mean:   math.Round(100*(last.HeldTime-first.HeldTime).Seconds()/window.Seconds()) / 100,
	}
	for i := range h {
		z.Peak = max(z.Peak, h[i].Held)
	}
	z.Enough = max(int(math.Ceil(headroom*z.Mean)), z.Peak)
	return &z
}

// noLimit finds a pool without a limit.
func noLimit(s *poolinfo.Snapshot) (finding, bool) {
	return finding{
		ID:     "no_limit",
		What:   "There is no limit of open connections: a burst of callers is a burst of connections at the server.",
		Advice: "Set one with SetMaxOpenConns.",
	}, s.MaxOpen == 0
}

// idleChurn finds a pool that closes connections because few may stay idle, and opens
// new ones.
func idleChurn(s *poolinfo.Snapshot) (finding, bool) {
	closed := s.Closed[poolinfo.ReasonIdleCount]
	f := finding{
		ID:     "idle_churn",
		Advice: "Set SetMaxIdleConns to the same as SetMaxOpenConns, and let SetConnMaxIdleTime close what is not used.",
	}
	if closed < churnMin {
		return f, false
	}
	if s.MaxIdle < 0 {
		var acquired int64
		for _, n := range s.Acquired {
			acquired += n
		}
		f.What = fmt.Sprintf("%s closed because as many as allowed were idle already, in %s.",
			quantity(int(closed), "connection was", "connections were"), quantity(int(acquired), "acquire", "acquires"))
		return f, float64(closed) >= churnShare*float64(acquired)
	}
	if len(s.History) < 2 {
		return f, false
	}
	first, last := s.History[0], s.History[len(s.History)-1]
	opened, acquired := last.Opened-first.Opened, last.Acquired-first.Acquired
	f.What = fmt.Sprintf("%s may stay idle, and %s opened for %s in the last %s.",
		quantity(s.MaxIdle, "connection", "connections"), quantity(int(opened), "was", "were"), quantity(int(acquired), "acquire", "acquires"),
		seconds(last.Time.Sub(first.Time)))
	farBelow := s.MaxOpen <= 0 || 2*s.MaxIdle <= s.MaxOpen
	return f, farBelow && opened >= churnMin && float64(opened) >= churnShare*float64(acquired)
}

// outlivesServer finds a pool that keeps idle connections for longer than the server
// does, so that callers get closed ones. It needs all limits: an unknown one may
// prevent that.
func outlivesServer(s *poolinfo.Snapshot) (finding, bool) {
	serverTimeout := s.Server.IdleTimeout
	if serverTimeout <= 0 || s.MaxIdle == 0 || s.MaxLifetime < 0 || s.MaxIdleTime < 0 {
		return finding{}, false
	}
	const never = time.Duration(math.MaxInt64)
	keeps := never
	for _, d := range []time.Duration{s.MaxLifetime, s.MaxIdleTime} {
		if d > 0 {
			keeps = min(keeps, d)
		}
	}
	f := finding{
		ID:     "outlives_server",
		What:   fmt.Sprintf("The server closes connections that are idle for %s, the pool keeps them for %s.", seconds(serverTimeout), seconds(keeps)),
		Advice: fmt.Sprintf("Set SetConnMaxIdleTime to less than %s.", seconds(serverTimeout)),
	}
	if keeps == never {
		f.What = fmt.Sprintf("The server closes connections that are idle for %s, the pool keeps them for ever.", seconds(serverTimeout))
	}
	return f, keeps >= serverTimeout
}
