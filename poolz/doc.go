// Package poolz is a page that shows the pools of the process while something is
// wrong with them: who holds the connections, who waits for one, why the last ones
// were closed, and what to change.
//
// [Handler] goes on any mux, under any path:
//
//	mux.Handle("/debug/poolz/", poolz.Handler())
//
// It shows everybody who can reach it which code of the program asks the database
// for what, so it belongs on a listener that is not public. There are no arguments
// and no literals of statements on it, and no texts of errors.
//
// The page works without JavaScript, and refreshes itself with it. The same as data:
// ?format=json, ?format=text, and holds.pb.gz, a profile for go tool pprof. See
// docs/poolz.md.
package poolz
