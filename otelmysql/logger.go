package otelmysql

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/go-sql-driver/mysql"
)

// logger passes on what the driver logs about one connection, and hands the first error
// in it to said: the driver logs nothing that a connection outlives, and what it logs
// after that is about the closing. A standard logger that prints file names prints this
// one where it would print the driver's; the driver puts its own in front of each
// message.
type logger struct {
	in   mysql.Logger
	said func(error)
	told atomic.Bool
}

// Print is called by the driver, on the goroutine of a call or on that which watches
// the call's context.
func (l *logger) Print(v ...any) {
	l.in.Print(v...)
	for _, a := range v {
		err, ok := a.(error)
		if ok && !errors.Is(err, net.ErrClosed) && l.told.CompareAndSwap(false, true) {
			l.said(err)
		}
	}
}
