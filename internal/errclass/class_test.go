package errclass

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/otelpool/otelpool/poolinfo"
)

// state is an error with an SQLSTATE.
type state string

func (state) Error() string      { return "a text that is not read" }
func (s state) SQLState() string { return string(s) }

// number is an error of a driver that only its adapter can read.
type number poolinfo.ErrorInfo

func (number) Error() string { return "a text that is not read" }

// numbered is an error with a number of a server, and stoppedBy is one of a statement that
// the server stopped.
func numbered(code string, class poolinfo.Class) number { return number{Code: code, Class: class} }

func stoppedBy(code string, class poolinfo.Class) number {
	return number{Code: code, Class: class, ServerStopped: true}
}

// infoOf is what the adapter of that driver returns for an error; zero if it panics.
func infoOf(err error) (info poolinfo.ErrorInfo) {
	defer func() { _ = recover() }()
	var n number
	_ = errors.As(err, &n)
	return poolinfo.ErrorInfo(n)
}

// faultOf returns the fault of an error of a call in ctx.
func faultOf(ctx context.Context, err error) Fault { return Of(ctx, err, infoOf(err)) }

// timeoutError is an error of a socket whose deadline passed.
type timeoutError struct{}

func (timeoutError) Error() string { return "a text that is not read" }
func (timeoutError) Timeout() bool { return true }

// nilError is an error whose methods panic when it is a nil pointer.
type nilError struct{ err error }

func (b *nilError) Error() string    { return b.err.Error() }
func (b *nilError) Unwrap() error    { return b.err }
func (b *nilError) SQLState() string { return b.err.Error() }

// during is an error of an operation of a socket.
func during(op string, err error) error { return &net.OpError{Op: op, Net: "tcp", Err: err} }

// errnoOf is an error of the operating system, as a socket has it.
func errnoOf(no syscall.Errno) error { return os.NewSyscallError("connect", no) }

func TestOf_FindsEveryClass(t *testing.T) {
	for class, errs := range map[poolinfo.Class][]error{
		poolinfo.ClassDNS: {
			&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true},
			during("dial", &net.DNSError{Err: "timeout", Name: "x", IsTimeout: true}),
		},
		poolinfo.ClassDialRefused: {
			during("dial", errnoOf(syscall.ECONNREFUSED)), errnoOf(syscall.ECONNREFUSED), during("dial", errnoOf(syscall.ENOENT)),
			during("dial", errnoOf(10061)), // Windows
		},
		poolinfo.ClassDialTimeout: {during("dial", timeoutError{}), during("dial", errnoOf(syscall.ETIMEDOUT))},
		poolinfo.ClassTLS: {
			during("remote error", errors.New("tls: bad certificate")), during("local error", errors.New("tls: no renegotiation")),
			tls.AlertError(40), &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
			tls.RecordHeaderError{},
			x509.UnknownAuthorityError{},
			x509.HostnameError{Certificate: &x509.Certificate{}},
			x509.CertificateInvalidError{},
			x509.SystemRootsError{},
			x509.InsecureAlgorithmError(1),
			x509.UnhandledCriticalExtension{},
			&tls.ECHRejectionError{},
		},
		poolinfo.ClassAuth:               {state("28000"), state("28P01")},
		poolinfo.ClassUnknownDatabase:    {state("3D000"), state("57P04")},
		poolinfo.ClassTooManyConnections: {state("53300"), state("08004")},
		poolinfo.ClassHostBlocked:        {numbered("1129", poolinfo.ClassHostBlocked)},
		poolinfo.ClassServerStarting:     {state("57P03")},
		poolinfo.ClassServerIdleTimeout:  {state("57P05"), numbered("4031", poolinfo.ClassServerIdleTimeout)},
		poolinfo.ClassIdleInTransaction:  {state("25P03")},
		poolinfo.ClassKilled:             {state("57P01"), state("70100"), fmt.Errorf("%w: %w", state("57P01"), driver.ErrBadConn)},
		poolinfo.ClassServerShutdown:     {state("57P02"), numbered("1053", poolinfo.ClassServerShutdown)},
		poolinfo.ClassNetwork: {
			io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, os.ErrDeadlineExceeded, during("read", timeoutError{}),
			errnoOf(syscall.ECONNRESET), errnoOf(syscall.EPIPE), during("write", errnoOf(syscall.ECONNRESET)), errnoOf(10054),
			during("dial", errnoOf(syscall.EHOSTUNREACH)), state("08006"), state("08S01"), fmt.Errorf("%w: %w", io.EOF, driver.ErrBadConn),
		},
		poolinfo.ClassProtocol:          {state("08P01"), numbered("", poolinfo.ClassProtocol)},
		poolinfo.ClassBusyConnection:    {numbered("", poolinfo.ClassBusyConnection)},
		poolinfo.ClassBadConnection:     {driver.ErrBadConn, fmt.Errorf("gone: %w", driver.ErrBadConn)},
		poolinfo.ClassReadOnly:          {state("25006"), numbered("1290", poolinfo.ClassReadOnly)},
		poolinfo.ClassDeadlock:          {state("40P01"), numbered("1213", poolinfo.ClassDeadlock)},
		poolinfo.ClassLockWait:          {state("55P03"), numbered("1205", poolinfo.ClassLockWait)},
		poolinfo.ClassSerialization:     {state("40001"), state("40000")},
		poolinfo.ClassFailedTransaction: {state("25P02")},
		poolinfo.ClassStatementTimeout:  {state("57014"), state("25P04"), numbered("3024", poolinfo.ClassStatementTimeout)},
		poolinfo.ClassCanceled:          {context.Canceled, during("dial", context.Canceled)},
		poolinfo.ClassDeadline:          {context.DeadlineExceeded},
		poolinfo.ClassConstraint:        {state("23505"), state("22001"), state("40002"), state("44000")},
		poolinfo.ClassStatement:         {state("42P01"), state("42601"), state("0A000"), state("26000"), state("25001"), state("54000")},
		poolinfo.ClassPoolClosed:        {numbered("", poolinfo.ClassPoolClosed)},
		poolinfo.ClassOther: {
			errors.New("x"), state("P0001"), state("XX000"), state("no state"), ErrPanicked, ErrNotRun, (*nilError)(nil), &net.AddrError{},
		},
	} {
		for _, err := range errs {
			if got := faultOf(t.Context(), err).Class; got != class {
				t.Errorf("%T %v is %s, want %s", err, err, got, class)
			}
			if wrapped := fmt.Errorf("in a wrapper: %w", err); class != poolinfo.ClassOther {
				if got := faultOf(t.Context(), wrapped).Class; got != class {
					t.Errorf("%T %v, wrapped, is %s, want %s", err, err, got, class)
				}
			}
		}
		if len(errs) == 0 || class.Description() == "" {
			t.Errorf("%s has %d errors and the description %q", class, len(errs), class.Description())
		}
	}
}

