package otelpq

import (
	"errors"
	"reflect"

	"github.com/lib/pq"

	"github.com/otelpool/otelpool"
)

// classify classifies errors of pq. Errors of the server, which have an SQLSTATE, and
// errors of the network are left to otelpool.
func classify(err error) otelpool.Failure {
	for _, s := range sentinelClasses {
		if errors.Is(err, s.err) {
			return otelpool.Failure{Class: s.class}
		}
	}
	if reflect.TypeOf(err) == reflect.TypeOf(pq.ErrNotSupported) && err.Error() == queryInProgress {
		return otelpool.Failure{Class: otelpool.ClassBusyConnection}
	}
	return otelpool.Failure{}
}

// queryInProgress is the text of the error for a connection that is used while its rows
// are open. pq does not export that error, so it is recognised by its text, and only if it
// has the type of errors.New.
const queryInProgress = "pq: there is already a query being processed on this connection"

// sentinelClasses has the classes of the errors that pq exports.
var sentinelClasses = []struct {
	err   error
	class otelpool.Class
}{
	{pq.ErrSSLNotSupported, otelpool.ClassTLS},
	{pq.ErrSSLKeyUnknownOwnership, otelpool.ClassTLS},
	{pq.ErrSSLKeyHasWorldPermissions, otelpool.ClassTLS},
	{pq.ErrInFailedTransaction, otelpool.ClassFailedTransaction},
}
