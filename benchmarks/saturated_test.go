package benchmarks

import (
	"strconv"
	"testing"
)

// One call of each goroutine: none of them can go on before all of them wait. How
// many of later calls wait is for the scheduler to say.
func TestEveryGoroutineWaitsOnASaturatedPool(t *testing.T) {
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
