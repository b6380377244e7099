package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// timeIn converts a ledger time to wall-clock time for a span that will be a child of
// the span in ctx. See clockOffset.
func (t *Telemetry) timeIn(ctx context.Context, at time.Duration) time.Time {
	now := time.Now()
	return t.ledger.Time(at, now).Add(clockOffset(ctx, now))
}

// nowIn is the same for now.
func nowIn(ctx context.Context) time.Time {
	now := time.Now()
	return now.Add(clockOffset(ctx, now))
}

// clockOffset is how far the clock of the span in ctx is ahead of the wall clock. A span
// of the SDK reads the wall clock once, at its start, and then the monotonic clock. The
// two drift apart when the wall clock is adjusted, which it is all the time by a few
// millionths. A child that is made when it ends, with wall-clock times, could begin
// before its parent if it began right after it, minutes ago.
func clockOffset(ctx context.Context, now time.Time) time.Duration {
	started, ok := StartTime(trace.SpanFromContext(ctx))
	if !ok {
		return 0
	}
	return started.Add(now.Sub(started)).Round(0).Sub(now.Round(0))
}

// StartTime returns when a span started. Those of the SDK know it, if they are sampled.
func StartTime(span trace.Span) (started time.Time, ok bool) {
	if s, ok := span.(interface{ StartTime() time.Time }); ok {
		return s.StartTime(), true
	}
	return time.Time{}, false
}