func TestOf_KeepsTheCodeOfTheServer(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Fault
	}{
		{state("23505"), Fault{"23505", "23505", poolinfo.ClassConstraint, false}},
		{numbered("1062", poolinfo.ClassConstraint), Fault{"1062", "1062", poolinfo.ClassConstraint, false}},
		{numbered("4711", ""), Fault{"4711", "4711", poolinfo.ClassOther, false}},
		{numbered("DEADLINE_EXCEEDED", poolinfo.ClassStatementTimeout), Fault{"DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", poolinfo.ClassStatementTimeout, false}},
		{numbered("", poolinfo.ClassTLS), Fault{"github.com/otelpool/otelpool/internal/errclass.number", "", poolinfo.ClassTLS, false}},
		{fmt.Errorf("%w: %w", numbered("1927", poolinfo.ClassKilled), state("70100")), Fault{"1927", "1927", poolinfo.ClassKilled, false}},
		{fmt.Errorf("%w: %w", numbered("1927", ""), state("70100")), Fault{"1927", "1927", poolinfo.ClassKilled, false}},
		{state("57014"), Fault{"57014", "57014", poolinfo.ClassStatementTimeout, true}},
		{state("70100"), Fault{"70100", "70100", poolinfo.ClassKilled, true}},
		{stoppedBy("3617", poolinfo.ClassKilled), Fault{"3617", "3617", poolinfo.ClassKilled, true}},
		{stoppedBy("", ""), Fault{"github.com/otelpool/otelpool/internal/errclass.number", "", poolinfo.ClassOther, true}},
		{driver.ErrBadConn, Fault{"bad_connection", "", poolinfo.ClassBadConnection, false}},
		{(*nilError)(nil), Fault{"*errclass.nilError", "", poolinfo.ClassOther, false}},
	} {
		if got := faultOf(t.Context(), test.err); got != test.want {
			t.Errorf("%T: got %+v, want %+v", test.err, got, test.want)
		}
	}
}

