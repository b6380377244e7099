package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// testPace has short pauses and long timeouts.
var testPace = pace{
	healthy: 300 * time.Millisecond,
	before:  200 * time.Millisecond,
	hold:    500 * time.Millisecond, // a bound of the histogram, so that longer holds can be counted
	idle:    2 * embeddedIdle,
	after:   100 * time.Millisecond,
	timeout: time.Minute,
	request: time.Minute,
}

// startProgram sets the program up, on the server that the environment names if any. It is
// torn down at the end of the test.
func startProgram(t *testing.T, times pace, more ...sdkmetric.Reader) *program {
	t.Helper()
	set, err := parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	set.pace = times
	var stderr bytes.Buffer
	p, err := setUp(t.Context(), set, &stderr, more...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.tearDown(&stderr)
		if stderr.Len() > 0 {
			t.Errorf("stderr: %s", &stderr)
		}
	})
	p.stage.printf = t.Logf
	return p
}

// acquireErrors collects the errors of all requests that get no connection from now on. It
// must be called before the first request.
func acquireErrors(s *service) (all func() []*otelpool.AcquireError) {
	var mu sync.Mutex // guards errs
	var errs []*otelpool.AcquireError
	next := s.onAcquireError
	s.onAcquireError = func(e *otelpool.AcquireError) {
		mu.Lock()
		errs = append(errs, e)
		mu.Unlock()
		next(e)
	}
	return func() []*otelpool.AcquireError {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(errs)
	}
}

// playScene plays the scene of a name to its end.
func playScene(t *testing.T, name string, st *stage) (*figures, tally) {
	t.Helper()
	for _, s := range scenes {
		if s.name != name {
			continue
		}
		f, counted, err := runScene(t.Context(), s, st)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		printTable(&out, f, counted)
		t.Logf("\n%s", &out)
		return f, counted
	}
	t.Fatalf("no scene %s", name)
	return nil, tally{}
}

func TestHealthyScene_EachRequestHoldsOneConnectionOnce(t *testing.T) {
	f, counted := playScene(t, "healthy", startProgram(t, testPace).stage)
	if counted.failed() != 0 || counted.ok() == 0 {
		t.Errorf("requests: %d ok, %d failed", counted.ok(), counted.failed())
	}
	if got, want := f.holds.count, uint64(counted.ok()); got != want {
		t.Errorf("%d holds for %d requests", got, want)
	}
	if got, want := sum(f.acquired), int64(counted.ok()); got != want {
		t.Errorf("%d acquires for %d requests", got, want)
	}
	if got, want := f.waits.count, uint64(counted.ok()); got != want {
		t.Errorf("%d waits for %d requests", got, want)
	}
	if f.failedWaits.count != 0 || f.timeouts != 0 || f.cancels != 0 {
		t.Errorf("%d failed waits, %d timed out, %d canceled", f.failedWaits.count, f.timeouts, f.cancels)
	}
	if f.limit != poolLimit || f.used != 0 || f.dialing != 0 || f.waiting != 0 {
		t.Errorf("at the end: limit %d, held %d, dialing %d, waiting %d", f.limit, f.used, f.dialing, f.waiting)
	}
	if len(f.closed) != 0 || len(f.retries) != 0 {
		t.Errorf("closed %v, retried %v", f.closed, f.retries)
	}
}

// checkDryReport fails unless the report printed before the streams' clients disconnect
// names a line of the streams' handler for every connection.
func checkDryReport(t *testing.T, story []string) {
	t.Helper()
	for _, text := range story {
		if text == "the streams' clients disconnect" {
			break
		}
		lines := strings.Split(text, "\n")
		if !strings.HasPrefix(lines[0], "the pool reports: pool notifications is exhausted: 10/10 held, ") {
			continue
		}
		held := 0
		for _, line := range lines[1:] {
			var n int
			if _, err := fmt.Sscanf(line, "  %d held,", &n); err != nil || !regexp.MustCompile(`\) at (store\.go:\d+ from )?stream\.go:\d+`).MatchString(line) {
				t.Errorf("not a call site in stream.go: %s", line)
			}
			held += n
		}
		if held != poolLimit {
			t.Errorf("the report has %d holders: %s", held, text)
		}
		return
	}
	t.Errorf("no report before the streams' clients disconnect:\n%s", strings.Join(story, "\n"))
}

