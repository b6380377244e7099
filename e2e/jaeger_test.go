package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// jaeger is a running Jaeger, by the address of its query API.
type jaeger struct{ base string }

func (j jaeger) get(t *testing.T, path string, answer any) {
	t.Helper()
	res, err := http.Get(j.base + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, answer); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v %s", path, res.Status, err, body)
	}
}

// reference is a parent or a link in Jaeger's own format.
type reference struct{ RefType, TraceID, SpanID string }

// traceFound is a trace in a search result, and spanFound one of its spans.
type traceFound struct {
	TraceID string
	Spans   []spanFound
}

type spanFound struct {
	OperationName string
	References    []reference
}

// search finds the traces that have a span with that name and tag, the newest first.
func (j jaeger) search(t *testing.T, operation, tag, value string) []traceFound {
	t.Helper()
	tags, err := json.Marshal(map[string]string{tag: value})
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{"service": {service}, "operation": {operation}, "tags": {string(tags)}, "limit": {"20"}}
	var answer struct{ Data []traceFound }
	j.get(t, "/api/traces?"+query.Encode(), &answer)
	return answer.Data
}

// trace returns the spans of a trace.
func (j jaeger) trace(t *testing.T, id string) (spans []ptrace.Span) {
	t.Helper()
	var answer struct{ Result json.RawMessage }
	j.get(t, "/api/v3/traces/"+id, &answer)
	all, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(answer.Result)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all.ResourceSpans().All() {
		for _, s := range r.ScopeSpans().All() {
			for _, span := range s.Spans().All() {
				spans = append(spans, span)
			}
		}
	}
	return spans
}

// below returns the children of a span that have a name.
func below(spans []ptrace.Span, parent pcommon.SpanID, name string) (all []ptrace.Span) {
	for _, s := range spans {
		if s.ParentSpanID() == parent && s.Name() == name {
			all = append(all, s)
		}
	}
	return all
}

// describe formats a span: its name, its parent's name, its attributes. It omits the values
// of floating-point attributes.
func describe(spans []ptrace.Span, s ptrace.Span) string {
	above := "nothing"
	for _, other := range spans {
		if other.SpanID() == s.ParentSpanID() {
			above = other.Name()
		}
	}
	var attributes []string
	for name, v := range s.Attributes().All() {
		if strings.HasPrefix(name, "@jaeger@") {
			continue // Jaeger warns that a hold ends after its parent, which is allowed
		}
		if v.Type() == pcommon.ValueTypeDouble {
			attributes = append(attributes, name)
			continue
		}
		attributes = append(attributes, name+"="+v.AsString())
	}
	slices.Sort(attributes)
	return fmt.Sprintf("%s, %s, below %s, %s, %d links, %d events: %s", s.Name(), strings.ToLower(s.Kind().String()), above,
		strings.ToLower(s.Status().Code().String()), s.Links().Len(), s.Events().Len(), strings.Join(attributes, " "))
}

// seconds returns the value of an attribute in seconds.
func seconds(t *testing.T, attrs pcommon.Map, name string) float64 {
	t.Helper()
	v, ok := attrs.Get(name)
	if !ok {
		t.Fatalf("there is no %s in %v", name, attrs.AsRaw())
	}
	return v.Double()
}

// text returns the value of an attribute as text.
func text(attrs pcommon.Map, name string) string {
	v, _ := attrs.Get(name)
	return v.AsString()
}

// waited is the wait of an acquire: the sum of its attributes by cause.
func waited(t *testing.T, acquire ptrace.Span) (sum float64) {
	t.Helper()
	for _, part := range []string{"otelpool.wait.dialed", "otelpool.wait.queued", "otelpool.wait.reset"} {
		sum += seconds(t, acquire.Attributes(), part)
	}
	return sum
}

