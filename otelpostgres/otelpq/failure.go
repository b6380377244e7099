package otelpq

import (
	"errors"
	"reflect"

	"github.com/lib/pq"

	"github.com/otelpool/otelpool"
)

// classify tells an error of pq apart. Those of the server have an SQLSTATE, which
// otelpool knows, and so are those of the network left to it.
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

// queryInProgress is the error for a connection that is used while its rows are open. By
// text, since it has no name, and only the type that all errors have which are nothing
// but a text.
const queryInProgress = "pq: there is already a query being processed on this connection"

// sentinelClasses are the classes of the errors that pq exports.
var sentinelClasses = []struct {
	err   error
	class otelpool.Class
}{
	{pq.ErrSSLNotSupported, otelpool.ClassTLS},
	{pq.ErrSSLKeyUnknownOwnership, otelpool.ClassTLS},
	{pq.ErrSSLKeyHasWorldPermissions, otelpool.ClassTLS},
	{pq.ErrInFailedTransaction, otelpool.ClassFailedTransaction},
}
