package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// pace holds the durations of the scenes.
type pace struct {
	healthy time.Duration // the whole first scene
	before  time.Duration // load alone, before the fault
	hold    time.Duration // how long the pool stays exhausted
	idle    time.Duration // time without load before the server closes idle connections; more than embeddedIdle
	after   time.Duration // load alone, after the fault
	timeout time.Duration // limit for each wait for an expected event
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

// minHold is the smallest value of -hold. A shorter hold could be a slow statement.
const minHold = time.Second

// stage is what a scene has to work with.
type stage struct {
	pace          pace
	limit         int // connections that the pool may open
	pool          *otelpool.DB
	database      database
	load          *load
	acquireErrors <-chan *otelpool.AcquireError // holds one error
	reports       <-chan poolinfo.Report        // holds the oldest reports not yet received
	watch         *watcher
	printf        func(format string, args ...any) // prints an event of the scene with its time
}

// waitFor runs f, which waits for the event what. It fails after pace.timeout.
func (st *stage) waitFor(ctx context.Context, what string, f func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, st.pace.timeout)
	defer cancel()
	err := f(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("gave up after %v waiting for: %s", st.pace.timeout, what)
	}
	return err
}

// printState prints an event with the current state of the pool.
func (st *stage) printState(what string) {
	now, err := st.watch.collect()
	if err != nil {
		st.printf("%s", what)
		return
	}
	st.printf("%s (held %d of %d, idle %d, waiting %d)", what, now.used, now.limit, now.idle, now.waiting)
}

// drainReports receives the buffered reports. If the pool is exhausted, it waits until the
// pool has recovered.
func (st *stage) drainReports(ctx context.Context) error {
	exhausted := false
	for len(st.reports) > 0 {
		switch r := <-st.reports; r.Kind {
		case poolinfo.ReportExhausted:
			exhausted = true
		case poolinfo.ReportRecovered:
			exhausted = false
		}
	}
	if !exhausted {
		return nil
	}
	_, err := st.awaitReport(ctx, poolinfo.ReportRecovered)
	return err
}

