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
	before  time.Duration // load alone, before something happens
	hold    time.Duration // how long the pool stays dry
	idle    time.Duration // silence before the server hangs up; more than embeddedIdle
	after   time.Duration // load alone, after it
	timeout time.Duration // after which something that must happen is given up
	request time.Duration // the service's limit for a request, waiting for a connection included
}

var defaultPace = pace{
	healthy: 4 * time.Second,
	before:  1500 * time.Millisecond,
	hold:    4 * time.Second,
	idle:    1500 * time.Millisecond,
	after:   2 * time.Second,
	timeout: 20 * time.Second,
	request: 500 * time.Millisecond,
}

// minHold is the least for pace.hold on the command line: less than a slow statement
// may take could not be told from one.
const minHold = time.Second

// stage is what a scene plays on.
type stage struct {
	pace          pace
	limit         int // connections that the pool may open
	pool          *otelpool.DB
	database      database
	load          *load
	acquireErrors <-chan *otelpool.AcquireError // holds the first since it was last received from
	reports       <-chan otelpool.Report        // holds the first ones since it was last emptied
	watch         *watcher
	printf        func(format string, args ...any) // what happens, with the time
}

// within runs f, which waits for what, and gives it up when it takes too long.
func (st *stage) waitFor(ctx context.Context, what string, f func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, st.pace.timeout)
	defer cancel()
	err := f(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("gave up after waiting %v for this: %s", st.pace.timeout, what)
	}
	return err
}

// tellConnections tells what happens and what the SDK says at that moment.
func (st *stage) printState(what string) {
	now, err := st.watch.collect()
	if err != nil {
		st.printf("%s", what)
		return
	}
	st.printf("%s (held %d of %d, idle %d, waiting %d)", what, now.used, now.limit, now.idle, now.waiting)
}

// forgetReports receives the reports so far. If the pool is exhausted, it waits for the
// end of that.
func (st *stage) drainReports(ctx context.Context) error {
	dry := false
	for len(st.reports) > 0 {
		switch r := <-st.reports; r.Kind {
		case otelpool.Exhausted:
			dry = true
		case otelpool.ExhaustionOver:
			dry = false
		}
	}
	if !dry {
		return nil
	}
	_, err := st.awaitReport(ctx, otelpool.ExhaustionOver)
	return err
}

