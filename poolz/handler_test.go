package poolz

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel"

	"github.com/otelpool/otelpool/poolinfo"
)

// serving is a handler of the given pools.
func serving(opts []Option, pools ...poolinfo.Snapshot) http.Handler {
	return newHandler(func() []poolinfo.Snapshot { return pools }, opts...)
}

// get sends a request to h at the time start.
func get(t *testing.T, h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	synctest.Test(t, func(*testing.T) {
		r := httptest.NewRequest(method, target, nil)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		h.ServeHTTP(w, r)
	})
	return w
}

func TestHandler_JSONMatchesTheGoldenFile(t *testing.T) {
	w := get(t, serving(nil, drained(), healthy(), plainDB()), "GET", "/?format=json")
	golden(t, "pools.json", w.Body.String())
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type: %s", got)
	}
}

func TestHandler_TextMatchesTheGoldenFile(t *testing.T) {
	w := get(t, serving(nil, drained(), healthy(), plainDB(), unreachable()), "GET", "/?format=text")
	golden(t, "pools.txt", w.Body.String())
}

func TestHandler_PageMatchesTheGoldenFile(t *testing.T) {
	opts := []Option{WithTraceURL("https://traces.example/{trace_id}?span={span_id}")}
	w := get(t, serving(opts, drained(), healthy(), plainDB()), "GET", "/")
	golden(t, "pools.html", regexp.MustCompile(`\?v=[0-9a-f]{16}`).ReplaceAllString(w.Body.String(), "?v=TAG"))
}

func TestHandler_WithoutPoolsShowsAMessage(t *testing.T) {
	for format, want := range map[string]string{
		"html": "<h2>No pool is open</h2>",
		"text": "No pool is open.\n",
		"json": "{\n  \"schema\": 1,\n  \"time\": \"2000-01-01T00:00:00Z\",\n  \"pools\": []\n}\n",
	} {
		if got := get(t, serving(nil), "GET", "/?format="+format).Body.String(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", format, got)
		}
	}
	if got := get(t, serving(nil, healthy()), "GET", "/?pool=other").Body.String(); !strings.Contains(got, "<h2>No pool of this name is open</h2>") {
		t.Error(got)
	}
}

func TestHandler_ShowsThatALimitIsNotKnown(t *testing.T) {
	s := poolinfo.Snapshot{
		Time: start, Pool: "p", MaxOpen: -1, MaxIdle: -1, MaxLifetime: -1, MaxIdleTime: -1, Waiting: -1, OldestWait: -1,
		Open: 1, Held: 1, Conns: []poolinfo.Conn{holding(1, time.Second, 0, poolinfo.PhaseTx, "", checkout())},
		Waiters: []poolinfo.Waiter{{Waited: -1, CallSite: checkout()}},
		Reports: []poolinfo.Report{{Kind: poolinfo.ReportLeakSuspected, MaxOpen: -1, Held: 1, Holder: &poolinfo.Holder{ConnID: 1}}},
	}
	for format, want := range map[string][]string{
		"html": {"the limit is not known", "unknown"},
		"text": {"limit unknown  open 1"},
		"json": {`"max_open": null`, `"waiting": null`, `"oldest_wait": null`, `"waited": null`},
	} {
		got := get(t, serving(nil, s), "GET", "/?format="+format).Body.String()
		for _, want := range want {
			if !strings.Contains(got, want) {
				t.Errorf("%s has no %q:\n%s", format, want, got)
			}
		}
		for _, not := range []string{"no limit", "limit none", "no_limit", ">-1", " -1", `"max_open": 0`} {
			if strings.Contains(got, not) {
				t.Errorf("%s has %q:\n%s", format, not, got)
			}
		}
	}
}

