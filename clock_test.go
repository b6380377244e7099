package otelpool_test

import (
	"context"
	"slices"
	"testing"
	"time"
	"unsafe"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

// adjusted returns at with its wall-clock time ahead by some seconds and the same monotonic
// reading, as after an adjustment of the system's clock.
func adjusted(t *testing.T, at time.Time, ahead time.Duration) time.Time {
	t.Helper()
	was := at
	*(*uint64)(unsafe.Pointer(&at)) += uint64(ahead/time.Second) << 30
	if wall := at.Round(0).Sub(was.Round(0)); wall != ahead || at.Sub(was) != 0 {
		t.Fatalf("the wall clock is ahead by %v, want %v, and the monotonic clock by %v, want 0", wall, ahead, at.Sub(was))
	}
	return at
}

// This test needs a monotonic clock, which a bubble does not have.
func TestSpans_MadeAtTheirEndUseTheClockOfTheParent(t *testing.T) {
	opts := []otelpool.Option{
		otelpool.WithHoldSpanThreshold(0),
		otelpool.WithAcquireSpanThreshold(0),
		otelpool.WithHooks(otelpool.Hooks{Keep: func(context.Context, poolinfo.StatementInfo, poolinfo.StatementResult) bool { return true }}),
	}
	for _, ahead := range []time.Duration{0, time.Hour, -time.Hour} {
		seen := observe()
		db := otelpool.OpenDB(fakedb.New(full).Connector(), seen.options(opts...)...)
		defer db.Close()
		timedDB, err := otelpool.NewDB(db)
		noError(t, err)
		noError(t, db.Ping()) // the span of a dial starts at the SDK's own time
		seen.spans.Reset()

		began := adjusted(t, time.Now(), ahead)
		ctx, _ := seen.traces.Tracer("caller").Start(t.Context(), "caller", trace.WithTimestamp(began))
		_, err = db.ExecContext(ctx, "x")
		noError(t, err)
		_, err = timedDB.ExecContext(ctx, "y")
		noError(t, err)
		gone, cancel := context.WithCancel(ctx)
		cancel()
		if err := timedDB.PingContext(gone); err == nil {
			t.Error("a canceled call got a connection")
		}
		latest := began.Add(time.Since(began)).Round(0)

		var got []string
		for _, s := range seen.ended() {
			got = append(got, s.Name())
			if start, end := s.StartTime().Round(0), s.EndTime().Round(0); start.Before(began.Round(0)) || end.Before(start) || end.After(latest) {
				t.Errorf("%v ahead: %s is from %v to %v, its parent from %v to %v", ahead, s.Name(), start, end, began.Round(0), latest)
			}
		}
		want := []string{"acquire", "exec", "hold", "exec", "hold", "acquire", "acquire"}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}
