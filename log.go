package otelpool

import (
	"context"
	"log/slog"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// log writes a report to the logger. The attributes are listed in docs/reports.md.
// A record about a holder is logged in a context with its span, for a bridge, and
// has the ids, for a logger that knows of none.
func (c *connector) log(ctx context.Context, r *Report) {
	l := c.cfg.logger
	if l == nil {
		l = slog.Default()
	}
	level := slog.LevelInfo
	switch r.Kind {
	case LeakSuspected, Exhausted, ConnectionsLost:
		level = slog.LevelWarn
	case LeakReturned, ExhaustionOver:
	}
	defer absent("WithLogger")
	if !l.Enabled(ctx, level) {
		return
	}
	attrs := append(make([]slog.Attr, 0, 20),
		slog.String(string(keyReport), string(r.Kind)),
		slog.String(string(semconv.DBClientConnectionPoolNameKey), r.Pool),
		slog.String(string(semconv.DBSystemNameKey), r.System),
	)
	switch r.Kind {
	case LeakSuspected:
		attrs = append(attrs, r.Holder.logAttrs()...)
	case LeakReturned:
		attrs = append(attrs, slog.Uint64(string(keyConnID), r.Holder.ConnID), seconds(string(keyHeld), r.Holder.Held))
		attrs = append(attrs, r.Holder.siteAttrs()...)
	case Exhausted:
		attrs = append(attrs, r.poolAttrs()...)
		attrs = append(attrs, slog.String(string(keyVerdict), string(r.Verdict)))
		attrs = append(attrs, r.lengthAttrs()...)
		if len(r.Groups) > 0 {
			attrs = append(attrs, r.Groups[0].Longest.logAttrs()...)
		}
	case ExhaustionOver:
		attrs = append(attrs, r.poolAttrs()...)
		attrs = append(attrs, r.lengthAttrs()...)
	case ConnectionsLost:
		for class, n := range r.Lost {
			attrs = append(attrs, slog.Int64("otelpool.lost."+string(class), n))
		}
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		attrs = append(attrs, slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	l.LogAttrs(ctx, level, r.String(), attrs...)
}

func seconds(key string, d time.Duration) slog.Attr { return slog.Float64(key, d.Seconds()) }

// logAttrs are the attributes of a holder.
func (h *Holder) logAttrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.Uint64(string(keyConnID), h.ConnID),
		seconds(string(keyHeld), h.Held),
		seconds(string(keyIdle), h.Idle),
		slog.String(string(keyPhase), h.Phase),
	}
	if h.Statement != "" {
		attrs = append(attrs, slog.String(string(semconv.DBQuerySummaryKey), h.Statement))
	}
	return append(attrs, h.siteAttrs()...)
}

// siteAttrs are the attributes of the place where the connection was asked for, none
// if that is not known.
func (h *Holder) siteAttrs() []slog.Attr {
	frames := h.Frames()
	if len(frames) == 0 {
		return nil
	}
	return []slog.Attr{
		slog.String(string(semconv.CodeFunctionNameKey), frames[0].Function),
		slog.String(string(semconv.CodeFilePathKey), frames[0].File),
		slog.Int(string(semconv.CodeLineNumberKey), frames[0].Line),
	}
}

// poolAttrs are the attributes of the pool's state.
func (r *Report) poolAttrs() []slog.Attr {
	return []slog.Attr{
		slog.Int("otelpool.pool.max", r.MaxOpen),
		slog.Int("otelpool.pool.held", r.Held),
		slog.Int("otelpool.pool.idle", r.Idle),
		slog.Int("otelpool.pool.dialing", r.Dialing),
		slog.Int("otelpool.pool.waiting", r.Waiting),
		seconds(string(keyOldestWait), r.OldestWait),
	}
}

// lengthAttrs are the attributes of an exhaustion so far.
func (r *Report) lengthAttrs() []slog.Attr {
	return []slog.Attr{
		seconds("otelpool.exhaustion.length", r.Length),
		slog.Int64("otelpool.exhaustion.waited", r.Waited),
		slog.Int64("otelpool.exhaustion.failed", r.Failed),
	}
}
