package otelpool

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
)

// classMeanings are the classes, in the order of the constants, with what is told
// of each to somebody who reads it without the documentation.
var classMeanings = []struct {
	class   Class
	meaning string
}{
	{ClassDNS, "the name of the server does not resolve"},
	{ClassDialRefused, "nobody listens at the server's address"},
	{ClassDialTimeout, "nobody answers at the server's address"},
	{ClassTLS, "client and server do not agree on TLS, or on a certificate"},
	{ClassAuth, "the server does not accept who connects"},
	{ClassUnknownDatabase, "the server has no such database"},
	{ClassTooManyConnections, "the server, or its limit for the user, is full"},
	{ClassHostBlocked, "the server does not talk to this host any more"},
	{ClassServerStarting, "the server is not ready yet, or not any more"},
	{ClassServerIdleTimeout, "the server closed it because it was idle for too long"},
	{ClassIdleInTransaction, "the server closed it because it was idle in a transaction for too long"},
	{ClassKilled, "somebody ended it, or its statement, at the server"},
	{ClassServerShutdown, "the server stopped"},
	{ClassNetwork, "the connection to the server was cut, or none was possible"},
	{ClassProtocol, "driver and server lost each other's thread"},
	{ClassBusyConnection, "it was used while a result set was open"},
	{ClassBadConnection, "the driver says no more than that it is bad"},
	{ClassReadOnly, "the server takes no writes, as after a failover"},
	{ClassDeadlock, "the server ended a deadlock of transactions"},
	{ClassLockWait, "a lock was not to be had in time"},
	{ClassSerialization, "transactions cannot be put into an order, and have to be repeated"},
	{ClassFailedTransaction, "an earlier statement of the transaction failed"},
	{ClassStatementTimeout, "the server gave up the statement"},
	{ClassCanceled, "the caller gave up"},
	{ClassDeadline, "the caller's deadline passed"},
	{ClassConstraint, "the data does not allow it"},
	{ClassStatement, "the server does not take the statement"},
	{ClassPoolClosed, "the pool was closed"},
	{ClassOther, "none of the other classes"},
}

// meaning returns what is told of a class, "" if it is none.
func (c Class) meaning() string {
	for _, m := range classMeanings {
		if m.class == c {
			return m.meaning
		}
	}
	return ""
}

// condemns reports whether a connection may be lost with a failure of the class,
// though the driver did not say so.
func (c Class) condemns() bool {
	switch c {
	case ClassServerIdleTimeout, ClassIdleInTransaction, ClassKilled, ClassServerShutdown, ClassServerStarting,
		ClassNetwork, ClassProtocol, ClassBusyConnection, ClassBadConnection, ClassStatementTimeout, ClassCanceled, ClassDeadline:
		return true
	default:
		return false
	}
}

// vague reports whether the class only says that the connection is no more, so
// that something else may know why.
func (c Class) vague() bool { return c == ClassBadConnection || c == ClassNetwork }

// fault is what is told of an error.
type fault struct {
	typ   string // error.type
	code  string // db.response.status_code, "" if there is none
	class Class
}

// fault says what an error of a call in ctx is. It never looks at the text.
//
// The class is that of the adapter, else that of the SQLSTATE, else what the types
// of the standard library say. A server that stopped a statement does not know
// why, nor does a socket that timed out: if the caller's context has ended by
// then, that is why.
//
// An error may be a nil pointer whose methods panic. A program that only compares
// it would never know, so it must not learn it from us.
func (a *adapter) fault(ctx context.Context, err error) (f fault) {
	known := a.classify(err)
	defer func() {
		if recover() != nil {
			f = fault{typ: fmt.Sprintf("%T", err), class: cmp.Or(known.Class, ClassOther)}
		}
	}()
	state := sqlState(err)
	f.code = cmp.Or(known.Code, state)
	f.typ = f.code
	if f.typ == "" {
		f.typ = errorType(err)
	}
	over := endOf(ctx)
	f.class = cmp.Or(known.Class, classOfState(state), standardClass(err, over), ClassOther)
	if over != "" && (stopped[f.code] || f.code == "" && timedOut(err)) {
		f.class = over
	}
	return f
}

// dialFault is fault for an error of a dial. A time limit that is not the caller's is
// that of the driver there, and what the driver has said may tell more. said may be
// nil.
func (a *adapter) dialFault(ctx context.Context, err error, said *said) fault {
	f := a.fault(ctx, err)
	over := endOf(ctx)
	if heard, _ := said.last(); f.class.vague() && heard != nil {
		if class := a.fault(ctx, heard).class; class != ClassOther {
			f.class = class
		}
	}
	switch {
	case f.class.vague() && over != "":
		f.class = over
	case over == "" && (f.class == ClassDeadline || f.class == ClassNetwork && timedOut(err)):
		f.class = ClassDialTimeout
	}
	return f
}

