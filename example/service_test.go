package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// exchange makes a request and returns the status and the body.
func exchange(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	data, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, strings.TrimSpace(string(data))
}

func TestReadingPace_OutlastsTheHold(t *testing.T) {
	for hold, want := range map[time.Duration]time.Duration{
		defaultPace.hold: 250 * time.Millisecond,
		time.Minute:      1200 * time.Millisecond,
		3 * time.Minute:  3600 * time.Millisecond,
	} {
		if got := readingPace(hold); got != want || got*backlogLimit <= hold {
			t.Errorf("hold %v: a notification takes %v, want %v", hold, got, want)
		}
	}
}

func TestService_PostsListsAndReadsANotification(t *testing.T) {
	base := startProgram(t, testPace).base
	status, body := exchange(t, "POST", base+"/notifications", `{"user": 1, "text": "hello"}`)
	var posted notification
	if err := json.Unmarshal([]byte(body), &posted); err != nil || status != http.StatusCreated || posted.ID == 0 {
		t.Fatalf("posted: %d %s", status, body)
	}
	read := fmt.Sprintf("/notifications/%d/read", posted.ID)
	for _, step := range []struct {
		method, path, body string
		status             int
		answer             string
	}{
		{"GET", "/users/1/notifications", "", 200, fmt.Sprintf(`[{"id":%d,"user":1,"text":"hello"}]`, posted.ID)},
		{"GET", "/users/2/notifications", "", 200, `[]`},
		{"POST", read, "", 204, ""},
		{"POST", read, "", 404, "no such notification"},
		{"GET", "/users/1/notifications", "", 200, `[]`},
		{"GET", "/users/1/digest", "", 204, ""},
		{"GET", "/users/me/notifications", "", 400, `strconv.ParseInt: parsing "me": invalid syntax`},
		{"GET", "/users/1/stream?hold=all", "", 400, "hold=all: want rows, tx, conn or nothing"},
		{"POST", "/notifications", "{", 400, "unexpected EOF"},
	} {
		if status, answer := exchange(t, step.method, base+step.path, step.body); status != step.status || answer != step.answer {
			t.Errorf("%s %s: %d %s, want %d %s", step.method, step.path, status, answer, step.status, step.answer)
		}
	}
}

func TestStreamFeed_HoldsNoConnectionWhileItWaits(t *testing.T) {
	p := startProgram(t, testPace)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r, err := http.NewRequestWithContext(ctx, "GET", p.base+"/users/1/stream", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	posted, err := p.service.store.add(t.Context(), 1, "backlog")
	if err != nil {
		t.Fatal(err)
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer got.Body.Close()
	lines := bufio.NewScanner(got.Body)
	event := func() (text string) {
		for lines.Scan() && lines.Text() != "" {
			text += lines.Text() + "\n"
		}
		return text
	}
	if got, want := event(), fmt.Sprintf("id: %d\ndata: {\"id\":%d,\"user\":1,\"text\":\"backlog\"}\n", posted.ID, posted.ID); got != want {
		t.Errorf("first event %q, want %q", got, want)
	}
	if n := p.stage.pool.Stats().InUse; n != 0 {
		t.Errorf("%d connections in use while the stream waits", n)
	}
	_, body := exchange(t, "POST", p.base+"/notifications", `{"user": 1, "text": "news"}`)
	if got := event(); !strings.HasSuffix(got, "\ndata: "+body+"\n") {
		t.Errorf("second event %q, want %s", got, body)
	}
}

func TestService_KeepsAcquireErrorDetailsFromTheClient(t *testing.T) {
	const requests = 4
	pace := testPace
	pace.request = 50 * time.Millisecond
	p := startProgram(t, pace)
	failures := acquireErrors(p.service)
	for range poolLimit {
		c, err := p.stage.pool.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	watch := p.stage.watch
	until := func(what string, satisfied func(*figures) bool) {
		t.Helper()
		if err := p.stage.waitFor(t.Context(), what, func(ctx context.Context) error { return watch.until(ctx, satisfied) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := watch.begin(); err != nil {
		t.Fatal(err)
	}
	for range requests {
		if status, body := exchange(t, "GET", p.base+"/users/1/notifications", ""); status != http.StatusServiceUnavailable || body != "context deadline exceeded" {
			t.Errorf("answer %d %s", status, body)
		}
	}
	// A stream waits until its client disconnects.
	streams := p.stage.load.streams(t.Context())
	streams.join(holdTx)
	until("the stream waits", func(f *figures) bool { return f.waiting == 1 })
	streams.leave()
	until("its wait is recorded", func(f *figures) bool { return f.failedWaits.count == requests+1 })
	f, err := watch.end()
	if err != nil {
		t.Fatal(err)
	}
	if f.timeouts != requests || f.cancels != 1 || f.failedWaits.count != requests+1 || f.waits.count != 0 || f.mostWaiting != 1 {
		t.Errorf("%d timed out, %d canceled, %d failed waits, %d successful, at most %d at once",
			f.timeouts, f.cancels, f.failedWaits.count, f.waits.count, f.mostWaiting)
	}
	if n := len(failures()); n != requests {
		t.Errorf("the service has %d errors", n)
	}
	for _, e := range failures() {
		if e.Cause != poolinfo.CauseDeadline || e.Held != poolLimit || e.MaxOpen != poolLimit || e.Waiting != 0 {
			t.Errorf("got %v", e)
		}
		if !strings.Contains(e.Error(), "at service_test.go:") {
			t.Errorf("the holder is not named: %v", e)
		}
	}
}
