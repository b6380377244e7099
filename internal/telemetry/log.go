package telemetry

import (
	"context"
	"log/slog"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/poolinfo"
)

// Log writes a report to the logger. The attributes are listed in docs/reports.md. A
// record about a holder is logged in a context with its span, for a bridge, and has the
// ids as attributes, for a logger without one.
func (t *Telemetry) Log(ctx context.Context, r *poolinfo.Report) {
	l := t.cfg.Logger
	if l == nil {
		l = slog.Default()
	}
	level := slog.LevelInfo
	switch r.Kind {
	case poolinfo.ReportLeakSuspected, poolinfo.ReportExhausted, poolinfo.ReportConnectionsLost:
		level = slog.LevelWarn
	case poolinfo.ReportLeakResolved, poolinfo.ReportRecovered:
	}
	defer RecoverHook("WithLogger")
	if !l.Enabled(ctx, level) {
		return
	}
	attrs := append(make([]slog.Attr, 0, 20),
		slog.String(string(keyReport), string(r.Kind)),
		slog.String(string(semconv.DBClientConnectionPoolNameKey), r.Pool),
		slog.String(string(semconv.DBSystemNameKey), r.System),
	)
	switch r.Kind {
	case poolinfo.ReportLeakSuspected:
		attrs = append(attrs, holderAttrs(r.Holder)...)
	case poolinfo.ReportLeakResolved:
		attrs = append(attrs, slog.Uint64(string(keyConnID), r.Holder.ConnID), seconds(string(keyHeld), r.Holder.Held))
		attrs = append(attrs, callSiteAttrs(r.Holder.CallSite)...)
	case poolinfo.ReportExhausted:
		attrs = append(attrs, poolAttrs(r)...)
		attrs = append(attrs, slog.String(string(keyVerdict), string(r.Verdict)))
		attrs = append(attrs, exhaustionAttrs(r)...)
		if len(r.Groups) > 0 {
			attrs = append(attrs, holderAttrs(&r.Groups[0].Longest)...)
		}
	case poolinfo.ReportRecovered:
		attrs = append(attrs, poolAttrs(r)...)
		attrs = append(attrs, exhaustionAttrs(r)...)
	case poolinfo.ReportConnectionsLost:
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

// holderAttrs are the attributes of a holder.
func holderAttrs(h *poolinfo.Holder) []slog.Attr {
	attrs := []slog.Attr{
		slog.Uint64(string(keyConnID), h.ConnID),
		seconds(string(keyHeld), h.Held),
		seconds(string(keyIdle), h.Idle),
		slog.String(string(keyPhase), h.Phase.String()),
	}
	if h.Statement != "" {
		attrs = append(attrs, slog.String(string(semconv.DBQuerySummaryKey), h.Statement))
	}
	return append(attrs, callSiteAttrs(h.CallSite)...)
}

// callSiteAttrs are the attributes of a call site, none if it was not captured.
func callSiteAttrs(s poolinfo.CallSite) []slog.Attr {
	frames := s.Frames()
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
func poolAttrs(r *poolinfo.Report) []slog.Attr {
	var attrs []slog.Attr
	if r.MaxOpen >= 0 {
		attrs = append(attrs, slog.Int("otelpool.pool.max", r.MaxOpen))
	}
	return append(attrs,
		slog.Int("otelpool.pool.held", r.Held),
		slog.Int("otelpool.pool.idle", r.Idle),
		slog.Int("otelpool.pool.dialing", r.Dialing),
		slog.Int("otelpool.pool.waiting", r.Waiting),
		seconds(string(keyOldestWait), r.OldestWait),
	)
}

// exhaustionAttrs are the attributes of an exhaustion so far.
func exhaustionAttrs(r *poolinfo.Report) []slog.Attr {
	return []slog.Attr{
		seconds("otelpool.exhaustion.length", r.Length),
		slog.Int64("otelpool.exhaustion.waited", r.Waited),
		slog.Int64("otelpool.exhaustion.failed", r.Failed),
	}
}
