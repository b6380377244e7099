package monitor

import (
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

func TestLosses_AreReportedAsBursts(t *testing.T) {
	const s = time.Second
	type look struct {
		at   time.Duration
		lost map[poolinfo.Class]int64
		next time.Duration
	}
	n := func(count int64) map[poolinfo.Class]int64 {
		return map[poolinfo.Class]int64{poolinfo.ClassNetwork: count}
	}
	for _, test := range []struct {
		name   string
		losses []time.Duration
		looks  []look
	}{
		{"no losses", nil, []look{{at: 0}, {at: time.Hour}}},
		{"two are no burst", []time.Duration{s, s}, []look{{at: s}, {at: 3 * s}, {at: time.Hour}}},
		{
			"three are a burst, which is due a second later",
			[]time.Duration{s, s, 2 * s},
			[]look{{at: 2 * s, next: 3 * s}, {at: 3*s - 1, next: 3 * s}, {at: 3 * s, lost: n(3)}, {at: 4 * s}},
		},
		{
			"each further loss delays it",
			[]time.Duration{s, s, s, 1900 * time.Millisecond},
			[]look{{at: 2 * s, next: 2900 * time.Millisecond}, {at: 2900 * time.Millisecond, lost: n(4)}},
		},
		{
			"it is delayed by ten seconds at most",
			[]time.Duration{s, 2 * s, 3 * s, 4 * s, 5 * s, 6 * s, 7 * s, 8 * s, 9 * s, 10 * s, 10500 * time.Millisecond},
			[]look{{at: 10500 * time.Millisecond, next: 11 * s}, {at: 11 * s, lost: n(11)}},
		},
		{"three within ten seconds", []time.Duration{s, 6 * s, 11 * s}, []look{{at: 11 * s, lost: n(3)}}},
		{"three in more than that", []time.Duration{s, 6 * s, 11*s + 1}, []look{{at: 20 * s}, {at: time.Hour}}},
		{
			"only the last ten seconds count",
			[]time.Duration{s, 10 * s, 12 * s, 19 * s},
			[]look{{at: 20 * s, lost: n(3)}},
		},
		{"a look an hour later", []time.Duration{s, s, s}, []look{{at: time.Hour, lost: n(3)}, {at: time.Hour}}},
	} {
		var l losses
		i := 0
		for _, look := range test.looks {
			for ; i < len(test.losses) && test.losses[i] <= look.at; i++ {
				l.add(test.losses[i], poolinfo.ClassNetwork)
			}
			if lost, next := l.due(look.at); !maps.Equal(lost, look.lost) || next != look.next || (lost == nil) != (look.lost == nil) {
				t.Errorf("%s, at %v: got %v and %v, want %v and %v", test.name, look.at, lost, next, look.lost, look.next)
			}
		}
	}
}

func TestLosses_ASecondBurstIsDueTenSecondsAfterTheFirst(t *testing.T) {
	const s = time.Second
	var l losses
	lose := func(at time.Duration, c poolinfo.Class) { l.add(at, c) }
	want := func(at time.Duration, want map[poolinfo.Class]int64, wantNext time.Duration) {
		t.Helper()
		if got, next := l.due(at); !maps.Equal(got, want) || next != wantNext {
			t.Errorf("at %v: got %v and %v, want %v and %v", at, got, next, want, wantNext)
		}
	}
	for range 3 {
		lose(0, poolinfo.ClassKilled)
	}
	want(1*s, map[poolinfo.Class]int64{poolinfo.ClassKilled: 3}, 0)
	for range 3 {
		lose(2*s, poolinfo.ClassKilled)
	}
	want(3*s, nil, 11*s)
	lose(10*s, poolinfo.ClassNetwork)
	want(11*s-1, nil, 11*s)
	want(11*s, map[poolinfo.Class]int64{poolinfo.ClassKilled: 3, poolinfo.ClassNetwork: 1}, 0)
	lose(12*s, poolinfo.ClassNetwork)
	lose(12*s, poolinfo.ClassNetwork)
	want(30*s, nil, 0)
}

func TestLosses_MayComeFromAnyGoroutine(t *testing.T) {
	var l losses
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				l.add(time.Second, poolinfo.ClassNetwork)
				l.due(0)
			}
		})
	}
	all.Wait()
	if got, _ := l.due(2 * time.Second); got[poolinfo.ClassNetwork] != 800 {
		t.Errorf("got %v, want all 800", got)
	}
}
