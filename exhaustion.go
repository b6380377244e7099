package otelpool

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
)

const (
	// reportInterval is the least time between two reports of exhaustion.
	reportInterval = 10 * time.Second
	// calm is how long nobody must have waited for long for an exhaustion to be over.
	calm = time.Second
	// short is how long a hold may be to say nothing about its holder.
	short = 100 * time.Millisecond
)

// episode is one exhaustion, from its first sign to its end. It belongs to the
// sweeper.
type episode struct {
	on       bool
	reported bool
	began    time.Duration // when the first of those who wait asked
	last     time.Duration // when it was last seen
	told     time.Duration // the last report, of any episode; 0 for none

	// What was counted before it began, and at the last look.
	from, before count

	plain guess

	// late is whether plain waits were too long, and are over.
	late bool
}

// count is what is counted of those who wait. None of it goes back.
type count struct {
	mark    ledger.Mark
	failed  int64 // calls of a DB that got nothing
	starved int64 // those of them whose time was over while the pool had nothing for them
	plain   int64 // DBStats.WaitCount
}

// guess is what DBStats tells of the callers of a plain *sql.DB. WaitCount grows when
// a wait begins and WaitDuration when one ends: what began since the last end waits
// still. Who gave up ends a wait as well, and may not have been the only one; so in a
// pool that is full, and in which nobody gets a connection, callers that come one after
// the other count as one that waits.
type guess struct {
	base    int64         // WaitCount when WaitDuration last grew
	waited  time.Duration // WaitDuration then
	pending int           // who waits, at least
	since   time.Duration // since when they were seen to

	// stuck is a pool that is full, and in which nobody has got a connection since the
	// last look. It has been so since stuckSince.
	stuck      bool
	stuckSince time.Duration
	acquired   [ledger.NumSources]int64
	count      int64         // WaitCount at the last look
	asking     bool          // callers come
	asked      time.Duration // since when
	came       time.Duration // when the last one was seen

	deadlocked bool          // a profile has shown holders that wait
	search     time.Duration // when the next profile is worth its cost
}

// look reads what DBStats says at the time now.
func (g *guess) look(s *sql.DBStats, acquired [ledger.NumSources]int64, now time.Duration) {
	full := s.MaxOpenConnections > 0 && s.InUse >= s.MaxOpenConnections
	g.stuck = full && acquired == g.acquired
	switch {
	case !g.stuck:
		g.acquired, g.stuckSince, g.search = acquired, now, 0
		g.asking, g.deadlocked = false, false
	case s.WaitCount > g.count:
		if !g.asking {
			g.asking, g.asked = true, now
		}
		g.came = now
	case now-g.came > 2*sweepInterval:
		g.asking = false
	}
	g.count = s.WaitCount
	switch n := s.WaitCount - g.base; {
	case !full, s.WaitDuration != g.waited:
		g.base, g.waited, g.pending = s.WaitCount, s.WaitDuration, 0
	case n > 0:
		if g.pending == 0 {
			g.since = now
		}
		g.pending = int(n)
	}
}

// waitedFor is for how long somebody waits, at least.
func (g *guess) waitedFor(now time.Duration) (d time.Duration) {
	if g.pending > 0 {
		d = now - g.since
	}
	if g.asking {
		d = max(d, g.came-g.asked)
	}
	if g.deadlocked {
		d = max(d, now-g.stuckSince)
	}
	return d
}

// searchDeadlock looks for holders that wait in a pool that has been stuck for long.
// One that began to wait just when another wait ended is not in the counts. Each search
// takes a profile of all goroutines, so each is as far from the last as that was from
// the beginning.
func (c *connector) searchDeadlock(now time.Duration) {
	g := &c.sweeper.episode.plain
	d := now - g.stuckSince
	if !g.stuck || g.deadlocked || g.asking || g.pending > 0 || c.exact.Load() || d < c.cfg.exhaustionThreshold || now < g.search {
		return
	}
	g.search = now + d
	var p profile
	g.deadlocked = len(c.findDeadlocks(c.holds(&p), true, &p)) > 0
}

