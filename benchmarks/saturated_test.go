package benchmarks

import (
	"strconv"
	"testing"
)

// Each goroutine makes one call, and none continues before all of them wait. How many
// later calls wait depends on the scheduler.
func TestSaturated_EveryGoroutineWaits(t *testing.T) {
	for _, server := range Servers {
		for _, limit := range SaturatedLimits {
			for _, peer := range SaturatedPeers {
				t.Run(server.Name+"/"+strconv.Itoa(limit)+"/"+peer.Name, func(t *testing.T) {
					started := false
					waits, err := Saturated{server, limit, Sampled, peer}.run(saturation, func() { started = true })
					if err != nil {
						t.Fatal(err)
					}
					if !started {
						t.Error("the clock was not started")
					}
					if waits != saturation {
						t.Errorf("%d of %d calls waited", waits, saturation)
					}
				})
			}
		}
	}
}
