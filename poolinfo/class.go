package poolinfo

// Class is a kind of failure, the same for every database. The list is closed: a
// class is the attribute otelpool.class of metrics.
type Class string

// The classes, in the order from the dial to the end of a connection. See
// [Class.Description].
const (
	ClassDNS                Class = "dns"
	ClassDialRefused        Class = "dial_refused"
	ClassDialTimeout        Class = "dial_timeout"
	ClassTLS                Class = "tls"
	ClassAuth               Class = "auth"
	ClassUnknownDatabase    Class = "unknown_database"
	ClassTooManyConnections Class = "too_many_connections"
	ClassHostBlocked        Class = "host_blocked"
	ClassServerStarting     Class = "server_starting"

	ClassServerIdleTimeout Class = "server_idle_timeout"
	ClassIdleInTransaction Class = "idle_in_transaction"
	ClassKilled            Class = "killed"
	ClassServerShutdown    Class = "server_shutdown"
	ClassNetwork           Class = "network"
	ClassProtocol          Class = "protocol"
	ClassBusyConnection    Class = "busy_connection"
	ClassBadConnection     Class = "bad_connection"

	ClassReadOnly          Class = "read_only"
	ClassDeadlock          Class = "deadlock"
	ClassLockWait          Class = "lock_wait"
	ClassSerialization     Class = "serialization"
	ClassFailedTransaction Class = "failed_transaction"
	ClassStatementTimeout  Class = "statement_timeout"
	ClassCanceled          Class = "canceled"
	ClassDeadline          Class = "deadline"
	ClassConstraint        Class = "constraint"
	ClassStatement         Class = "statement"
	ClassPoolClosed        Class = "pool_closed"
	ClassOther             Class = "other"
)

// classes are all classes, in the order of the constants, with what each means to
// somebody who reads it without the documentation.
var classes = []struct {
	class       Class
	description string
}{
	{ClassDNS, "the name of the server does not resolve"},
	{ClassDialRefused, "nothing listens at the server's address"},
	{ClassDialTimeout, "connection attempt timed out"},
	{ClassTLS, "TLS handshake failed, or a certificate was rejected"},
	{ClassAuth, "the server rejected the credentials or the client"},
	{ClassUnknownDatabase, "the server has no such database"},
	{ClassTooManyConnections, "the server, or its limit for the user, is full"},
	{ClassHostBlocked, "the server has blocked this host"},
	{ClassServerStarting, "the server is starting up or shutting down"},
	{ClassServerIdleTimeout, "the server closed it because it was idle for too long"},
	{ClassIdleInTransaction, "the server closed it because it was idle in a transaction for too long"},
	{ClassKilled, "killed by the server or an administrator"},
	{ClassServerShutdown, "the server stopped"},
	{ClassNetwork, "the connection to the server was cut, or could not be made"},
	{ClassProtocol, "protocol error: driver and server out of sync"},
	{ClassBusyConnection, "it was used while a result set was open"},
	{ClassBadConnection, "the driver reports only that it is bad"},
	{ClassReadOnly, "the server accepts no writes, as after a failover"},
	{ClassDeadlock, "the server resolved a deadlock of transactions"},
	{ClassLockWait, "timed out waiting for a lock"},
	{ClassSerialization, "a serialization failure: the transaction has to be repeated"},
	{ClassFailedTransaction, "an earlier statement of the transaction failed"},
	{ClassStatementTimeout, "the server stopped the statement"},
	{ClassCanceled, "the caller canceled"},
	{ClassDeadline, "the caller's deadline passed"},
	{ClassConstraint, "the data violates a constraint"},
	{ClassStatement, "the server rejected the statement"},
	{ClassPoolClosed, "the pool was closed"},
	{ClassOther, "none of the other classes"},
}

// Classes returns all classes, in the order of the constants.
func Classes() []Class {
	all := make([]Class, len(classes))
	for i, c := range classes {
		all[i] = c.class
	}
	return all
}

// Description says in a few words what the class means. It is empty for a value that
// is not a class.
func (c Class) Description() string {
	for _, one := range classes {
		if one.class == c {
			return one.description
		}
	}
	return ""
}
