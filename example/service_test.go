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

func TestANotificationIsPostedListedAndRead(t *testing.T) {
	base := begin(t, testPace).base
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

func TestAStreamSendsTheBacklogAndThenTheNewsWithoutAConnection(t *testing.T) {
	p := begin(t, testPace)
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