// The errors are what servers and sockets return for a call whose context ended.
func TestOf_UsesTheEndOfTheContext(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	for _, test := range []struct {
		err                       error
		active, canceled, expired poolinfo.Class
	}{
		{state("57014"), poolinfo.ClassStatementTimeout, poolinfo.ClassCanceled, poolinfo.ClassDeadline},
		{stoppedBy("1317", poolinfo.ClassKilled), poolinfo.ClassKilled, poolinfo.ClassCanceled, poolinfo.ClassDeadline},
		{stoppedBy("3024", poolinfo.ClassStatementTimeout), poolinfo.ClassStatementTimeout, poolinfo.ClassCanceled, poolinfo.ClassDeadline},
		{stoppedBy("1969", poolinfo.ClassStatementTimeout), poolinfo.ClassStatementTimeout, poolinfo.ClassCanceled, poolinfo.ClassDeadline},
		{stoppedBy("3617", poolinfo.ClassKilled), poolinfo.ClassKilled, poolinfo.ClassCanceled, poolinfo.ClassDeadline}, // SQL Server
		{stoppedBy("3617", ""), poolinfo.ClassOther, poolinfo.ClassCanceled, poolinfo.ClassDeadline},
		{numbered("3617", poolinfo.ClassKilled), poolinfo.ClassKilled, poolinfo.ClassKilled, poolinfo.ClassKilled},
		{numbered("1317", poolinfo.ClassKilled), poolinfo.ClassKilled, poolinfo.ClassKilled, poolinfo.ClassKilled},
		{state("70100"), poolinfo.ClassKilled, poolinfo.ClassCanceled, poolinfo.ClassDeadline},
		{os.ErrDeadlineExceeded, poolinfo.ClassNetwork, poolinfo.ClassCanceled, poolinfo.ClassDeadline},
		{during("read", timeoutError{}), poolinfo.ClassNetwork, poolinfo.ClassCanceled, poolinfo.ClassDeadline},
		{context.DeadlineExceeded, poolinfo.ClassDeadline, poolinfo.ClassCanceled, poolinfo.ClassDeadline},
		{context.Canceled, poolinfo.ClassCanceled, poolinfo.ClassCanceled, poolinfo.ClassCanceled},
		{state("57P01"), poolinfo.ClassKilled, poolinfo.ClassKilled, poolinfo.ClassKilled},
		{state("23505"), poolinfo.ClassConstraint, poolinfo.ClassConstraint, poolinfo.ClassConstraint},
		{io.EOF, poolinfo.ClassNetwork, poolinfo.ClassNetwork, poolinfo.ClassNetwork},
		{(*nilError)(nil), poolinfo.ClassOther, poolinfo.ClassOther, poolinfo.ClassOther},
	} {
		for ctx, want := range map[context.Context]poolinfo.Class{t.Context(): test.active, canceled: test.canceled, expired: test.expired} {
			if got := faultOf(ctx, test.err).Class; got != want {
				t.Errorf("%v in a context with %v: got %s, want %s", test.err, ctx.Err(), got, want)
			}
		}
	}
}

func TestOfDial_ChargesTheCallerOnlyIfItsContextEnded(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	for _, test := range []struct {
		err             error
		notice          error
		active, expired poolinfo.Class
	}{
		{during("dial", timeoutError{}), nil, poolinfo.ClassDialTimeout, poolinfo.ClassDeadline},
		{context.DeadlineExceeded, nil, poolinfo.ClassDialTimeout, poolinfo.ClassDeadline},
		{os.ErrDeadlineExceeded, nil, poolinfo.ClassDialTimeout, poolinfo.ClassDeadline},
		{during("dial", errnoOf(syscall.ECONNREFUSED)), nil, poolinfo.ClassDialRefused, poolinfo.ClassDialRefused},
		{io.EOF, nil, poolinfo.ClassNetwork, poolinfo.ClassDeadline},
		{driver.ErrBadConn, nil, poolinfo.ClassBadConnection, poolinfo.ClassDeadline},
		{driver.ErrBadConn, io.EOF, poolinfo.ClassNetwork, poolinfo.ClassDeadline},
		{driver.ErrBadConn, state("53300"), poolinfo.ClassTooManyConnections, poolinfo.ClassTooManyConnections},
		{driver.ErrBadConn, errors.New("x"), poolinfo.ClassBadConnection, poolinfo.ClassDeadline},
		{(*nilError)(nil), nil, poolinfo.ClassOther, poolinfo.ClassOther},
	} {
		if got := dialFault(t.Context(), test.err, test.notice); got != test.active {
			t.Errorf("%v: got %s, want %s", test.err, got, test.active)
		}
		if got := dialFault(expired, test.err, test.notice); got != test.expired {
			t.Errorf("%v, expired: got %s, want %s", test.err, got, test.expired)
		}
	}
	if got := dialFault(canceled, driver.ErrBadConn, nil); got != poolinfo.ClassCanceled {
		t.Errorf("got %s of a caller that canceled", got)
	}
}

// dialFault returns the class of a failed dial after the driver reported a notice.
func dialFault(ctx context.Context, err, notice error) poolinfo.Class {
	var class poolinfo.Class
	if notice != nil {
		class = faultOf(ctx, notice).Class
	}
	return OfDial(ctx, err, infoOf(err), func() poolinfo.Class { return class }).Class
}

func TestOf_HasTheGoTypeOnlyIfItIsAName(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("in a wrapper: %w", number{}), "github.com/otelpool/otelpool/internal/errclass.number"},
		{fmt.Errorf("in a wrapper: %w", struct{ error }{errors.New("x")}), "*fmt.wrapError"},
	} {
		if got := Of(t.Context(), test.err, poolinfo.ErrorInfo{}).Type; got != test.want {
			t.Errorf("%T: got %q, want %q", test.err, got, test.want)
		}
	}
}

func TestIsCode_RefusesTextsAndData(t *testing.T) {
	for code, want := range map[string]bool{
		"": true, "1062": true, "42P01": true, "DEADLINE_EXCEEDED": true, "ORA-01017": true, "a.b": true, strings.Repeat("a", 32): true,
		"a text; or data": false, "jane@example.org": false, strings.Repeat("a", 33): false, "caf\u00e9": false,
	} {
		if got := IsCode(code); got != want {
			t.Errorf("IsCode(%q) = %v, want %v", code, got, want)
		}
	}
}
