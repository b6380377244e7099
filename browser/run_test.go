package browser_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/otelpool/otelpool/internal/process"
)

// service is the example's service name, pool name and job.
const service = "notifications"

// run is a run of the example with a Prometheus that scrapes it every second and a Jaeger
// that receives its traces by OTLP.
type run struct {
	t                           *testing.T
	example, prometheus, jaeger string // their URLs
}

// startRun starts all three. They stop with the test. The load is that of a scene. A stream
// sends its result set for longer than hold.
func startRun(t *testing.T, jaeger string, hold time.Duration) *run {
	t.Helper()
	dir := t.TempDir()
	example, prometheus, query, otlp := process.FreeAddress(t), process.FreeAddress(t), process.FreeAddress(t), process.FreeAddress(t)
	r := &run{t, "http://" + example, "http://" + prometheus, "http://" + query}

	process.Start(t, []string{"JAEGER_OTLP=" + otlp, "JAEGER_QUERY=" + query}, jaeger, "--config=../example/backends/jaeger.yaml").
		AwaitReady(t, r.jaeger+"/api/services")

	built := filepath.Join(dir, "example")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", "../example", "-trimpath", "-o", built, ".").CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	process.Start(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + otlp, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_METRICS_EXPORTER=none"}, built,
		"-scene", "healthy", "-hold", hold.String(), "-serve", "-pause", "20ms", "-addr", example).
		AwaitReady(t, r.example+"/metrics")

	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 1s}
scrape_configs: [{job_name: %s, static_configs: [{targets: [%q]}]}]
`, service, example), 0o600); err != nil {
		t.Fatal(err)
	}
	process.Start(t, nil, "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+prometheus).
		AwaitReady(t, r.prometheus+"/-/ready")
	return r
}

// wait waits while the run continues.
func (r *run) wait(d time.Duration) {
	r.t.Helper()
	select {
	case <-time.After(d):
	case <-r.t.Context().Done():
		r.t.Fatal(r.t.Context().Err())
	}
}

// streams opens n streams, one per second. Each holds a connection, in one of the example's
// three ways, until leave is called.
func (r *run) streams(n int) (leave func()) {
	r.t.Helper()
	ctx, end := context.WithCancel(r.t.Context())
	var all sync.WaitGroup
	for i := range n {
		// The users with a backlog start at 101.
		address := fmt.Sprintf("%s/users/%d/stream?hold=%s", r.example, 101+i, []string{"rows", "tx", "conn"}[i%3])
		opened := make(chan struct{})
		all.Go(func() {
			if err := follow(ctx, address, sync.OnceFunc(func() { close(opened) })); ctx.Err() == nil {
				r.t.Errorf("%s ended: %v", address, err)
			}
		})
		select {
		case <-opened:
		case <-time.After(patience):
			end()
			r.t.Fatalf("no event from %s", address)
		}
		r.wait(time.Second)
	}
	return func() {
		end()
		all.Wait()
	}
}

// follow reads a stream until it ends. It calls first for each line.
func follow(ctx context.Context, address string, first func()) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, answer.Status)
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		first()
	}
	return lines.Err()
}

// traces queries Jaeger's API.
func (r *run) traces(path string, query url.Values) []jaegerTrace {
	r.t.Helper()
	answer, err := http.Get(r.jaeger + path + "?" + query.Encode())
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	var found struct{ Data []jaegerTrace }
	if answer.StatusCode == http.StatusNotFound {
		return nil
	}
	if err := json.Unmarshal(body, &found); err != nil {
		r.t.Fatal(err, string(body))
	}
	return found.Data
}

// starved finds the trace of a request that got 503 after a time, and the trace of a request
// that held a connection in a transaction then, which a link of the acquire leads to.
func (r *run) starved(after time.Time) (starved, holder jaegerTrace) {
	r.t.Helper()
	query := url.Values{
		"service": {service},
		"tags":    {`{"http.response.status_code":"503"}`},
		"start":   {strconv.FormatInt(after.UnixMicro(), 10)},
		"end":     {strconv.FormatInt(after.Add(5*time.Second).UnixMicro(), 10)},
		"limit":   {"20"},
	}
	// The spans of the streams are exported a few seconds after they end.
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Second) {
		for _, request := range r.traces("/api/traces", query) {
			acquire := request.span("acquire")
			if acquire == nil || value(acquire.Tags, "error.type") == "" {
				continue
			}
			for _, link := range acquire.refers(followsFrom) {
				for _, trace := range r.traces("/api/traces/"+link.TraceID, nil) {
					if trace.root() != nil && trace.root().event("otelpool.pool.exhausted") != nil && trace.span("begin") != nil && trace.span("hold") != nil {
						return request, trace
					}
				}
			}
		}
	}
	r.t.Fatal("no request without a connection has a link to a transaction")
	return jaegerTrace{}, jaegerTrace{}
}