// checkDryPage fails unless the page agrees with the report.
func checkDryPage(t *testing.T, page string) {
	t.Helper()
	var shown struct {
		Pools []struct {
			State string
			Conns []struct {
				Holder *struct {
					Frames []struct{ File string }
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(page), &shown); err != nil || len(shown.Pools) != 1 {
		t.Fatalf("%v: %s", err, page)
	}
	pool := shown.Pools[0]
	if pool.State != "exhausted" || len(pool.Conns) != poolLimit {
		t.Errorf("the page has verdict %s and %d connections", pool.State, len(pool.Conns))
	}
	for _, c := range pool.Conns {
		if c.Holder == nil || !slices.ContainsFunc(c.Holder.Frames, func(f struct{ File string }) bool { return filepath.Base(f.File) == "stream.go" }) {
			t.Errorf("the page has a holder without a call site in stream.go: %v", c.Holder)
		}
	}
}

// checkDryProfile fails unless the handler of the streams has more than half of the time
// in the profile of the holds.
func checkDryProfile(t *testing.T, url string) {
	t.Helper()
	out, err := exec.Command("go", "tool", "pprof", "-top", "-cum", url).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 6 || !strings.HasSuffix(f[5], ".(*service).stream") {
			continue
		}
		if share, err := strconv.ParseFloat(strings.TrimSuffix(f[4], "%"), 64); err != nil || share < 50 {
			t.Errorf("the streams have %s of the time:\n%s", f[4], out)
		}
		return
	}
	t.Errorf("no streams in\n%s", out)
}

// checkDryEvents fails unless the span of each stream has the event of the report, with
// a time before its end.
func checkDryEvents(t *testing.T, spans []sdktrace.ReadOnlySpan) {
	t.Helper()
	found := 0
	for _, span := range spans {
		if span.Name() != "GET /users/{id}/stream" {
			continue
		}
		for _, e := range span.Events() {
			if e.Name == "otelpool.pool.exhausted" && e.Time.Before(span.EndTime()) &&
				slices.Contains(e.Attributes, attribute.String("otelpool.verdict", "idle_in_code")) {
				found++
			}
		}
	}
	if found != poolLimit {
		t.Errorf("%d spans of streams have the event, want %d", found, poolLimit)
	}
}

func TestDryScene_StreamsHoldEveryConnection(t *testing.T) {
	times := testPace
	times.request = 100 * time.Millisecond
	p := startProgram(t, times)
	failures := acquireErrors(p.service)
	var story []string
	var page string
	p.stage.printf = func(format string, args ...any) {
		story = append(story, fmt.Sprintf(format, args...))
		if page == "" && strings.HasPrefix(story[len(story)-1], "the pool reports: ") {
			_, page = exchange(t, "GET", p.base+"/debug/poolz/?format=json", "")
		}
	}
	spans := tracetest.NewSpanRecorder()
	p.telemetry.spans.RegisterSpanProcessor(spans)
	f, counted := playScene(t, "dry", p.stage)
	checkDryReport(t, story)
	checkDryPage(t, page)
	checkDryProfile(t, p.base+"/debug/poolz/holds.pb.gz")
	checkDryEvents(t, spans.Ended())
	if f.limit != poolLimit || f.mostUsed != f.limit || f.peak != f.limit {
		t.Errorf("limit %d, most held %d, peak %d", f.limit, f.mostUsed, f.peak)
	}
	if got := f.holds.atLeast(times.hold); got < poolLimit {
		t.Errorf("%d holds of %v, want at least %d", got, times.hold, poolLimit)
	}
	if got := seconds(f.holds.max); got < times.hold {
		t.Errorf("longest hold %v", got)
	}
	if f.mostOldestHold < times.hold {
		t.Errorf("longest hold in progress %v", f.mostOldestHold)
	}
	// Of ten streams four hold rows, three a transaction, three a connection.
	if rows, tx := seconds(f.heldFor["rows"]), seconds(f.heldFor["tx"]); rows < 4*times.hold || tx < 3*times.hold || f.heldFor["pinned"] == 0 {
		t.Errorf("held for %v", f.heldFor)
	}
	if counted.failed() == 0 || counted.failed() != counted.byStatus[503] {
		t.Errorf("%d requests failed: %v", counted.failed(), counted.byStatus)
	}
	if f.used != 0 || f.waiting != 0 {
		t.Errorf("after the scene %d connections are held, %d callers are waiting", f.used, f.waiting)
	}

	// A request may also time out while it holds a connection.
	failed := len(failures())
	if f.timeouts != int64(failed) || f.failedWaits.count != uint64(failed) || f.cancels != 0 || counted.failed() < failed {
		t.Errorf("%d requests got no connection; %d failed waits, %d timed out, %d canceled, %d requests failed",
			failed, f.failedWaits.count, f.timeouts, f.cancels, counted.failed())
	}
	// A call that is retried after a bad connection acquires twice and waits once.
	if got, acquired, again := int64(f.waits.count), sum(f.acquired), sum(f.retries); got > acquired || got < acquired-again {
		t.Errorf("%d waits for %d acquires, up to %d of them retries", got, acquired, again)
	}
	if f.mostWaiting < 1 || f.mostWaiting > clients {
		t.Errorf("%d callers waited", f.mostWaiting)
	}
	// A request's timeout starts shortly before its wait.
	if got := seconds(f.failedWaits.max); got < times.request*9/10 {
		t.Errorf("the longest failed wait is %v", got)
	}
	if f.mostOldestWait <= 0 || seconds(f.waited) < time.Duration(failed)*times.request*9/10 {
		t.Errorf("waited for up to %v, in all %v", f.mostOldestWait, seconds(f.waited))
	}

	var printed []*otelpool.AcquireError
	for _, e := range failures() {
		if slices.ContainsFunc(story, func(line string) bool { return strings.HasSuffix(line, ":\n"+e.Error()) }) {
			printed = append(printed, e)
		}
	}
	if len(printed) != 1 || len(printed[0].Holders) != 5 {
		t.Fatalf("printed %v in\n%s", printed, strings.Join(story, "\n"))
	}
	for i, h := range printed[0].Holders {
		at := slices.IndexFunc(h.CallSite.Frames(), func(f runtime.Frame) bool { return strings.HasSuffix(f.Function, ".(*service).stream") })
		if at < 0 {
			t.Errorf("holder %d is no stream: %v", i, h)
			continue
		}
		if line := fmt.Sprintf("stream.go:%d", h.CallSite.Frames()[at].Line); i < 3 && !strings.Contains(printed[0].Error(), line) {
			t.Errorf("no %s in %v", line, printed[0])
		}
	}
}

// countingDatabase counts the connections that the server closes.
type countingDatabase struct {
	database
	closed int64
}

func (c *countingDatabase) CloseIdle(ctx context.Context, pool *otelpool.DB) (int, error) {
	n, err := c.database.CloseIdle(ctx, pool)
	c.closed += int64(n)
	return n, err
}

func TestClosedScene_RetriesWithoutFailingARequest(t *testing.T) {
	st := startProgram(t, testPace).stage
	server := &countingDatabase{database: st.database}
	st.database = server
	var story []string
	st.printf = func(format string, args ...any) { story = append(story, fmt.Sprintf(format, args...)) }
	f, counted := playScene(t, "closed", st)
	if server.closed == 0 {
		t.Fatal("the server closed nothing")
	}
	if want := map[string]int64{reasonBad: server.closed}; !maps.Equal(f.closed, want) {
		t.Errorf("closed %v, want %v", f.closed, want)
	}
	if sum(f.retries) != server.closed {
		t.Errorf("retried %v, want %d", f.retries, server.closed)
	}
	if counted.failed() != 0 || counted.ok() == 0 {
		t.Errorf("requests: %d ok, %d failed", counted.ok(), counted.failed())
	}

	now, err := otelpool.Inspect(st.pool.DB)
	if err != nil {
		t.Fatal(err)
	}
	if len(now.RecentlyClosed) != int(server.closed) {
		t.Fatalf("%d closed connections, want %d", len(now.RecentlyClosed), server.closed)
	}
	for _, d := range now.RecentlyClosed {
		if _, here := server.database.(*embedded); !here {
			break // a real server closes them because of KILL, not its idle timeout
		}
		if d.Class != poolinfo.ClassServerIdleTimeout || d.Server.IdleTimeout != embeddedIdle || d.Idle < embeddedIdle {
			t.Errorf("%+v", d)
		}
		if want := "the server closes a connection that is idle for 1s: set SetConnMaxIdleTime below that"; d.Advice != want {
			t.Errorf("advice %q, want %q", d.Advice, want)
		}
	}
	var lines []string
	for i, d := range now.RecentlyClosed {
		if i < 3 {
			lines = append(lines, d.String())
		}
	}
	if want := strings.Join(lines, "\n"); !slices.ContainsFunc(story, func(line string) bool { return strings.HasSuffix(line, ":\n"+want) }) {
		t.Errorf("no\n%s\nin\n%s", want, strings.Join(story, "\n"))
	}
}

func TestPrintTable_AgreesWithAnotherSDKReader(t *testing.T) {
	reader := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(deltaTemporality))
	st := startProgram(t, testPace, reader).stage
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	f, counted := playScene(t, "closed", st)
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	other := newFigures()
	other.add(&collected)

	// One collection has the state at the end only, and rounds sums differently.
	other.mostUsed, other.peak, other.mostOldestHold, other.usedOverTime = f.mostUsed, f.peak, f.mostOldestHold, f.usedOverTime
	other.mostWaiting, other.mostOldestWait = f.mostWaiting, f.mostOldestWait
	if math.Abs(f.waited-other.waited) > 1e-6 {
		t.Errorf("waited for %v s, the other reader has %v s", f.waited, other.waited)
	}
	other.waited = f.waited
	for phase, got := range f.heldFor {
		if math.Abs(got-other.heldFor[phase]) > 1e-6 {
			t.Errorf("held in %s for %v s, the other reader has %v s", phase, got, other.heldFor[phase])
		}
	}
	other.heldFor = f.heldFor

	var got, want bytes.Buffer
	printTable(&got, f, counted)
	printTable(&want, other, counted)
	if got.String() != want.String() {
		t.Errorf("the table is\n%s\nthe other reader has\n%s", &got, &want)
	}
}
