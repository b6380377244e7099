package poolz

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// Option changes what a [Handler] shows.
type Option interface{ apply(*handler) }

type optionFunc func(*handler)

func (f optionFunc) apply(h *handler) { f(h) }

// WithTraceURL makes trace ids links. The template is the address of a trace with
// {trace_id}, and optionally {span_id}, in it:
// "https://jaeger.example/trace/{trace_id}". Both are replaced by hexadecimal digits.
//
// A template without {trace_id}, or one that is neither an http or https address nor a
// path that begins with one slash, is ignored and reported through [otel.Handle]; ids
// are then text. If the option is used several times, the last valid template counts.
func WithTraceURL(template string) Option {
	if !validTraceURL(template) {
		otel.Handle(errors.New("poolz: WithTraceURL wants an http or https address, or a path, with {trace_id} in it"))
		return optionFunc(func(*handler) {})
	}
	return optionFunc(func(h *handler) { h.traceURL = template })
}

func validTraceURL(template string) bool {
	if !strings.Contains(template, "{trace_id}") {
		return false
	}
	u, err := url.Parse(strings.NewReplacer("{trace_id}", "0", "{span_id}", "0").Replace(template))
	switch {
	case err != nil:
		return false
	case u.Scheme == "http" || u.Scheme == "https":
		return u.Host != ""
	}
	return u.Scheme == "" && u.Host == "" && strings.HasPrefix(u.Path, "/") && !strings.HasPrefix(template, "//")
}

// Handler returns the page. Mount it on any mux under a path that ends in a slash,
// with or without http.StripPrefix: it reads only the last part of the path, and its
// links are relative.
//
// Each request takes a snapshot of every open pool, which does not block their users.
// It answers GET and HEAD, and changes nothing. It may be used by any number of
// goroutines.
func Handler(opts ...Option) http.Handler {
	return newHandler(otelpool.Pools, opts...)
}

func newHandler(pools func() []poolinfo.Snapshot, opts ...Option) *handler {
	h := &handler{pools: pools, assets: newAssets()}
	for _, o := range opts {
		if o != nil {
			o.apply(h)
		}
	}
	return h
}

type handler struct {
	pools    func() []poolinfo.Snapshot
	traceURL string
	assets   map[string]asset
}

// policy lets the page load its own assets, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	dir, file := path.Split(r.URL.Path)
	a, isAsset := h.assets[file]
	switch {
	case isAsset:
		a.serve(w, r)
	case file == profileName:
		h.serveProfile(w, r)
	case file == "" && dir != "":
		h.servePools(w, r)
	case strings.Contains(file, "."):
		http.NotFound(w, r)
	default:
		toFolder(w, r)
	}
}

// toFolder redirects to the path with a slash at its end: the links are relative to
// it. The redirect is relative too, because a mux may have removed a prefix of the
// path.
func toFolder(w http.ResponseWriter, r *http.Request) {
	requested := r.URL.Path
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		requested = u.Path
	}
	to := "./"
	if last := path.Base(requested); last != "." && last != "/" {
		to += url.PathEscape(last) + "/"
	}
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

func (h *handler) servePools(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	q := r.URL.Query()
	format := q.Get("format")
	if format == "" {
		format = accepted(r.Header.Get("Accept"))
	}
	view := newView(q)
	d := newDocument(time.Now(), h.pools(), view.Pool)
	var b bytes.Buffer
	var err error
	switch format {
	case "html":
		err = h.writePage(&b, d, view)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	case "json":
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		err = e.Encode(d)
		w.Header().Set("Content-Type", "application/json")
	case "text":
		writeText(&b, d)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	default:
		http.Error(w, "format is html, json or text", http.StatusBadRequest)
		return
	}
	send(w, r, &b, err)
}

// accepted is the format for an Accept header: html, unless the header names another
// format and not html.
func accepted(header string) string {
	var names []string
	for part := range strings.SplitSeq(header, ",") {
		if name, _, err := mime.ParseMediaType(part); err == nil {
			names = append(names, name)
		}
	}
	switch {
	case slices.Contains(names, "text/html"):
	case slices.Contains(names, "application/json"):
		return "json"
	case slices.Contains(names, "text/plain"):
		return "text"
	}
	return "html"
}

func (h *handler) serveProfile(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	d := newDocument(time.Now(), h.pools(), r.URL.Query().Get("pool"))
	err := writeProfile(&b, d)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+profileName+`"`)
	send(w, r, &b, err)
}

// send answers with b, or with an error only: half a page could be taken for a whole
// one.
func send(w http.ResponseWriter, r *http.Request, b *bytes.Buffer, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		otel.Handle(fmt.Errorf("poolz: %w", err))
		w.Header().Del("Content-Disposition")
		http.Error(w, "the answer could not be made; the program's OpenTelemetry error handler has the reason", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // it fails if the client is gone
	}
}
