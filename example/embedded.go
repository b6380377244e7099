package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gms "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/server"
	gmssql "github.com/dolthub/go-mysql-server/sql"
	vitess "github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	vitesslog "github.com/dolthub/vitess/go/vt/log"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/sirupsen/logrus"

	"github.com/otelpool/otelpool"
)

const (
	// embeddedConns is how many connections the embedded server accepts. It refuses
	// more with MySQL's error 1040.
	embeddedConns = 40
	// embeddedIdle is how long a connection must be idle before CloseIdle closes it.
	// The server reports it as its wait_timeout, so it is in whole seconds.
	embeddedIdle = time.Second
)

// embedded is an in-memory MySQL server in this process, on its own socket.
type embedded struct {
	listener *listener
	engine   *gms.Engine
	server   *server.Server
	accepts  chan struct{} // closed when the server has stopped accepting
}

func newEmbedded() (*embedded, error) {
	discardServerLogs()
	// System variables are global to the process.
	if err := gmssql.SystemVariables.SetGlobal(gmssql.NewEmptyContext(), "wait_timeout", int64(embeddedIdle/time.Second)); err != nil {
		return nil, err
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &listener{Listener: inner, born: time.Now(), open: map[*socket]struct{}{}}
	provider := memory.NewDBProvider(memory.NewDatabase("app"))
	engine := gms.NewDefault(provider)
	s, err := server.NewServerWithHandler(server.Config{Listener: l}, engine, gmssql.NewContext,
		memory.NewSessionBuilder(provider), nil,
		func(h vitess.Handler) (vitess.Handler, error) { return &serialHandler{Handler: h}, nil })
	if err != nil {
		inner.Close()
		return nil, err
	}
	e := &embedded{l, engine, s, make(chan struct{})}
	go func() {
		defer close(e.accepts)
		_ = s.Start() // always nil
	}()
	return e, nil
}

// discardServerLogs silences the server's two loggers: to them, a client that
// disconnects is an error. They are global to the process, hence once.
var discardServerLogs = sync.OnceFunc(func() {
	logrus.SetOutput(io.Discard)
	vitesslog.Info, vitesslog.Infof = func(...any) {}, func(string, ...any) {}
	vitesslog.Warning, vitesslog.Warningf = func(...any) {}, func(string, ...any) {}
	vitesslog.Error, vitesslog.Errorf = func(...any) {}, func(string, ...any) {}
})

func (e *embedded) DSN() string   { return fmt.Sprintf("root@tcp(%s)/app", e.listener.Addr()) }
func (e *embedded) About() string { return "an embedded MySQL server in this process" }

func (e *embedded) CloseIdle(context.Context, *otelpool.DB) (int, error) {
	return e.listener.closeIdle(embeddedIdle), nil
}

// Close also closes the sockets: the server's own Close only stops listening.
func (e *embedded) Close() error {
	err := e.server.Close()
	<-e.accepts
	e.listener.closeIdle(0)
	e.listener.wait.Wait()
	// The engine stops by cancelling its own context, and returns that error.
	if failed := e.engine.Close(); !errors.Is(failed, context.Canceled) {
		err = errors.Join(err, failed)
	}
	return err
}

// listener tracks the open sockets, refuses connections over the limit, and can close
// idle ones.
type listener struct {
	net.Listener
	born time.Time
	wait sync.WaitGroup // counts the open sockets

	mu   sync.Mutex // guards open
	open map[*socket]struct{}
}

// tooManyConnections is the packet that a full MySQL server sends first: length, sequence
// number, error marker, error 1040, SQL state, text.
var tooManyConnections = func() []byte {
	text := "#08004Too many connections"
	return append([]byte{byte(3 + len(text)), 0, 0, 0, 0xff, 0x10, 0x04}, text...)
}()

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.mu.Lock()
		full := len(l.open) >= embeddedConns
		var s *socket
		if !full {
			s = &socket{Conn: c, listener: l}
			s.touch()
			l.open[s] = struct{}{}
			l.wait.Add(1)
		}
		l.mu.Unlock()
		if !full {
			return s, nil
		}
		// The client may have disconnected; the error changes nothing.
		_, _ = c.Write(tooManyConnections)
		c.Close()
	}
}

// closeIdle closes the sockets that have been idle for at least idleFor and returns how
// many it closed.
func (l *listener) closeIdle(idleFor time.Duration) int {
	l.mu.Lock()
	var end []*socket
	for s := range l.open {
		if time.Since(l.born)-time.Duration(s.last.Load()) >= idleFor {
			end = append(end, s)
		}
	}
	l.mu.Unlock()
	for _, s := range end {
		// After Close alone the client would notice nothing until the server's read has
		// returned. CloseWrite sends the end of the stream at once.
		if tcp, ok := s.Conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
		_ = s.Close() // an error changes nothing: the connection is closed either way
	}
	return len(end)
}

// socket is a client's connection with the time of its last use.
type socket struct {
	net.Conn
	listener *listener
	last     atomic.Int64 // time.Duration since listener.born
	closed   sync.Once
}

func (s *socket) touch() { s.last.Store(int64(time.Since(s.listener.born))) }

func (s *socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.touch()
	return n, err
}

func (s *socket) Write(b []byte) (int, error) {
	s.touch()
	return s.Conn.Write(b)
}

func (s *socket) Close() error {
	err := s.Conn.Close()
	s.closed.Do(func() {
		l := s.listener
		l.mu.Lock()
		delete(l.open, s)
		l.mu.Unlock()
		l.wait.Done()
	})
	return err
}

// serialHandler runs one statement at a time. The memory engine needs it: a commit
// writes back every table that its session has read, so overlapping statements undo
// each other's writes. SLEEP reads no table and runs concurrently.
//
// Results are written to the socket under the lock. A client that stops reading a result
// larger than the socket's buffers would block the server, so the service's results are
// small.
type serialHandler struct {
	vitess.Handler
	mu sync.Mutex
}

func (h *serialHandler) lock(query string) (unlock func()) {
	if strings.Contains(strings.ToUpper(query), "SLEEP(") {
		return func() {}
	}
	h.mu.Lock()
	return h.mu.Unlock
}

func (h *serialHandler) ComQuery(ctx context.Context, c *vitess.Conn, query string, callback vitess.ResultSpoolFn) error {
	defer h.lock(query)()
	return h.Handler.ComQuery(ctx, c, query, callback)
}

func (h *serialHandler) ComMultiQuery(ctx context.Context, c *vitess.Conn, query string, callback vitess.ResultSpoolFn) (string, error) {
	defer h.lock(query)()
	return h.Handler.ComMultiQuery(ctx, c, query, callback)
}

func (h *serialHandler) ComPrepare(ctx context.Context, c *vitess.Conn, query string, prepare *vitess.PrepareData) ([]*querypb.Field, error) {
	defer h.lock(query)()
	return h.Handler.ComPrepare(ctx, c, query, prepare)
}

func (h *serialHandler) ComStmtExecute(ctx context.Context, c *vitess.Conn, prepare *vitess.PrepareData, callback func(*sqltypes.Result) error) error {
	defer h.lock(prepare.PrepareStmt)()
	return h.Handler.ComStmtExecute(ctx, c, prepare, callback)
}
