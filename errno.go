//go:build !plan9

package otelpool

import (
	"errors"
	"slices"
	"syscall"
)

// refused and cut are the numbers of an operating system for a port where nobody
// listens, and for a connection that is no more, or finds no way. The large ones
// are those of Windows, and nothing elsewhere.
var (
	refused = []syscall.Errno{syscall.ECONNREFUSED, 10061}
	cut     = []syscall.Errno{
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.ENOTCONN, syscall.ESHUTDOWN, syscall.ETIMEDOUT,
		syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN,
		10050, 10051, 10053, 10054, 10057, 10058, 10060, 10065,
	}
)

func isRefused(err error) bool { return isErrno(err, refused) }

func isCut(err error) bool { return isErrno(err, cut) }

func isErrno(err error, of []syscall.Errno) bool {
	var no syscall.Errno
	return errors.As(err, &no) && slices.Contains(of, no)
}
