package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// poolAttrs are the attributes of a pool's data point.
func poolAttrs(pool string, more ...attribute.KeyValue) attribute.Set {
	return attribute.NewSet(append(more, attribute.String(attrPool, pool))...)
}

func count(name string, values map[string]int64, key attribute.Key) metricdata.Metrics {
	var points []metricdata.DataPoint[int64]
	for value, n := range values {
		points = append(points, metricdata.DataPoint[int64]{Attributes: poolAttrs(poolName, key.String(value)), Value: n})
	}
	// The table must leave out other pools.
	points = append(points, metricdata.DataPoint[int64]{Attributes: poolAttrs("another", key.String(reasonBad)), Value: 1000})
	return metricdata.Metrics{Name: name, Data: metricdata.Sum[int64]{DataPoints: points}}
}

func gauge[N int64 | float64](name string, value N) metricdata.Metrics {
	return metricdata.Metrics{Name: name, Data: metricdata.Gauge[N]{DataPoints: []metricdata.DataPoint[N]{
		{Attributes: poolAttrs(poolName), Value: value},
		{Attributes: poolAttrs("another"), Value: 1000},
	}}}
}

// distribution is a histogram with the bounds 0.001, 0.01, 0.1 and 1.
func distribution(name string, lowest, highest float64, counts ...uint64) metricdata.Metrics {
	point := metricdata.HistogramDataPoint[float64]{
		Attributes:   poolAttrs(poolName),
		Bounds:       []float64{0.001, 0.01, 0.1, 1},
		BucketCounts: counts,
		Min:          metricdata.NewExtrema(lowest),
		Max:          metricdata.NewExtrema(highest),
	}
	for _, n := range counts {
		point.Count += n
	}
	return metricdata.Metrics{Name: name, Data: metricdata.Histogram[float64]{DataPoints: []metricdata.HistogramDataPoint[float64]{point}}}
}

// failing adds an error type to the points of a histogram.
func failing(m metricdata.Metrics, typ string) metricdata.Metrics {
	points := m.Data.(metricdata.Histogram[float64]).DataPoints
	for i := range points {
		points[i].Attributes = poolAttrs(poolName, attribute.String(attrErrorType, typ))
	}
	return m
}

func collection(metrics ...metricdata.Metrics) *metricdata.ResourceMetrics {
	return &metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{{Metrics: metrics}}}
}

