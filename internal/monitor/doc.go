// Package monitor watches one pool and concludes what somebody on call should know.
//
// It has one goroutine, which runs while the pool has connections or dials one, until
// DB.Close. The goroutine reads the ledger each second, and at the moment at which a
// threshold would be passed, and makes a report of what it found:
//
//	monitor.go       the goroutine and its schedule
//	leak.go          holders that do nothing with their connection
//	exhaustion.go    callers that wait for too long; plainwait.go, those of a plain *sql.DB
//	verdict.go       why the pool is exhausted
//	selfdeadlock.go  holders that wait for a second connection
//	goroutine.go     what a profile of the goroutines shows
//	losses.go        connections that broke within seconds
//	history.go       what the pool looked like
//	closedconn.go    the connections that were closed
//
// A report is kept for [Monitor.Reports], written to the log, and handed to the program's
// function, in this order and on this goroutine.
package monitor
