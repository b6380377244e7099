package errclass

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/otelpool/otelpool/poolinfo"
)

// Fault is what is recorded of an error.
type Fault struct {
	Type  string // error.type
	Code  string // db.response.status_code, "" if there is none
	Class poolinfo.Class
	// Stopped says that the server stopped the statement.
	Stopped bool
}

// Of returns the fault of an error that a call in ctx returned. info is what the
// adapter of the driver knows of it. The text of the error is never looked at.
//
// The class is that of info, else that of the SQLSTATE, else that of the types of the
// standard library. A server that stopped a statement does not know why, nor does a
// socket that timed out: if the caller's context has ended by then, that is why.
//
// An error may be a nil pointer whose methods panic. A program that only compares it
// would never know, so that panic ends here.
func Of(ctx context.Context, err error, info poolinfo.ErrorInfo) (f Fault) {
	defer func() {
		if recover() != nil {
			f = Fault{Type: fmt.Sprintf("%T", err), Class: cmp.Or(info.Class, poolinfo.ClassOther)}
		}
	}()
	state := sqlState(err)
	f.Code = cmp.Or(info.Code, state)
	f.Type = f.Code
	if f.Type == "" {
		f.Type = errorType(err)
	}
	f.Stopped = info.ServerStopped || stopped[f.Code]
	contextClass := OfContext(ctx)
	f.Class = cmp.Or(info.Class, classOfState(state), standardClass(err, contextClass), poolinfo.ClassOther)
	if contextClass != "" && (f.Stopped || f.Code == "" && timedOut(err)) {
		f.Class = contextClass
	}
	return f
}

// OfDial is [Of] for an error of a dial. A time limit that is not the caller's is that
// of the driver there. notice returns the class of what the driver reported besides the
// error, "" if it reported nothing. It is called if the error itself is vague.
func OfDial(ctx context.Context, err error, info poolinfo.ErrorInfo, notice func() poolinfo.Class) Fault {
	f := Of(ctx, err, info)
	if IsVague(f.Class) {
		if class := notice(); class != "" && class != poolinfo.ClassOther {
			f.Class = class
		}
	}
	contextClass := OfContext(ctx)
	switch {
	case IsVague(f.Class) && contextClass != "":
		f.Class = contextClass
	case contextClass == "" && (f.Class == poolinfo.ClassDeadline || f.Class == poolinfo.ClassNetwork && timedOut(err)):
		f.Class = poolinfo.ClassDialTimeout
	}
	return f
}

// OfContext returns how a context ended, "" if it has not.
func OfContext(ctx context.Context) poolinfo.Class {
	switch err := ctx.Err(); {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return poolinfo.ClassDeadline
	default:
		return poolinfo.ClassCanceled
	}
}

// MayBreak reports whether a connection may be broken after a failure of the class,
// though the driver did not report it.
func MayBreak(c poolinfo.Class) bool {
	switch c {
	case poolinfo.ClassServerIdleTimeout, poolinfo.ClassIdleInTransaction, poolinfo.ClassKilled, poolinfo.ClassServerShutdown,
		poolinfo.ClassServerStarting, poolinfo.ClassNetwork, poolinfo.ClassProtocol, poolinfo.ClassBusyConnection,
		poolinfo.ClassBadConnection, poolinfo.ClassStatementTimeout, poolinfo.ClassCanceled, poolinfo.ClassDeadline:
		return true
	default:
		return false
	}
}

// IsVague reports whether the class says only that the connection is broken, so that
// something else may know why.
func IsVague(c poolinfo.Class) bool {
	return c == poolinfo.ClassBadConnection || c == poolinfo.ClassNetwork
}

// IsCanceled reports whether a call failed because its caller canceled it, which says
// nothing about the database.
func IsCanceled(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled)
}

// standardClass returns the class of an error by the types of the standard library, ""
// if they give none. contextClass is how the caller's context ended, if it has.
//
// A dial that took too long returns the deadline of a context even if it was not the
// caller's.
func standardClass(err error, contextClass poolinfo.Class) poolinfo.Class {
	deadline := errors.Is(err, context.DeadlineExceeded)
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return poolinfo.ClassCanceled
	case deadline && contextClass == poolinfo.ClassDeadline:
		return poolinfo.ClassDeadline
	case errors.As(err, &dns):
		return poolinfo.ClassDNS
	case errors.As(err, &op) && op.Op == "dial":
		return dialClass(op)
	case deadline:
		return poolinfo.ClassDeadline
	case isTLS(err, op):
		return poolinfo.ClassTLS
	case isRefused(err):
		return poolinfo.ClassDialRefused
	case op != nil, isBroken(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
		return poolinfo.ClassNetwork
	case errors.Is(err, driver.ErrBadConn):
		return poolinfo.ClassBadConnection
	}
	return ""
}

// dialClass is the class of a dial that failed before there was a connection.
func dialClass(op *net.OpError) poolinfo.Class {
	switch {
	case isRefused(op), errors.Is(op, os.ErrNotExist): // no such socket
		return poolinfo.ClassDialRefused
	case op.Timeout():
		return poolinfo.ClassDialTimeout
	}
	return poolinfo.ClassNetwork
}

// isTLS reports whether the TLS handshake failed. An alert from the other side is an
// error of an operation with one of these names.
func isTLS(err error, op *net.OpError) bool {
	if op != nil && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	var (
		alert       tls.AlertError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		rejected    *tls.ECHRejectionError
		authority   x509.UnknownAuthorityError
		host        x509.HostnameError
		invalid     x509.CertificateInvalidError
		roots       x509.SystemRootsError
		insecure    x509.InsecureAlgorithmError
		unhandled   x509.UnhandledCriticalExtension
	)
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &authority) || errors.As(err, &host) ||
		errors.As(err, &invalid) || errors.As(err, &alert) || errors.As(err, &rejected) || errors.As(err, &roots) ||
		errors.As(err, &insecure) || errors.As(err, &unhandled)
}

// timedOut reports whether a time limit was reached. An error whose methods panic is
// not one of a socket.
func timedOut(err error) (yes bool) {
	defer func() { _ = recover() }()
	var t interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
