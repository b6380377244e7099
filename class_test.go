package otelpool

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// state is an error with an SQLSTATE.
type state string

func (state) Error() string      { return "a text that is not looked at" }
func (s state) SQLState() string { return string(s) }

// number is an error of a driver that only its adapter can read.
type number Failure

func (number) Error() string { return "a text that is not looked at" }

var numbers = adapter{Adapter: Adapter{Classify: func(err error) Failure {
	var n number
	_ = errors.As(err, &n)
	return Failure(n)
}}}

// waited is an error of a socket that has a limit of time.
type waited struct{}

func (waited) Error() string { return "a text that is not looked at" }
func (waited) Timeout() bool { return true }

// broken is an error whose methods panic when it is a nil pointer.
type broken struct{ err error }

func (b *broken) Error() string    { return b.err.Error() }
func (b *broken) Unwrap() error    { return b.err }
func (b *broken) SQLState() string { return b.err.Error() }

// during is an error of what a socket does.
func during(op string, err error) error { return &net.OpError{Op: op, Net: "tcp", Err: err} }

// errnoOf is an error of the operating system, as a socket has it.
func errnoOf(no syscall.Errno) error { return os.NewSyscallError("connect", no) }

// TestEveryClassHasItsCodes is the list of what makes a failure one of a class.
func TestEveryClassHasItsCodes(t *testing.T) {
	for class, errs := range map[Class][]error{
		ClassDNS: {
			&net.DNSError{Err: "no such host", Name: "x", IsNotFound: true},
			during("dial", &net.DNSError{Err: "timeout", Name: "x", IsTimeout: true}),
		},
		ClassDialRefused: {
			during("dial", errnoOf(syscall.ECONNREFUSED)), errnoOf(syscall.ECONNREFUSED), during("dial", errnoOf(syscall.ENOENT)),
			during("dial", errnoOf(10061)), // Windows
		},
		ClassDialTimeout: {during("dial", waited{}), during("dial", errnoOf(syscall.ETIMEDOUT))},
		ClassTLS: {
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
		ClassAuth:               {state("28000"), state("28P01")},
		ClassUnknownDatabase:    {state("3D000"), state("57P04")},
		ClassTooManyConnections: {state("53300"), state("08004")},
		ClassHostBlocked:        {number{"1129", ClassHostBlocked}},
		ClassServerStarting:     {state("57P03")},
		ClassServerIdleTimeout:  {state("57P05"), number{"4031", ClassServerIdleTimeout}},
		ClassIdleInTransaction:  {state("25P03")},
		ClassKilled:             {state("57P01"), state("70100"), fmt.Errorf("%w: %w", state("57P01"), driver.ErrBadConn)},
		ClassServerShutdown:     {state("57P02"), number{"1053", ClassServerShutdown}},
		ClassNetwork: {
			io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, os.ErrDeadlineExceeded, during("read", waited{}),
			errnoOf(syscall.ECONNRESET), errnoOf(syscall.EPIPE), during("write", errnoOf(syscall.ECONNRESET)), errnoOf(10054),
			during("dial", errnoOf(syscall.EHOSTUNREACH)), state("08006"), state("08S01"), fmt.Errorf("%w: %w", io.EOF, driver.ErrBadConn),
		},
		ClassProtocol:          {state("08P01"), number{"", ClassProtocol}},
		ClassBusyConnection:    {number{"", ClassBusyConnection}},
		ClassBadConnection:     {driver.ErrBadConn, fmt.Errorf("gone: %w", driver.ErrBadConn)},
		ClassReadOnly:          {state("25006"), number{"1290", ClassReadOnly}},
		ClassDeadlock:          {state("40P01"), number{"1213", ClassDeadlock}},
		ClassLockWait:          {state("55P03"), number{"1205", ClassLockWait}},
		ClassSerialization:     {state("40001"), state("40000")},
		ClassFailedTransaction: {state("25P02")},
		ClassStatementTimeout:  {state("57014"), state("25P04"), number{"3024", ClassStatementTimeout}},
		ClassCanceled:          {context.Canceled, during("dial", context.Canceled)},
		ClassDeadline:          {context.DeadlineExceeded},
		ClassConstraint:        {state("23505"), state("22001"), state("40002"), state("44000")},
		ClassStatement:         {state("42P01"), state("42601"), state("0A000"), state("26000"), state("25001"), state("54000")},
		ClassPoolClosed:        {number{"", ClassPoolClosed}},
		ClassOther: {
			errors.New("x"), state("P0001"), state("XX000"), state("no state"), errPanicked, errNotRun, (*broken)(nil), &net.AddrError{},
			number{"7", "a class that is none"},
			number{"a text; or data", ""},
		},
	} {
		for _, err := range errs {
			if got := numbers.fault(t.Context(), err).class; got != class {
				t.Errorf("%T %v is %s, want %s", err, err, got, class)
			}
			if wrapped := fmt.Errorf("in a wrapper: %w", err); class != ClassOther {
				if got := numbers.fault(t.Context(), wrapped).class; got != class {
					t.Errorf("%T %v, wrapped, is %s, want %s", err, err, got, class)
				}
			}
		}
		if len(errs) == 0 || class.meaning() == "" {
			t.Errorf("%s has %d errors and the meaning %q", class, len(errs), class.meaning())
		}
	}
}

func TestTheListOfClassesHasAllConstants(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "adapter.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		if of, ok := v.Type.(*ast.Ident); ok && of.Name == "Class" {
			name, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Error(err)
			}
			want = append(want, name)
		}
		return true
	})
	for _, m := range classMeanings {
		got = append(got, string(m.class))
	}
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAFaultHasTheCodeOfTheServer(t *testing.T) {
	for _, test := range []struct {
		err  error
		want fault
	}{
		{state("23505"), fault{"23505", "23505", ClassConstraint}},
		{number{"1062", ClassConstraint}, fault{"1062", "1062", ClassConstraint}},
		{number{"4711", ""}, fault{"4711", "4711", ClassOther}},
		{number{"DEADLINE_EXCEEDED", ClassStatementTimeout}, fault{"DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", ClassStatementTimeout}},
		{number{"", ClassTLS}, fault{"github.com/otelpool/otelpool.number", "", ClassTLS}},
		{number{"jane@example.org", ClassConstraint}, fault{"github.com/otelpool/otelpool.number", "", ClassConstraint}},
		{number{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ClassConstraint}, fault{"github.com/otelpool/otelpool.number", "", ClassConstraint}},
		{fmt.Errorf("%w: %w", number{"1927", ClassKilled}, state("70100")), fault{"1927", "1927", ClassKilled}},
		{fmt.Errorf("%w: %w", number{"1927", ""}, state("70100")), fault{"1927", "1927", ClassKilled}},
		{driver.ErrBadConn, fault{"bad_connection", "", ClassBadConnection}},
		{(*broken)(nil), fault{"*otelpool.broken", "", ClassOther}},
	} {
		if got := numbers.fault(t.Context(), test.err); got != test.want {
			t.Errorf("%T: got %+v, want %+v", test.err, got, test.want)
		}
	}
}

