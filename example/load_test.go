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

// requests counts requests, and responds to each with one notification.
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
		t.Fatal("jaeger.yaml has no max_traces")
	}
	most, err := strconv.Atoi(string(kept[1]))
	if err != nil {
		t.Fatal(err)
	}
	var serving requests // one trace each
	synctest.Test(t, func(t *testing.T) {
		l := newLoad("http://service")
		l.http.Transport = &serving
		stop := l.start(t.Context(), servingThinkTime)
		time.Sleep(10 * time.Minute)
		stop()
	})
	// While the pool is exhausted, each request of a client takes the whole request timeout.
	incident := clients * int(3*time.Minute/defaultPace.request)
	if all := int(serving.Load()) + incident; all > most || serving.Load() == 0 {
		t.Errorf("%d traces, %d of them from the incident, but Jaeger keeps %d", all, incident, most)
	}
}