func TestPrintTable_AddsUpAllCollections(t *testing.T) {
	f := newFigures()
	f.add(collection(
		count(metricCount, map[string]int64{stateUsed: 10, stateIdle: 0, stateDialing: 1}, attrState),
		gauge[int64](metricMax, 10), gauge[int64](metricPeak, 10), gauge(metricOldestHold, 4.0),
		count(metricAcquired, map[string]int64{"new": 10, "reused": 20}, attrSource),
		count(metricClosed, map[string]int64{reasonBad: 2}, attrReason),
		gauge[int64](metricPending, 7), gauge(metricOldestWait, 0.5), gauge(metricWaited, 4.0),
		gauge[int64](metricTimeouts, 3),
		distribution(metricWaitTime, 0.0001, 0.0008, 80, 0, 0, 0, 0),
		failing(distribution(metricWaitTime, 0.5, 0.5, 0, 0, 0, 3, 0), "deadline_exceeded"),
		distribution(metricUseTime, 0.0005, 0.05, 60, 20, 10, 0, 0),
		distribution(metricOperation, 0.0002, 0.0008, 100, 0, 0, 0, 0),
	))
	f.usedOverTime = append(f.usedOverTime, f.used, 5)
	f.add(collection(
		count(metricCount, map[string]int64{stateUsed: 1, stateIdle: 8, stateDialing: 0}, attrState),
		gauge[int64](metricMax, 10), gauge[int64](metricPeak, 4), gauge(metricOldestHold, 0.1),
		count(metricAcquired, map[string]int64{"reused": 5}, attrSource),
		count(metricClosed, map[string]int64{reasonBad: 1, "idle_time": 3}, attrReason),
		count(metricRetries, map[string]int64{"bad_connection": 3}, attrErrorType),
		metricdata.Metrics{Name: metricHeld, Data: metricdata.Sum[float64]{DataPoints: []metricdata.DataPoint[float64]{
			{Attributes: poolAttrs(poolName, attribute.String(attrPhase, "tx")), Value: 12.5},
			{Attributes: poolAttrs(poolName, attribute.String(attrPhase, "executing")), Value: 0.25},
		}}},
		gauge[int64](metricPending, 2), gauge(metricOldestWait, 0.2), gauge(metricWaited, 0.5),
		gauge[int64](metricTimeouts, 1), gauge[int64](metricCancels, 1),
		distribution(metricWaitTime, 0.2, 0.4, 0, 0, 0, 20, 0),
		failing(distribution(metricWaitTime, 0.5, 0.5, 0, 0, 0, 1, 0), "deadline_exceeded"),
		failing(distribution(metricWaitTime, 0.002, 0.002, 0, 1, 0, 0, 0), "canceled"),
		distribution(metricUseTime, 2, 5, 0, 0, 0, 0, 10),
	))
	f.usedOverTime = append(f.usedOverTime, f.used, 0)

	var out bytes.Buffer
	printTable(&out, f, tally{byStatus: map[int]int{200: 30, 503: 2}, lost: 1, slowest: 1500 * time.Millisecond})
	want := `
  pool "notifications", as recorded by the SDK (percentiles are estimated from buckets)
  connections    limit 10         most held 10     held now 1       idle now 8       dialing now 0
  held over time |█▄▁ | 100ms per mark
  hold time      p50 0.92 ms      p95 3.0 s        p99 4.6 s        max 5.0 s        count 100
                 over 1 s 10      longest so far 4.0 s
  wait time      p50 0.66 ms      p95 325 ms       p99 385 ms       max 400 ms       count 100
  failed waits   p50 250 ms       p95 475 ms       p99 495 ms       max 500 ms       count 5
  waiting        most at once 7   longest 500 ms   total 4.5 s      timed out 4      canceled 1
  statement time p50 0.50 ms      p95 0.77 ms      p99 0.79 ms      max 0.80 ms      count 100
  dial time      none
  held by phase  executing 250 ms rows 0           tx 12.5 s        pinned 0
  acquired       new 10           reused 25        opener 0
  closed         bad 3            idle_time 3
  retries        bad_connection 3

  HTTP requests, as counted by the clients
  requests       ok 30            failed 3         slowest 1.5 s
  responses      no response 1    status 200 30    status 503 2
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(line)) - 1; n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestPrintStory_IndentsContinuationLines(t *testing.T) {
	var out bytes.Buffer
	printStory(&out, 1500*time.Millisecond, "the pool is full")
	printStory(&out, 12*time.Second, "this is why:\n"+strings.Repeat("nine char ", 10))
	want := `   1.5 s  the pool is full
  12.0 s  this is why:
          nine char nine char nine char nine char nine char nine char nine char nine char nine
          char nine char
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestHistogram_EstimatesQuantilesWithinBucketMinAndMax(t *testing.T) {
	var h histogram
	eachHistogram(distribution("", 0.004, 0.5, 0, 50, 0, 50, 0), h.add)
	for q, want := range map[float64]time.Duration{
		0:    4 * time.Millisecond,
		0.25: 7 * time.Millisecond,
		0.5:  10 * time.Millisecond,
		0.75: 300 * time.Millisecond,
		1:    500 * time.Millisecond,
	} {
		if got := h.quantile(q).Round(time.Microsecond); got != want {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	for d, want := range map[time.Duration]uint64{
		time.Millisecond:       100,
		10 * time.Millisecond:  50,
		11 * time.Millisecond:  50,
		100 * time.Millisecond: 50,
		101 * time.Millisecond: 0,
		time.Second:            0,
		time.Hour:              0,
	} {
		if got := h.atLeast(d); got != want {
			t.Errorf("at least %v: %d, want %d", d, got, want)
		}
	}
}

func TestSparkline_FitsTheWidthAndKeepsTheMaximumPerMark(t *testing.T) {
	for _, test := range []struct {
		samples []int64
		columns int
		want    string
	}{
		{nil, 10, "none"},
		{[]int64{0, 1, 2, 4, 8, 9}, 10, "| ▁▂▄██| 100ms per mark"},
		{[]int64{0, 1, 2, 4, 8, 0, 0}, 4, "|▁▄█ | 200ms per mark"},
	} {
		if got := sparkline(test.samples, 8, test.columns); got != test.want {
			t.Errorf("%v: %s, want %s", test.samples, got, test.want)
		}
	}
	if got := sparkline([]int64{3}, 0, 10); got != "none" {
		t.Errorf("without a limit: %s", got)
	}
}
