package poolz

import (
	"fmt"
	"strings"
	"time"
)

// A drawing has attributes and classes only: the page's policy allows no inline style.
// The style sheet stretches it, so it has no text.

// segment is a part of a bar. X and Width are in the units of the bar.
type segment struct {
	Class, Name string
	Count       string
	X, Width    float64
}

// bar is a row of segments. Units is its length.
type bar struct {
	Units    float64
	Segments []segment
}

// Label is the bar in words.
func (b bar) Label() string {
	return strings.Join(each(b.Segments, func(s segment) string { return s.Name + " " + s.Count }), ", ")
}

// maxQueueLength limits the queue in a bar, as a multiple of the length of the pool.
// The number in the label is not limited.
const maxQueueLength = 3

// Bar is the pool now. Each connection of the limit has the same width, and so has each
// waiting caller, after a gap.
func (p *poolView) Bar() bar {
	unused := 0
	for _, g := range p.Groups {
		unused += g.Unused
	}
	working := p.Held - unused
	used := p.Held + p.Idle + p.Dialing
	room := max(p.Limits.maxOpen(), used, 1)
	free := room - used
	var b bar
	add := func(class, name string, n, drawn int) {
		if n > 0 {
			b.Segments = append(b.Segments, segment{class, name, fmt.Sprint(n), b.Units, float64(drawn)})
			b.Units += float64(drawn)
		}
	}
	add("working", "held, in use", working, working)
	add("unused", "held, unused 1 s or more", unused, unused)
	add("idle", "idle", p.Idle, p.Idle)
	add("dialing", "dialing", p.Dialing, p.Dialing)
	if p.Limits.maxOpen() > 0 {
		add("free", "not open", free, free)
	}
	b.Units = float64(room)
	if p.Waiting != nil && *p.Waiting > 0 {
		b.Units += float64(room) / 50
		add("waiting", "waiting", *p.Waiting, min(*p.Waiting, maxQueueLength*room))
	}
	return b
}

// PhaseBar is the held time by phase, since the pool was opened.
func (p *poolView) PhaseBar() bar {
	var all seconds
	for _, d := range p.HeldTime {
		all += d
	}
	var b bar
	for _, phase := range []string{"executing", "rows", "tx", "pinned"} {
		if d := p.HeldTime[phase]; d > 0 {
			share := 1000 * time.Duration(d).Seconds() / time.Duration(all).Seconds()
			b.Segments = append(b.Segments, segment{"phase-" + phase, phase, fmt.Sprintf("%s (%s)", percent(d, all), d), b.Units, share})
			b.Units += share
		}
	}
	return b
}

// curve is a filled line of a chart.
type curve struct {
	Class, Path string
}

// chart is the last minutes of a pool.
type chart struct {
	Name   string
	Label  string // what it shows, in words
	Top    string // the value at its upper edge
	Curves []curve
	Limit  string // the y coordinate of the limit, "" if it is above the chart
}

// The size of a chart: a second is one unit wide.
const (
	chartSpan    = 5 * time.Minute
	chartWidth   = float64(chartSpan / time.Second)
	chartHeight  = 100.0
	maxSampleGap = 2500 * time.Millisecond // a longer time between two samples is a gap in the chart
)

// Charts are the history of the pool, nil without one.
func (p *poolView) Charts() []chart {
	h := p.History
	if len(h) < 2 {
		return nil
	}
	held := each(h, func(s sample) float64 { return float64(s.Held) })
	open := each(h, func(s sample) float64 { return float64(s.Held + s.Idle) })
	all := each(h, func(s sample) float64 { return float64(s.Held + s.Idle + s.Dialing) })
	limit := float64(p.Limits.maxOpen())
	most := largest(all)
	if limit <= 4*most {
		most = max(most, limit)
	}
	top := roundUp(most)
	conns := chart{
		Name: "connections",
		Top:  fmt.Sprintf("%g", top),
		Label: fmt.Sprintf("held: %g now, %g at most; open or dialing: %g at most",
			held[len(held)-1], largest(held), largest(all)),
		Curves: []curve{
			{"dialing", p.area(all, top)},
			{"idle", p.area(open, top)},
			{"working", p.area(held, top)},
		},
	}
	if limit > 0 && limit <= top {
		conns.Limit = number(chartHeight * (1 - limit/top))
	}
	out := []chart{conns}
	if p.HasDB {
		waiting := each(h, func(s sample) float64 {
			if s.Waiting == nil {
				return 0
			}
			return float64(*s.Waiting)
		})
		top := roundUp(largest(waiting))
		out = append(out, chart{
			Name: "waiting", Top: fmt.Sprintf("%g", top),
			Label:  fmt.Sprintf("waiting: %g now, %g at most", waiting[len(waiting)-1], largest(waiting)),
			Curves: []curve{{"waiting", p.area(waiting, top)}},
		})
	}
	rate := make([]float64, len(h))
	for i := 1; i < len(h); i++ {
		if d := h[i].Time.Sub(h[i-1].Time); d > 0 && d < maxSampleGap {
			rate[i] = float64(h[i].Acquired-h[i-1].Acquired) / d.Seconds()
		}
	}
	top = roundUp(largest(rate))
	return append(out, chart{
		Name: "acquires per second", Top: fmt.Sprintf("%g", top),
		Label:  fmt.Sprintf("acquires per second: %.0f now, %.0f at most", rate[len(rate)-1], largest(rate)),
		Curves: []curve{{"rate", p.area(rate, top)}},
	})
}

// area is the path of the area below values, one for each sample of the history. A
// value lasts until the next sample. A gap is left empty.
func (p *poolView) area(values []float64, top float64) string {
	var b strings.Builder
	start := p.Time.Add(-chartSpan)
	drawing := false
	end := 0.0
	for i, s := range p.History {
		x := s.Time.Sub(start).Seconds()
		if x < 0 || x > chartWidth {
			continue
		}
		until, whole := min(x+1, chartWidth), false
		if i+1 < len(p.History) {
			if d := p.History[i+1].Time.Sub(s.Time); d < maxSampleGap {
				until, whole = min(x+d.Seconds(), chartWidth), true
			}
		}
		y := chartHeight * (1 - values[i]/top)
		if !drawing {
			fmt.Fprintf(&b, "M%s %gV%sH%s", number(x), chartHeight, number(y), number(until))
		} else {
			fmt.Fprintf(&b, "V%sH%s", number(y), number(until))
		}
		drawing, end = whole, until
		if !whole {
			fmt.Fprintf(&b, "V%gZ", chartHeight)
		}
	}
	if drawing {
		fmt.Fprintf(&b, "H%sV%gZ", number(end), chartHeight)
	}
	return b.String()
}

// number is a coordinate, to a tenth.
func number(f float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") }

func largest(values []float64) float64 {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	return most
}

// roundUp is the next round number: a whole number that is 1, 1.5, 2, 3, 4, 5, 6 or 8
// times a power of ten.
func roundUp(v float64) float64 {
	if v <= 1 {
		return 1
	}
	for ten := 1.0; ; ten *= 10 {
		for _, n := range []float64{1, 1.5, 2, 3, 4, 5, 6, 8} {
			if n*ten >= v && n*ten == float64(int64(n*ten)) {
				return n * ten
			}
		}
	}
}
