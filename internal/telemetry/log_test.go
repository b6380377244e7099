package telemetry

import (
	"testing"

	"github.com/otelpool/otelpool/poolinfo"
)

func TestPoolAttrs_OmitALimitThatIsNotKnown(t *testing.T) {
	for limit, want := range map[int]string{-1: "", 0: "0", 7: "7"} {
		got := ""
		for _, a := range poolAttrs(&poolinfo.Report{MaxOpen: limit}) {
			if a.Key == "otelpool.pool.max" {
				got = a.Value.String()
			}
		}
		if got != want {
			t.Errorf("of the limit %d: got %q, want %q", limit, got, want)
		}
	}
}
