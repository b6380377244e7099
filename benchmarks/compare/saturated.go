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

// A saturatedPool is one saturated pool with all its peers.
type saturatedPool struct {
	server benchmarks.Server
	limit  int
	mode   benchmarks.Mode
	peers  []*measured
}

func newSaturatedPools() []*saturatedPool {
	var all []*saturatedPool
	for _, server := range benchmarks.Servers {
		for _, limit := range benchmarks.SaturatedLimits {
			for _, mode := range benchmarks.SaturatedModes {
				s := &saturatedPool{server: server, limit: limit, mode: mode}
				for _, p := range benchmarks.SaturatedPeers {
					s.peers = append(s.peers, &measured{Peer: p, allocs: math.Inf(1)})
				}
				all = append(all, s)
			}
		}
	}
	return all
}

// saturatedRounds is how often each peer is measured on a saturated pool. The scheduler
// decides which goroutine waits, so runs differ even without disturbances. The report
// therefore has the median, which needs more and shorter rounds than the minimum.
const saturatedRounds = 21

// measureSaturated measures the pools, in about the given time.
func measureSaturated(all []*saturatedPool, total time.Duration, progress io.Writer) error {
	began := time.Now()
	each := total / time.Duration(len(all)*len(benchmarks.SaturatedPeers)*saturatedRounds)
	for round := range saturatedRounds {
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

func (s *saturatedPool) name() string {
	return fmt.Sprintf("%s, %d, %s", s.server.Name, s.limit, s.mode.Name)
}

// perSecond returns the throughput of a peer, in operations per second.
func (s *saturatedPool) perSecond(name string) float64 {
	i := slices.IndexFunc(s.peers, func(m *measured) bool { return m.Name == name })
	return 1e9 / median(s.peers[i].ns)
}

// loss returns how much lower the throughput of name is than that of other, in percent.
func (s *saturatedPool) loss(name, other string) float64 {
	return 100 * (1 - s.perSecond(name)/s.perSecond(other))
}

// maxLoss is how much throughput a saturated pool may lose to the inference, in percent.
const maxLoss = 5

// losses are the comparisons of saturated pools. The first is the cost of everything that
// otelpool does because it knows the DB. The second leaves out the cost of emitting the
// waits: the record of each call, and the spans of long waits. A loss without a goal
// is not in the list of goals.
var losses = []struct{ head, goal, peer, against string }{
	{"to call sites, inferring and emitting waits", "saturated pools: call sites, inferring the waits and emitting them cost less than 5 % of the throughput", benchmarks.Otelpool, benchmarks.NotInferred},
	{"to inferring alone", "saturated pools: inferring the waits alone costs less than 5 % of the throughput", benchmarks.Inferred, benchmarks.Recorded},
	{"with otelpool.DB", "", benchmarks.OtelpoolDB, benchmarks.NotInferred},
}

// saturatedGoals lists the goals for saturated pools.
func saturatedGoals(all []*saturatedPool) string {
	var text strings.Builder
	for _, l := range losses {
		if l.goal == "" {
			continue
		}
		var o outcome
		for _, s := range all {
			lost := s.loss(l.peer, l.against)
			o.add(lost < maxLoss, "%s: %.1f %%", s.name(), lost)
		}
		o.write(&text, l.goal)
	}
	return text.String()
}

// saturatedSection is the section of the report on saturated pools.
func saturatedSection(all []*saturatedPool) string {
	var s strings.Builder
	fmt.Fprint(&s, `## Saturated

64 goroutines run exec on a pool of 1 or 8 connections, so nearly every call waits. The numbers are operations per
second of all goroutines together, the median of `, saturatedRounds, ` rounds.

`)
	for _, server := range benchmarks.Servers {
		fmt.Fprintf(&s, "- server %s: %s.\n", server.Name, server.Note)
	}
	fmt.Fprintf(&s, `- %s: otelpool without Watch. It does not know the DB, so it infers and emits no waits.
- %s: as not inferred, but the goroutines record a wait_time of 0 for each call, directly to the SDK.
- %s: otelpool without acquire spans and call sites. It infers the waits and records them.
- otelpool infers the waits, and otelpool.DB measures them. Both emit a span for each wait of 1 ms or more, linked to the
  spans of the holders. While at least half of the pool is in use, they record the call site of each acquire.

`, benchmarks.NotInferred, benchmarks.Recorded, benchmarks.Inferred)
	var speed, loss table
	speed.row("server, connections, mode", names(all[0].peers)...)
	var heads []string
	for _, l := range losses {
		heads = append(heads, fmt.Sprintf("%s: %s compared with %s", l.head, l.peer, l.against))
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
			row = append(row, fmt.Sprintf("%.1f %%", c.loss(l.peer, l.against)))
		}
		loss.row(c.name(), row...)
	}
	fmt.Fprintf(&s, "%s\nHow much of the throughput is lost. %s\n\n%s", &speed.Builder, saturatedNoise(all), &loss.Builder)
	return s.String()
}

// saturatedNoise describes the spread of the rounds around their median.
func saturatedNoise(all []*saturatedPool) string {
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