// TestACallerThatGaveUpIsTold has what a server and a socket say of a call whose
// caller went away meanwhile.
func TestACallerThatGaveUpIsTold(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	for _, test := range []struct {
		err                  error
		alive, gone, tooLate Class
	}{
		{state("57014"), ClassStatementTimeout, ClassCanceled, ClassDeadline},
		{number{"1317", ClassKilled}, ClassKilled, ClassCanceled, ClassDeadline},
		{number{"3024", ClassStatementTimeout}, ClassStatementTimeout, ClassCanceled, ClassDeadline},
		{number{"1969", ClassStatementTimeout}, ClassStatementTimeout, ClassCanceled, ClassDeadline},
		{os.ErrDeadlineExceeded, ClassNetwork, ClassCanceled, ClassDeadline},
		{during("read", waited{}), ClassNetwork, ClassCanceled, ClassDeadline},
		{context.DeadlineExceeded, ClassDeadline, ClassCanceled, ClassDeadline},
		{context.Canceled, ClassCanceled, ClassCanceled, ClassCanceled},
		{state("57P01"), ClassKilled, ClassKilled, ClassKilled},
		{state("23505"), ClassConstraint, ClassConstraint, ClassConstraint},
		{io.EOF, ClassNetwork, ClassNetwork, ClassNetwork},
		{(*broken)(nil), ClassOther, ClassOther, ClassOther},
	} {
		for ctx, want := range map[context.Context]Class{t.Context(): test.alive, canceled: test.gone, late: test.tooLate} {
			if got := numbers.fault(ctx, test.err).class; got != want {
				t.Errorf("%v in a context with %v: got %s, want %s", test.err, ctx.Err(), got, want)
			}
		}
	}
}

func TestADialThatTookTooLongIsTheCallersOnlyIfItsTimeIsOver(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), -1)
	defer cancel()
	for _, test := range []struct {
		err         error
		said        error
		alive, late Class
	}{
		{during("dial", waited{}), nil, ClassDialTimeout, ClassDeadline},
		{context.DeadlineExceeded, nil, ClassDialTimeout, ClassDeadline},
		{os.ErrDeadlineExceeded, nil, ClassDialTimeout, ClassDeadline},
		{during("dial", errnoOf(syscall.ECONNREFUSED)), nil, ClassDialRefused, ClassDialRefused},
		{io.EOF, nil, ClassNetwork, ClassDeadline},
		{driver.ErrBadConn, nil, ClassBadConnection, ClassDeadline},
		{driver.ErrBadConn, io.EOF, ClassNetwork, ClassDeadline},
		{driver.ErrBadConn, state("53300"), ClassTooManyConnections, ClassTooManyConnections},
		{driver.ErrBadConn, errors.New("x"), ClassBadConnection, ClassDeadline},
		{(*broken)(nil), nil, ClassOther, ClassOther},
	} {
		heard := &said{err: test.said}
		if got := numbers.dialFault(t.Context(), test.err, heard).class; got != test.alive {
			t.Errorf("%v: got %s, want %s", test.err, got, test.alive)
		}
		if got := numbers.dialFault(late, test.err, heard).class; got != test.late {
			t.Errorf("%v, too late: got %s, want %s", test.err, got, test.late)
		}
	}
	if got := numbers.dialFault(canceled, driver.ErrBadConn, nil).class; got != ClassCanceled {
		t.Errorf("got %s of a caller that went away", got)
	}
}