func TestText_LinesFitTheWidth(t *testing.T) {
	w := get(t, serving(nil, append(fleet(), longNames())...), "GET", "/?format=text")
	for line := range strings.SplitSeq(w.Body.String(), "\n") {
		if n := utf8.RuneCountInString(line); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestText_ReplacesControlCharactersInNames(t *testing.T) {
	s := healthy()
	s.Pool = "red\x1b[31m\nline"
	got := get(t, serving(nil, s), "GET", "/?format=text").Body.String()
	if first, _, _ := strings.Cut(got, "\n"); first != "red\ufffd[31m\ufffdline: OK (mysql at db.shop.example:3306, catalog, server 8.4.2)" {
		t.Errorf("%q", first)
	}
}

func TestDocument_EveryFieldIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/poolz.md")
	if err != nil {
		t.Fatal(err)
	}
	var look func(reflect.Type)
	seen := map[reflect.Type]bool{}
	look = func(r reflect.Type) {
		switch r.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			look(r.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[r] {
			return
		}
		seen[r] = true
		for f := range r.Fields() {
			if name := f.Tag.Get("json"); name != "" && !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("%s of %s is not in docs/poolz.md", name, r.Name())
			}
			look(f.Type)
		}
	}
	look(reflect.TypeFor[document]())
}

func TestHandler_ShowsNoErrorTexts(t *testing.T) {
	for _, format := range []string{"html", "json", "text"} {
		if got := get(t, serving(nil, drained()), "GET", "/?rows=all&format="+format).Body.String(); strings.Contains(got, "what was in the statement") {
			t.Errorf("%s shows what the driver reported", format)
		}
	}
}

func TestHandler_AnswersOnlyGETAndHEAD(t *testing.T) {
	h := serving(nil, healthy())
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		w := get(t, h, method, "/")
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
	for _, target := range []string{"/", "/?format=json", "/holds.pb.gz", "/poolz.css"} {
		all, head := get(t, h, "GET", target), get(t, h, "HEAD", target)
		if head.Code != 200 || head.Body.Len() != 0 || !reflect.DeepEqual(head.Header(), all.Header()) {
			t.Errorf("HEAD %s: %d, %d bytes, %v; GET: %v", target, head.Code, head.Body.Len(), head.Header(), all.Header())
		}
	}
}

func TestHandler_SetsSecurityHeaders(t *testing.T) {
	h := serving(nil, healthy())
	for _, target := range []string{"/", "/?format=json", "/?format=text", "/holds.pb.gz", "/poolz.js", "/nothing.txt", "/?format=x"} {
		head := get(t, h, "GET", target).Header()
		got := []string{head.Get("Content-Security-Policy"), head.Get("X-Content-Type-Options"), head.Get("Referrer-Policy")}
		if want := []string{policy, "nosniff", "no-referrer"}; !slices.Equal(got, want) {
			t.Errorf("%s: %q", target, got)
		}
	}
	for _, target := range []string{"/", "/?format=json", "/?format=text", "/holds.pb.gz"} {
		if got := get(t, h, "GET", target).Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", target, got)
		}
	}
}

// TestPage_CompliesWithItsPolicy finds nothing in the page that its policy forbids, and
// only addresses below the one of the page.
func TestPage_CompliesWithItsPolicy(t *testing.T) {
	page := get(t, serving(nil, append(fleet(), longNames())...), "GET", "/?rows=all").Body.String() +
		get(t, serving(nil, drained(), plainDB()), "GET", "/?pool=orders&sort=unused").Body.String()
	for _, bad := range []string{`\sstyle=`, `<style`, `\son\w+=`, `<script[^>]*>[^<]`, `javascript:`, `<form`, `<iframe`, `<base`} {
		if found := regexp.MustCompile(bad).FindString(page); found != "" {
			t.Errorf("%s: %q", bad, found)
		}
	}
	for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if !regexp.MustCompile(`^(\?|\./$|#|(poolz\.css|poolz\.js|icon\.svg|holds\.pb\.gz)($|\?))`).MatchString(m[1]) {
			t.Errorf("not relative: %s", m[1])
		}
	}
}

func TestHandler_WorksUnderAnyPath(t *testing.T) {
	h := serving(nil, healthy())
	mux := http.NewServeMux()
	mux.Handle("/debug/poolz/", h)
	mux.Handle("/stripped/", http.StripPrefix("/stripped", h))
	mux.Handle("/bare/", http.StripPrefix("/bare/", h))
	root := http.NewServeMux()
	root.Handle("/", h)
	type answer struct {
		Code     int
		Type     string
		Location string
	}
	for target, want := range map[string]answer{
		"/debug/poolz/":            {200, "text/html; charset=utf-8", ""},
		"/debug/poolz/poolz.js":    {200, "text/javascript; charset=utf-8", ""},
		"/debug/poolz/holds.pb.gz": {200, "application/octet-stream", ""},
		"/debug/poolz/none.txt":    {404, "text/plain; charset=utf-8", ""},
		"/stripped/":               {200, "text/html; charset=utf-8", ""},
		"/stripped/poolz.css":      {200, "text/css; charset=utf-8", ""},
		"/bare/icon.svg":           {200, "image/svg+xml", ""},
		"/bare/":                   {307, "", "./bare/"},
	} {
		w := get(t, mux, "GET", target)
		if got := (answer{w.Code, w.Header().Get("Content-Type"), w.Header().Get("Location")}); got != want {
			t.Errorf("%s: %+v", target, got)
		}
	}
	for target, want := range map[string]string{
		"/poolz":                 "./poolz/",
		"/a/b/poolz?format=json": "./poolz/?format=json",
		"/a/b/x%3Ay":             "./x:y/",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "http://here"+target, nil))
		if got := w.Header().Get("Location"); w.Code != 307 || got != want {
			t.Errorf("%s: %d %s", target, w.Code, got)
		}
	}
	if w := get(t, root, "GET", "/"); w.Code != 200 {
		t.Errorf("at the root: %d", w.Code)
	}
}

