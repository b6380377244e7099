package ledger

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations by their size, in buckets that are an eighth of a power
// of two wide. It may be used from any goroutine, and adding takes one atomic add.
type Histogram struct{ counts [numBuckets]atomic.Uint32 }

// numBuckets reach from a microsecond to more than a day.
const numBuckets = 288

// HistogramCounts is what a [Histogram] held at one moment. A count wraps around; the
// difference of
// two counts is right all the same.
type HistogramCounts [numBuckets]uint32

// Add counts d.
func (h *Histogram) Add(d time.Duration) { h.counts[bucketOf(d)].Add(1) }

// Read copies the counts.
func (h *Histogram) Read(into *HistogramCounts) {
	for i := range h.counts {
		into[i] = h.counts[i].Load()
	}
}

// add counts d.
func (c *HistogramCounts) add(d time.Duration) { c[bucketOf(d)]++ }

// addAll adds other counts.
func (c *HistogramCounts) addAll(o *HistogramCounts) {
	for i := range c {
		c[i] += o[i]
	}
}

// Subtract takes away what was counted before.
func (c *HistogramCounts) Subtract(before *HistogramCounts) {
	for i := range c {
		c[i] -= before[i]
	}
}

// Total is how many durations were counted.
func (c *HistogramCounts) Total() (n int64) {
	for _, k := range c {
		n += int64(k)
	}
	return n
}

// Quantile returns an upper bound of the duration below which the given part of all
// lies, at most an eighth above it or a microsecond; zero if there are none.
func (c *HistogramCounts) Quantile(part float64) time.Duration {
	total := c.Total()
	if total == 0 {
		return 0
	}
	rank := min(total, max(1, int64(part*float64(total)+0.999999)))
	var below int64
	for i, k := range c {
		if below += int64(k); below >= rank {
			return boundOf(i)
		}
	}
	return boundOf(numBuckets - 1)
}

// bucketOf and boundOf count in units of 1024 ns: the first sixteen buckets are a
// unit wide, and from there on each eight are twice as wide as those before.
func bucketOf(d time.Duration) int {
	u := uint64(max(d, 0)) >> 10
	if u < 8 {
		return int(u)
	}
	e := bits.Len64(u) - 1
	return min(numBuckets-1, (e-2)*8+int(u>>(e-3)&7))
}

func boundOf(bucket int) time.Duration {
	if bucket < 8 {
		return time.Duration(bucket+1) << 10
	}
	return time.Duration(8+bucket%8+1) << (bucket/8 - 1) << 10
}
