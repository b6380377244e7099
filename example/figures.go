package main

import (
	"math"
	"slices"
	"sort"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// state is the pool at one collection.
type state struct {
	limit, used, idle, dialing int64
	waiting                    int64 // callers without a connection
	oldestHold, oldestWait     time.Duration
}

// figures are the SDK's data on one pool during one scene, added up over all collections.
type figures struct {
	state                  // at the last collection
	mostUsed         int64 // at any collection
	peak             int64 // between collections; other readers reset it
	mostOldestHold   time.Duration
	mostWaiting      int64         // at any collection
	mostOldestWait   time.Duration // at any collection
	usedOverTime     []int64
	holds            histogram
	waits            histogram // successful
	failedWaits      histogram // timed out or canceled
	dials            histogram
	statements       histogram
	failedStatements histogram

	waited            float64 // seconds, all callers together
	timeouts, cancels int64

	heldFor  map[string]float64 // seconds by phase
	acquired map[string]int64   // by source
	closed   map[string]int64   // by reason
	retries  map[string]int64   // by error type
}

func newFigures() *figures {
	return &figures{
		heldFor:  map[string]float64{},
		acquired: map[string]int64{},
		closed:   map[string]int64{},
		retries:  map[string]int64{},
	}
}

// add adds one collection of a reader with delta temporality. It ignores other pools.
func (f *figures) add(collected *metricdata.ResourceMetrics) {
	f.state = state{}
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			f.addMetric(m)
		}
	}
	f.mostUsed = max(f.mostUsed, f.used)
	f.mostOldestHold = max(f.mostOldestHold, f.oldestHold)
	f.mostWaiting = max(f.mostWaiting, f.waiting)
	f.mostOldestWait = max(f.mostOldestWait, f.oldestWait)
}

func (f *figures) addMetric(m metricdata.Metrics) {
	switch m.Name {
	case metricCount:
		each(m, func(p metricdata.DataPoint[int64]) {
			switch value(p.Attributes, attrState) {
			case stateUsed:
				f.used = p.Value
			case stateIdle:
				f.idle = p.Value
			case stateDialing:
				f.dialing = p.Value
			}
		})
	case metricMax:
		each(m, func(p metricdata.DataPoint[int64]) { f.limit = p.Value })
	case metricPeak:
		each(m, func(p metricdata.DataPoint[int64]) { f.peak = max(f.peak, p.Value) })
	case metricOldestHold:
		each(m, func(p metricdata.DataPoint[float64]) { f.oldestHold = seconds(p.Value) })
	case metricPending:
		each(m, func(p metricdata.DataPoint[int64]) { f.waiting = p.Value })
	case metricOldestWait:
		each(m, func(p metricdata.DataPoint[float64]) { f.oldestWait = seconds(p.Value) })
	case metricWaited:
		each(m, func(p metricdata.DataPoint[float64]) { f.waited += p.Value })
	case metricTimeouts:
		each(m, func(p metricdata.DataPoint[int64]) { f.timeouts += p.Value })
	case metricCancels:
		each(m, func(p metricdata.DataPoint[int64]) { f.cancels += p.Value })
	case metricHeld:
		each(m, func(p metricdata.DataPoint[float64]) { f.heldFor[value(p.Attributes, attrPhase)] += p.Value })
	case metricAcquired:
		each(m, func(p metricdata.DataPoint[int64]) { f.acquired[value(p.Attributes, attrSource)] += p.Value })
	case metricClosed:
		each(m, func(p metricdata.DataPoint[int64]) { f.closed[value(p.Attributes, attrReason)] += p.Value })
	case metricRetries:
		each(m, func(p metricdata.DataPoint[int64]) { f.retries[value(p.Attributes, attrErrorType)] += p.Value })
	case metricUseTime:
		eachHistogram(m, f.holds.add)
	case metricCreateTime:
		eachHistogram(m, f.dials.add)
	case metricWaitTime:
		eachHistogram(m, splitByError(&f.waits, &f.failedWaits))
	case metricOperation:
		eachHistogram(m, splitByError(&f.statements, &f.failedStatements))
	}
}

// splitByError adds points without error.type to one histogram and those with it to
// another.
func splitByError(succeeded, failed *histogram) func(metricdata.HistogramDataPoint[float64]) {
	return func(p metricdata.HistogramDataPoint[float64]) {
		if value(p.Attributes, attrErrorType) == "" {
			succeeded.add(p)
		} else {
			failed.add(p)
		}
	}
}

// each calls f for each point of this program's pool.
func each[N int64 | float64](m metricdata.Metrics, f func(metricdata.DataPoint[N])) {
	var points []metricdata.DataPoint[N]
	switch data := m.Data.(type) {
	case metricdata.Sum[N]:
		points = data.DataPoints
	case metricdata.Gauge[N]:
		points = data.DataPoints
	}
	for _, p := range points {
		if value(p.Attributes, attrPool) == poolName {
			f(p)
		}
	}
}

func eachHistogram(m metricdata.Metrics, f func(metricdata.HistogramDataPoint[float64])) {
	data, _ := m.Data.(metricdata.Histogram[float64])
	for _, p := range data.DataPoints {
		if value(p.Attributes, attrPool) == poolName {
			f(p)
		}
	}
}

func value(set attribute.Set, key attribute.Key) string {
	v, _ := set.Value(key)
	return v.AsString()
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func sum(counts map[string]int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// histogram is a distribution of seconds.
type histogram struct {
	bounds   []float64
	counts   []uint64
	count    uint64
	min, max float64
}

// add merges a point. All points of an instrument have the same bounds.
func (h *histogram) add(p metricdata.HistogramDataPoint[float64]) {
	if p.Count == 0 {
		return
	}
	if h.counts == nil {
		h.bounds = slices.Clone(p.Bounds)
		h.counts = make([]uint64, len(p.BucketCounts))
		h.min = math.Inf(1)
	}
	for i, n := range p.BucketCounts {
		h.counts[i] += n
	}
	h.count += p.Count
	if lowest, ok := p.Min.Value(); ok {
		h.min = min(h.min, lowest)
	}
	if highest, ok := p.Max.Value(); ok {
		h.max = max(h.max, highest)
	}
}

// quantile estimates the q-quantile. It assumes that values are spread evenly within
// their bucket.
func (h *histogram) quantile(q float64) time.Duration {
	rank := q * float64(h.count)
	var below float64
	for i, n := range h.counts {
		if n == 0 || below+float64(n) < rank {
			below += float64(n)
			continue
		}
		low, high := 0.0, h.max
		if i > 0 {
			low = h.bounds[i-1]
		}
		if i < len(h.bounds) {
			high = min(high, h.bounds[i])
		}
		low = max(low, h.min)
		return seconds(low + (high-low)*(rank-below)/float64(n))
	}
	return seconds(h.max)
}

// atLeast counts the values in the buckets above d.
func (h *histogram) atLeast(d time.Duration) (n uint64) {
	first := sort.SearchFloat64s(h.bounds, d.Seconds()) + 1
	for i := first; i < len(h.counts); i++ {
		n += h.counts[i]
	}
	return n
}
