package otelpq

import (
	"errors"
	"reflect"

	"github.com/lib/pq"
	"github.com/otelpool/otelpool/poolinfo"
)

// classify classifies errors of pq. Errors of the server, which have an SQLSTATE, and
// errors of the network are left to otelpool.
func classify(err error) poolinfo.ErrorInfo {
	for _, s := range sentinelClasses {
		if errors.Is(err, s.err) {
			return poolinfo.ErrorInfo{Class: s.class}
		}
	}
	if reflect.TypeOf(err) == reflect.TypeOf(pq.ErrNotSupported) && err.Error() == queryInProgress {
		return poolinfo.ErrorInfo{Class: poolinfo.ClassBusyConnection}
	}
	return poolinfo.ErrorInfo{}
}

// queryInProgress is the text of the error for a connection that is used while its rows
// are open. pq does not export that error, so it is recognised by its text, and only if it
// has the type of errors.New.
const queryInProgress = "pq: there is already a query being processed on this connection"

// sentinelClasses has the classes of the errors that pq exports.
var sentinelClasses = []struct {
	err   error
	class poolinfo.Class
}{
	{pq.ErrSSLNotSupported, poolinfo.ClassTLS},
	{pq.ErrSSLKeyUnknownOwnership, poolinfo.ClassTLS},
	{pq.ErrSSLKeyHasWorldPermissions, poolinfo.ClassTLS},
	{pq.ErrInFailedTransaction, poolinfo.ClassFailedTransaction},
}
