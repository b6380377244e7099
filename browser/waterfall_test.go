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

// The parts of Jaeger's query API that are drawn. Times and durations are in microseconds.
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

// Jaeger's reference types of a parent and of a link.
const (
	childOf     = "CHILD_OF"
	followsFrom = "FOLLOWS_FROM"
)

// refers returns the references of a type.
func (s *span) refers(kind string) []reference {
	return slices.DeleteFunc(slices.Clone(s.References), func(r reference) bool { return r.RefType != kind })
}

// span returns the first span with a name, or nil.
func (r jaegerTrace) span(name string) *span {
	if i := slices.IndexFunc(r.Spans, func(s *span) bool { return s.OperationName == name }); i >= 0 {
		return r.Spans[i]
	}
	return nil
}

// root returns the span without a parent, or nil.
func (r jaegerTrace) root() *span {
	if i := slices.IndexFunc(r.Spans, func(s *span) bool { return len(s.refers(childOf)) == 0 }); i >= 0 {
		return r.Spans[i]
	}
	return nil
}

// event returns the first event with a name, or nil.
func (s *span) event(name string) *spanEvent {
	if i := slices.IndexFunc(s.Logs, func(o spanEvent) bool { return o.name() == name }); i >= 0 {
		return &s.Logs[i]
	}
	return nil
}

func (o spanEvent) name() string { return value(o.Fields, "event") }

// value returns the value of a key as text, or "". A fraction has three decimals.
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

// waterfall is the drawing of a trace. Positions are percentages of its length.
type waterfall struct {
	Name, Trace string
	Ticks       []tick
	Rows        []row
	Band        *bar // the time of the other request's wait
}

type tick struct {
	At   float64
	Text string
}

// bar is a horizontal bar.
type bar struct{ At, Width float64 }

// End is the bar's right end.
func (b bar) End() float64 { return b.At + b.Width }

// textPosition is where there is room for a text: inside a long bar, before one that ends
// far to the right, after any other.
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
	Depth    int
	Name     string
	Class    string // CSS class
	Bar      bar
	Took     string
	Position string // of the duration
	Tags     []tag
	Links    []string
	Through  string // the link to the other trace in the picture
}

// short shortens a trace id for display.
func short(id string) string { return id[:8] }

// shownTags are the attributes shown for each kind of span or event, in order.
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

// newWaterfall lays out a trace, from the start of its root to its end. It marks the link to
// the trace through.
func newWaterfall(trace jaegerTrace, through string) waterfall {
	root := trace.root()
	begin, length := root.StartTime, root.Duration
	for _, s := range trace.Spans {
		length = max(length, s.StartTime+s.Duration-begin)
	}
	share := func(us int64) float64 { return 100 * float64(us) / float64(length) }
	w := waterfall{Name: root.OperationName, Trace: trace.TraceID}
	// Leave room for the last tick's text.
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
		r.Position = r.Bar.textPosition()
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
				Bar: at, Position: at.textPosition(), Took: duration(o.Timestamp - begin), Tags: selectTags(o.name(), o.Fields),
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

// roundStep returns a round length that divides length into at most seven parts.
func roundStep(length int64) int64 {
	for step := int64(1); ; step *= 10 {
		for _, s := range []int64{step, 2 * step, 5 * step} {
			if length <= 7*s {
				return s
			}
		}
	}
}

// duration formats a number of microseconds.
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

// drawing serves the picture of two traces: of a request that got no connection, and of a
// holder that its acquire links to.
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
