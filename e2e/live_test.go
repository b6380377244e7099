package e2e

import (
	"database/sql"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/internal/process"
)

// startLive starts a program on a fake driver with a Prometheus exporter.
func startLive(t *testing.T, strategy otlptranslator.TranslationStrategyOption) (*program, *prometheus.Registry, *tracetest.InMemoryExporter) {
	t.Helper()
	registry := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithTranslationStrategy(strategy))
	if err != nil {
		t.Fatal(err)
	}
	spans := tracetest.NewInMemoryExporter()
	p := start(t, sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)), sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)),
		func(opts ...otelpool.Option) (*sql.DB, error) {
			return otelpool.OpenDB(fakedb.New(full).Connector(), opts...), nil
		})
	return p, registry, spans
}

// TestPrometheus_ScrapesAProgram lets a real Prometheus scrape a program over HTTP, with
// otelpool's rules loaded.
func TestPrometheus_ScrapesAProgram(t *testing.T) {
	eachNaming(t, func(t *testing.T, n naming) {
		p, registry, exported := startLive(t, n.strategy)
		p.starveCallers(t)
		target := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
		defer target.Close()
		s := startPrometheus(t, n, t.TempDir(), strings.TrimPrefix(target.URL, "http://"))
		process.Await(t, "a scrape", func() bool {
			waits := n.series("db.client.connection.wait_time_seconds_count", [2]string{"job", "live"}, [2]string{"error.type", ""})
			return len(s.query(t, waits, time.Now())) == 1
		})

		t.Run("EveryMetricOfTheTableArrives", func(t *testing.T) {
			got := s.names(t, `{otel_scope_name="`+otelpool.ScopeName+`"}`)
			if want := seriesNames(t, n, onlyOnFailure...); !slices.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
		t.Run("EveryRuleIsEvaluated", func(t *testing.T) { rulesAreEvaluated(t, s, n) })
		t.Run("WaitExemplarLinksToAcquireAndHolder", func(t *testing.T) {
			var found []exemplar
			process.Await(t, "an exemplar", func() bool {
				found = s.exemplars(t, n.series("db.client.connection.wait_time_seconds_bucket"))
				return len(found) > 0
			})
			spans := exported.GetSpans()
			var ends []string
			for _, e := range found {
				i := slices.IndexFunc(spans, func(span tracetest.SpanStub) bool {
					return span.SpanContext.SpanID().String() == e.Labels["span_id"] && span.SpanContext.TraceID().String() == e.Labels["trace_id"]
				})
				if i < 0 {
					t.Errorf("the exemplar %v leads to no span", e)
					continue
				}
				for _, link := range spans[i].Links {
					holder := slices.IndexFunc(spans, func(span tracetest.SpanStub) bool { return span.SpanContext.Equal(link.SpanContext) })
					ends = append(ends, spans[i].Name+" of "+parent(spans, spans[i])+" waited for "+spans[holder].Name)
				}
			}
			if !slices.Contains(ends, "acquire of waiter waited for holder") {
				t.Errorf("exemplars lead to %v", ends)
			}
		})
	})
}

// notInScenes are metrics that the example's scenes need not have: no client cancels its
// wait, and no hold is as long as a leak.
var notInScenes = []string{"otelpool.connection.cancels", "otelpool.connection.leaks"}

// TestPrometheus_ScrapesTheExample lets a real Prometheus scrape the example while it plays
// its scenes, which together have all other metrics of the table.
func TestPrometheus_ScrapesTheExample(t *testing.T) {
	need(t, "prometheus")
	addr := process.FreeAddress(t)
	process.Start(t, nil, buildExample(t), "-serve", "-addr="+addr)
	s := startPrometheus(t, underscores, t.TempDir(), addr)
	want := seriesNames(t, underscores, notInScenes...)
	var got []string
	for deadline := time.Now().Add(process.Timeout); !slices.Equal(got, want); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up after %v\ngot  %v\nwant %v", process.Timeout, got, want)
		}
		got = s.names(t, `{job="live",__name__=~"(db_client|otelpool)_.+",__name__!~"otelpool_connection_(cancels|leaks)_total"}`)
	}
	for expr, want := range map[string]float64{
		`max_over_time(db_client_connection_max{job="live"}[1h])`:                                     10,
		`max_over_time(db_client_connection_count{job="live",db_client_connection_state="used"}[1h])`: 10,
	} {
		if found := s.query(t, expr, time.Now()); len(found) != 1 || number(t, found[0].Value[1]) != want {
			t.Errorf("%s: %v, want %v", expr, found, want)
		}
	}
	rulesAreEvaluated(t, s, underscores)
}

