package otelpgx

import (
	"errors"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/otelpool/otelpool"
)

// classify tells an error of pgx apart. Those of the server have an SQLSTATE, which
// otelpool knows, and so are those of the network left to it.
func classify(err error) otelpool.Failure {
	for _, s := range sentinelClasses {
		if errors.Is(err, s.err) {
			return otelpool.Failure{Class: s.class}
		}
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return otelpool.Failure{}
	}
	return otelpool.Failure{Class: textClass(err)}
}

// sentinelClasses are the classes of the errors that pgx exports.
var sentinelClasses = []struct {
	err   error
	class otelpool.Class
}{
	{pgconn.ErrConnClosed, otelpool.ClassBadConnection},
	{pgx.ErrTxCommitRollback, otelpool.ClassFailedTransaction},
	// What target_session_attrs asked for, after a failover.
	{pgconn.ErrReadOnlyConnection, otelpool.ClassReadOnly},
	{pgconn.ErrStandbyConnection, otelpool.ClassReadOnly},
}

// textClass returns the class of an error that pgx makes of a text and nothing else. It
// looks at what the error says of itself, not at what wraps it, and only at errors of
// pgx, and of the type that all errors have which are nothing but a text.
func textClass(err error) otelpool.Class {
	switch e := err.(type) { //nolint:errorlint // it is what As does, with a text in place of a type
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

// textClasses are the classes by text.
var textClasses = map[string]otelpool.Class{
	"conn busy":                     otelpool.ClassBusyConnection,
	"server refused TLS connection": otelpool.ClassTLS,
}
