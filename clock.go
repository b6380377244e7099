package otelpool

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// timeIn is when something happened that is told by a span below the one in ctx. See
// adjustment.
func (c *connector) timeIn(ctx context.Context, at time.Duration) time.Time {
	now := time.Now()
	return c.ledger.Time(at, now).Add(adjustment(ctx, now))
}

// nowIn is the same for now.
func nowIn(ctx context.Context) time.Time {
	now := time.Now()
	return now.Add(adjustment(ctx, now))
}

// adjustment is how far the clock of the span in ctx is ahead of that on the wall. A span
// of the SDK reads the latter once, at its start, and goes on by the monotonic one, so
// the two part when that on the wall is adjusted, as it is all the time by a few
// millionths. A span below that is told when it is over, by the wall, would begin before
// the one above if it began right after it, minutes ago.
func adjustment(ctx context.Context, now time.Time) time.Duration {
	started, ok := startOf(trace.SpanFromContext(ctx))
	if !ok {
		return 0
	}
	return started.Add(now.Sub(started)).Round(0).Sub(now.Round(0))
}

// startOf returns when a span has started. Those of the SDK know it, if they are sampled.
func startOf(span trace.Span) (started time.Time, ok bool) {
	if s, ok := span.(interface{ StartTime() time.Time }); ok {
		return s.StartTime(), true
	}
	return time.Time{}, false
}