// watchExhaustion looks whether callers wait for too long, and returns when the next
// look is due.
func (c *connector) watchExhaustion(now time.Duration) (due time.Duration) {
	e := &c.sweeper.episode
	s := c.ledger.Snapshot(nil)
	at := count{mark: c.ledger.Mark(now), failed: c.failed.Load(), starved: c.starved.Load()}
	if db := c.db.Load(); db != nil {
		stats := db.Stats()
		at.plain = stats.WaitCount
		e.plain.look(&stats, s.Acquired, now)
	}
	threshold := c.cfg.exhaustionThreshold
	if threshold == 0 {
		return 0
	}
	c.searchDeadlock(now)
	oldest := max(s.OldestWait, e.plain.waitedFor(now))
	longest := max(oldest, time.Duration(c.starvedFor.Swap(0)))
	if late := time.Duration(c.lateWait.Swap(0)); late > 0 && at.plain-e.before.plain > 1 {
		longest = max(longest, late) // it is over, but others wait as it did
		e.late = true
	}
	starved := longest >= threshold || at.starved > e.before.starved || e.on && e.plain.stuck
	if starved && !e.on {
		e.on, e.reported = true, false
		e.began = now - longest
		e.from = e.before
		if e.plain.pending > 0 {
			e.from.plain = e.plain.base
		}
	}
	e.before = at
	if starved {
		e.last = now
	}
	if !e.on {
		return earlier(dueAfter(s.OldestWait, threshold, now), dueAfter(e.plain.waitedFor(now), threshold, now))
	}
	if !e.reported {
		if wait := e.told + reportInterval - now; e.told > 0 && wait > 0 {
			due = now + wait
		} else if starved {
			e.told, e.reported = now, true
			c.exhausted(now, oldest)
		}
	}
	if !starved && now-e.last >= calm {
		e.on, e.late = false, false
		if e.reported {
			c.exhaustionOver()
		}
		return due
	}
	return earlier(due, e.last+calm)
}

// dueAfter is when a wait reaches a threshold that it has not reached; never, if
// there is none.
func dueAfter(waited, threshold, now time.Duration) time.Duration {
	if waited == 0 || waited >= threshold {
		return 0
	}
	return now + threshold - waited
}

// exhausted reports the exhaustion that is on.
func (c *connector) exhausted(now, oldest time.Duration) {
	e := &c.sweeper.episode
	var p profile
	holds := c.holds(&p)
	r := c.newReport(Exhausted)
	plain := !c.exact.Load() || e.plain.pending > r.Waiting || e.late
	r.Waiting = max(r.Waiting, e.plain.pending)
	r.OldestWait = max(r.OldestWait, oldest)
	r.Length = now - e.began
	r.Waited, r.Failed = c.since(e)
	r.Groups = group(holds)
	r.Deadlocks = c.findDeadlocks(holds, plain, &p)
	r.Verdict = diagnose(&r, holds, c.starvedDialing.Load())
	c.ins.exhausted(r.Verdict)
	attrs := trace.WithAttributes(
		c.ins.poolName,
		keyVerdict.String(string(r.Verdict)),
		keyWaiters.Int(r.Waiting),
		keyOldestWait.Float64(r.OldestWait.Seconds()),
	)
	for i := range holds {
		if span := callerOf(&holds[i]); span != nil {
			span.AddEvent(eventExhausted, attrs, trace.WithAttributes(holdAttrs(&holds[i])...))
		}
	}
	ctx := context.Background()
	if len(r.Groups) > 0 {
		ctx = trace.ContextWithSpanContext(ctx, r.Groups[0].Longest.Span)
	}
	c.report(ctx, r)
}

// exhaustionOver reports its end.
func (c *connector) exhaustionOver() {
	e := &c.sweeper.episode
	r := c.newReport(ExhaustionOver)
	r.Length = e.last - e.began
	r.Waited, r.Failed = c.since(e)
	c.report(context.Background(), r)
}

// since is how many callers have waited, and failed, since the episode began, as of the
// last look. Without a DB it is what DBStats counts.
func (c *connector) since(e *episode) (waited, failed int64) {
	if c.exact.Load() {
		waited, _ = c.ledger.WaitedSince(e.from.mark, tellWait)
	}
	return max(waited, e.before.plain-e.from.plain), e.before.failed - e.from.failed
}

// holds returns all holds in progress, the longest first. Of those of which it was not
// known it is found out whether they read a row.
func (c *connector) holds(p *profile) []ledger.Holding {
	all := c.ledger.Holdings()
	slices.SortFunc(all, func(a, b ledger.Holding) int { return cmp.Compare(b.For, a.For) })
	if slices.ContainsFunc(all, func(h ledger.Holding) bool { return h.Unsure }) {
		r := findReaders(p)
		for i := range all {
			all[i].Reading = all[i].Reading || all[i].Unsure && r.mayInclude(&all[i])
		}
	}
	return all
}

// group groups holds by the place where the connections were asked for.
func group(holds []ledger.Holding) []HolderGroup {
	var groups []HolderGroup
	at := map[ledger.Stack]int{}
	for i := range holds {
		h := &holds[i]
		g, ok := at[h.Stack]
		if !ok {
			g = len(groups)
			at[h.Stack] = g
			groups = append(groups, HolderGroup{Longest: holderOf(h), Phases: map[string]int{}})
		}
		groups[g].Count++
		groups[g].Phases[h.Phase.String()]++
		if inCode(h) {
			groups[g].InCode++
		}
	}
	slices.SortStableFunc(groups, func(a, b HolderGroup) int { return cmp.Compare(b.Count, a.Count) })
	return groups
}

// inCode reports whether a hold was spent in the program more than in the database. Who
// reads a row right now waits for the database.
func inCode(h *ledger.Holding) bool {
	return h.For >= short && 2*h.Phases[ledger.Executing] < h.For && !h.Reading
}

// slow reports whether it was spent in the database.
func slow(h *ledger.Holding) bool { return h.For >= short && !inCode(h) }

