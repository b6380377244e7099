package otelpool

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Adapter is what is known of one family of drivers. Each function may be nil. The
// packages otelmysql and otelpostgres have one each; see [WithAdapter].
//
// A function that panics counts as absent for that call. The first panic of each is
// reported through otel.Handle, with the type of what it panicked with. Connect is the
// exception: the driver runs in it, and hooks of the program, whose panics are the
// program's. All but Connector and Target may be called from several goroutines at once.
type Adapter struct {
	// Connector makes the connector for a data source name, where a pool is opened
	// by driver name. A nil connector without an error leaves it to the driver. An
	// error is that of the entrance, as it is.
	Connector func(d driver.Driver, dataSourceName string) (driver.Connector, error)
	// Target tells what a connector connects to. It is called once, when the pool is
	// made.
	Target func(c driver.Connector) Target
	// Connect dials in place of c.Connect. said is for what the driver says about
	// the connection outside of its results, such as to a logger; it may be called
	// from any goroutine at any time, after the connection was closed too, and keeps
	// the last error that it was called with. It must not be called with what holds data of statements.
	Connect func(ctx context.Context, c driver.Connector, said func(error)) (driver.Conn, error)
	// Server tells what is known of the server at the other end of a new connection.
	// It is called after each dial, before the connection is used, with the driver's
	// own connection. Unless ask is set it must not send anything to the server; see
	// [WithServerQuery]. With it, it is called a second time for the connection, and
	// what is not empty in that answer replaces the other; ctx ends after a second
	// then.
	Server func(ctx context.Context, c driver.Conn, ask bool) Server
	// Classify tells an error apart: one of the driver, one that was said, or one
	// that is not the driver's at all, of which it knows nothing. It must not look at
	// the text of an error that has a code or a type. What it leaves empty, the code
	// or the class, is found by SQLSTATE and by the types of the standard library.
	// That includes whether the caller's context had ended, which is not for the
	// adapter to know: a statement that was stopped at the server (57014, 1317, 3024,
	// 1969) is that of a caller who gave up then, whatever class it has here.
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
	// Address and Port are those that were reached, as in [Target], if the pool may
	// reach several. Without an address nothing is told of them.
	Address string
	Port    int
	// IdleTimeout is after how long without a statement the server closes the
	// connection, 0 if that is not known or never.
	IdleTimeout time.Duration
}

// Failure is what is known of an error.
type Failure struct {
	// Code is db.response.status_code, as the server gave it: at most 32 letters,
	// digits, points, dashes and underscores. Another is ignored.
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
	ClassServerStarting     Class = "server_starting"      // the server is not ready yet, or not any more

	ClassServerIdleTimeout Class = "server_idle_timeout" // the server closed a connection that was idle for too long
	ClassIdleInTransaction Class = "idle_in_transaction" // the same for one that was idle in a transaction
	ClassKilled            Class = "killed"              // somebody ended the connection, or its statement, at the server
	ClassServerShutdown    Class = "server_shutdown"     // the server stopped
	ClassNetwork           Class = "network"             // the connection was cut, or none was possible
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
// after how long the server closes idle connections. It is made after the first dial,
// and after one a minute or more later, since the answer may change with the server; of
// servers with several versions, for each version that the driver can tell without asking,
// and again if the caller who waited for it gave up. The caller of that dial waits for
// it, a second at most; create_time does not have it. If it fails the connection is handed
// out all the same, or, if it was lost by that, another that is not asked.
func WithServerQuery() Option {
	return optionFunc(func(c *config) { c.askServer = true })
}

// adapter is an Adapter whose functions may be nil, and may panic.
type adapter struct {
	Adapter
	told [numAdapterFuncs]atomic.Bool // panics that were reported
}

// adapterFunc is a function of an Adapter.
type adapterFunc int

const (
	funcConnector adapterFunc = iota
	funcTarget
	funcServer
	funcClassify
	numAdapterFuncs
)

func (f adapterFunc) String() string {
	return [...]string{"Connector", "Target", "Server", "Classify"}[f]
}

// excuse is deferred by what calls a function of an adapter: one that panics is not
// there. What it panicked with may hold data.
func (a *adapter) excuse(f adapterFunc) {
	if p := recover(); p != nil && a.told[f].CompareAndSwap(false, true) {
		report(fmt.Errorf("otelpool: Adapter.%s panicked with a %T", f, p))
	}
}

// connector returns the adapter's connector for a data source name, nil if it has
// none.
func (a *adapter) connector(d driver.Driver, dataSourceName string) (c driver.Connector, err error) {
	if a.Connector == nil {
		return nil, nil
	}
	defer a.excuse(funcConnector)
	return a.Connector(d, dataSourceName)
}

func (a *adapter) target(c driver.Connector) (t Target) {
	if a.Target == nil {
		return Target{}
	}
	defer a.excuse(funcTarget)
	return a.Target(c)
}

// connect dials, and returns what keeps what the driver says of the connection,
// nil if it does not say anything.
func (a *adapter) connect(ctx context.Context, c driver.Connector, now func() time.Duration) (driver.Conn, *said, error) {
	if a.Connect == nil {
		conn, err := c.Connect(ctx)
		return conn, nil, err
	}
	s := &said{now: now}
	conn, err := a.Connect(ctx, c, s.say)
	return conn, s, err
}

func (a *adapter) server(ctx context.Context, c driver.Conn, ask bool) (s Server) {
	defer a.excuse(funcServer)
	return a.Server(ctx, c, ask)
}

// classify returns what the adapter knows of an error, as far as it may be told.
func (a *adapter) classify(err error) (f Failure) {
	if a.Classify == nil {
		return Failure{}
	}
	f = a.classifyUnchecked(err)
	if !isCode(f.Code) {
		f.Code = ""
	}
	if f.Class != "" && f.Class.meaning() == "" {
		f.Class = ""
	}
	return f
}

func (a *adapter) classifyUnchecked(err error) (f Failure) {
	defer a.excuse(funcClassify)
	return a.Classify(err)
}

// isCode reports whether s can be a server's code, and not a text or a piece of
// data.
func isCode(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return len(s) <= 32
}

// said keeps the last that a driver said about a connection outside of its results.
type said struct {
	now func() time.Duration

	mu  sync.Mutex // guards what follows
	err error
	at  time.Duration
}

func (s *said) say(err error) {
	if err == nil {
		return
	}
	now := s.now()
	s.mu.Lock()
	s.err, s.at = err, now
	s.mu.Unlock()
}

// last returns what was said last, nil if nothing was, and when.
func (s *said) last() (error, time.Duration) { //nolint:staticcheck // what, and then when
	if s == nil {
		return nil, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err, s.at
}
