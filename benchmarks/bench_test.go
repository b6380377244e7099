package benchmarks

import (
	"strconv"
	"testing"
)

// Benchmark measures every peer with every operation in every mode. The names are
// Benchmark/<operation>/<mode>/<serial|parallel>/<peer>.
func Benchmark(b *testing.B) {
	for _, op := range Ops {
		b.Run(op.Name, func(b *testing.B) {
			for _, mode := range Modes {
				b.Run(mode.Name, func(b *testing.B) {
					b.Run("serial", func(b *testing.B) { benchmarkPeers(b, op, mode, false) })
					b.Run("parallel", func(b *testing.B) { benchmarkPeers(b, op, mode, true) })
				})
			}
		})
	}
}

// BenchmarkStatement measures statements whose texts are cached, and others. The names
// are BenchmarkStatement/<statement>/<mode>/<peer>.
func BenchmarkStatement(b *testing.B) {
	for _, op := range Statements {
		b.Run(op.Name, func(b *testing.B) {
			for _, mode := range StatementModes {
				b.Run(mode.Name, func(b *testing.B) {
					for _, peer := range StatementPeers {
						b.Run(peer.Name, func(b *testing.B) { Bench{op, mode, peer}.Run(b, false) })
					}
				})
			}
		})
	}
}

func benchmarkPeers(b *testing.B, op Op, mode Mode, parallel bool) {
	for _, peer := range Peers {
		if peer.In(mode) {
			b.Run(peer.Name, func(b *testing.B) { Bench{op, mode, peer}.Run(b, parallel) })
		}
	}
}

// BenchmarkSaturated measures the throughput of a saturated pool. The names are
// BenchmarkSaturated/<server>/<limit>/<mode>/<peer>.
func BenchmarkSaturated(b *testing.B) {
	for _, server := range Servers {
		b.Run(server.Name, func(b *testing.B) {
			for _, limit := range SaturatedLimits {
				b.Run(strconv.Itoa(limit), func(b *testing.B) {
					for _, mode := range SaturatedModes {
						b.Run(mode.Name, func(b *testing.B) {
							for _, peer := range SaturatedPeers {
								b.Run(peer.Name, Saturated{server, limit, mode, peer}.Run)
							}
						})
					}
				})
			}
		})
	}
}