// faultOf is fault for an acquire that got no connection.
func (a *acquire) faultOf(e *AcquireError) fault {
	switch e.Cause {
	case AcquirePoolClosed:
		return fault{typ: errorTypeClosed, class: ClassPoolClosed}
	case AcquireDial:
		return a.fault
	case AcquireBackgroundDial:
		return a.pool.adapter.dialFault(context.Background(), e.err, nil)
	case AcquireDeadline, AcquireCanceled, AcquireBadConn:
	}
	return a.pool.adapter.fault(a.Context, e.err)
}

// endOf returns how a context has ended, "" if it has not.
func endOf(ctx context.Context) Class {
	switch err := ctx.Err(); {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return ClassDeadline
	default:
		return ClassCanceled
	}
}

// stopped are the codes of a statement that the server stopped, be it for a limit
// or because it was asked to, as drivers do when a context ends: PostgreSQL,
// MySQL, MariaDB, and the SQLSTATE of both.
var stopped = map[string]bool{"57014": true, "1317": true, "3024": true, "1969": true, "70100": true}

// stateClasses are the classes by SQLSTATE, and stateClassClasses by its first two
// characters, which the standard calls the class.
var (
	stateClasses = map[string]Class{
		"08004": ClassTooManyConnections,
		"08P01": ClassProtocol,
		"25006": ClassReadOnly,
		"25P02": ClassFailedTransaction,
		"25P03": ClassIdleInTransaction,
		"25P04": ClassStatementTimeout, // transaction_timeout
		"40002": ClassConstraint,       // found at the commit
		"40003": ClassOther,            // nobody knows whether it was done: it must not just be repeated
		"40P01": ClassDeadlock,
		"53300": ClassTooManyConnections,
		"55P03": ClassLockWait,
		"57014": ClassStatementTimeout,
		"57P01": ClassKilled, // a shutdown too: the server calls both a command of an administrator
		"57P02": ClassServerShutdown,
		"57P03": ClassServerStarting,
		"57P04": ClassUnknownDatabase, // dropped
		"57P05": ClassServerIdleTimeout,
		"70100": ClassKilled,
	}
	stateClassClasses = map[string]Class{
		"08": ClassNetwork,
		"0A": ClassStatement,
		"21": ClassStatement,
		"22": ClassConstraint,
		"23": ClassConstraint,
		"25": ClassStatement, // what the transaction does not allow
		"26": ClassStatement,
		"28": ClassAuth,
		"34": ClassStatement,
		"3D": ClassUnknownDatabase,
		"3F": ClassStatement,
		"40": ClassSerialization,
		"42": ClassStatement,
		"44": ClassConstraint,
		"54": ClassStatement,
	}
)

// classOfState returns the class of an SQLSTATE, "" if it has none.
func classOfState(state string) Class {
	if state == "" {
		return ""
	}
	return cmp.Or(stateClasses[state], stateClassClasses[state[:2]])
}

// standardClass returns what the standard library's types say of an error, "" if
// nothing. over is how the caller's context has ended, if it has.
//
// The errors of a dial that took too long say that they are the deadline of a
// context, whoever set it.
func standardClass(err error, over Class) Class {
	deadline := errors.Is(err, context.DeadlineExceeded)
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return ClassCanceled
	case deadline && over == ClassDeadline:
		return ClassDeadline
	case errors.As(err, &dns):
		return ClassDNS
	case errors.As(err, &op) && op.Op == "dial":
		return dialClass(op)
	case deadline:
		return ClassDeadline
	case ofTLS(err, op):
		return ClassTLS
	case isRefused(err):
		return ClassDialRefused
	case op != nil, isCut(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
		return ClassNetwork
	case errors.Is(err, driver.ErrBadConn):
		return ClassBadConnection
	}
	return ""
}

// dialClass is the class of a dial that failed before there was a connection to
// talk over.
func dialClass(op *net.OpError) Class {
	switch {
	case isRefused(op), errors.Is(op, os.ErrNotExist): // no such socket
		return ClassDialRefused
	case op.Timeout():
		return ClassDialTimeout
	}
	return ClassNetwork
}

// ofTLS reports whether the two could not agree on TLS. What the other side says
// of that comes as an error of an operation that has this name.
func ofTLS(err error, op *net.OpError) bool {
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

// timedOut reports whether a limit of time was met. An error whose methods panic is
// none of a socket.
func timedOut(err error) (yes bool) {
	defer func() { _ = recover() }()
	var t interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
