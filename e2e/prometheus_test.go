package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otelpool/otelpool/internal/process"
	"go.yaml.in/yaml/v3"
)

// requireEnv turns a missing program from a skip into a failure.
const requireEnv = "OTELPOOL_REQUIRE_SERVERS"

// need fails or skips the test where a program is missing.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		missing := "no " + program + "; to get it: apt-get install --no-install-recommends prometheus"
		if os.Getenv(requireEnv) != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
}

// server is a running Prometheus.
type server struct{ base string }

// startPrometheus starts a Prometheus with a data folder and otelpool's rules that scrapes a
// target. It stops with the test.
func startPrometheus(t *testing.T, n naming, data, target string) *server {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs(n.rules)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: live
    static_configs: [{targets: [%q]}]
`, rules, target)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return launchPrometheus(t, "prometheus", file, data, "--storage.tsdb.retention.time=100y")
}

// launchPrometheus starts a Prometheus with a configuration and a data folder, and waits
// until it is ready.
func launchPrometheus(t *testing.T, path, config, data string, flags ...string) *server {
	t.Helper()
	addr := process.FreeAddress(t)
	p := process.Start(t, nil, path, append(flags,
		"--config.file="+config, "--storage.tsdb.path="+data, "--web.listen-address="+addr,
		"--enable-feature=exemplar-storage")...)
	s := &server{"http://" + addr}
	p.AwaitReady(t, s.base+"/-/ready")
	return s
}

// get queries the API and decodes the data of the response into answer.
func (s *server) get(t *testing.T, path string, query url.Values, answer any) {
	t.Helper()
	res, err := http.PostForm(s.base+path, query)
	if err == nil && res.StatusCode == http.StatusMethodNotAllowed {
		res.Body.Close()
		res, err = http.Get(s.base + path + "?" + query.Encode())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var whole struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &whole); err != nil || whole.Status != "success" {
		t.Fatalf("%s %v: %v %s", path, query, err, body)
	}
	if err := json.Unmarshal(whole.Data, answer); err != nil {
		t.Fatal(err)
	}
}

// series is one series in the result of a query.
type series struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

func unix(at time.Time) string {
	return strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)
}

// query evaluates an expression at a time.
func (s *server) query(t *testing.T, expr string, at time.Time) []series {
	t.Helper()
	var answer struct{ Result []series }
	s.get(t, "/api/v1/query", url.Values{"query": {expr}, "time": {unix(at)}}, &answer)
	return answer.Result
}

// queryRange evaluates an expression at every scrape from one time to another.
func (s *server) queryRange(t *testing.T, expr string, from, to time.Time) []series {
	t.Helper()
	var answer struct{ Result []series }
	s.get(t, "/api/v1/query_range", url.Values{
		"query": {expr}, "start": {unix(from)}, "end": {unix(to)}, "step": {scrapeEvery.String()},
	}, &answer)
	return answer.Result
}

// fired returns the alerts that have fired within the 15 minutes before a time, sorted:
// those with the instance, and those without any.
func (s *server) fired(t *testing.T, instance string, at time.Time) []string {
	t.Helper()
	names := []string{}
	expr := `group by (alertname) (max_over_time(ALERTS{alertstate="firing",instance=~"` + instance + `|"}[15m]))`
	for _, found := range s.query(t, expr, at) {
		names = append(names, found.Metric["alertname"])
	}
	slices.Sort(names)
	return names
}

// names returns the metric names of the selected series.
func (s *server) names(t *testing.T, selector string) (names []string) {
	t.Helper()
	s.get(t, "/api/v1/label/__name__/values", url.Values{"match[]": {selector}}, &names)
	return names
}

// exemplar is an observation with the labels of its span.
type exemplar struct {
	Labels map[string]string
	Value  string
}

// exemplars returns the exemplars of the last hour.
func (s *server) exemplars(t *testing.T, selector string) (all []exemplar) {
	t.Helper()
	var answer []struct{ Exemplars []exemplar }
	now := time.Now()
	s.get(t, "/api/v1/query_exemplars", url.Values{
		"query": {selector}, "start": {unix(now.Add(-time.Hour))}, "end": {unix(now.Add(time.Hour))},
	}, &answer)
	for _, a := range answer {
		all = append(all, a.Exemplars...)
	}
	return all
}

// began is the start of virtual time in a synctest bubble.
var began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// record plays all situations and writes their metrics to a data folder for Prometheus. The
// server's limit in the situation fleet is written as mysqld_exporter would.
func record(t *testing.T, n naming) (data string) {
	t.Helper()
	dir := t.TempDir()
	data = filepath.Join(dir, "data")
	var (
		all  sync.WaitGroup
		mu   sync.Mutex // guards text
		text bytes.Buffer
	)
	running := make(chan struct{}, 2)
	for _, s := range situations {
		all.Go(func() {
			running <- struct{}{}
			defer func() { <-running }()
			recorded := s.record(t, n)
			mu.Lock()
			defer mu.Unlock()
			text.Write(recorded)
		})
	}
	all.Wait()
	text.WriteString("# TYPE mysql_global_variables_max_connections gauge\n")
	for at := began; !at.After(began.Add(time.Hour)); at = at.Add(scrapeEvery) {
		fmt.Fprintf(&text, "mysql_global_variables_max_connections{job=\"mysql\"} 100 %s\n", unix(at))
	}
	text.WriteString("# EOF\n")
	file := filepath.Join(dir, "metrics.txt")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "promtool", "tsdb", "create-blocks-from", "openmetrics", file, data).CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	return data
}

type rule struct {
	Alert       string            `yaml:"alert"`
	Record      string            `yaml:"record"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func readRules(t *testing.T, n naming) (rules []rule) {
	t.Helper()
	content, err := os.ReadFile(n.rules)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// firing returns when a rule first fires in each situation, as the time since its start: the
// expression has had a value at every evaluation for the duration in For.
func (s *server) firing(t *testing.T, r rule) map[string]time.Duration {
	t.Helper()
	var patience time.Duration
	if r.For != "" {
		var err error
		if patience, err = time.ParseDuration(r.For); err != nil {
			t.Fatal(err)
		}
	}
	first := map[string]time.Duration{}
	var found []series
	for _, part := range [][2]time.Duration{{0, 75 * time.Minute}, {24 * time.Hour, 25 * time.Hour}} {
		found = append(found, s.queryRange(t, r.Expr, began.Add(part[0]), began.Add(part[1]))...)
	}
	for _, f := range found {
		var since, last time.Time
		for _, v := range f.Values {
			at := time.Unix(int64(v[0].(float64)), 0)
			if at.Sub(last) > scrapeEvery {
				since = at
			}
			last = at
			if after := at.Sub(began); at.Sub(since) >= patience {
				job := f.Metric["job"]
				if known, ok := first[job]; !ok || after < known {
					first[job] = after
				}
			}
		}
	}
	return first
}

// TestPrometheus_EvaluatesRecordedSituations plays the situations, and evaluates the
// expressions of alerts and dashboards on them in a real Prometheus.
func TestPrometheus_EvaluatesRecordedSituations(t *testing.T) {
	eachNaming(t, func(t *testing.T, n naming) {
		s := startPrometheus(t, n, record(t, n), "127.0.0.1:1")
		t.Run("EachSituationFiresExactlyItsAlerts", func(t *testing.T) { alertsFire(t, s, n) })
		t.Run("EveryPanelHasDataInItsSituation", func(t *testing.T) { panelsShow(t, s, n) })
		t.Run("FirstPanelShowsTheState", func(t *testing.T) { stateIsShown(t, s, n) })
	})
}

// alerts are the alerts that must fire in each situation, each with the latest time. Faults
// begin after five minutes.
var alerts = map[string]map[string]time.Duration{
	"healthy": {},
	"busy":    {},
	"dry": {
		"DBPoolStuck":       7 * time.Minute,
		"DBPoolExhausted":   6 * time.Minute,
		"DBPoolTimeouts":    9 * time.Minute,
		"DBPoolLeak":        11 * time.Minute,
		"DBPoolSlowAcquire": 11 * time.Minute,
		"DBPoolHeldIdle":    16 * time.Minute,
		"DBPoolSaturated":   19 * time.Minute,
	},
	"patient": {
		"DBPoolStuck":      7 * time.Minute,
		"DBPoolOldestWait": 7 * time.Minute,
		"DBPoolExhausted":  6 * time.Minute,
		"DBPoolLeak":       11 * time.Minute,
		"DBPoolHeldIdle":   16 * time.Minute,
	},
	"plain": {
		"DBPoolStuckPlain": 7 * time.Minute,
		"DBPoolExhausted":  6 * time.Minute,
		"DBPoolLeak":       11 * time.Minute,
		"DBPoolHeldIdle":   16 * time.Minute,
		"DBPoolSaturated":  19 * time.Minute,
	},
	"leak":   {"DBPoolLeak": 11 * time.Minute},
	"down":   {"DBPoolCannotConnect": 7 * time.Minute},
	"closed": {"DBPoolHiddenRetries": 11 * time.Minute, "DBPoolConnectionsLost": 11 * time.Minute},
	"churn":  {"DBPoolChurn": 15 * time.Minute},
	"slow": {
		"DBPoolExhausted":   5 * time.Minute,
		"DBPoolSlowAcquire": 10 * time.Minute,
		"DBPoolSaturated":   15 * time.Minute,
	},
	"drift":     {"DBPoolHoldDrift": 24*time.Hour + 45*time.Minute},
	"unlimited": {"DBPoolUnlimited": 61 * time.Minute},
	"fleet":     {"DBFleetOvercommitted": 31 * time.Minute},
}

func alertsFire(t *testing.T, s *server, n naming) {
	fired := map[string]map[string]time.Duration{}
	for _, at := range situations {
		fired[at.name] = map[string]time.Duration{}
	}
	missing := map[string]bool{}
	for _, r := range readRules(t, n) {
		if r.Alert == "" {
			continue
		}
		missing[r.Alert] = true
		for job, after := range s.firing(t, r) {
			fired[job][r.Alert] = after
			missing[r.Alert] = false
		}
	}
	for job, want := range alerts {
		got := fired[job]
		if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
			t.Errorf("%s: %v fired, want %v", job, got, want)
			continue
		}
		for alert, latest := range want {
			if got[alert] > latest {
				t.Errorf("%s: %s fired after %v, want %v", job, alert, got[alert], latest)
			}
		}
	}
	for alert, never := range missing {
		if never {
			t.Errorf("%s fired in no situation", alert)
		}
	}
	if len(alerts) != len(situations) {
		t.Errorf("%d situations, %d in the list of alerts", len(situations), len(alerts))
	}
}

// moment is a time in a situation.
type moment struct {
	job   string
	after time.Duration
}

// panels is the moment at which each panel has data.
var panels = map[string]moment{
	"State":                               {"dry", 8 * time.Minute},
	"Held of limit":                       {"slow", 20 * time.Minute},
	"Oldest wait":                         {"patient", 8 * time.Minute},
	"Gave up, 5 min":                      {"dry", 5*time.Minute + 15*time.Second},
	"Retries, 5 min":                      {"closed", 12 * time.Minute},
	"Suspected leaks, now":                {"leak", 12 * time.Minute},
	"Connections":                         {"slow", 20 * time.Minute},
	"Held, by phase":                      {"dry", 8 * time.Minute},
	"Waiting":                             {"patient", 8 * time.Minute},
	"Wait":                                {"healthy", 20 * time.Minute},
	"Waits":                               {"healthy", 20 * time.Minute},
	"Acquires that took more than 100 ms": {"slow", 20 * time.Minute},
	"Acquires per second":                 {"healthy", 20 * time.Minute},
	"Failed acquires":                     {"dry", 5*time.Minute + 15*time.Second},
	"Times exhausted":                     {"plain", 6 * time.Minute},
	"Hold":                                {"healthy", 20 * time.Minute},
	"Holds":                               {"healthy", 20 * time.Minute},
	"Oldest hold, and leaks":              {"leak", 12 * time.Minute},
	"Closed, by reason":                   {"closed", 10*time.Minute + 15*time.Second},
	"Acquires that dial":                  {"churn", 20 * time.Minute},
	"Retries, by class":                   {"closed", 10*time.Minute + 15*time.Second},
	"Dial":                                {"churn", 20 * time.Minute},
	"Failed dials, by class":              {"down", 5*time.Minute + 15*time.Second},
	"Time in the database, by statement":  {"healthy", 20 * time.Minute},
	"Operations, p99":                     {"healthy", 20 * time.Minute},
	"Failed operations, by class":         {"slow", 20 * time.Minute},
	"Rows per result set, p99":            {"healthy", 20 * time.Minute},
	"Size":                                {"slow", 20 * time.Minute},
	"Worst state":                         {"dry", 8 * time.Minute},
	"Pools not ok":                        {"dry", 8 * time.Minute},
	"Open connections":                    {"healthy", 20 * time.Minute},
	"Limits / server limit":               {"fleet", 20 * time.Minute},
	"Pools":                               {"healthy", 20 * time.Minute},
	"Callers that wait, on average":       {"patient", 8 * time.Minute},
	"Wait, p99":                           {"healthy", 20 * time.Minute},
	"Connections opened, per second":      {"churn", 20 * time.Minute},
	"Connections lost":                    {"closed", 10*time.Minute + 15*time.Second},
	"Limits and open connections":         {"fleet", 20 * time.Minute},
}

// columns is the moment at which a column of a table has data, where it differs from the
// moment of the table.
var columns = map[string]moment{
	"state":         {"dry", 8 * time.Minute},
	"not executing": {"dry", 8 * time.Minute},
	"oldest wait":   {"patient", 8 * time.Minute},
	"oldest hold":   {"dry", 8 * time.Minute},
	"gave up":       {"dry", 8 * time.Minute},
	"failed dials":  {"down", 8 * time.Minute},
	"retries":       {"closed", 12 * time.Minute},
}

// board is a dashboard with its queries.
type board struct {
	Panels []struct {
		Title   string
		Type    string
		Targets []struct{ Expr, LegendFormat string }
	}
}

func readBoard(t *testing.T, name string) (b board) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &b); err != nil {
		t.Fatal(err)
	}
	return b
}

