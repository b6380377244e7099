package main

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// requests counts requests, and answers at once that there is one notification.
type requests struct{ atomic.Int64 }

func (n *requests) RoundTrip(r *http.Request) (*http.Response, error) {
	n.Add(1)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`[{"id": 1}]`)), Request: r}, nil
}

func TestJaegerConfig_KeepsAThreeMinuteIncidentForTenMinutes(t *testing.T) {
	content, err := os.ReadFile("backends/jaeger.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kept := regexp.MustCompile(`max_traces: (\d+)`).FindSubmatch(content)
	if kept == nil {
		t.Fatal("jaeger.yaml does not say how many traces it keeps")
	}
	most, err := strconv.Atoi(string(kept[1]))
	if err != nil {
		t.Fatal(err)
	}
	var serving requests // each is a trace
	synctest.Test(t, func(t *testing.T) {
		l := newLoad("http://service")
		l.http.Transport = &serving
		stop := l.start(t.Context(), servingThinkTime)
		time.Sleep(10 * time.Minute)
		stop()
	})
	// While the pool is dry each of them takes as long as a request may.
	incident := clients * int(3*time.Minute/defaultPace.request)
	if all := int(serving.Load()) + incident; all > most || serving.Load() == 0 {
		t.Errorf("%d traces, %d of them of the incident, but Jaeger keeps %d", all, incident, most)
	}
}
