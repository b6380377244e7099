package benchmarks

import (
	"strconv"
	"testing"
)

func TestMostCallsWaitOnASaturatedPool(t *testing.T) {
	for _, server := range Servers {
		for _, limit := range SaturatedLimits {
			for _, peer := range SaturatedPeers {
				t.Run(server.Name+"/"+strconv.Itoa(limit)+"/"+peer.Name, func(t *testing.T) {
					const calls = 10 * saturation
					started := false
					waits, err := Saturated{server, limit, Sampled, peer}.run(calls, func() { started = true })
					if err != nil {
						t.Fatal(err)
					}
					if !started {
						t.Error("the clock was not started")
					}
					if waits < calls/2 {
						t.Errorf("%d of %d calls waited", waits, calls)
					}
				})
			}
		}
	}
}
