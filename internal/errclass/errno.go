//go:build !plan9

package errclass

import (
	"errors"
	"slices"
	"syscall"
)

// refused and broken are the error numbers of operating systems for a port where
// nothing listens, and for a connection that was cut or finds no route. The large
// numbers are those of Windows, and mean nothing elsewhere.
var (
	refused = []syscall.Errno{syscall.ECONNREFUSED, 10061}
	broken  = []syscall.Errno{
		syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.ENOTCONN, syscall.ESHUTDOWN, syscall.ETIMEDOUT,
		syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN,
		10050, 10051, 10053, 10054, 10057, 10058, 10060, 10065,
	}
)

func isRefused(err error) bool { return isErrno(err, refused) }

func isBroken(err error) bool { return isErrno(err, broken) }

func isErrno(err error, numbers []syscall.Errno) bool {
	var no syscall.Errno
	return errors.As(err, &no) && slices.Contains(numbers, no)
}
