package otelpool

import "testing"

func TestLastAttempt_FindsTheLine(t *testing.T) {
	if lastAttempt() == 0 {
		t.Error("the line of the last attempt was not found")
	}
}
