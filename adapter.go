package otelpool

import (
	"context"
	"database/sql/driver"
	"time"
)

// Adapter is what is known of one family of drivers. Each function may be nil. The
// packages otelmysql and otelpostgres have one each; see [WithAdapter].
//
// A function that panics counts as absent for that call.
type Adapter struct {
	// Connector makes the connector for a data source name, where a pool is opened
	// by driver name. A nil connector without an error leaves it to the driver.
	Connector func(d driver.Driver, dataSourceName string) (driver.Connector, error)
	// Target tells what a connector connects to. It is called once, when the pool is
	// made.
	Target func(c driver.Connector) Target
	// Connect dials in place of c.Connect. said is for what the driver says about
	// the connection outside of its results, such as to a logger; it may be called
	// from any goroutine at any time, keeps the last errors, and must not be called
	// with what holds data of statements.
	Connect func(ctx context.Context, c driver.Connector, said func(error)) (driver.Conn, error)
	// Server tells what is known of the server at the other end of a new connection.
	// It is called after each dial, before the connection is used. Unless ask is set
	// it must not send anything to the server; see [WithServerQuery].
	Server func(ctx context.Context, c driver.Conn, ask bool) Server
	// Classify tells an error of the driver apart. It must not look at the text of
	// an error that has a code or a type.
	Classify func(err error) Failure
}

// Target is what a pool connects to. What is not known is empty.
type Target struct {
	// System is db.system.name.
	System string
	// Address is server.address: a host name, an IP address, or the path of a
	// socket. It is empty if there are several.
	Address string
	// Port is server.port, 0 for the default port of the system.
	Port int
	// Namespace is db.namespace.
	Namespace string
	// PoolName is the name of the pool unless [WithPoolName] gives one.
	PoolName string
}

// Server is what is known of the server that a connection has reached.
type Server struct {
	// System is db.system.name, if the server says what it is.
	System string
	// Version is as the server tells it.
	Version string
	// Address and Port are those that were reached, if the pool has several.
	Address string
	Port    int
	// IdleTimeout is after how long without a statement the server closes the
	// connection, 0 if that is not known or never.
	IdleTimeout time.Duration
}

// Failure is what is known of an error.
type Failure struct {
	// Code is db.response.status_code, as the server gave it.
	Code string
	// Class is what kind of failure it is, empty if the adapter does not know.
	Class Class
}

// Class is a kind of failure. The list is closed: it is an attribute of metrics.
type Class string

// The classes, in the order from the dial to the end of a connection.
const (
	ClassDNS                Class = "dns"                  // the name of the server does not resolve
	ClassDialRefused        Class = "dial_refused"         // nobody listens
	ClassDialTimeout        Class = "dial_timeout"         // nobody answers
	ClassTLS                Class = "tls"                  // the two do not agree on TLS, or on a certificate
	ClassAuth               Class = "auth"                 // the server does not accept who connects
	ClassUnknownDatabase    Class = "unknown_database"     // the server has no such database
	ClassTooManyConnections Class = "too_many_connections" // the server, or its limit for the user, is full
	ClassHostBlocked        Class = "host_blocked"         // the server does not talk to this host any more
	ClassServerStarting     Class = "server_starting"      // the server is not ready yet

	ClassServerIdleTimeout Class = "server_idle_timeout" // the server closed a connection that was idle for too long
	ClassIdleInTransaction Class = "idle_in_transaction" // the same for one that was idle in a transaction
	ClassKilled            Class = "killed"              // somebody ended the connection, or its statement, at the server
	ClassServerShutdown    Class = "server_shutdown"     // the server stopped
	ClassNetwork           Class = "network"             // the connection was cut
	ClassProtocol          Class = "protocol"            // the two lost each other's thread
	ClassBusyConnection    Class = "busy_connection"     // used while a result set was open
	ClassBadConnection     Class = "bad_connection"      // the driver says no more than that

	ClassReadOnly          Class = "read_only"          // the server takes no writes, as after a failover
	ClassDeadlock          Class = "deadlock"           // of transactions, in the server
	ClassLockWait          Class = "lock_wait"          // a lock was not to be had in time
	ClassSerialization     Class = "serialization"      // transactions that cannot be put into an order
	ClassFailedTransaction Class = "failed_transaction" // a statement after one that failed
	ClassStatementTimeout  Class = "statement_timeout"  // the server gave up a statement
	ClassCanceled          Class = "canceled"           // the caller gave up
	ClassDeadline          Class = "deadline"           // the caller's deadline passed
	ClassConstraint        Class = "constraint"         // the data does not allow it
	ClassStatement         Class = "statement"          // the server does not take the statement
	ClassPoolClosed        Class = "pool_closed"        // DB.Close
	ClassOther             Class = "other"              // none of these
)

// WithAdapter uses what is known of a family of drivers. Used several times, the
// last one counts.
func WithAdapter(a Adapter) Option {
	return optionFunc(func(c *config) { c.adapter = a })
}

// WithServerQuery allows the adapter one query to the server after a dial, to learn
// after how long the server closes idle connections. It is made once for a pool,
// and again when a server of another version was reached.
func WithServerQuery() Option {
	return optionFunc(func(c *config) { c.askServer = true })
}
