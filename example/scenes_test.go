package main

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"maps"
	"math"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// testPace is short where a scene waits, and long where it gives up.
var testPace = pace{
	healthy: 300 * time.Millisecond,
	lead:    200 * time.Millisecond,
	hold:    500 * time.Millisecond, // a bound of the histogram, so that it tells what is longer
	quiet:   2 * embeddedIdle,
	after:   100 * time.Millisecond,
	patient: time.Minute,
	request: time.Minute,
}

// begin sets the program up, on the server that the environment names if it names
// one, and takes it down with the test.
func begin(t *testing.T, p pace, more ...sdkmetric.Reader) *program {
	t.Helper()
	set, err := parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	set.pace = p
	var complaints bytes.Buffer
	made, err := setUp(t.Context(), set, &complaints, more...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		made.tearDown(&complaints)
		if complaints.Len() > 0 {
			t.Errorf("complaints: %s", &complaints)
		}
	})
	made.stage.tell = t.Logf
	return made
}

// performed plays the scene of the given name to its end.
func performed(t *testing.T, name string, on *stage) (*figures, tally) {
	t.Helper()
	for _, s := range scenes {
		if s.name != name {
			continue
		}
		f, counted, err := perform(t.Context(), s, on)
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

func TestInTheHealthySceneEveryRequestHoldsOneConnectionOnce(t *testing.T) {
	f, counted := performed(t, "healthy", begin(t, testPace).stage)
	if counted.failed() != 0 || counted.ok() == 0 {
		t.Errorf("requests: %d ok, %d failed", counted.ok(), counted.failed())
	}
	if got, want := f.holds.count, uint64(counted.ok()); got != want {
		t.Errorf("%d holds for %d requests", got, want)
	}
	if got, want := sum(f.acquired), int64(counted.ok()); got != want {
		t.Errorf("%d acquires for %d requests", got, want)
	}
	if f.limit != poolLimit || f.used != 0 || f.dialing != 0 {
		t.Errorf("at the end: limit %d, held %d, dialing %d", f.limit, f.used, f.dialing)
	}
	if len(f.closed) != 0 || len(f.retries) != 0 {
		t.Errorf("closed %v, retried %v", f.closed, f.retries)
	}
}

func TestInTheDrySceneStreamsHoldEveryConnection(t *testing.T) {
	p := testPace
	p.request = 100 * time.Millisecond
	f, counted := performed(t, "dry", begin(t, p).stage)
	if f.limit != poolLimit || f.mostUsed != f.limit || f.peak != f.limit {
		t.Errorf("limit %d, most held %d, peak %d", f.limit, f.mostUsed, f.peak)
	}
	if got := f.holds.atLeast(p.hold); got < poolLimit {
		t.Errorf("%d holds of %v, want at least %d", got, p.hold, poolLimit)
	}
	if got := seconds(f.holds.max); got < p.hold {
		t.Errorf("longest hold %v", got)
	}
	if f.mostOldestHold < p.hold {
		t.Errorf("longest hold in progress %v", f.mostOldestHold)
	}
	// Of ten streams four hold rows, three a transaction, three a connection.
	if rows, tx := seconds(f.heldFor["rows"]), seconds(f.heldFor["tx"]); rows < 4*p.hold || tx < 3*p.hold || f.heldFor["pinned"] == 0 {
		t.Errorf("held for %v", f.heldFor)
	}
	if counted.failed() == 0 || counted.failed() != counted.byStatus[503] {
		t.Errorf("%d requests failed: %v", counted.failed(), counted.byStatus)
	}
	if f.used != 0 {
		t.Errorf("%d connections held after the scene", f.used)
	}
}

// counting counts what the server closed.
type counting struct {
	database
	closed int64
}

func (c *counting) CloseIdle(ctx context.Context, pool *sql.DB) (int, error) {
	n, err := c.database.CloseIdle(ctx, pool)
	c.closed += int64(n)
	return n, err
}

func TestInTheClosedSceneOnlyThePoolNotices(t *testing.T) {
	on := begin(t, testPace).stage
	server := &counting{database: on.database}
	on.database = server
	f, counted := performed(t, "closed", on)
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
}

func TestTheTableIsWhatAnyReaderOfTheSDKSays(t *testing.T) {
	reader := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(sinceLastRead))
	on := begin(t, testPace, reader).stage
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	f, counted := performed(t, "closed", on)
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	other := newFigures()
	other.add(&collected)

	// One collection has seen the end only, and its seconds are not rounded in
	// the same steps.
	other.mostUsed, other.peak, other.mostOldestHold, other.usedOverTime = f.mostUsed, f.peak, f.mostOldestHold, f.usedOverTime
	for phase, got := range f.heldFor {
		if math.Abs(got-other.heldFor[phase]) > 1e-6 {
			t.Errorf("held in %s for %v s, the other reader says %v s", phase, got, other.heldFor[phase])
		}
	}
	other.heldFor = f.heldFor

	var got, want bytes.Buffer
	printTable(&got, f, counted)
	printTable(&want, other, counted)
	if got.String() != want.String() {
		t.Errorf("the table is\n%s\nthe other reader says\n%s", &got, &want)
	}
}
