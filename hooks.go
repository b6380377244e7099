package otelpool

import (
	"context"

	"go.opentelemetry.io/otel/attribute"

	"github.com/otelpool/otelpool/poolinfo"
)

// Hooks are functions of the program for the spans of its statements: those of query, exec and
// prepare. Each may be nil. They are called on the goroutine of the statement, which waits for
// them; several may be called at once. A hook that panics counts as nil for that call, which is
// reported through otel.Handle.
type Hooks struct {
	// SpanName returns the name of the span, in place of the summary. It should be one of few. If
	// it is empty, the summary stays.
	SpanName func(ctx context.Context, s poolinfo.StatementInfo) string
	// Attributes returns attributes to add to the span. It is called if the span is recorded, with
	// the context of the call.
	Attributes func(ctx context.Context, s poolinfo.StatementInfo) []attribute.KeyValue
	// Keep decides at the end whether there is a span at all, for instance only of what failed or
	// was slow. With it the span is made at the end, with its true start, so that spans of the
	// driver are children of the caller's span and not of the statement's. Metrics are recorded in
	// any case.
	Keep func(ctx context.Context, s poolinfo.StatementInfo, r poolinfo.StatementResult) bool
}