// awaitReport receives reports until there is one of a kind.
func (st *stage) awaitReport(ctx context.Context, kind otelpool.ReportKind) (r otelpool.Report, err error) {
	err = st.waitFor(ctx, "the pool reports: "+string(kind), func(ctx context.Context) error {
		for r.Kind != kind {
			select {
			case r = <-st.reports:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return r, err
}

// tellReport tells a report, with all those who hold the connections.
func (st *stage) printReport(r otelpool.Report) {
	lines := []string{fmt.Sprintf("the pool reports: %v", r)}
	for _, g := range r.Groups {
		lines = append(lines, fmt.Sprintf("  %2d held, the longest for %v", g.Count, g.Longest))
	}
	st.printf("%s", strings.Join(lines, "\n"))
}

// tellHolders tells what the holders of connections are doing, longest hold
// first.
func (st *stage) printHolders() {
	now, err := otelpool.Inspect(st.pool.DB)
	if err != nil {
		st.printf("%v", err)
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
	st.printf("otelpool.Inspect: %s", strings.Join(phases, ", "))
}

// tellDeaths tells how the connections ended that were lost since then: three of
// them in full.
func (st *stage) printLost(since time.Time) {
	now, err := otelpool.Inspect(st.pool.DB)
	if err != nil {
		st.printf("%v", err)
		return
	}
	const most = 3
	var shown []string
	lost := 0
	for _, d := range now.Deaths {
		if d.Reason != reasonBad || d.Time.Before(since) {
			continue
		}
		if lost++; lost <= most {
			shown = append(shown, d.String())
		}
	}
	st.printf("otelpool.Inspect has %d death certificates, the last of them:\n%s", lost, strings.Join(shown, "\n"))
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
func runScene(ctx context.Context, s scene, st *stage) (*figures, tally, error) {
	if err := st.watch.begin(); err != nil {
		return nil, tally{}, err
	}
	st.load.take()
	stop := st.watch.sample()
	err := s.play(ctx, st)
	stop()
	f, readErr := st.watch.end()
	return f, st.load.take(), errors.Join(err, readErr)
}

func playHealthy(ctx context.Context, st *stage) error {
	stop := st.load.start(ctx, thinkTime)
	defer stop()
	st.printf("the clients work")
	streams := st.load.streams(ctx)
	defer streams.leave()
	for range 3 {
		streams.join(holdNothing)
	}
	if err := st.waitFor(ctx, "three streams open", func(ctx context.Context) error { return streams.awaitOpen(ctx, 3) }); err != nil {
		return err
	}
	st.printf("three streams are open, and hold nothing")
	if err := pause(ctx, st.pace.healthy); err != nil {
		return err
	}
	st.printState("the scene ends")
	return nil
}

func playDry(ctx context.Context, st *stage) error {
	stop := st.load.start(ctx, thinkTime)
	defer func() { stop() }()
	st.printf("the clients work")
	if err := pause(ctx, st.pace.before); err != nil {
		return err
	}
	stop()
	// On a slow machine the clients alone may have been too many.
	if err := st.drainReports(ctx); err != nil {
		return err
	}
	streams := st.load.streams(ctx)
	defer streams.leave()
	ways := []string{holdRows, holdTx, holdConn}
	st.printf("%d streams join while the clients pause, and each keeps a connection", st.limit)
	for i := range st.limit {
		streams.join(ways[i%len(ways)])
		if err := pause(ctx, st.pace.before/time.Duration(st.limit)); err != nil {
			return err
		}
	}
	if err := st.waitFor(ctx, "every stream open", func(ctx context.Context) error { return streams.awaitOpen(ctx, st.limit) }); err != nil {
		return err
	}
	st.printState("every stream is open: the pool is dry, and the clients come back")
	stop = st.load.start(ctx, thinkTime)
	select {
	case <-st.acquireErrors: //nolint:errcheck // of a request before the pool was dry
	default:
	}
	var acquireErr *otelpool.AcquireError
	err := st.waitFor(ctx, "a request got no connection", func(ctx context.Context) error {
		select {
		case acquireErr = <-st.acquireErrors:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if err != nil {
		return err
	}
	st.printf("a request has waited in vain, and its error says for whom:\n%v", acquireErr)
	report, err := st.awaitReport(ctx, otelpool.Exhausted)
	if err != nil {
		return err
	}
	st.printReport(report)
	st.printf("it stays dry for %v", st.pace.hold)
	if err := pause(ctx, st.pace.hold); err != nil {
		return err
	}
	st.printState("still dry")
	st.printHolders()
	streams.leave()
	st.printf("the streams' clients leave")
	recovered := func(f *figures) bool { return f.oldestHold < st.pace.hold }
	if err := st.waitFor(ctx, "the pool recovered", func(ctx context.Context) error { return st.watch.until(ctx, recovered) }); err != nil {
		return err
	}
	if err := pause(ctx, st.pace.after); err != nil {
		return err
	}
	st.printState("the scene ends")
	return nil
}

func playClosed(ctx context.Context, st *stage) error {
	start := time.Now()
	stop := st.load.start(ctx, thinkTime)
	defer func() { stop() }()
	st.printf("the clients work")
	st.load.digests(ctx, st.limit)
	if err := pause(ctx, st.pace.before); err != nil {
		return err
	}
	stop()
	st.printState("the clients pause")
	if err := pause(ctx, st.pace.idle); err != nil {
		return err
	}
	var closed int
	err := st.waitFor(ctx, "the server hung up", func(ctx context.Context) (err error) {
		closed, err = st.database.CloseIdle(ctx, st.pool)
		return err
	})
	if err != nil {
		return err
	}
	st.printState(fmt.Sprintf("the server closes %d sockets", closed))

	st.printf("the clients come back")
	stop = st.load.start(ctx, thinkTime)
	// As many statements at once as the pool may have connections: no dead one
	// stays at the bottom of the pool.
	found := func(f *figures) bool { return f.closed[reasonBad] >= int64(closed) }
	err = st.waitFor(ctx, "every closed connection found", func(ctx context.Context) error {
		for ctx.Err() == nil {
			st.load.digests(ctx, st.limit)
			if done, err := st.watch.check(found); done || err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	st.printf("the pool has found every one of them, and nobody else has noticed")
	st.printLost(start)
	if err := pause(ctx, st.pace.after); err != nil {
		return err
	}
	st.printState("the scene ends")
	return nil
}
