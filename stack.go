package otelpool

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"runtime"
	"sync"
)

// database/sql does not pass a driver the reason of a call. The call stack has it. It is read only
// at moments that are rare: a dial, a close, a bad connection, the rollback of a transaction whose
// context ended. The function names are those of Go 1.26 and 1.27 and a test holds them; a name
// that is gone makes the answer "unknown", not wrong.
const (
	frameConn        = "database/sql.(*DB).conn"
	framePutConn     = "database/sql.(*DB).putConn"
	frameOpener      = "database/sql.(*DB).openNewConnection"
	frameCleaner     = "database/sql.(*DB).connectionCleaner"
	frameMaxIdle     = "database/sql.(*DB).SetMaxIdleConns"
	frameClose       = "database/sql.(*DB).Close"
	frameRetry       = "database/sql.(*DB).retry"
	frameTxAwaitDone = "database/sql.(*Tx).awaitDone"
	frameConnBeginTx = "database/sql.(*Conn).BeginTx"
)

// maxFrames bounds how far up a stack is read. The frame in question is at most ten above the
// driver's; the rest is room for other wrappers between.
const maxFrames = 48

// calledFrom returns the nearest caller that is one of names, and the line in it, or "".
func calledFrom(names ...string) (name string, line int) {
	var pcs [maxFrames]uintptr
	return nearest(pcs[:runtime.Callers(2, pcs[:])], names...)
}

func nearest(pcs []uintptr, names ...string) (name string, line int) {
	if len(pcs) == 0 {
		return "", 0
	}
	frames := runtime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		for _, n := range names {
			if f.Function == n {
				return n, f.Line
			}
		}
		if !more {
			return "", 0
		}
	}
}

// willRetry reports whether database/sql, on getting ErrBadConn from the call that is going on,
// retries on another connection without its caller knowing.
func willRetry() bool {
	name, line := calledFrom(frameRetry)
	return name != "" && line != lastAttempt()
}

// lastAttempt is the line from which database/sql makes the attempt that it does not retry. It is
// found out by making a pool fail, once in a process and not before a connection broke.
var lastAttempt = sync.OnceValue(func() int {
	var c lineCounter
	db := sql.OpenDB(&c)
	_ = db.Ping()
	_ = db.Close()
	return c.line
})

// lineCounter is a connector that fails every attempt, and keeps the line of the last.
type lineCounter struct{ line int }

func (c *lineCounter) Connect(context.Context) (driver.Conn, error) {
	_, c.line = calledFrom(frameRetry)
	return nil, driver.ErrBadConn
}

func (c *lineCounter) Driver() driver.Driver { return nil }