// linksToHolders follows the links of a request that got no connection to the holders.
func (j jaeger) linksToHolders(t *testing.T) {
	starved := j.search(t, "acquire", "error.type", "deadline_exceeded")
	i := slices.IndexFunc(starved, func(found traceFound) bool {
		return slices.ContainsFunc(found.Spans, func(s spanFound) bool { return s.OperationName == "POST /notifications" })
	})
	if i < 0 {
		t.Fatalf("no trace of a request that got no connection: %v", starved)
	}
	spans := j.trace(t, starved[i].TraceID)
	var got []string
	for _, s := range spans {
		got = append(got, describe(spans, s))
	}
	slices.Sort(got)
	want := []string{
		"POST /notifications, server, below nothing, error, 0 links, 0 events: http.request.method=POST http.response.status_code=503 http.route=/notifications",
		"acquire, internal, below POST /notifications, error, 8 links, 0 events: db.client.connection.pool.name=notifications " +
			"error.type=deadline_exceeded otelpool.class=deadline otelpool.wait.dialed otelpool.wait.queued otelpool.wait.reset",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	acquire := spans[slices.IndexFunc(spans, func(s ptrace.Span) bool { return s.Name() == "acquire" })]
	took := acquire.EndTimestamp().AsTime().Sub(acquire.StartTimestamp().AsTime()).Seconds()
	if queued := seconds(t, acquire.Attributes(), "otelpool.wait.queued"); math.Abs(took-queued) > 0.001 || queued < 0.4 {
		t.Errorf("took %v s and queued %v s, want both half a second, the timeout of a request", took, queued)
	}
	var links, references []string
	for _, l := range acquire.Links().All() {
		links = append(links, l.TraceID().String()+" "+l.SpanID().String())
	}
	for _, s := range starved[i].Spans {
		for _, r := range s.References {
			if r.RefType == "FOLLOWS_FROM" {
				references = append(references, r.TraceID+" "+r.SpanID)
			}
		}
	}
	if !slices.Equal(links, references) {
		t.Errorf("Jaeger's own format has the links %v, want %v", references, links)
	}

	phases := map[string]int{}
	longest := math.Inf(1)
	for _, l := range acquire.Links().All() {
		if held := seconds(t, l.Attributes(), "otelpool.held"); held > longest || held < 60 {
			t.Errorf("linked to a hold of %v s, after one of %v s", held, longest)
		} else {
			longest = held
		}
		phases[j.followLink(t, l)]++
	}
	// The first eight of the ten streams; the three kinds join in turn.
	if want := map[string]int{"rows": 3, "tx": 3, "pinned": 2}; !maps.Equal(phases, want) {
		t.Errorf("held by %v, want %v", phases, want)
	}
}

// followLink follows a link to the span of a holder, and returns the phase in which the
// connection was held. The span has the event that others were waiting.
func (j jaeger) followLink(t *testing.T, l ptrace.SpanLink) (phase string) {
	t.Helper()
	id := text(l.Attributes(), "otelpool.connection.id")
	spans := j.trace(t, l.TraceID().String())
	i := slices.IndexFunc(spans, func(s ptrace.Span) bool { return s.SpanID() == l.SpanID() })
	if i < 0 {
		t.Fatalf("the link leads to none of %d spans", len(spans))
	}
	holder := spans[i]
	var events []string
	for _, e := range holder.Events().All() {
		if e.Name() == "otelpool.pool.exhausted" {
			events = append(events, strings.Join([]string{
				text(e.Attributes(), "db.client.connection.pool.name"), text(e.Attributes(), "otelpool.connection.id"), text(e.Attributes(), "otelpool.verdict"),
			}, " "))
		}
	}
	holds := below(spans, holder.SpanID(), "hold")
	var held []string
	for _, s := range holds {
		held = append(held, describe(spans, s))
	}
	got := []string{describe(spans, holder)[:len("GET /users/{id}/stream, server, below nothing")], strings.Join(events, "; "), strings.Join(held, "; ")}
	want := []string{
		"GET /users/{id}/stream, server, below nothing",
		"notifications " + id + " idle_in_code",
		"hold, internal, below GET /users/{id}/stream, unset, 0 links, 0 events: db.client.connection.pool.name=notifications otelpool.connection.id=" + id +
			" otelpool.held.executing otelpool.held.pinned otelpool.held.rows otelpool.held.tx",
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if begin := holds[0].StartTimestamp(); begin < holder.StartTimestamp() || begin > holder.EndTimestamp() {
		t.Errorf("the hold of %s began at %v, outside of the holder's span", id, begin.AsTime())
	}
	most := 0.0
	for _, name := range []string{"executing", "rows", "tx", "pinned"} {
		if spent := seconds(t, holds[0].Attributes(), "otelpool.held."+name); spent > most {
			phase, most = name, spent
		}
	}
	return phase
}

// exemplarsLeadToWaits follows exemplars of waits to the spans of their acquires.
func (j jaeger) exemplarsLeadToWaits(t *testing.T, exemplars []exemplar) {
	t.Helper()
	if len(exemplars) == 0 {
		t.Error("there are no exemplars")
	}
	for _, e := range exemplars {
		spans := j.trace(t, e.Labels["trace_id"])
		i := slices.IndexFunc(spans, func(s ptrace.Span) bool { return s.SpanID().String() == e.Labels["span_id"] })
		if i < 0 || spans[i].Name() != "acquire" || math.Abs(waited(t, spans[i])-number(t, e.Value)) > 0.001 {
			t.Errorf("the exemplar %v does not lead to its wait", e)
		}
	}
}
