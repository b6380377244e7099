package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	// clients is the number of clients. Each has its own user, from 1 up.
	clients = 8
	// thinkTime is the mean pause between two requests of a client in a scene.
	thinkTime = 20 * time.Millisecond
	// servingThinkTime is the same after the scenes; -pause overrides it. It is long enough
	// for Jaeger, which keeps the last traces in memory, to have those of an incident
	// ten minutes later.
	servingThinkTime = 400 * time.Millisecond
	// minThinkTime is the smallest value of -pause.
	minThinkTime = time.Millisecond
	// digestEvery is how many rounds a client makes for each digest.
	digestEvery = 8
	// firstStreamUser is the user of the first stream. Users from here up have a
	// backlog that no client marks as read.
	firstStreamUser = 101
)

// load is the service's clients. It counts their HTTP responses, not connections.
type load struct {
	base string
	http *http.Client

	mu    sync.Mutex // guards tally
	tally tally
}

func newLoad(base string) *load {
	return &load{
		base:  base,
		http:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4 * clients}},
		tally: newTally(),
	}
}

// tally counts responses.
type tally struct {
	byStatus map[int]int
	lost     int // no response
	slowest  time.Duration
}

func newTally() tally { return tally{byStatus: map[int]int{}} }

func (t tally) ok() int {
	n := 0
	for status, count := range t.byStatus {
		if status < 400 {
			n += count
		}
	}
	return n
}

func (t tally) failed() int {
	n := t.lost
	for status, count := range t.byStatus {
		if status >= 400 {
			n += count
		}
	}
	return n
}

// take returns the tally and resets it.
func (l *load) take() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tally
	l.tally = newTally()
	return t
}

// start runs the clients, with a mean pause of think, until stop is called. stop waits for
// the requests in flight rather than canceling them.
func (l *load) start(ctx context.Context, think time.Duration) (stop func()) {
	var wait sync.WaitGroup
	done := make(chan struct{})
	for user := range int64(clients) {
		wait.Go(func() { l.client(ctx, done, user+1, think) })
	}
	return sync.OnceFunc(func() {
		close(done)
		wait.Wait()
	})
}

// errNoList counts as no response.
var errNoList = errors.New("the response is not a list of notifications")

// client posts, lists and marks as read, so that its backlog stays small.
func (l *load) client(ctx context.Context, done <-chan struct{}, user int64, think time.Duration) {
	rest := func() bool {
		t := time.NewTimer(think/2 + rand.N(think))
		defer t.Stop()
		select {
		case <-t.C:
			return true
		case <-done:
		case <-ctx.Done():
		}
		return false
	}
	for round := int(user); rest(); round++ {
		l.do(ctx, "POST", "/notifications", notification{User: user, Text: fmt.Sprintf("round %d", round)})
		if !rest() {
			return
		}
		var found []notification
		if body := l.do(ctx, "GET", fmt.Sprintf("/users/%d/notifications", user), nil); body != nil {
			if json.Unmarshal(body, &found) != nil {
				l.count(0, errNoList, 0)
			}
		}
		for i := 0; i < len(found) && i < 2; i++ {
			if !rest() {
				return
			}
			l.do(ctx, "POST", fmt.Sprintf("/notifications/%d/read", found[i].ID), nil)
		}
		if round%digestEvery == 0 {
			l.digest(ctx, user)
		}
	}
}

func (l *load) digest(ctx context.Context, user int64) {
	l.do(ctx, "GET", fmt.Sprintf("/users/%d/digest", user), nil)
}

// digests requests n digests concurrently and waits for all of them.
func (l *load) digests(ctx context.Context, n int) {
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { l.digest(ctx, int64(i%clients)+1) })
	}
	wait.Wait()
}

// do makes a request, counts its result, and returns the body of a successful response.
// A request canceled by ctx is not counted.
func (l *load) do(ctx context.Context, method, path string, body any) []byte {
	var send io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil
		}
		send = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, l.base+path, send)
	if err != nil {
		return nil
	}
	start := time.Now()
	status, data, err := l.send(r)
	if ctx.Err() != nil {
		return nil
	}
	l.count(status, err, time.Since(start))
	if err != nil || status >= 400 {
		return nil
	}
	return data
}

func (l *load) send(r *http.Request) (status int, body []byte, err error) {
	answer, err := l.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

func (l *load) count(status int, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.tally.lost++
	} else {
		l.tally.byStatus[status]++
	}
	l.tally.slowest = max(l.tally.slowest, took)
}

// streams is a group of clients that each follow one stream.
type streams struct {
	load  *load
	ctx   context.Context //nolint:containedctx // the clients' lifetime: leave cancels it
	end   context.CancelFunc
	wait  sync.WaitGroup
	open  chan struct{} // receives one value for each first event
	users int64
}

func (l *load) streams(ctx context.Context) *streams {
	ctx, end := context.WithCancel(ctx)
	return &streams{load: l, ctx: ctx, end: end, open: make(chan struct{}, 1000)}
}

// join adds a client whose handler holds a connection as given by hold.
func (s *streams) join(hold string) {
	user := firstStreamUser + s.users
	s.users++
	s.wait.Go(func() {
		r, err := http.NewRequestWithContext(s.ctx, "GET", fmt.Sprintf("%s/users/%d/stream?hold=%s", s.load.base, user, hold), nil)
		if err != nil {
			return
		}
		start := time.Now()
		answer, err := s.load.http.Do(r)
		if s.ctx.Err() != nil {
			return
		}
		if err != nil {
			s.load.count(0, err, time.Since(start))
			return
		}
		defer answer.Body.Close()
		s.load.count(answer.StatusCode, nil, 0)
		if answer.StatusCode != http.StatusOK {
			return
		}
		lines := bufio.NewScanner(answer.Body)
		if lines.Scan() {
			s.open <- struct{}{}
		}
		for lines.Scan() {
		}
	})
}

// awaitOpen waits until n more clients have received an event.
func (s *streams) awaitOpen(ctx context.Context, n int) error {
	for range n {
		select {
		case <-s.open:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// leave disconnects all clients and waits for them.
func (s *streams) leave() {
	s.end()
	s.wait.Wait()
}
