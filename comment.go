package otelpool

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/propagation"

	"github.com/otelpool/otelpool/internal/query"
)

// comment returns the text that the driver gets: with WithSQLCommenter that has the
// context of the statement's span in a comment at its end, before what closes it:
// some drivers take what follows a semicolon for another statement.
//
// Keys and values are encoded as in an URL, which leaves no quote and no end of a
// comment in them, and stand in the order of the keys.
func (c *conn) comment(k *call, text string) string {
	p := c.pool.cfg.commenter
	if p == nil || c.hasComment(text) {
		return text
	}
	body := strings.TrimRight(text, "; \t\r\n")
	carrier := propagation.MapCarrier{}
	p.Inject(k.ctx, carrier)
	if body == "" || len(carrier) == 0 {
		return text
	}
	var b strings.Builder
	b.WriteString(body)
	separator := " /*"
	for _, key := range slices.Sorted(maps.Keys(carrier)) {
		b.WriteString(separator)
		b.WriteString(urlEncode(key))
		b.WriteString("='")
		b.WriteString(urlEncode(carrier[key]))
		b.WriteString("'")
		separator = ","
	}
	b.WriteString("*/")
	b.WriteString(text[len(body):])
	return b.String()
}

// hasComment reports whether a text has, or may have, a comment: such a statement
// must not be touched.
func (c *conn) hasComment(text string) bool {
	if strings.Contains(text, "/*") || strings.Contains(text, "--") {
		return true
	}
	return query.DialectOf(c.pool.system()) == query.MySQL && strings.Contains(text, "#")
}

// urlEncode encodes as encodeURIComponent does, with %20 for a space.
func urlEncode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
