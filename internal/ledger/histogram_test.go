package ledger

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogram_BucketsHaveNoGaps(t *testing.T) {
	for i := range numBuckets - 1 {
		if last, next := boundOf(i)-1, boundOf(i); bucketOf(last) != i || bucketOf(next) != i+1 {
			t.Fatalf("%v is in bucket %d and %v in %d, want %d and the next", last, bucketOf(last), next, bucketOf(next), i)
		}
	}
	for d, want := range map[time.Duration]int{-1: 0, 0: 0, 1 << 62: numBuckets - 1, 24 * time.Hour: bucketOf(24*time.Hour - 1)} {
		if got := bucketOf(d); got != want {
			t.Errorf("%v is in bucket %d, want %d", d, got, want)
		}
	}
}

func TestHistogramCounts_QuantileIsAtMostAnEighthTooHigh(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var h Histogram
		var all []time.Duration
		for range 1 + rnd.IntN(500) {
			d := time.Duration(rnd.Int64N(1 << (1 + rnd.IntN(44))))
			all = append(all, d)
			h.Add(d)
		}
		slices.Sort(all)
		var c HistogramCounts
		h.Read(&c)
		if got := c.Total(); got != int64(len(all)) {
			t.Fatalf("got %d, want %d", got, len(all))
		}
		for _, percent := range []int{1, 50, 90, 95, 99, 100} {
			want := all[(percent*len(all)+99)/100-1]
			if got := c.Quantile(float64(percent) / 100); got <= want || got > want+want/8+1024 {
				t.Errorf("p%d of %d is %v, want %v and at most an eighth more", percent, len(all), got, want)
			}
		}
	}
}

func TestHistogramCounts_SubtractLeavesLaterValues(t *testing.T) {
	var h Histogram
	var before, after HistogramCounts
	h.Add(time.Hour)
	h.Read(&before)
	h.Add(time.Second)
	h.Read(&after)
	after.Subtract(&before)
	if n, q := after.Total(), after.Quantile(1); n != 1 || q != boundOf(bucketOf(time.Second)) {
		t.Errorf("got %d up to %v", n, q)
	}
	if got := new(HistogramCounts).Quantile(0.5); got != 0 {
		t.Errorf("the median of no values is %v", got)
	}
}
