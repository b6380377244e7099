package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/otelpool/otelpool/benchmarks"
)

// A shared is one saturated pool and all peers that it is measured with.
type shared struct {
	server benchmarks.Server
	limit  int
	mode   benchmarks.Mode
	peers  []*measured
}

func newShared() []*shared {
	var all []*shared
	for _, server := range benchmarks.Servers {
		for _, limit := range benchmarks.SaturatedLimits {
			for _, mode := range benchmarks.SaturatedModes {
				s := &shared{server: server, limit: limit, mode: mode}
				for _, p := range benchmarks.SaturatedPeers {
					s.peers = append(s.peers, &measured{Peer: p, allocs: math.Inf(1)})
				}
				all = append(all, s)
			}
		}
	}
	return all
}

// sharedRounds is how often each peer is measured on a saturated pool. The
// scheduler decides there who waits for whom, so that runs differ from each
// other by more than by what disturbs them: the median is told, and that takes
// more and shorter rounds than the fastest.
const sharedRounds = 21

// measureShared fills the pools, in about the given time.
func measureShared(all []*shared, total time.Duration, progress io.Writer) error {
	began := time.Now()
	each := total / time.Duration(len(all)*len(benchmarks.SaturatedPeers)*sharedRounds)
	for round := range sharedRounds {
		for _, s := range all {
			for i := range s.peers {
				m := s.peers[(i+round)%len(s.peers)]
				b := benchmarks.Saturated{Server: s.server, Limit: s.limit, Mode: s.mode, Peer: m.Peer}
				if err := m.run(each, b.Run); err != nil {
					return fmt.Errorf("saturated, %s: %w", s.name(), err)
				}
			}
		}
	}
	fmt.Fprintf(progress, "saturated pools took %v\n", time.Since(began).Round(time.Second))
	return nil
}

func (s *shared) name() string {
	return fmt.Sprintf("%s, %d, %s", s.server.Name, s.limit, s.mode.Name)
}

// perSecond is how many operations the goroutines get done with a peer.
func (s *shared) perSecond(name string) float64 {
	i := slices.IndexFunc(s.peers, func(m *measured) bool { return m.Name == name })
	return 1e9 / median(s.peers[i].ns)
}

// loss is the part of another peer's operations that is not done with this one,
// in percent.
func (s *shared) loss(name, other string) float64 {
	return 100 * (1 - s.perSecond(name)/s.perSecond(other))
}

// maxLoss is what a saturated pool may lose to the inference, in percent.
const maxLoss = 5

// losses are what is said of saturated pools. The first is all that otelpool does
// because it knows the DB. The second is that without what it takes to tell the
// waits: the record for each call, and the spans of the long ones.
var losses = []struct{ head, says, of, against string }{
	{"to callers, inferring and telling", "saturated: less than 5 % lost to callers, and to inferring and telling the waits", benchmarks.Otelpool, benchmarks.NotInferred},
	{"to inferring alone", "saturated: less than 5 % lost to inferring alone", benchmarks.Inferred, benchmarks.Recorded},
	{"of otelpool.DB", "", benchmarks.OtelpoolDB, benchmarks.NotInferred},
}

// sharedVerdict is the verdict on saturated pools.
func sharedVerdict(all []*shared) string {
	var text strings.Builder
	for _, l := range losses {
		if l.says == "" {
			continue
		}
		var o outcome
		for _, s := range all {
			lost := s.loss(l.of, l.against)
			o.add(lost < maxLoss, "%s: %.1f %%", s.name(), lost)
		}
		o.write(&text, l.says)
	}
	return text.String()
}

// sharedChapter is the chapter of the report on saturated pools.
func sharedChapter(all []*shared) string {
	var s strings.Builder
	fmt.Fprint(&s, `## Saturated

64 goroutines do exec on a pool of 1 or 8 connections: nearly every call waits. Operations per second, of all
goroutines together, the median of `, sharedRounds, ` rounds.

`)
	for _, server := range benchmarks.Servers {
		fmt.Fprintf(&s, "- server %s: %s.\n", server.Name, server.Note)
	}
	fmt.Fprintf(&s, `- %s: otelpool over a DB that it does not know, so that it infers no wait and tells none.
- %s: the same, and the goroutines record a wait_time of 0 for each call, straight to the SDK.
- %s: otelpool without acquire spans and callers; it infers the waits and records them.
- otelpool, and otelpool.DB, which knows the waits: with a span for each of 1 ms or more, which leads to the spans of
  the holders. A pool half of which is in use notes where it is asked, for each call.

`, benchmarks.NotInferred, benchmarks.Recorded, benchmarks.Inferred)
	var speed, loss table
	speed.row("server, connections, mode", names(all[0].peers)...)
	var heads []string
	for _, l := range losses {
		heads = append(heads, fmt.Sprintf("%s: %s against %s", l.head, l.of, l.against))
	}
	loss.row("server, connections, mode", heads...)
	for _, c := range all {
		var row []string
		for _, m := range c.peers {
			row = append(row, thousands(c.perSecond(m.Name)))
		}
		speed.row(c.name(), row...)
		row = nil
		for _, l := range losses {
			row = append(row, fmt.Sprintf("%.1f %%", c.loss(l.of, l.against)))
		}
		loss.row(c.name(), row...)
	}
	fmt.Fprintf(&s, "%s\nThe loss. %s\n\n%s", &speed.Builder, sharedNoise(all), &loss.Builder)
	return s.String()
}

// sharedNoise says how far a round lies from the median.
func sharedNoise(all []*shared) string {
	var off []float64
	for _, s := range all {
		for _, m := range s.peers {
			middle := median(m.ns)
			for _, ns := range m.ns {
				off = append(off, math.Abs(ns/middle-1))
			}
		}
	}
	return fmt.Sprintf("Half of the rounds lie within %.0f %% of their median.", 100*median(off))
}
