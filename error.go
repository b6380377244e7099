package otelpool

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Values of error.type that are not a server's code and not a Go type.
const (
	errorTypeBadConn  = "bad_connection"    // driver.ErrBadConn
	errorTypeCanceled = "canceled"          // context.Canceled
	errorTypeDeadline = "deadline_exceeded" // context.DeadlineExceeded
	errorTypeClosed   = "pool_closed"       // DB.Close, as the caller of a DB sees it
	errorTypeOther    = "_OTHER"            // more types than a pool keeps apart

	errPanicked ended = "panic"        // the driver panicked
	errNotRun   ended = "not_executed" // the driver answered ErrSkip and nothing followed
)

// ended is the end of a call that returned no error of its own. It is told, and
// never returned.
type ended string

func (e ended) Error() string     { return string(e) }
func (e ended) ErrorType() string { return string(e) }

// errorType returns the value of error.type for an error without a code: one of
// the values above, else what its method ErrorType says, if it has one and that is a
// name, else the Go type.
func errorType(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return errorTypeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return errorTypeDeadline
	case errors.Is(err, driver.ErrBadConn):
		return errorTypeBadConn
	}
	if typ := semconv.ErrorType(err).Value.AsString(); isName(typ) {
		return typ
	}
	return fmt.Sprintf("%T", err)
}

// isName reports whether s may be the name of a type of errors, and not a text: an error
// may have a method ErrorType, which the conventions let say what it likes.
func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '\'' || c == '"' || c == '@' || c == '=' {
			return false
		}
	}
	return s != "" && len(s) <= 200
}

// sqlState returns the SQLSTATE that err carries, or "". The method is the one
// that pgx and lib/pq have; what it returns is believed only if it has the form
// of an SQLSTATE, since the value becomes part of a time series.
func sqlState(err error) string {
	var coded interface{ SQLState() string }
	if !errors.As(err, &coded) {
		return ""
	}
	code := coded.SQLState()
	if len(code) != 5 {
		return ""
	}
	for i := range len(code) {
		if c := code[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return ""
		}
	}
	return code
}

// hungUp reports whether a call failed because its caller went away, which says
// nothing about the database.
func hungUp(ctx context.Context, err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled)
}
