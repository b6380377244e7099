package errclass

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
)

// Values of error.type that are neither a server's code nor a Go type.
const (
	TypeBadConn  = "bad_connection"    // driver.ErrBadConn
	TypeCanceled = "canceled"          // context.Canceled
	TypeDeadline = "deadline_exceeded" // context.DeadlineExceeded
	TypeClosed   = "pool_closed"       // DB.Close, as a caller of an otelpool.DB sees it
	TypeOther    = "_OTHER"            // more types than a pool keeps apart

	// ErrPanicked is a call in which the driver panicked.
	ErrPanicked ownError = "panic"
	// ErrNotRun is a call that the driver declined with ErrSkip and that nothing
	// followed.
	ErrNotRun ownError = "not_executed"
)

// ownError is the end of a call that returned no error. It is recorded, and never
// returned to a program.
type ownError string

func (e ownError) Error() string     { return string(e) }
func (e ownError) ErrorType() string { return string(e) }

// errorType returns error.type of an error without a code: one of the values above,
// else the result of its method ErrorType, if it has one and that is a name, else the
// Go type.
func errorType(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return TypeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return TypeDeadline
	case errors.Is(err, driver.ErrBadConn):
		return TypeBadConn
	}
	var named interface{ ErrorType() string }
	typ := ""
	if errors.As(err, &named) {
		typ = named.ErrorType()
	}
	if typ == "" {
		typ = goType(err)
	}
	if !isName(typ) {
		return fmt.Sprintf("%T", err)
	}
	return typ
}

// wrapper is the type of an error of fmt.Errorf with one %w.
var wrapper = reflect.TypeOf(fmt.Errorf("%w", context.Canceled))

// goType returns the Go type of an error, without wrappers of fmt.Errorf.
func goType(err error) string {
	for reflect.TypeOf(err) == wrapper && errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	t := reflect.TypeOf(err)
	if t.PkgPath() != "" && t.Name() != "" {
		return t.PkgPath() + "." + t.Name()
	}
	return t.String()
}

// isName reports whether s may be the name of a type of errors. The method ErrorType of
// an error may return any text.
func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '\'' || c == '"' || c == '@' || c == '=' {
			return false
		}
	}
	return s != "" && len(s) <= 200
}

// IsCode reports whether s can be the code of a server, and not a text or a piece of
// data.
func IsCode(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return len(s) <= 32
}
