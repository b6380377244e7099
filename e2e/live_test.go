package e2e

import (
	"database/sql"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"net/url"
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
)

// startLive is a program over a fake driver, whose metrics are for Prometheus.
func startLive(t *testing.T, strategy otlptranslator.TranslationStrategyOption) (*program, *prometheus.Registry, *tracetest.InMemoryExporter) {
	t.Helper()
	registry := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithTranslationStrategy(strategy))
	if err != nil {
		t.Fatal(err)
	}
	told := tracetest.NewInMemoryExporter()
	p := start(t, sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)), sdktrace.NewTracerProvider(sdktrace.WithSyncer(told)),
		func(opts ...otelpool.Option) (*sql.DB, error) {
			return otelpool.OpenDB(fakedb.New(full).Connector(), opts...), nil
		})
	return p, registry, told
}

// TestThePresent lets a real Prometheus scrape a program over HTTP, with our rules
// loaded.
func TestThePresent(t *testing.T) {
	p, registry, told := startLive(t, otlptranslator.UnderscoreEscapingWithSuffixes)
	p.starve(t)
	target := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	defer target.Close()
	s := startPrometheus(t, t.TempDir(), strings.TrimPrefix(target.URL, "http://"))
	s.wait(t, "a scrape", func() bool {
		return len(s.query(t, `db_client_connection_wait_time_seconds_count{job="live",error_type=""}`, time.Now())) == 1
	})

	t.Run("EveryMetricOfTheTableArrivesByItsName", func(t *testing.T) {
		var names []string
		s.get(t, "/api/v1/label/__name__/values", url.Values{"match[]": {`{otel_scope_name="` + otelpool.ScopeName + `"}`}}, &names)
		want := expected(t, false)
		if !slices.Equal(names, want) {
			t.Errorf("got  %v\nwant %v", names, want)
		}
	})
	t.Run("EveryRuleIsEvaluated", func(t *testing.T) {
		type group struct {
			Rules []struct{ Name, Health, LastError, LastEvaluation string }
		}
		var answer struct{ Groups []group }
		s.wait(t, "the rules being evaluated", func() bool {
			s.get(t, "/api/v1/rules", nil, &answer)
			return len(answer.Groups) > 0 && !slices.ContainsFunc(answer.Groups, func(g group) bool {
				return slices.ContainsFunc(g.Rules, func(r struct{ Name, Health, LastError, LastEvaluation string }) bool { return r.Health == "unknown" })
			})
		})
		n := 0
		for _, g := range answer.Groups {
			for _, r := range g.Rules {
				n++
				if r.Health != "ok" {
					t.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
				}
			}
		}
		if want := len(readRules(t)); n != want {
			t.Errorf("%d rules, want %d", n, want)
		}
	})
	t.Run("AnExemplarOfAWaitLeadsToTheAcquireAndItsHolder", func(t *testing.T) {
		var answer []struct {
			Exemplars []struct {
				Labels map[string]string
				Value  string
			}
		}
		s.wait(t, "an exemplar", func() bool {
			s.get(t, "/api/v1/query_exemplars", url.Values{
				"query": {"db_client_connection_wait_time_seconds_bucket"},
				"start": {unix(time.Now().Add(-time.Hour))}, "end": {unix(time.Now().Add(time.Hour))},
			}, &answer)
			return len(answer) > 0
		})
		spans := told.GetSpans()
		var ends []string
		for _, a := range answer {
			for _, e := range a.Exemplars {
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
		}
		if !slices.Contains(ends, "acquire of waiter waited for holder") {
			t.Errorf("exemplars lead to %v", ends)
		}
	})
}

// parent is the name of a span's parent.
func parent(spans tracetest.SpanStubs, of tracetest.SpanStub) string {
	i := slices.IndexFunc(spans, func(span tracetest.SpanStub) bool { return span.SpanContext.SpanID() == of.Parent.SpanID() })
	if i < 0 {
		return ""
	}
	return spans[i].Name
}

// rare are metrics that a program which is well does not have.
var rare = []string{"otelpool.connection.retries", "otelpool.connection.closed"}

// expected are the names that Prometheus has to give to the instruments of the table,
// but for the rare ones, sorted.
func expected(t *testing.T, dotted bool) []string {
	t.Helper()
	namer := otlptranslator.MetricNamer{WithMetricSuffixes: true, UTF8Allowed: dotted}
	var names []string
	for _, i := range readTable(t) {
		if slices.Contains(rare, i.name) {
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
		if i.kind == "histogram" && !dotted {
			names = append(names, name+"_bucket", name+"_count", name+"_sum")
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestNamesKeepTheirDotsWhereTheExporterIsToldSo(t *testing.T) {
	p, registry, _ := startLive(t, otlptranslator.NoUTF8EscapingWithSuffixes)
	p.starve(t)
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
	if want := expected(t, true); !slices.Equal(names, want) {
		t.Errorf("got  %v\nwant %v", names, want)
	}
	// What the dashboards of that naming ask for is what is told.
	content, err := os.ReadFile("../docs/dashboards/otelpool-pool-utf8.json")
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
	asked := map[string]bool{}
	for _, found := range regexp.MustCompile(`\{"([a-z_.]+?)(_bucket|_sum|_count)?"[,}]`).FindAllStringSubmatch(text, -1) {
		asked[found[1]] = true
	}
	for name := range asked {
		otel := attribute.Key(strings.TrimSuffix(name, "_total"))
		if !slices.Contains(names, name) && !slices.Contains(rare, string(otel)) {
			t.Errorf("the dashboard asks for %s, and there is only %v", name, slices.Sorted(maps.Keys(labels)))
		}
	}
	for _, name := range []string{"db.client.connection.pool.name", "db.client.connection.state", "otelpool.phase", "otelpool.source"} {
		if !labels[name] {
			t.Errorf("there is no label %s", name)
		}
	}
}
