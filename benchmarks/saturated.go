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

// A Saturated is a pool that is too small: saturation goroutines do exec, over
// and over, and each connection that is given back goes to one that waits.
type Saturated struct {
	Server Server
	Limit  int // of open connections
	Mode   Mode
	Peer   Peer
}

const saturation = 64

// The peers that only a saturated pool has.
const (
	// NotInferred is otelpool over a DB that it does not know: it infers no wait.
	NotInferred = "not inferred"

	// Recorded is the same, and what uses the pool records a wait_time for each
	// call: the signal without the inference.
	Recorded = "recorded"

	// Inferred is otelpool without acquire spans and callers: Recorded and the inference.
	Inferred = "inferred"
)

// SaturatedPeers are what saturated pools are measured with, in the order in
// which they are reported.
var SaturatedPeers = []Peer{
	{Name: Bare, In: always, open: openBare, do: doPlain},
	{Name: NotInferred, In: always, open: openNotInferred, do: doPlain},
	{Name: Recorded, In: always, open: openNotInferred, do: doRecorded},
	{Name: Inferred, In: always, open: openInferred, do: doPlain},
	{Name: Otelpool, In: always, open: openOtelpool, do: doPlain},
	{Name: OtelpoolDB, In: always, open: openOtelpool, do: doExact},
}

func openNotInferred(c driver.Connector, p providers) (*sql.DB, error) {
	return sql.OpenDB(otelpool.NewConnector(c, otelpoolOptions(p)...)), nil
}

func openInferred(c driver.Connector, p providers) (*sql.DB, error) {
	return otelpool.OpenDB(c, append(otelpoolOptions(p), otelpool.WithAcquireSpanThreshold(-1), otelpool.WithoutCallers())...), nil
}

// doRecorded gives of the floor's signals that of the wait.
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

// SaturatedModes are the modes in which saturated pools are measured. With no SDK
// nothing is inferred.
var SaturatedModes = []Mode{Unsampled, Sampled}

// SaturatedLimits are the limits of saturated pools.
var SaturatedLimits = []int{1, 8}

// A Server is what executes the statements of a saturated pool. None of them
// sleeps: the timer of a process that has little to do is late by a millisecond,
// and punctual in a busy one, so that a wrapper would gain by working more.
type Server struct {
	Name string

	// Note says in one line what it is, for a report.
	Note string

	open func() (driver.Connector, error)
}

// Servers are the servers of saturated pools. Both are quicker than a database:
// what a wrapper adds is nowhere a larger part of a hold.
var Servers = []Server{
	{
		Name: "none",
		Note: "the driver does nothing, so that a connection is held for as long as the wrapper and database/sql take",
		open: func() (driver.Connector, error) { return nopConnector{}, nil },
	},
	{
		Name: "loopback",
		Note: "the driver makes a round trip over the loopback interface to a server that answers at once",
		open: openLoopback,
	},
}

// loopback dials a server of this process, which ends with the DB. What it sends
// and receives is always messageSize bytes.
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
				return // it was closed
			}
			go answer(c)
		}
	}()
	return loopback{listener: listener}, nil
}

func (l loopback) Close() error { return l.listener.Close() }

// answer sends each message back, until there is none.
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

// loopbackConn executes with a round trip to the server. It does the rest as
// nopConn does.
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

// Run does the operation tb.N times, all goroutines together.
func (s Saturated) Run(tb *testing.B) {
	tb.ReportAllocs()
	if _, err := s.run(tb.N, tb.ResetTimer); err != nil {
		tb.Fatal(err)
	}
}

// run does the operation n times and tells how many waited. It calls start when
// no goroutine can go on, and gives them the connections then.
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
	giveBack, err := pool.hold(s.Limit)
	if err != nil {
		return 0, err
	}

	// The goroutines draw from one count, so that all are there until the end.
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
	err = giveBack()
	all.Wait()
	return pool.db.Stats().WaitCount, errors.Join(append(failed, err)...)
}
