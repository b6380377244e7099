package benchmarks

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/otelpool/otelpool"
)

// A Saturated is a pool that is too small: saturation goroutines run exec in a loop, and
// each released connection goes to one that waits.
type Saturated struct {
	Server Server
	Limit  int // of open connections
	Mode   Mode
	Peer   Peer
}

const saturation = 64

// The peers that are measured only with saturated pools.
const (
	// NotInferred is otelpool without Watch: it does not know the DB, so it infers no wait.
	NotInferred = "not inferred"

	// Recorded is the same, and the caller records a wait_time for each call: the signal
	// without the inference.
	Recorded = "recorded"

	// Inferred is otelpool without acquire spans and call sites: Recorded and the inference.
	Inferred = "inferred"
)

// SaturatedPeers are the peers of saturated pools, in the order of the report.
var SaturatedPeers = []Peer{
	{Name: Bare, In: always, open: openBare, do: doPlain},
	{Name: NotInferred, In: always, open: openNotInferred, do: doPlain},
	{Name: Recorded, In: always, open: openNotInferred, do: doRecorded},
	{Name: Inferred, In: always, open: openInferred, do: doPlain},
	{Name: Otelpool, In: always, open: openOtelpool, do: doPlain},
	{Name: OtelpoolDB, In: always, open: openOtelpool, do: doDB},
}

func openNotInferred(c driver.Connector, p providers) (*sql.DB, error) {
	return sql.OpenDB(otelpool.NewConnector(c, otelpoolOptions(p)...)), nil
}

func openInferred(c driver.Connector, p providers) (*sql.DB, error) {
	return otelpool.OpenDB(c, append(otelpoolOptions(p), otelpool.WithAcquireSpanThreshold(-1), otelpool.WithoutCallers())...), nil
}

// doRecorded emits only the wait of the floor's signals.
func doRecorded(op Op, db *sql.DB, p providers) (call, error) {
	f, err := newFloor(p)
	if err != nil {
		return nil, err
	}
	do, err := op.plain(db)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (int64, error) {
		f.wait(ctx)
		return do(ctx)
	}, nil
}

// SaturatedModes are the modes of saturated pools. With no SDK nothing is inferred.
var SaturatedModes = []Mode{Unsampled, Sampled}

// SaturatedLimits are the limits of saturated pools.
var SaturatedLimits = []int{1, 8}

// A Server executes the statements of a saturated pool. None of them sleeps: timers are a
// millisecond late in an idle process and punctual in a busy one, so a wrapper would gain
// by working more.
type Server struct {
	Name string

	// Note describes the server in one line, for a report.
	Note string

	open func() (driver.Connector, error)
}

// Servers are the servers of saturated pools. Both are faster than a database, so a
// wrapper's share of a hold is larger than in any program.
var Servers = []Server{
	{
		Name: "none",
		Note: "the driver does nothing, so a connection is held only for the time that the wrapper and database/sql take",
		open: func() (driver.Connector, error) { return nopConnector{}, nil },
	},
	{
		Name: "loopback",
		Note: "the driver makes a round trip over the loopback interface to a server that answers immediately",
		open: openLoopback,
	},
}

// loopback dials a server in this process, which stops with the DB. Every message has
// messageSize bytes.
type loopback struct {
	nopConnector
	listener net.Listener
}

const messageSize = 64

func openLoopback() (driver.Connector, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go answer(c)
		}
	}()
	return loopback{listener: listener}, nil
}

func (l loopback) Close() error { return l.listener.Close() }

// answer sends each message back.
func answer(c net.Conn) {
	defer c.Close()
	var message [messageSize]byte
	for {
		if _, err := io.ReadFull(c, message[:]); err != nil {
			return
		}
		if _, err := c.Write(message[:]); err != nil {
			return
		}
	}
}

func (l loopback) Connect(ctx context.Context) (driver.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", l.listener.Addr().String())
	if err != nil {
		return nil, err
	}
	return &loopbackConn{socket: c}, nil
}

// loopbackConn is a nopConn whose execs make a round trip to the server.
type loopbackConn struct {
	nopConn
	socket  net.Conn
	message [messageSize]byte
}

func (c *loopbackConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	if _, err := c.socket.Write(c.message[:]); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(c.socket, c.message[:]); err != nil {
		return nil, err
	}
	return driver.RowsAffected(1), nil
}

func (c *loopbackConn) Close() error { return c.socket.Close() }

// Run runs the operation tb.N times in all goroutines together.
func (s Saturated) Run(tb *testing.B) {
	tb.ReportAllocs()
	if _, err := s.run(tb.N, tb.ResetTimer); err != nil {
		tb.Fatal(err)
	}
}

// run runs the operation n times and returns how many calls waited. It calls start when
// every goroutine waits, and then releases the connections.
func (s Saturated) run(n int, start func()) (waits int64, _ error) {
	connector, err := s.Server.open()
	if err != nil {
		return 0, err
	}
	pool, err := s.Peer.session(connector, s.Mode.providers(), s.Limit)
	if err != nil {
		return 0, err
	}
	defer pool.db.Close()
	if pool.call, err = s.Peer.do(execOp, pool.db, pool.providers); err != nil {
		return 0, err
	}
	release, err := pool.hold(s.Limit)
	if err != nil {
		return 0, err
	}

	// The goroutines share one count, so that all of them run until the end.
	var left atomic.Int64
	left.Store(int64(n))
	failed := make([]error, saturation)
	var all sync.WaitGroup
	for i := range saturation {
		all.Go(func() {
			c := newCaller(pool.providers)
			defer c.end()
			for failed[i] == nil && left.Add(-1) >= 0 {
				_, failed[i] = pool.call(c.context())
			}
		})
	}
	for pool.db.Stats().WaitCount < int64(min(saturation, n)) {
		runtime.Gosched()
	}
	start()
	err = release()
	all.Wait()
	return pool.db.Stats().WaitCount, errors.Join(append(failed, err)...)
}
