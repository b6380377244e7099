package browser_test

import (
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What Jaeger's query API tells of a trace, as far as it is drawn. Times and durations
// are microseconds.
type (
	jaegerTrace struct {
		TraceID string
		Spans   []*span
	}
	span struct {
		TraceID, SpanID, OperationName string
		StartTime, Duration            int64
		References                     []reference
		Tags                           []tag
		Logs                           []spanEvent
	}
	reference struct{ RefType, TraceID, SpanID string }
	tag       struct {
		Key   string
		Value any
	}
	spanEvent struct {
		Timestamp int64
		Fields    []tag
	}
)

// What Jaeger makes of the parent of a span, and of a link.
const (
	childOf     = "CHILD_OF"
	followsFrom = "FOLLOWS_FROM"
)

// refers are the references of a kind.
func (s *span) refers(kind string) []reference {
	return slices.DeleteFunc(slices.Clone(s.References), func(r reference) bool { return r.RefType != kind })
}

// span is the span of a name, or nil.
func (r jaegerTrace) span(name string) *span {
	if i := slices.IndexFunc(r.Spans, func(s *span) bool { return s.OperationName == name }); i >= 0 {
		return r.Spans[i]
	}
	return nil
}

// root is the span without a parent, or nil.
func (r jaegerTrace) root() *span {
	if i := slices.IndexFunc(r.Spans, func(s *span) bool { return len(s.refers(childOf)) == 0 }); i >= 0 {
		return r.Spans[i]
	}
	return nil
}

// event is the first event of a name, or nil.
func (s *span) event(name string) *spanEvent {
	if i := slices.IndexFunc(s.Logs, func(o spanEvent) bool { return o.name() == name }); i >= 0 {
		return &s.Logs[i]
	}
	return nil
}

func (o spanEvent) name() string { return value(o.Fields, "event") }

// value is that of a key as text, or empty. A number has three digits after its point.
func value(tags []tag, key string) string {
	i := slices.IndexFunc(tags, func(t tag) bool { return t.Key == key })
	if i < 0 {
		return ""
	}
	switch v := tags[i].Value.(type) {
	case float64:
		if v == float64(int64(v)) {
			return strconv.FormatInt(int64(v), 10)
		}
		return strconv.FormatFloat(v, 'f', 3, 64)
	default:
		return fmt.Sprint(v)
	}
}

// waterfall is a trace as it is drawn. Positions are percent of its whole length.
type waterfall struct {
	Name, Trace string
	Ticks       []tick
	Rows        []row
	Band        *bar // when the other request waited
}

type tick struct {
	At   float64
	Text string
}

// bar is a part of the length.
type bar struct{ At, Width float64 }

// End is where it ends.
func (b bar) End() float64 { return b.At + b.Width }

// place is where there is room for a text: inside at the end of a long bar, before one
// that is far on the right, after any other.
func (b bar) textPosition() string {
	switch {
	case b.Width > 20:
		return "inside"
	case b.End() > 80:
		return "before"
	}
	return "after"
}

// row is a span, or one of the events of the span above it.
type row struct {
	Depth   int
	Name    string
	Class   string // what it looks like
	Bar     bar
	Took    string
	Place   string // where the duration stands
	Tags    []tag
	Links   []string
	Through string // the link that the picture follows
}

// short is as much of a trace id as the pages of this module show.
func short(id string) string { return id[:8] }

// shownTags is what is told of a span or an event of each kind, in this order.
var shownTags = map[string][]string{
	"server":                  {"http.response.status_code"},
	"acquire":                 {"error.type", "otelpool.wait.queued", "otelpool.wait.dialed", "otelpool.wait.reset"},
	"hold":                    {"otelpool.held.executing", "otelpool.held.rows", "otelpool.held.tx", "otelpool.held.pinned"},
	"otelpool.pool.exhausted": {"otelpool.verdict", "otelpool.phase", "otelpool.held", "otelpool.idle"},
}

func selectTags(kind string, tags []tag) (shown []tag) {
	for _, key := range shownTags[kind] {
		if v := value(tags, key); v != "" {
			shown = append(shown, tag{key, v})
		}
	}
	return shown
}

// newWaterfall lays a trace out, from the start of its root to its end. The link to
// through is marked.
func newWaterfall(trace jaegerTrace, through string) waterfall {
	root := trace.root()
	begin, length := root.StartTime, root.Duration
	for _, s := range trace.Spans {
		length = max(length, s.StartTime+s.Duration-begin)
	}
	share := func(us int64) float64 { return 100 * float64(us) / float64(length) }
	w := waterfall{Name: root.OperationName, Trace: trace.TraceID}
	// The last one needs room for its text.
	for at, step := int64(0), roundStep(length); share(at) < 95; at += step {
		w.Ticks = append(w.Ticks, tick{share(at), strings.Replace(duration(at), ".0 s", " s", 1)})
	}
	var add func(*span, int)
	add = func(s *span, depth int) {
		kind := value(s.Tags, "span.kind")
		if kind == "internal" {
			kind = s.OperationName
		}
		r := row{
			Depth: depth, Name: s.OperationName, Class: kind, Took: duration(s.Duration), Tags: selectTags(kind, s.Tags),
			Bar: bar{share(s.StartTime - begin), share(s.Duration)},
		}
		r.Place = r.Bar.textPosition()
		if value(s.Tags, "error") == "true" {
			r.Class += " failed"
		}
		for _, l := range s.refers(followsFrom) {
			if l.TraceID == through {
				r.Through = short(l.TraceID)
				continue
			}
			r.Links = append(r.Links, short(l.TraceID))
		}
		w.Rows = append(w.Rows, r)
		for _, o := range s.Logs {
			at := bar{At: share(o.Timestamp - begin)}
			w.Rows = append(w.Rows, row{
				Depth: depth + 1, Name: o.name(), Class: "event " + o.name()[strings.LastIndexByte(o.name(), '.')+1:],
				Bar: at, Place: at.textPosition(), Took: duration(o.Timestamp - begin), Tags: selectTags(o.name(), o.Fields),
			})
		}
		children := slices.DeleteFunc(slices.Clone(trace.Spans), func(c *span) bool {
			return !slices.ContainsFunc(c.refers(childOf), func(r reference) bool { return r.SpanID == s.SpanID })
		})
		slices.SortStableFunc(children, func(a, b *span) int { return int(a.StartTime - b.StartTime) })
		for _, c := range children {
			add(c, depth+1)
		}
	}
	add(root, 0)
	return w
}

// roundStep divides a length into at most seven parts, each of a round length.
func roundStep(length int64) int64 {
	for step := int64(1); ; step *= 10 {
		for _, s := range []int64{step, 2 * step, 5 * step} {
			if length <= 7*s {
				return s
			}
		}
	}
}

// duration is a number of microseconds for a person.
func duration(us int64) string {
	d := time.Duration(us) * time.Microsecond
	switch {
	case d == 0:
		return "0"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", us)
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(us)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}

//go:embed waterfall.html
var waterfallPage string

// drawing serves the picture of two traces: of a request that starved, and of a holder
// that a link of its acquire leads to.
func drawing(t *testing.T, starved, holder jaegerTrace) (origin string) {
	t.Helper()
	page, err := template.New("page").Funcs(template.FuncMap{"short": short}).Parse(waterfallPage)
	if err != nil {
		t.Fatal(err)
	}
	above, below := newWaterfall(starved, holder.TraceID), newWaterfall(holder, "")
	root := holder.root()
	waited := starved.span("acquire")
	below.Band = &bar{
		At:    100 * float64(waited.StartTime-root.StartTime) / float64(root.Duration),
		Width: 100 * float64(waited.Duration) / float64(root.Duration),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := page.Execute(w, struct{ Starved, Holder waterfall }{above, below}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}
