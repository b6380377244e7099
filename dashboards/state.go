package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// state is one state of a pool.
type state struct {
	word, meaning string
	color         string // "" for a state that the dashboards do not show
}

// states are the states of a pool, from the best to the worst. The dashboards and the
// page share this list: a test compares it with poolz/state.go, whose comments give
// the reason why one of the two does not show a state. A panel shows the position of a
// state as a number.
var states = []state{
	{"ok", "None of the other states applies.", "green"},
	{"dialing", "No connection is open, and at least one is being dialed.", ""},
	{"churning", "More than every fifth acquire opens a connection.", "yellow"},
	{"saturated", "All connections that the limit allows are taken, or nearly all.", "orange"},
	{"exhausted", "The pool is saturated, and a caller has waited for a second or more.", ""},
	{"cannot connect", "More than half of all dials fail.", "red"},
	{"stuck", "Callers wait, connections are held, and no caller got one for a minute.", "dark-red"},
}

// poolState is the state of each pool as a number: the worst that applies. The
// conditions are those of the alerts, without their for.
var poolState = `(sum by @by (rate(otelpool_connection_waited_seconds_total{@of}[1m])) > 0
    and on @by sum by @by (increase(otelpool_connection_acquired_total{@of}[1m])) == 0
    and on @by sum by @by (db_client_connection_count{@of,db_client_connection_state="used"}) > 0) * 0 + ` + stateNumber("stuck") + `
  or (` + failedDials + ` > 0.5) * 0 + ` + stateNumber("cannot connect") + `
  or (` + utilization + ` > 0.8) * 0 + ` + stateNumber("saturated") + `
  or (` + dialsPerAcquire + ` > 0.2 and on @by ` + dials + ` > 1) * 0 + ` + stateNumber("churning") + `
  or sum by @by (db_client_connection_count{@of}) * 0`

// stateNumber is the position of a state in the list.
func stateNumber(word string) string {
	return strconv.Itoa(slices.IndexFunc(states, func(s state) bool { return s.word == word }))
}

// stateMappings are the words for the numbers of the states that the dashboards show.
func stateMappings() (all []mapping) {
	for i, s := range states {
		if s.color != "" {
			all = append(all, mapping{strconv.Itoa(i), s.word, s.color})
		}
	}
	return all
}

// stateMeanings are the meanings of the states that the dashboards show, the worst first.
func stateMeanings() string {
	var all []string
	for _, s := range slices.Backward(states) {
		if s.color != "" {
			all = append(all, s.word+": "+s.meaning)
		}
	}
	return strings.Join(all, " ")
}

// stateLegend names the first and the last state with their numbers.
func stateLegend() string {
	return fmt.Sprintf("state (0 %s to %d %s)", states[0].word, len(states)-1, states[len(states)-1].word)
}
