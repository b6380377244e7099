package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otelpool/otelpool/internal/process"
	"go.yaml.in/yaml/v3"
)

// backendsEnv names the folder with the programs of Prometheus 3 and Jaeger. No package
// installs them, and these tests do not run on every change.
const backendsEnv = "OTELPOOL_BACKENDS"

// configDir has the configurations that users get.
const configDir = "../example/backends"

// service is the example's service name in Jaeger, its job in Prometheus, and its pool
// name.
const service = "notifications"

// backends are a Collector, Jaeger, and a Prometheus for each naming. Jaeger's program is
// also the Collector.
type backends struct {
	example    string // path of the program
	otlp       string // the URL that it exports to
	prometheus map[string]*server
	jaeger     jaeger
}

func startBackends(t *testing.T) *backends {
	t.Helper()
	bin := os.Getenv(backendsEnv)
	if bin == "" {
		t.Skip("no " + backendsEnv + "; to build Prometheus 3 and Jaeger and run this test: bash e2e/backends")
	}
	program := map[string]string{}
	for _, name := range []string{"prometheus", "jaeger"} {
		program[name] = filepath.Join(bin, name)
		t.Log(name, version(t, program[name]))
	}
	b := &backends{
		example: buildExample(t),
		otlp:    "http://" + process.FreeAddress(t),
		prometheus: map[string]*server{
			underscores.name: launchPrometheus(t, program["prometheus"], configDir+"/prometheus.yaml", t.TempDir(), "--web.enable-otlp-receiver"),
			dots.name:        launchPrometheus(t, program["prometheus"], dottedConfig(t), t.TempDir(), "--web.enable-otlp-receiver"),
		},
		jaeger: jaeger{"http://" + process.FreeAddress(t)},
	}
	receiver := "JAEGER_OTLP=" + process.FreeAddress(t)
	j := process.Start(t, []string{receiver, "JAEGER_QUERY=" + strings.TrimPrefix(b.jaeger.base, "http://")},
		program["jaeger"], "--config="+configDir+"/jaeger.yaml")
	j.AwaitReady(t, b.jaeger.base+"/api/services")
	c := process.Start(t, []string{
		receiver, "OTLP_GRPC=" + process.FreeAddress(t), "OTLP_HTTP=" + strings.TrimPrefix(b.otlp, "http://"),
		"PROMETHEUS_URL=" + b.prometheus[underscores.name].base, "PROMETHEUS_DOTS_URL=" + b.prometheus[dots.name].base,
	}, program["jaeger"], "--config="+configDir+"/collector.yaml", "--config="+secondPipeline(t))
	c.AwaitReady(t, b.otlp+"/v1/traces")
	return b
}

func buildExample(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "example")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, ".")
	build.Dir = "../example"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	return program
}