// awaitReport receives reports up to the first of a kind.
func (st *stage) awaitReport(ctx context.Context, kind poolinfo.ReportKind) (r poolinfo.Report, err error) {
	err = st.waitFor(ctx, "the report "+string(kind), func(ctx context.Context) error {
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

// printReport prints a report and the groups of holders in it.
func (st *stage) printReport(r poolinfo.Report) {
	lines := []string{fmt.Sprintf("the pool reports: %v", r)}
	for _, g := range r.Groups {
		lines = append(lines, fmt.Sprintf("  %2d held, longest %v", g.Count, g.Longest))
	}
	st.printf("%s", strings.Join(lines, "\n"))
}

// printHolders prints the number of holders in each phase, longest hold first.
func (st *stage) printHolders() {
	now, err := otelpool.Inspect(st.pool.DB)
	if err != nil {
		st.printf("%v", err)
		return
	}
	var phases []poolinfo.Phase
	holders := map[poolinfo.Phase]int{}
	longest := map[poolinfo.Phase]time.Duration{}
	for _, c := range now.Conns[:now.Held] {
		if holders[c.Phase]++; holders[c.Phase] == 1 {
			phases = append(phases, c.Phase)
			longest[c.Phase] = c.For
		}
	}
	var parts []string
	for _, phase := range phases {
		parts = append(parts, fmt.Sprintf("%d %s (longest %s)", holders[phase], phase, short(longest[phase])))
	}
	st.printf("otelpool.Inspect, holders by phase: %s", strings.Join(parts, ", "))
}

// printLost prints how many connections were closed as bad since a time, and why for the
// last three.
func (st *stage) printLost(since time.Time) {
	now, err := otelpool.Inspect(st.pool.DB)
	if err != nil {
		st.printf("%v", err)
		return
	}
	const most = 3
	var shown []string
	lost := 0
	for _, d := range now.RecentlyClosed {
		if d.Reason != poolinfo.ReasonBad || d.Time.Before(since) {
			continue
		}
		if lost++; lost <= most {
			shown = append(shown, d.String())
		}
	}
	st.printf("otelpool.Inspect lists %d connections closed as bad, with the cause; the last %d:\n%s", lost, len(shown), strings.Join(shown, "\n"))
}

// scene is one situation of a pool.
type scene struct {
	name  string
	title string
	about string // what happens
	look  string // what to look for in its output
	play  func(context.Context, *stage) error
}

var scenes = []scene{
	{
		name:  "healthy",
		title: "a healthy pool",
		about: "Eight clients post, list and read notifications. Now and then they request a digest, which is " +
			"one slow statement. Three more clients follow a stream. Its handler releases the connection " +
			"before it waits for new notifications.",
		look: "the number of held connections stays below the limit. Holds are as short as statements. " +
			"A request waits only while a connection is dialed.",
		play: playHealthy,
	},
	{
		name:  "dry",
		title: "streams hold every connection",
		about: "Ten clients open streams whose handlers hold a connection until the client disconnects: by an " +
			"open result set, an open transaction, or a dedicated connection (sql.Conn). Until then, all other " +
			"requests wait for a connection, time out, and fail with 503.",
		look: "the pool reports that it is exhausted while the connections are still held. The report names " +
			"the lines in stream.go that acquired them. The number of held connections reaches the limit and stays " +
			"there, but statements are as fast as before: the database is not the cause. All clients wait at once. " +
			"A request times out after the time it may take; the error of the first one names the holders. Ten " +
			"holds last seconds, and their time is in the phases rows, tx and pinned, not in executing. A " +
			"connection is closed as bad if its client disconnects while a result set is open, or if a request " +
			"times out while a statement runs.",
		play: playDry,
	},
	{
		name:  "closed",
		title: "the server closes idle connections",
		about: "The clients pause, and the server closes every idle connection, as it does after its " +
			"wait_timeout. The pool does not notice and still counts them as idle. Then the clients resume.",
		look: "no request fails, so the clients do not notice. But the pool closes one connection as bad for each " +
			"one that the server closed, and database/sql retries as many attempts without a log line. " +
			"otelpool.Inspect lists each of these connections with the cause and the setting that prevents it.",
		play: playClosed,
	},
}

// runScene plays a scene and returns the SDK's figures and the clients' counts, also when
// it is interrupted.
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
	st.printf("%d clients send requests", clients)
	streams := st.load.streams(ctx)
	defer streams.leave()
	for range 3 {
		streams.join(holdNothing)
	}
	if err := st.waitFor(ctx, "three open streams", func(ctx context.Context) error { return streams.awaitOpen(ctx, 3) }); err != nil {
		return err
	}
	st.printf("three streams are open and hold no connection")
	if err := pause(ctx, st.pace.healthy); err != nil {
		return err
	}
	st.printState("the scene ends")
	return nil
}

func playDry(ctx context.Context, st *stage) error {
	stop := st.load.start(ctx, thinkTime)
	defer func() { stop() }()
	st.printf("%d clients send requests", clients)
	if err := pause(ctx, st.pace.before); err != nil {
		return err
	}
	stop()
	// On a slow machine the clients alone may exhaust the pool.
	if err := st.drainReports(ctx); err != nil {
		return err
	}
	streams := st.load.streams(ctx)
	defer streams.leave()
	ways := []string{holdRows, holdTx, holdConn}
	st.printf("the clients pause; %d streams join, and each holds a connection", st.limit)
	for i := range st.limit {
		streams.join(ways[i%len(ways)])
		if err := pause(ctx, st.pace.before/time.Duration(st.limit)); err != nil {
			return err
		}
	}
	if err := st.waitFor(ctx, "every stream being open", func(ctx context.Context) error { return streams.awaitOpen(ctx, st.limit) }); err != nil {
		return err
	}
	st.printState("every stream is open: the pool is exhausted; the clients resume")
	stop = st.load.start(ctx, thinkTime)
	select {
	case <-st.acquireErrors: //nolint:errcheck // from a request before the pool was exhausted
	default:
	}
	var acquireErr *otelpool.AcquireError
	err := st.waitFor(ctx, "a request without a connection", func(ctx context.Context) error {
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
	st.printf("a request got no connection in time; its error names the holders:\n%v", acquireErr)
	report, err := st.awaitReport(ctx, poolinfo.ReportExhausted)
	if err != nil {
		return err
	}
	st.printReport(report)
	st.printf("the streams hold their connections for another %v", st.pace.hold)
	if err := pause(ctx, st.pace.hold); err != nil {
		return err
	}
	st.printState("still exhausted")
	st.printHolders()
	streams.leave()
	st.printf("the streams' clients disconnect")
	recovered := func(f *figures) bool { return f.oldestHold < st.pace.hold }
	if err := st.waitFor(ctx, "the pool recovering", func(ctx context.Context) error { return st.watch.until(ctx, recovered) }); err != nil {
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
	st.printf("%d clients send requests", clients)
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
	err := st.waitFor(ctx, "the server closing the idle connections", func(ctx context.Context) (err error) {
		closed, err = st.database.CloseIdle(ctx, st.pool)
		return err
	})
	if err != nil {
		return err
	}
	st.printState(fmt.Sprintf("the server closes %d idle connections; the pool does not notice", closed))

	st.printf("the clients resume")
	stop = st.load.start(ctx, thinkTime)
	// As many statements at once as the pool may have connections, so that each closed
	// connection is used.
	found := func(f *figures) bool { return f.closed[reasonBad] >= int64(closed) }
	err = st.waitFor(ctx, "the pool closing every lost connection as bad", func(ctx context.Context) error {
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
	st.printf("the pool has found and closed all %d connections, and database/sql has retried", closed)
	st.printLost(start)
	if err := pause(ctx, st.pace.after); err != nil {
		return err
	}
	st.printState("the scene ends")
	return nil
}