// withVariables replaces the variables in an expression so that it selects one pool.
func withVariables(expr, job, instance string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$job", job, "$instance", instance, "$pool", job).Replace(expr)
}

// legendLabel matches a label in a legend.
var legendLabel = regexp.MustCompile(`\{\{([^}]+)\}\}`)

func panelsShow(t *testing.T, s *server, n naming) {
	shown := map[string]bool{}
	for _, name := range []string{n.pool, n.fleet} {
		for _, p := range readBoard(t, name).Panels {
			if p.Type == "row" || p.Type == "text" {
				continue
			}
			at, ok := panels[p.Title]
			if !ok {
				t.Errorf("%s: %q is in no situation", name, p.Title)
				continue
			}
			shown[p.Title] = true
			for _, q := range p.Targets {
				at := at
				for column, other := range columns {
					if p.Type == "table" && strings.HasPrefix(q.LegendFormat, column) {
						at = other
					}
				}
				expr := withVariables(q.Expr, at.job, ".+")
				most, labels := 0.0, map[string]bool{}
				for _, found := range s.query(t, expr, began.Add(at.after)) {
					most = max(most, number(t, found.Value[1]))
					for label := range found.Metric {
						labels[label] = true
					}
				}
				for _, label := range legendLabel.FindAllStringSubmatch(q.LegendFormat, -1) {
					if !labels[label[1]] {
						t.Errorf("%s: the legend of %q has the label %s, but there are only %v", name, p.Title, label[1], slices.Sorted(maps.Keys(labels)))
					}
				}
				if !(most > 0) {
					t.Errorf("%s: %q has no data for %s (%v) in %s:\n%s", name, p.Title, q.LegendFormat, most, at.job, expr)
				}
			}
		}
	}
	for title := range panels {
		if !shown[title] {
			t.Errorf("no panel is named %q", title)
		}
	}
}

