package telemetry

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/poolinfo"
)

// Observation is what a collection reads of a pool.
type Observation struct {
	ledger.Snapshot
	Peak    int64
	MaxOpen int   // 0 if there is no limit or it is not known
	MaxIdle int64 // -1 if it is not known
	HasDB   bool  // callers that wait are known
}

// observe creates the observable instruments and the one callback that serves them. An
// instrument that is refused must not be registered with the others, or none of them
// would be observed.
func (t *Telemetry) observe(b *builder, read func() Observation) metric.Registration {
	var (
		all        []metric.Observable
		count      = observable(b, mCount, &all, b.meter.Int64ObservableUpDownCounter)
		limit      = observable(b, mMax, &all, b.meter.Int64ObservableUpDownCounter)
		idleMax    = observable(b, mIdleMax, &all, b.meter.Int64ObservableUpDownCounter)
		pending    = observable(b, mPending, &all, b.meter.Int64ObservableUpDownCounter)
		waited     = observable(b, mWaited, &all, b.meter.Float64ObservableCounter)
		oldestWait = observable(b, mOldestWait, &all, b.meter.Float64ObservableGauge)
		held       = observable(b, mHeld, &all, b.meter.Float64ObservableCounter)
		oldestHold = observable(b, mOldestHold, &all, b.meter.Float64ObservableGauge)
		peak       = observable(b, mPeak, &all, b.meter.Int64ObservableGauge)

		plain   = observeOptions(t.base)
		used    = t.stateOptions(semconv.DBClientConnectionStateUsed)
		idle    = t.stateOptions(semconv.DBClientConnectionStateIdle)
		dialing = t.stateOptions(semconv.DBClientConnectionStateKey.String("dialing"))
		byPhase [ledger.NumPhases][]metric.ObserveOption
	)
	for p := poolinfo.PhaseExecuting; p < ledger.NumPhases; p++ {
		byPhase[p] = observeOptions(with(t.base, keyPhase.String(p.String())))
	}
	registration, err := b.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := read()
		t.flushAcquired(&s.Snapshot)
		if count != nil {
			o.ObserveInt64(count, int64(s.Held), used...)
			o.ObserveInt64(count, int64(s.Idle+s.Fresh), idle...)
			o.ObserveInt64(count, int64(s.Dialing), dialing...)
		}
		if limit != nil && s.MaxOpen > 0 {
			o.ObserveInt64(limit, int64(s.MaxOpen), plain...)
		}
		if idleMax != nil && s.MaxIdle >= 0 {
			o.ObserveInt64(idleMax, s.MaxIdle, plain...)
		}
		if pending != nil && s.HasDB {
			o.ObserveInt64(pending, s.Waiting, plain...)
		}
		if waited != nil && s.HasDB {
			o.ObserveFloat64(waited, s.Waited.Seconds(), plain...)
		}
		if oldestWait != nil && s.HasDB {
			o.ObserveFloat64(oldestWait, s.OldestWait.Seconds(), plain...)
		}
		if held != nil {
			for p := poolinfo.PhaseExecuting; p < ledger.NumPhases; p++ {
				o.ObserveFloat64(held, s.HeldTime[p].Seconds(), byPhase[p]...)
			}
		}
		if oldestHold != nil {
			o.ObserveFloat64(oldestHold, s.OldestHold.Seconds(), plain...)
		}
		if peak != nil {
			o.ObserveInt64(peak, s.Peak, plain...)
		}
		return nil
	}, all...)
	if err != nil {
		b.refused = append(b.refused, err)
	}
	return registration
}

func (t *Telemetry) stateOptions(state attribute.KeyValue) []metric.ObserveOption {
	return observeOptions(with(t.base, state))
}

// acquireCounter is how many acquires of each source the counter has.
type acquireCounter struct {
	mu    sync.Mutex // guards added
	added [ledger.NumSources]int64
}

// flushAcquired adds to the counter what was acquired since the last flush. An acquire
// is counted in the ledger, and added to the instrument only when somebody collects:
// the counter costs nothing while nobody does, and still outlives the pool, as an
// observable counter would not. The context of the collection is not used: it would
// make exemplars of the collector's own spans.
func (t *Telemetry) flushAcquired(s *ledger.Snapshot) {
	for source, n := range t.acquires.next(s) {
		if n > 0 {
			t.acquired.Add(context.Background(), n, t.bySource[source]...)
		}
	}
}

// next returns what was acquired since it was last called.
func (c *acquireCounter) next(s *ledger.Snapshot) (more [ledger.NumSources]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for source, n := range s.Acquired {
		if n > c.added[source] {
			more[source] = n - c.added[source]
			c.added[source] = n
		}
	}
	return more
}
