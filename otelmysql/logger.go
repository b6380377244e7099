package otelmysql

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/go-sql-driver/mysql"
)

// logger forwards the driver's log messages about one connection, and passes the first
// error in them to onNotice: the driver logs only errors that end a connection, and later
// messages are about the close. A standard logger that prints file names prints this file
// instead of the driver's; the driver prefixes each message with its own.
type logger struct {
	inner    mysql.Logger
	onNotice func(error)
	notified atomic.Bool
}

// Print is called by the driver, on the goroutine of a call or on the one that watches
// the call's context.
func (l *logger) Print(v ...any) {
	l.inner.Print(v...)
	for _, a := range v {
		err, ok := a.(error)
		if ok && !errors.Is(err, net.ErrClosed) && l.notified.CompareAndSwap(false, true) {
			l.onNotice(err)
		}
	}
}
