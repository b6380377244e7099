package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// What a stream holds until its client disconnects. The last three are bugs that look
// harmless in the code.
const (
	holdNothing = ""     // reads the backlog, releases the connection, follows the feed
	holdRows    = "rows" // sends the backlog at the client's pace, straight from the result set
	holdTx      = "tx"   // opens a transaction for the backlog and ends it with the stream
	holdConn    = "conn" // polls for new notifications on a dedicated connection
)

// streamPace is the polling interval of a stream that does not follow the feed, and the
// minimum of readingPace.
const streamPace = 250 * time.Millisecond

// readingPace is how long a client takes to read one notification. Reading a whole backlog,
// with the result set open, takes longer than hold.
func readingPace(hold time.Duration) time.Duration { return max(streamPace, 2*hold/backlogLimit) }

// stream sends the user's notifications as server-sent events until the client
// disconnects: first the backlog, then new ones. The parameter hold selects what it holds
// meanwhile.
func (s *service) stream(w http.ResponseWriter, r *http.Request) error {
	user, err := pathID(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	events := &eventWriter{w: w, flusher: http.NewResponseController(w)}
	switch hold := r.FormValue("hold"); hold {
	case holdNothing:
		err = s.streamFeed(ctx, events, s.store.db, user)
	case holdRows:
		err = s.streamRows(ctx, events, user)
	case holdTx:
		var tx *sql.Tx
		if tx, err = s.store.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err == nil {
			defer tx.Rollback()
			err = s.streamFeed(ctx, events, tx, user)
		}
	case holdConn:
		var c *sql.Conn
		if c, err = s.store.db.Conn(ctx); err == nil {
			defer c.Close()
			err = s.streamPolling(ctx, events, c, user)
		}
	default:
		return failure{http.StatusBadRequest, fmt.Errorf("hold=%s: want rows, tx, conn or nothing", hold)}
	}
	if ctx.Err() != nil || events.started {
		// The client has disconnected, or already has its status.
		return nil
	}
	return err
}

// streamFeed queries q once. It follows the feed before that, so that it misses no
// notification in between.
func (s *service) streamFeed(ctx context.Context, events *eventWriter, q querier, user int64) error {
	news, leave := s.feed.follow(user)
	defer leave()
	backlog, err := s.store.list(ctx, q, user, 0)
	if err != nil {
		return err
	}
	var last int64
	for _, n := range backlog {
		if err := events.send(n); err != nil {
			return err
		}
		last = n.ID
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case n := <-news:
			if n.ID <= last {
				continue
			}
			if err := events.send(n); err != nil {
				return err
			}
		}
	}
}

// streamRows holds a connection by its result set, which stays open until the last row is
// sent.
func (s *service) streamRows(ctx context.Context, events *eventWriter, user int64) error {
	rows, err := s.store.query(ctx, s.store.db, user, 0)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		n, err := scan(rows)
		if err != nil {
			return err
		}
		if err := events.send(n); err != nil {
			return err
		}
		if err := pause(ctx, s.reading); err != nil {
			return err
		}
	}
	return rows.Err()
}

// streamPolling queries q at every streamPace.
func (s *service) streamPolling(ctx context.Context, events *eventWriter, q querier, user int64) error {
	var last int64
	for {
		found, err := s.store.list(ctx, q, user, last)
		if err != nil {
			return err
		}
		for _, n := range found {
			if err := events.send(n); err != nil {
				return err
			}
			last = n.ID
		}
		if err := pause(ctx, streamPace); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// eventWriter writes server-sent events.
type eventWriter struct {
	w       http.ResponseWriter
	flusher *http.ResponseController
	started bool // the status is sent
}

func (e *eventWriter) send(n notification) error {
	if !e.started {
		e.w.Header().Set("Content-Type", "text/event-stream")
		e.w.Header().Set("Cache-Control", "no-store")
		e.started = true
	}
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(e.w, "id: %d\ndata: %s\n\n", n.ID, data); err != nil {
		return err
	}
	return e.flusher.Flush()
}

// feed passes new notifications to the streams of this process. A follower that does not
// keep up misses some rather than block the writer. They are in the backlog when it
// reconnects.
type feed struct {
	mu        sync.Mutex // guards followers
	followers map[int64]map[chan notification]struct{}
}

func newFeed() *feed { return &feed{followers: map[int64]map[chan notification]struct{}{}} }

func (f *feed) follow(user int64) (news <-chan notification, leave func()) {
	c := make(chan notification, 16)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.followers[user] == nil {
		f.followers[user] = map[chan notification]struct{}{}
	}
	f.followers[user][c] = struct{}{}
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.followers[user], c)
		if len(f.followers[user]) == 0 {
			delete(f.followers, user)
		}
	}
}

func (f *feed) publish(n notification) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.followers[n.User] {
		select {
		case c <- n:
		default:
		}
	}
}
