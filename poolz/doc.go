// Package poolz is a debug page of the pools of the process: who holds the
// connections, who waits for one, why the last ones were closed, and what to change.
//
// [Handler] goes on any mux, under any path:
//
//	mux.Handle("/debug/poolz/", poolz.Handler())
//
// It has no access control, and shows which code of the program runs which statements:
// it belongs on a listener that is not public. It shows no arguments, no literals of
// statements and no texts of errors.
//
// The page works without JavaScript, and refreshes itself with it. The same data:
// ?format=json, ?format=text, and holds.pb.gz, a profile for go tool pprof. See
// docs/poolz.md.
package poolz