// diagnose says what an exhausted pool looks like. dialed is whether the last caller who
// got nothing waited for a dial.
func diagnose(r *Report, holds []ledger.Holding, dialed bool) Verdict {
	idle, busy := 0, 0
	for i := range holds {
		switch h := &holds[i]; {
		case inCode(h):
			idle++
		case slow(h):
			busy++
		}
	}
	switch n := len(holds); {
	case len(r.Deadlocks) > 0:
		return SelfDeadlock
	case r.Dialing > n, r.Dialing > 0 && (r.MaxOpen == 0 || r.Held+r.Idle+r.Dialing < r.MaxOpen):
		return DatabaseUnreachable // who waits below the limit waits for a dial
	case n == 0 && dialed:
		return DatabaseUnreachable
	case 2*busy >= n && busy > 0 && blocked(holds):
		return LockWait
	case 2*idle >= n && idle > 0 && idle >= busy:
		return IdleInCode
	case 2*busy >= n && busy > 0:
		return SlowStatements
	}
	return TooSmall
}

// blocked reports whether statements seem to wait for locks of a transaction that
// does nothing: it has written to what they are about.
func blocked(holds []ledger.Holding) bool {
	written := map[string]bool{}
	for i := range holds {
		if h := &holds[i]; h.Phase == ledger.Tx && inCode(h) {
			for _, t := range targets(h, true) {
				written[t] = true
			}
		}
	}
	waiting := 0
	for i := range holds {
		if h := &holds[i]; slow(h) && h.Phase == ledger.Executing {
			if slices.ContainsFunc(targets(h, false), func(t string) bool { return written[t] }) {
				waiting++
			}
		}
	}
	return 2*waiting >= len(holds)-1 && waiting > 0
}

// verbs are the words of a summary that are no targets, and whether they write.
var verbs = map[string]bool{
	"SELECT": false, "INSERT": true, "UPDATE": true, "DELETE": true, "REPLACE": true, "MERGE": true,
}

// targets are what a holder's last statement is about, or what it writes. A statement
// that is none of the verbs, such as one that defines a table, has no targets here.
func targets(h *ledger.Holding, written bool) (all []string) {
	writes, known := false, false
	for _, word := range strings.Fields(h.Statement) {
		if w, isVerb := verbs[strings.ToUpper(word)]; isVerb {
			writes, known = w, true
		} else if known && (writes || !written) {
			all = append(all, word)
		}
	}
	return all
}

// holderOf describes a hold.
func holderOf(h *ledger.Holding) Holder {
	return Holder{
		ConnID: h.ID, Held: h.For, Phase: h.Phase.String(), InPhase: h.InPhase, Idle: h.Idle, Statement: h.Statement,
		Span: spanOf(&h.Holder), stack: h.Stack,
	}
}

// holdAttrs are the attributes of an event that is about a hold in progress.
func holdAttrs(h *ledger.Holding) []attribute.KeyValue {
	return []attribute.KeyValue{
		connID(h.ID),
		keyHeld.Float64(h.For.Seconds()),
		keyIdle.Float64(h.Idle.Seconds()),
		keyPhase.String(h.Phase.String()),
	}
}

// callerOf returns the span of a holder if that records, else nil.
func callerOf(h *ledger.Holding) trace.Span {
	if span, ok := h.Holder.Caller.(trace.Span); ok && span.IsRecording() {
		return span
	}
	return nil
}

// spanContext is a context with the span of a holder: that of the program itself
// while it records, else what is known of it.
func spanContext(h *ledger.Holding) context.Context {
	if span := callerOf(h); span != nil {
		return trace.ContextWithSpan(context.Background(), span)
	}
	return trace.ContextWithSpanContext(context.Background(), spanOf(&h.Holder))
}

// notServed notes that a call of a DB got no connection. If its time was over it makes
// the pool look whether it is exhausted. One whose time was over before it asked says
// nothing about the pool, nor does one that could have had a connection.
func (c *connector) notServed(e *AcquireError, dialed time.Duration) {
	if e.Cause == AcquirePoolClosed {
		return
	}
	c.failed.Add(1)
	if e.Cause != AcquireDeadline || e.Waited < short/10 || e.Idle > 0 {
		return
	}
	c.starvedDialing.Store(2*dialed >= e.Waited)
	atLeast(&c.starvedFor, e.Waited)
	if c.starved.Add(1); c.cfg.exhaustionThreshold > 0 {
		c.wake()
	}
}

// atLeast raises a to d.
func atLeast(a *atomic.Int64, d time.Duration) {
	for {
		was := a.Load()
		if int64(d) <= was || a.CompareAndSwap(was, int64(d)) {
			return
		}
	}
}

// waitedLong notes the wait of a plain acquire in the queue, which is only known when
// it is over.
func (c *connector) waitedLong(d time.Duration) {
	if t := c.cfg.exhaustionThreshold; t == 0 || d < t {
		return
	}
	atLeast(&c.lateWait, d)
	c.wake()
}
