package otelpool

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/propagation"

	"github.com/otelpool/otelpool/internal/query"
)

// comment returns the text that the driver gets. With WithSQLCommenter it has ctx, the context of
// the statement's span, in a comment at its end, before closing semicolons: some drivers take what
// follows a semicolon for another statement.
//
// Keys and values are encoded as in an URL, which leaves no quote and no end of a comment in them,
// and are sorted by key.
func (p *pool) comment(ctx context.Context, text string) string {
	propagator := p.cfg.commenter
	if propagator == nil || mayHaveComment(text, query.DialectOf(p.telemetry.System())) {
		return text
	}
	body := strings.TrimRight(text, "; \t\r\n")
	carrier := propagation.MapCarrier{}
	propagator.Inject(ctx, carrier)
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

// mayHaveComment reports whether a text has, or may have, a comment: such a statement is not
// changed.
func mayHaveComment(text string, d query.Dialect) bool {
	if strings.Contains(text, "/*") || strings.Contains(text, "--") {
		return true
	}
	return d == query.MySQL && strings.Contains(text, "#")
}

// urlEncode encodes as encodeURIComponent does, with %20 for a space.
func urlEncode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