// rulesAreEvaluated waits until every rule of the file has been evaluated, and checks its
// health.
func rulesAreEvaluated(t *testing.T, s *server, n naming) {
	type ruleState struct{ Name, Health, LastError string }
	type group struct{ Rules []ruleState }
	var all []ruleState
	process.Await(t, "the rules being evaluated", func() bool {
		var answer struct{ Groups []group }
		s.get(t, "/api/v1/rules", nil, &answer)
		all = nil
		for _, g := range answer.Groups {
			all = append(all, g.Rules...)
		}
		return len(all) > 0 && !slices.ContainsFunc(all, func(r ruleState) bool { return r.Health == "unknown" })
	})
	var got, want []string
	for _, r := range all {
		got = append(got, strings.TrimSpace(r.Name+" "+r.Health+" "+r.LastError))
	}
	for _, r := range readRules(t, n) {
		want = append(want, r.Alert+r.Record+" ok")
	}
	slices.Sort(got) // Prometheus sorts the groups by name
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// parent is the name of a span's parent.
func parent(spans tracetest.SpanStubs, child tracetest.SpanStub) string {
	i := slices.IndexFunc(spans, func(span tracetest.SpanStub) bool { return span.SpanContext.SpanID() == child.Parent.SpanID() })
	if i < 0 {
		return ""
	}
	return spans[i].Name
}

// onlyOnFailure are metrics that a program without failures does not have.
var onlyOnFailure = []string{"otelpool.connection.retries", "otelpool.connection.closed"}

// familyNames are the expected names of the metric families of the instruments in the
// table, except some, sorted.
func familyNames(t *testing.T, n naming, without ...string) []string {
	t.Helper()
	return instrumentNames(t, n, without, "")
}

// seriesNames are the expected names of the series of the instruments in the table, except
// some, sorted.
func seriesNames(t *testing.T, n naming, without ...string) []string {
	t.Helper()
	return instrumentNames(t, n, without, "_bucket", "_count", "_sum")
}

func instrumentNames(t *testing.T, n naming, without []string, histogramSuffixes ...string) []string {
	t.Helper()
	namer := otlptranslator.MetricNamer{WithMetricSuffixes: true, UTF8Allowed: n.dotted()}
	var names []string
	for _, i := range readTable(t) {
		if slices.Contains(without, i.name) {
			continue
		}
		kinds := map[string]otlptranslator.MetricType{
			"histogram": otlptranslator.MetricTypeHistogram, "counter": otlptranslator.MetricTypeMonotonicCounter,
			"observable counter": otlptranslator.MetricTypeMonotonicCounter, "observable gauge": otlptranslator.MetricTypeGauge,
			"observable up-down counter": otlptranslator.MetricTypeNonMonotonicCounter,
		}
		name, err := namer.Build(otlptranslator.Metric{Name: i.name, Unit: i.unit, Type: kinds[i.kind]})
		if err != nil {
			t.Fatal(err)
		}
		if i.kind != "histogram" {
			names = append(names, name)
			continue
		}
		for _, suffix := range histogramSuffixes {
			names = append(names, name+suffix)
		}
	}
	slices.Sort(names)
	return names
}

func TestNaming_KeepsDotsIfTheExporterIsSetTo(t *testing.T) {
	p, registry, _ := startLive(t, dots.strategy)
	p.starveCallers(t)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	labels := map[string]bool{}
	for _, f := range families {
		if f.GetName() == "target_info" {
			continue
		}
		names = append(names, f.GetName())
		for _, m := range f.GetMetric() {
			for _, pair := range m.GetLabel() {
				labels[pair.GetName()] = true
			}
		}
	}
	slices.Sort(names)
	if want := familyNames(t, dots, onlyOnFailure...); !slices.Equal(names, want) {
		t.Errorf("got  %v\nwant %v", names, want)
	}
	// The dashboards of that naming query only metrics that exist.
	content, err := os.ReadFile(dots.pool)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	var b board
	if err := json.Unmarshal(content, &b); err != nil {
		t.Fatal(err)
	}
	for _, p := range b.Panels {
		for _, q := range p.Targets {
			text += q.Expr + "\n"
		}
	}
	queried := map[string]bool{}
	for _, found := range regexp.MustCompile(`\{"([a-z_.]+?)(_bucket|_sum|_count)?"[,}]`).FindAllStringSubmatch(text, -1) {
		queried[found[1]] = true
	}
	for name := range queried {
		otel := attribute.Key(strings.TrimSuffix(name, "_total"))
		if !slices.Contains(names, name) && !slices.Contains(onlyOnFailure, string(otel)) {
			t.Errorf("the dashboard queries %s, but there are only %v", name, slices.Sorted(maps.Keys(labels)))
		}
	}
	for _, name := range []string{"db.client.connection.pool.name", "db.client.connection.state", "otelpool.phase", "otelpool.source"} {
		if !labels[name] {
			t.Errorf("there is no label %s", name)
		}
	}
}