// dottedConfig is the users' configuration with the dotted naming.
func dottedConfig(t *testing.T) (file string) {
	t.Helper()
	content, err := os.ReadFile(configDir + "/prometheus.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	rules, err := filepath.Abs(dots.rules)
	if err != nil {
		t.Fatal(err)
	}
	config["rule_files"] = []string{rules}
	config["otlp"].(map[string]any)["translation_strategy"] = string(dots.strategy)
	if content, err = yaml.Marshal(config); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "prometheus.yaml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// secondPipeline is a configuration with which the Collector also sends metrics to the
// second Prometheus.
func secondPipeline(t *testing.T) (file string) {
	t.Helper()
	const config = `
exporters:
  otlphttp/dots:
    endpoint: ${env:PROMETHEUS_DOTS_URL}/api/v1/otlp
    sending_queue:
      num_consumers: 1
service:
  pipelines:
    metrics/dots:
      receivers: [otlp]
      processors: [batch]
      exporters: [otlphttp/dots]
`
	file = filepath.Join(t.TempDir(), "second.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// each runs a test with both Prometheus servers.
func (b *backends) each(t *testing.T, test func(*testing.T, *server, naming)) {
	t.Helper()
	for _, n := range []naming{underscores, dots} {
		t.Run(n.name, func(t *testing.T) { test(t, b.prometheus[n.name], n) })
	}
}

// example is a running example, configured by the one variable that its user has to set.
type example struct {
	*process.Process
	base     string
	instance string // distinguishes it from other runs
}

func (b *backends) play(t *testing.T, args ...string) *example {
	t.Helper()
	addr := process.FreeAddress(t)
	e := &example{
		Process: process.Start(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + b.otlp}, b.example, append(args, "-addr="+addr)...),
		base:    "http://" + addr,
	}
	e.AwaitReady(t, e.base+"/metrics")
	res, err := http.Get(e.base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`service_instance_id="([^"]+)"`).FindSubmatch(body)
	if id == nil {
		t.Fatalf("no instance in\n%s", body)
	}
	e.instance = string(id[1])
	return e
}

// leave is a client that cancels its request before the response, repeatedly until the
// context ends.
func (e *example) leave(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(time.Second) {
		brief, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		r, err := http.NewRequestWithContext(brief, http.MethodGet, e.base+"/users/1/notifications", http.NoBody)
		if err == nil {
			if res, err := http.DefaultClient.Do(r); err == nil {
				res.Body.Close()
			}
		}
		cancel()
	}
}

// scenes is the scene in which each panel has data: by its title, or by its title and the
// legend of one of its queries. A panel without a scene is tested by
// TestPrometheus_EvaluatesRecordedSituations.
var scenes = map[string]string{
	"State":                               "dry",
	"Held of limit":                       "dry",
	"Oldest wait":                         "dry",
	"Gave up, 5 min":                      "dry",
	"Retries, 5 min":                      "all",
	"Suspected leaks, now":                "dry",
	"Connections":                         "healthy",
	"Held, by phase":                      "dry",
	"Waiting":                             "dry",
	"Wait":                                "healthy",
	"Waits":                               "healthy",
	"Acquires that took more than 100 ms": "dry",
	"Acquires per second":                 "healthy",
	"Failed acquires":                     "dry",
	"Times exhausted":                     "dry",
	"Hold":                                "healthy",
	"Holds":                               "healthy",
	"Oldest hold, and leaks":              "dry",
	"Closed, by reason":                   "all",
	"Acquires that dial":                  "all",
	"Retries, by class":                   "all",
	"Dial":                                "all",
	"Failed dials, by class":              "",
	"Time in the database, by statement":  "healthy",
	"Operations, p99":                     "healthy",
	"Failed operations, by class":         "",
	"Rows per result set, p99":            "healthy",
	"Size":                                "dry",

	"Worst state":                               "dry",
	"Pools not ok":                              "dry",
	"Open connections":                          "healthy",
	"Limits / server limit":                     "",
	"Pools":                                     "dry",
	"Pools: acquires/s":                         "healthy",
	"Pools: failed dials":                       "",
	"Pools: retries, 5 min":                     "all",
	"Callers that wait, on average":             "dry",
	"Wait, p99":                                 "healthy",
	"Connections opened, per second":            "all",
	"Connections lost":                          "all",
	"Limits and open connections":               "healthy",
	"Limits and open connections: server limit": "",
}

// sceneOf is the scene in which a query has data.
func sceneOf(title, legend string) (scene, key string, ok bool) {
	key = title + ": " + legend
	if scene, ok = scenes[key]; ok {
		return scene, key, true
	}
	scene, ok = scenes[title]
	return scene, title, ok
}

func TestScenes_CoverEveryPanel(t *testing.T) {
	for _, n := range []naming{underscores, dots} {
		unused := maps.Clone(scenes)
		for _, file := range []string{n.pool, n.fleet} {
			for _, p := range readBoard(t, file).Panels {
				for _, q := range p.Targets {
					_, key, ok := sceneOf(p.Title, q.LegendFormat)
					if !ok {
						t.Errorf("%s: %q has no scene", file, p.Title)
					}
					delete(unused, key)
				}
			}
		}
		for key := range unused {
			t.Errorf("%s: no panel is named %q", n.name, key)
		}
	}
}

// panelsShowTheScene evaluates every expression of the dashboards for one run of the
// example. Those with data in its scene are evaluated until all of them have data.
func panelsShowTheScene(t *testing.T, s *server, n naming, played, instance string) {
	left := map[string]string{}
	for _, file := range []string{n.pool, n.fleet} {
		for _, p := range readBoard(t, file).Panels {
			for _, q := range p.Targets {
				expr := withVariables(q.Expr, service, instance)
				if scene, _, _ := sceneOf(p.Title, q.LegendFormat); scene == played {
					left[file+": "+p.Title+": "+q.LegendFormat] = expr
				} else {
					s.query(t, expr, time.Now()) // it must be valid; it may be empty
				}
			}
		}
	}
	for deadline := time.Now().Add(3 * time.Minute); len(left) > 0 && time.Now().Before(deadline); time.Sleep(time.Second) {
		maps.DeleteFunc(left, func(_, expr string) bool {
			return slices.ContainsFunc(s.query(t, expr, time.Now()), func(found series) bool { return number(t, found.Value[1]) > 0 })
		})
	}
	for panel, expr := range left {
		t.Errorf("%s has no data in the scene %s:\n%s", panel, played, expr)
	}
}

// compareFired compares the alerts that have fired in a run of the example with want.
func (b *backends) compareFired(t *testing.T, e *example, at time.Time, want ...string) {
	t.Helper()
	for _, name := range []string{underscores.name, dots.name} {
		if got := b.prometheus[name].fired(t, e.instance, at); !slices.Equal(got, want) {
			t.Errorf("%s: %v fired, want %v", name, got, want)
		}
	}
}

// TestBackends_ShowTheExamplesScenes plays each scene of the example in a separate process,
// and checks panels, alerts and traces.
func TestBackends_ShowTheExamplesScenes(t *testing.T) {
	b := startBackends(t)
	t.Run("HealthyFiresNoAlert", b.healthy)
	t.Run("DryFiresItsAlerts", b.dry)
	t.Run("ClosedFiresItsAlerts", b.closed)
	t.Run("EveryMetricOfTheTableArrives", func(t *testing.T) {
		b.each(t, func(t *testing.T, s *server, n naming) {
			got := slices.DeleteFunc(s.names(t, `{job="`+service+`"}`), func(name string) bool {
				return name == "target_info" || strings.HasPrefix(name, "ALERTS") || strings.HasPrefix(name, "otelpool:")
			})
			if want := seriesNames(t, n); !slices.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	})
	t.Run("EveryRuleIsEvaluated", func(t *testing.T) {
		b.each(t, rulesAreEvaluated)
	})
}

func (b *backends) healthy(t *testing.T) {
	e := b.play(t, "-scene=healthy", "-serve")
	began := time.Now()
	b.each(t, func(t *testing.T, s *server, n naming) { panelsShowTheScene(t, s, n, "healthy", e.instance) })
	// Every alert looks back for a minute or more.
	time.Sleep(time.Until(began.Add(90 * time.Second)))
	b.compareFired(t, e, time.Now())
	e.Interrupt()
	e.AwaitExit(t)
}

// dry keeps the pool exhausted until the third of its alerts fires.
func (b *backends) dry(t *testing.T) {
	e := b.play(t, "-scene=dry", "-hold=4m30s")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go e.leave(ctx)

	// The time when the first stream acquired its connection.
	var first time.Time
	s := b.prometheus[underscores.name]
	process.Await(t, "the pool being exhausted", func() bool {
		instance := [2]string{"instance", e.instance}
		oldest := underscores.series("otelpool.connection.oldest_hold_seconds", instance)
		used := underscores.series("db.client.connection.count", instance, [2]string{"db.client.connection.state", "used"})
		found := s.query(t, fmt.Sprintf("timestamp(%s) - (%s > 10) and on (instance) %s == 10", oldest, oldest, used), time.Now())
		if len(found) == 0 {
			return false
		}
		first = time.UnixMilli(int64(1000 * number(t, found[0].Value[1])))
		return true
	})
	b.each(t, func(t *testing.T, s *server, n naming) {
		panelsShowTheScene(t, s, n, "dry", e.instance)
		for _, r := range readRules(t, n) {
			if r.Record == "" {
				continue
			}
			if found := s.query(t, r.Record+`{instance="`+e.instance+`"}`, time.Now()); len(found) != 1 || !(number(t, found[0].Value[1]) > 0) {
				t.Errorf("%s is %v", r.Record, found)
			}
		}
	})
	for _, moment := range []struct {
		after time.Duration
		fired []string
	}{
		{2 * time.Minute, []string{"DBPoolExhausted", "DBPoolStuck"}},
		{4 * time.Minute, []string{"DBPoolExhausted", "DBPoolStuck", "DBPoolTimeouts"}},
	} {
		at := first.Add(moment.after)
		time.Sleep(time.Until(at.Add(time.Second)))
		b.compareFired(t, e, at, moment.fired...)
	}

	stop()
	e.AwaitExit(t)
	t.Run("TraceLinksToTheHolders", b.jaeger.linksToHolders)
	t.Run("WaitExemplarHasItsTrace", func(t *testing.T) {
		b.each(t, func(t *testing.T, s *server, n naming) {
			waits := n.series("db.client.connection.wait_time_seconds_bucket",
				[2]string{"instance", e.instance}, [2]string{"error.type", "deadline_exceeded"})
			b.jaeger.exemplarsLeadToWaits(t, s.exemplars(t, waits))
		})
	})
	t.Run("AlertResolvesAfterTheIncident", func(t *testing.T) {
		b.each(t, func(t *testing.T, s *server, _ naming) {
			process.Await(t, "the alert resolving", func() bool {
				return len(s.query(t, `ALERTS{alertname="DBPoolStuck",instance="`+e.instance+`"}`, time.Now())) == 0
			})
		})
	})
}

func (b *backends) closed(t *testing.T) {
	e := b.play(t, "-serve")
	process.Await(t, "the end of the scenes", func() bool { return strings.Contains(e.Output(), "The service keeps running") })
	finished := time.Now()
	b.each(t, func(t *testing.T, s *server, n naming) { panelsShowTheScene(t, s, n, "all", e.instance) })
	time.Sleep(time.Until(finished.Add(30 * time.Second)))
	b.compareFired(t, e, time.Now(), "DBPoolConnectionsLost", "DBPoolExhausted", "DBPoolHiddenRetries")
	e.Interrupt()
	e.AwaitExit(t)
}
