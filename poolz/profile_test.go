package poolz

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/pprof/profile"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
)

func join(s []string) string { return strings.Join(s, " ") }

func TestProfile_HasAllHolds(t *testing.T) {
	w := get(t, serving(nil, drained(), healthy()), "GET", "/holds.pb.gz")
	p, err := profile.Parse(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Sample {
		var stack []string
		for _, l := range s.Location {
			at := l.Line[0]
			stack = append(stack, fmt.Sprintf("%s %s:%d", at.Function.Name, filepath.Base(at.Function.Filename), at.Line))
		}
		got = append(got, fmt.Sprint(s.Value, s.Label, stack))
	}
	const pkg = "github.com/otelpool/otelpool/poolz."
	want := []string{
		"[10 2395000000000] map[pool:[orders]] [" + pkg + "notifications.lastEvent shop_test.go:25 " + pkg + "notifications.stream shop_test.go:20]",
		"[1500 9000000000] map[pool:[orders]] [" + pkg + "listOrders shop_test.go:35]",
		"[7 2000000] map[pool:[orders]] [[holds shorter than 1ms] .:0]",
		"[8000 37000000000] map[pool:[catalog]] [" + pkg + "checkout shop_test.go:30]",
		"[3000 2000000000] map[pool:[catalog]] [[holds shorter than 1ms] .:0]",
		"[20 1000000000] map[pool:[catalog]] [[callers not recorded] .:0]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	types := []string{p.DefaultSampleType}
	for _, v := range p.SampleType {
		types = append(types, v.Type+"/"+v.Unit)
	}
	if join(types) != "held holds/count held/nanoseconds" || p.TimeNanos != start.UnixNano() {
		t.Errorf("%s at %d", types, p.TimeNanos)
	}
}

func TestProfile_SelectsPoolsByName(t *testing.T) {
	for target, want := range map[string]int{"/holds.pb.gz?pool=catalog": 3, "/holds.pb.gz?pool=none": 0} {
		p, err := profile.Parse(get(t, serving(nil, drained(), healthy()), "GET", target).Body)
		if err != nil || len(p.Sample) != want {
			t.Errorf("%s: %v, %v", target, p, err)
		}
	}
}

func TestProfile_OpensInGoToolPprof(t *testing.T) {
	w := get(t, serving(nil, drained(), healthy()), "GET", "/holds.pb.gz")
	want := []string{
		"Showing nodes accounting for 2444s, 100% of 2444s total",
		"      flat  flat%   sum%        cum   cum%",
		"     2395s 98.00% 98.00%      2395s 98.00%  github.com/otelpool/otelpool/poolz.notifications.lastEvent",
		"       37s  1.51% 99.51%        37s  1.51%  github.com/otelpool/otelpool/poolz.checkout",
		"        9s  0.37% 99.88%         9s  0.37%  github.com/otelpool/otelpool/poolz.listOrders",
		"        2s 0.082%   100%         2s 0.082%  [holds shorter than 1ms]",
		"        1s 0.041%   100%         1s 0.041%  [callers not recorded]",
		"         0     0%   100%      2395s 98.00%  github.com/otelpool/otelpool/poolz.notifications.stream",
	}
	if got := top(t, w.Body.Bytes()); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// TestProfile_NamesTheFunctionsThatHeldConnections runs two handlers. One still holds
// its connection.
func TestProfile_NamesTheFunctionsThatHeldConnections(t *testing.T) {
	w := httptest.NewRecorder()
	synctest.Test(t, func(t *testing.T) {
		fake := fakedb.New(fakedb.Config{Conn: fakedb.AllConn})
		db, err := otelpool.NewDB(otelpool.OpenDB(fake.Connector(), otelpool.WithPoolName("orders"), otelpool.WithLeakThreshold(-1)))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var handlers sync.WaitGroup
		handlers.Go(func() {
			if err := (notifications{}).keep(t.Context(), db, time.Hour); err != nil {
				t.Error(err)
			}
		})
		for range 10 {
			if err := sell(t.Context(), db, time.Second); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(80 * time.Second)
		Handler().ServeHTTP(w, httptest.NewRequest("GET", "/debug/poolz/holds.pb.gz", nil))
		handlers.Wait()
	})
	got := top(t, w.Body.Bytes())
	want := []string{
		"Showing nodes accounting for 100s, 100% of 100s total",
		"      flat  flat%   sum%        cum   cum%",
		"       90s 90.00% 90.00%        90s 90.00%  github.com/otelpool/otelpool/poolz.notifications.keep",
		"       10s 10.00%   100%        10s 10.00%  github.com/otelpool/otelpool/poolz.sell",
	}
	if !slices.Equal(got[:min(len(got), len(want))], want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// top is the output of go tool pprof -top, from the line with the sum: above it is the
// time, in the zone of the machine.
func top(t *testing.T, content []byte) []string {
	t.Helper()
	program, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), profileName)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "tool", "pprof", "-top", "-nodefraction=0", file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	i := slices.IndexFunc(lines, func(s string) bool { return strings.HasPrefix(s, "Showing") })
	return lines[max(i, 0):]
}
