package otelpgx

import (
	"errors"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/otelpool/otelpool/poolinfo"
)

// classify classifies errors of pgx. Errors of the server, which have an SQLSTATE, and
// errors of the network are left to otelpool.
func classify(err error) poolinfo.ErrorInfo {
	for _, s := range sentinelClasses {
		if errors.Is(err, s.err) {
			return poolinfo.ErrorInfo{Class: s.class}
		}
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return poolinfo.ErrorInfo{}
	}
	return poolinfo.ErrorInfo{Class: textClass(err)}
}

// sentinelClasses has the classes of the errors that pgx exports.
var sentinelClasses = []struct {
	err   error
	class poolinfo.Class
}{
	{pgconn.ErrConnClosed, poolinfo.ClassBadConnection},
	{pgx.ErrTxCommitRollback, poolinfo.ClassFailedTransaction},
	// target_session_attrs is not met, as after a failover.
	{pgconn.ErrReadOnlyConnection, poolinfo.ClassReadOnly},
	{pgconn.ErrStandbyConnection, poolinfo.ClassReadOnly},
}

// textClass returns the class of an error that pgx makes from a text alone. It compares
// the text of the innermost error, not of its wrappers, and only of errors that have a type
// of pgx or the type of errors.New.
func textClass(err error) poolinfo.Class {
	switch e := err.(type) { //nolint:errorlint // as errors.As, but compares a text instead of a type
	case nil:
		return ""
	case interface{ Unwrap() error }:
		if below := e.Unwrap(); below != nil {
			return textClass(below)
		}
	case interface{ Unwrap() []error }:
		for _, below := range e.Unwrap() {
			if c := textClass(below); c != "" {
				return c
			}
		}
		return ""
	}
	_, ok := err.(interface{ SafeToRetry() bool })
	if ok || reflect.TypeOf(err) == reflect.TypeOf(pgconn.ErrConnClosed) {
		return textClasses[err.Error()]
	}
	return ""
}

// textClasses has the classes by text.
var textClasses = map[string]poolinfo.Class{
	"conn busy":                     poolinfo.ClassBusyConnection,
	"server refused TLS connection": poolinfo.ClassTLS,
}
