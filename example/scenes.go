package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/otelpool/otelpool"
)

// pace is how long things take.
type pace struct {
	healthy time.Duration // the whole first scene
	lead    time.Duration // load alone, before something happens
	hold    time.Duration // how long the pool stays dry
	quiet   time.Duration // silence before the server hangs up; more than embeddedIdle
	after   time.Duration // load alone, after it
	patient time.Duration // after which something that must happen is given up
	request time.Duration // the service's limit for a request, waiting for a connection included
}

var usualPace = pace{
	healthy: 4 * time.Second,
	lead:    1500 * time.Millisecond,
	hold:    4 * time.Second,
	quiet:   1500 * time.Millisecond,
	after:   2 * time.Second,
	patient: 20 * time.Second,
	request: 500 * time.Millisecond,
}

// leastHold is the least for pace.hold on the command line: less than a slow statement
// may take could not be told from one.
const leastHold = time.Second

// stage is what a scene plays on.
type stage struct {
	pace     pace
	limit    int // connections that the pool may open
	pool     *otelpool.DB
	database database
	load     *load
	refused  <-chan *otelpool.AcquireError // holds the first since it was last received from
	reports  <-chan otelpool.Report        // holds the first ones since it was last emptied
	watch    *watcher
	tell     func(format string, args ...any) // what happens, with the time
}

// within runs f, which waits for what, and gives it up when it takes too long.
func (on *stage) within(ctx context.Context, what string, f func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, on.pace.patient)
	defer cancel()
	err := f(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("gave up after waiting %v for this: %s", on.pace.patient, what)
	}
	return err
}

// tellConnections tells what happens and what the SDK says at that moment.
func (on *stage) tellConnections(what string) {
	now, err := on.watch.look()
	if err != nil {
		on.tell("%s", what)
		return
	}
	on.tell("%s (held %d of %d, idle %d, waiting %d)", what, now.used, now.limit, now.idle, now.waiting)
}

// forgetReports receives the reports so far. If the pool is exhausted, it waits for the
// end of that.
func (on *stage) forgetReports(ctx context.Context) error {
	dry := false
	for len(on.reports) > 0 {
		switch r := <-on.reports; r.Kind {
		case otelpool.Exhausted:
			dry = true
		case otelpool.ExhaustionOver:
			dry = false
		}
	}
	if !dry {
		return nil
	}
	_, err := on.awaitReport(ctx, otelpool.ExhaustionOver)
	return err
}