func TestHandler_SelectsTheFormat(t *testing.T) {
	h := serving(nil, healthy())
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for _, c := range []struct{ target, accept, want string }{
		{"/", "", "text/html; charset=utf-8"},
		{"/", "*/*", "text/html; charset=utf-8"},
		{"/", browser, "text/html; charset=utf-8"},
		{"/", "text/html, application/json", "text/html; charset=utf-8"},
		{"/", "application/json", "application/json"},
		{"/", "application/json, */*;q=0.1", "application/json"},
		{"/", "text/plain", "text/plain; charset=utf-8"},
		{"/", ";;;", "text/html; charset=utf-8"},
		{"/?format=html", "application/json", "text/html; charset=utf-8"},
		{"/?format=json", browser, "application/json"},
		{"/?format=text", browser, "text/plain; charset=utf-8"},
	} {
		if got := get(t, h, "GET", c.target, "Accept", c.accept).Header().Get("Content-Type"); got != c.want {
			t.Errorf("%s, Accept %q: %s, want %s", c.target, c.accept, got, c.want)
		}
	}
	if w := get(t, h, "GET", "/?format=yaml"); w.Code != 400 || w.Body.String() != "format is html, json or text\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAsset_IsCached(t *testing.T) {
	h := serving(nil)
	tag := get(t, h, "GET", "/poolz.css").Header().Get("ETag")
	again := get(t, h, "GET", "/poolz.css", "If-None-Match", tag)
	if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("with its tag: %d, %d bytes", again.Code, again.Body.Len())
	}
	page := get(t, h, "GET", "/").Body.String()
	link := regexp.MustCompile(`poolz\.css\?v=[0-9a-f]+`).FindString(page)
	for target, want := range map[string]string{
		"/" + link:         "max-age=31536000, immutable",
		"/poolz.css":       "no-cache",
		"/poolz.css?v=old": "no-cache",
	} {
		if got := get(t, h, "GET", target).Header().Get("Cache-Control"); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

func TestWithTraceURL_ReportsAndIgnoresAnInvalidTemplate(t *testing.T) {
	var reported []error
	before := otel.GetErrorHandler()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { reported = append(reported, err) }))
	defer otel.SetErrorHandler(before)
	const id = "5b8acd000000000000000000000000cd"
	for template, want := range map[string]string{
		"https://traces.example/trace/{trace_id}":            "https://traces.example/trace/" + id,
		"http://t.example/?t={trace_id}&amp=1#{span_id}":     "http://t.example/?t=" + id + "&amp;amp=1#a1000000000000cd",
		"/trace/{trace_id}":                                  "/trace/" + id,
		"":                                                   "",
		"https://traces.example/":                            "",
		"javascript:alert('{trace_id}')":                     "",
		"//traces.example/{trace_id}":                        "",
		"trace/{trace_id}":                                   "",
		"https:///{trace_id}":                                "",
		"https://traces.example/%zz/{trace_id}":              "",
		"data:text/html,{trace_id}":                          "",
		"https://traces.example/{trace_id}/and/{trace_id}/x": "https://traces.example/" + id + "/and/" + id + "/x",
	} {
		reported = nil
		page := get(t, serving([]Option{nil, WithTraceURL(template)}, drained()), "GET", "/").Body.String()
		got := ""
		if m := regexp.MustCompile(`<a class="id" href="([^"]*)"`).FindStringSubmatch(page); m != nil {
			got = m[1]
		}
		if got != want || len(reported) != 1-min(1, len(want)) {
			t.Errorf("%q: link %q, want %q; reported %v", template, got, want, reported)
		}
		for _, err := range reported {
			if template != "" && strings.Contains(err.Error(), template) {
				t.Errorf("the report contains the template: %v", err)
			}
		}
	}
}

func TestSend_AnErrorReplacesTheAnswer(t *testing.T) {
	before := otel.GetErrorHandler()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	defer otel.SetErrorHandler(before)
	w := httptest.NewRecorder()
	send(w, httptest.NewRequest("GET", "/", nil), bytes.NewBufferString("half of"), errors.New("broken off"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "half") || strings.Contains(w.Body.String(), "broken off") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestHandler_ShowsThePoolsOfTheProcess(t *testing.T) {
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest("GET", "/?format=json", nil))
	var d struct{ Pools []any }
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || len(d.Pools) != 0 {
		t.Errorf("%v, %d pools", err, len(d.Pools))
	}
}
