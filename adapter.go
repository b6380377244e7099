package otelpool

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelpool/otelpool/internal/errclass"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// Adapter is what is known of one family of drivers. Each function may be nil. The packages
// otelmysql and otelpostgres have one each; see [WithAdapter].
//
// A function that panics counts as nil for that call. The first panic of each is reported through
// otel.Handle, with the type of the panic's value. Connect is the exception: the driver runs in it,
// and hooks of the program, whose panics are the program's. All but Connector and Target may be
// called from several goroutines at once.
type Adapter struct {
	// Connector makes the connector for a data source name, where a pool is opened by driver name.
	// A nil connector without an error leaves it to the driver. An error is returned to the program
	// unchanged.
	Connector func(d driver.Driver, dataSourceName string) (driver.Connector, error)
	// Target returns what a connector connects to. It is called once, when the pool is made.
	Target func(c driver.Connector) poolinfo.Target
	// Connect dials in place of c.Connect. onNotice is for what the driver reports about the
	// connection outside of its results, such as to a logger; it may be called from any goroutine
	// at any time, after the connection was closed too, and keeps the last error that it was called
	// with. It must not be called with what holds data of statements.
	Connect func(ctx context.Context, c driver.Connector, onNotice func(error)) (driver.Conn, error)
	// Server returns what is known of the server at the other end of a new connection. It
	// is called after each dial, before the connection is used, with the driver's own
	// connection, and must not send anything to the server.
	Server func(c driver.Conn) poolinfo.Server
	// QueryServer returns what the server answers to a query. It is called after Server, if
	// [WithServerQuery] allows it and an answer is due; what is not empty in its result
	// replaces the result of Server. ctx ends after a second.
	QueryServer func(ctx context.Context, c driver.Conn) poolinfo.Server
	// Classify returns what is known of an error: one of the driver, a notice, or one that is not
	// the driver's at all, of which it knows nothing. It must not look at the text of an error that
	// has a code or a type. What it leaves empty, the code or the class, is found by SQLSTATE and
	// by the types of the standard library. An error that says that the server stopped a statement
	// has ServerStopped.
	Classify func(err error) poolinfo.ErrorInfo
}

// adapter is an Adapter whose functions may be nil, and may panic.
type adapter struct {
	Adapter
	panicked struct{ connector, target, server, queryServer, classify atomic.Bool } // the panic was reported
}

// recoverAdapter is deferred by what calls a function of an adapter: one that panics counts as nil.
// The value of the panic may hold data.
func recoverAdapter(name string, reported *atomic.Bool) {
	if p := recover(); p != nil && reported.CompareAndSwap(false, true) {
		telemetry.Handle(fmt.Errorf("otelpool: Adapter.%s panicked with a %T", name, p))
	}
}

// connector returns the adapter's connector for a data source name, nil if it has none.
func (a *adapter) connector(d driver.Driver, dataSourceName string) (c driver.Connector, err error) {
	if a.Connector == nil {
		return nil, nil
	}
	defer recoverAdapter("Connector", &a.panicked.connector)
	return a.Connector(d, dataSourceName)
}

func (a *adapter) target(c driver.Connector) (t poolinfo.Target) {
	if a.Target == nil {
		return poolinfo.Target{}
	}
	defer recoverAdapter("Target", &a.panicked.target)
	return a.Target(c)
}

// connect dials, and returns what keeps the notices of the driver about the connection, nil if
// there is no adapter for them.
func (a *adapter) connect(ctx context.Context, c driver.Connector, now func() time.Duration) (driver.Conn, *driverNotice, error) {
	if a.Connect == nil {
		conn, err := c.Connect(ctx)
		return conn, nil, err
	}
	n := &driverNotice{now: now}
	conn, err := a.Connect(ctx, c, n.set)
	return conn, n, err
}

func (a *adapter) server(c driver.Conn) (s poolinfo.Server) {
	if a.Server == nil {
		return poolinfo.Server{}
	}
	defer recoverAdapter("Server", &a.panicked.server)
	return a.Server(c)
}

func (a *adapter) queryServer(ctx context.Context, c driver.Conn) (s poolinfo.Server) {
	defer recoverAdapter("QueryServer", &a.panicked.queryServer)
	return a.QueryServer(ctx, c)
}

// knowsServers reports whether anything is known of servers.
func (a *adapter) knowsServers() bool { return a.Server != nil || a.QueryServer != nil }

// classify returns what the adapter knows of an error, as far as it is an allowed value.
func (a *adapter) classify(err error) (info poolinfo.ErrorInfo) {
	if a.Classify == nil {
		return poolinfo.ErrorInfo{}
	}
	info = a.classifyUnchecked(err)
	if !errclass.IsCode(info.Code) {
		info.Code = ""
	}
	if info.Class.Description() == "" {
		info.Class = ""
	}
	return info
}

func (a *adapter) classifyUnchecked(err error) (info poolinfo.ErrorInfo) {
	defer recoverAdapter("Classify", &a.panicked.classify)
	return a.Classify(err)
}

// fault returns what is recorded of an error of a call in ctx.
func (a *adapter) fault(ctx context.Context, err error) errclass.Fault {
	return errclass.Of(ctx, err, a.classify(err))
}

// dialFault is fault for an error of a dial. notice may be nil.
func (a *adapter) dialFault(ctx context.Context, err error, notice *driverNotice) errclass.Fault {
	return errclass.OfDial(ctx, err, a.classify(err), func() poolinfo.Class {
		if noticed := notice.lastError(); noticed != nil {
			return a.fault(ctx, noticed).Class
		}
		return ""
	})
}

// driverNotice keeps the last that a driver reported about a connection outside of its results.
type driverNotice struct {
	now func() time.Duration

	mu  sync.Mutex // guards what follows
	err error
	at  time.Duration
}

func (n *driverNotice) set(err error) {
	if err == nil {
		return
	}
	now := n.now()
	n.mu.Lock()
	n.err, n.at = err, now
	n.mu.Unlock()
}

// last returns the last notice, nil if there was none, and when it was reported.
func (n *driverNotice) last() (error, time.Duration) { //nolint:staticcheck // what, and then when
	if n == nil {
		return nil, 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err, n.at
}

// lastError returns the last notice, nil if there was none.
func (n *driverNotice) lastError() error {
	err, _ := n.last()
	return err
}