// awaitReport receives reports until there is one of a kind.
func (on *stage) awaitReport(ctx context.Context, kind otelpool.ReportKind) (r otelpool.Report, err error) {
	err = on.within(ctx, "the pool reports: "+string(kind), func(ctx context.Context) error {
		for r.Kind != kind {
			select {
			case r = <-on.reports:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return r, err
}

// tellReport tells a report, with all those who hold the connections.
func (on *stage) tellReport(r otelpool.Report) {
	lines := []string{fmt.Sprintf("the pool reports: %v", r)}
	for _, g := range r.Groups {
		lines = append(lines, fmt.Sprintf("  %2d held, the longest for %v", g.Count, g.Longest))
	}
	on.tell("%s", strings.Join(lines, "\n"))
}

// tellHolders tells what the holders of connections are doing, longest hold
// first.
func (on *stage) tellHolders() {
	now, err := otelpool.Inspect(on.pool.DB)
	if err != nil {
		on.tell("%v", err)
		return
	}
	var phases []string
	holders := map[string]int{}
	longest := map[string]time.Duration{}
	for _, c := range now.Conns[:now.Held] {
		if holders[c.Phase]++; holders[c.Phase] == 1 {
			phases = append(phases, c.Phase)
			longest[c.Phase] = c.For
		}
	}
	for i, phase := range phases {
		phases[i] = fmt.Sprintf("%d %s (up to %s)", holders[phase], phase, short(longest[phase]))
	}
	on.tell("otelpool.Inspect: %s", strings.Join(phases, ", "))
}

// tellDeaths tells how the connections ended that were lost since then: three of
// them in full.
func (on *stage) tellDeaths(since time.Time) {
	now, err := otelpool.Inspect(on.pool.DB)
	if err != nil {
		on.tell("%v", err)
		return
	}
	const most = 3
	var told []string
	lost := 0
	for _, d := range now.Deaths {
		if d.Reason != reasonBad || d.Time.Before(since) {
			continue
		}
		if lost++; lost <= most {
			told = append(told, d.String())
		}
	}
	on.tell("otelpool.Inspect has %d death certificates, the last of them:\n%s", lost, strings.Join(told, "\n"))
}

// scene is one thing that happens to a pool.
type scene struct {
	name  string
	title string
	about string // what happens
	look  string // what to look at in its table
	play  func(context.Context, *stage) error
}

var scenes = []scene{
	{
		name:  "healthy",
		title: "a healthy pool",
		about: "Eight clients post, list and read notifications, and now and then ask for a digest, " +
			"which is one slow statement. Three more follow a stream; its handler gives the connection back " +
			"before it waits for news.",
		look: "held stays below the limit, holds are as short as statements, and nobody waits but for a dial.",
		play: playHealthy,
	},
	{
		name:  "dry",
		title: "streams hold every connection",
		about: "Ten clients join streams whose handlers keep a connection until the client leaves: by an " +
			"open result set, an open transaction, or a connection of their own. Then all other requests wait, " +
			"get none in time, and fail with 503, until the ten clients leave.",
		look: "the pool's own report names the lines of stream.go that asked for every one of the connections, while they are " +
			"still held. held reaches the limit and stays there while statements are as fast as before: it is not the " +
			"database. All clients wait at once, and those that time out have waited in vain for as long as a " +
			"request may take; the error of the first says for whom. Ten holds last seconds, and their time is " +
			"in rows, tx and pinned, not in executing. Closed as bad: connections whose client left in the middle of a result set, or ran out of time in the " +
			"middle of a statement.",
		play: playDry,
	},
	{
		name:  "closed",
		title: "the server closes idle connections",
		about: "The clients pause, and the server hangs up on every idle connection, as it does after its " +
			"wait_timeout. The pool is not told and still counts them as idle. Then the clients come back.",
		look: "no request fails, so nobody would know; but as many connections are closed as bad, and as many " +
			"attempts were repeated by database/sql in silence. Each has a death certificate that says who closed it " +
			"and what to set.",
		play: playClosed,
	},
}

// perform plays a scene and returns what the SDK and the clients say about it,
// also when it is broken off.
func perform(ctx context.Context, s scene, on *stage) (*figures, tally, error) {
	if err := on.watch.begin(); err != nil {
		return nil, tally{}, err
	}
	on.load.take()
	stop := on.watch.sample()
	err := s.play(ctx, on)
	stop()
	f, readErr := on.watch.end()
	return f, on.load.take(), errors.Join(err, readErr)
}

func playHealthy(ctx context.Context, on *stage) error {
	stop := on.load.start(ctx, thinkTime)
	defer stop()
	on.tell("the clients work")
	streams := on.load.streams(ctx)
	defer streams.leave()
	for range 3 {
		streams.join(holdNothing)
	}
	if err := on.within(ctx, "three streams open", func(ctx context.Context) error { return streams.opened(ctx, 3) }); err != nil {
		return err
	}
	on.tell("three streams are open, and hold nothing")
	if err := pause(ctx, on.pace.healthy); err != nil {
		return err
	}
	on.tellConnections("the scene ends")
	return nil
}

func playDry(ctx context.Context, on *stage) error {
	stop := on.load.start(ctx, thinkTime)
	defer func() { stop() }()
	on.tell("the clients work")
	if err := pause(ctx, on.pace.lead); err != nil {
		return err
	}
	stop()
	// On a slow machine the clients alone may have been too many.
	if err := on.forgetReports(ctx); err != nil {
		return err
	}
	streams := on.load.streams(ctx)
	defer streams.leave()
	ways := []string{holdRows, holdTx, holdConn}
	on.tell("%d streams join while the clients pause, and each keeps a connection", on.limit)
	for i := range on.limit {
		streams.join(ways[i%len(ways)])
		if err := pause(ctx, on.pace.lead/time.Duration(on.limit)); err != nil {
			return err
		}
	}
	if err := on.within(ctx, "every stream open", func(ctx context.Context) error { return streams.opened(ctx, on.limit) }); err != nil {
		return err
	}
	on.tellConnections("every stream is open: the pool is dry, and the clients come back")
	stop = on.load.start(ctx, thinkTime)
	select {
	case <-on.refused: //nolint:errcheck // of a request before the pool was dry
	default:
	}
	var none *otelpool.AcquireError
	err := on.within(ctx, "a request got no connection", func(ctx context.Context) error {
		select {
		case none = <-on.refused:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil {
		return err
	}
	on.tell("a request has waited in vain, and its error says for whom:\n%v", none)
	report, err := on.awaitReport(ctx, otelpool.Exhausted)
	if err != nil {
		return err
	}
	on.tellReport(report)
	on.tell("it stays dry for %v", on.pace.hold)
	if err := pause(ctx, on.pace.hold); err != nil {
		return err
	}
	on.tellConnections("still dry")
	on.tellHolders()
	streams.leave()
	on.tell("the streams' clients leave")
	recovered := func(f *figures) bool { return f.oldestHold < on.pace.hold }
	if err := on.within(ctx, "the pool recovered", func(ctx context.Context) error { return on.watch.until(ctx, recovered) }); err != nil {
		return err
	}
	if err := pause(ctx, on.pace.after); err != nil {
		return err
	}
	on.tellConnections("the scene ends")
	return nil
}

func playClosed(ctx context.Context, on *stage) error {
	start := time.Now()
	stop := on.load.start(ctx, thinkTime)
	defer func() { stop() }()
	on.tell("the clients work")
	on.load.digests(ctx, on.limit)
	if err := pause(ctx, on.pace.lead); err != nil {
		return err
	}
	stop()
	on.tellConnections("the clients pause")
	if err := pause(ctx, on.pace.quiet); err != nil {
		return err
	}
	var closed int
	err := on.within(ctx, "the server hung up", func(ctx context.Context) (err error) {
		closed, err = on.database.CloseIdle(ctx, on.pool)
		return err
	})
	if err != nil {
		return err
	}
	on.tellConnections(fmt.Sprintf("the server closes %d sockets", closed))

	on.tell("the clients come back")
	stop = on.load.start(ctx, thinkTime)
	// As many statements at once as the pool may have connections: no dead one
	// stays at the bottom of the pool.
	found := func(f *figures) bool { return f.closed[reasonBad] >= int64(closed) }
	err = on.within(ctx, "every closed connection found", func(ctx context.Context) error {
		for ctx.Err() == nil {
			on.load.digests(ctx, on.limit)
			if done, err := on.watch.check(found); done || err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	on.tell("the pool has found every one of them, and nobody else has noticed")
	on.tellDeaths(start)
	if err := pause(ctx, on.pace.after); err != nil {
		return err
	}
	on.tellConnections("the scene ends")
	return nil
}