func number(t *testing.T, value any) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(value.(string), 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// verdicts are the states that the first panel must show.
var firstPanel = map[moment]float64{
	{"healthy", 20 * time.Minute}:   0,
	{"busy", 20 * time.Minute}:      0,
	{"leak", 12 * time.Minute}:      0,
	{"unlimited", 60 * time.Minute}: 0,
	{"churn", 20 * time.Minute}:     2,
	{"slow", 20 * time.Minute}:      3,
	{"plain", 8 * time.Minute}:      3, // a plain *sql.DB does not report waiting callers
	{"down", 8 * time.Minute}:       5,
	{"dry", 4 * time.Minute}:        0,
	{"dry", 7 * time.Minute}:        6,
	{"patient", 7 * time.Minute}:    6,
}

func stateIsShown(t *testing.T, s *server, n naming) {
	p := readBoard(t, n.pool).Panels[1]
	if p.Title != "State" {
		t.Fatalf("the first panel is %q", p.Title)
	}
	for at, want := range firstPanel {
		found := s.query(t, withVariables(p.Targets[0].Expr, at.job, ".+"), began.Add(at.after))
		if len(found) != 1 || number(t, found[0].Value[1]) != want {
			t.Errorf("%s after %v: %v, want %v", at.job, at.after, found, want)
		}
	}
}
