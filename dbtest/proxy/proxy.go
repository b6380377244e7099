// Package proxy stands between a database driver and its server and is the
// network that goes wrong: slow, silent, cut. It knows no protocol.
//
// It is for tests. What it does to connections it does to all that go through
// it, at once; how a connection that comes later is treated is said by each
// method.
package proxy

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Proxy passes connections on to one server. Its methods may be called from
// any goroutine.
type Proxy struct {
	// Addr is host:port on the loopback interface, where clients connect. It stays
	// the same.
	Addr string

	server string

	mu       sync.Mutex // guards what follows
	listener net.Listener
	links    map[*link]struct{}
	latency  time.Duration
	flows    chan struct{} // closed while bytes pass, open in a stall
	cut      int64         // bytes that a link may still answer; negative for no end
	ended    bool

	running sync.WaitGroup
}

// Start starts a proxy that ends with the test.
func Start(tb testing.TB, server string) *Proxy {
	tb.Helper()
	p, err := New(server)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// New starts a proxy in front of the server at host:port. It listens at once; the
// server is dialed with each connection. The caller closes it.
func New(server string) (*Proxy, error) {
	p := &Proxy{server: server, links: map[*link]struct{}{}, flows: closed(), cut: -1}
	// The port is below those that systems give to outgoing connections: while
	// the proxy refuses, a client that dials such a port can meet itself.
	const low, high = 12000, 32000
	var err error
	for range 100 {
		p.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(low+rand.IntN(high-low)))
		if err = p.listenLocked(); err == nil {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no free port: %w", err)
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func (p *Proxy) listenLocked() error {
	l, err := net.Listen("tcp", p.Addr)
	if err != nil {
		return err
	}
	p.listener = l
	p.running.Go(func() { p.accept(l) })
	return nil
}

// Close cuts all connections and ends the proxy. When it returns no goroutine
// of it is left.
func (p *Proxy) Close() error {
	p.mu.Lock()
	var err error
	if p.listener != nil {
		err = p.listener.Close()
		p.listener = nil
	}
	p.ended = true
	for l := range p.links {
		l.end()
	}
	p.mu.Unlock()
	p.running.Wait()
	return err
}

// Pass ends every trouble. What a stall held back arrives now. Connections that
// were cut stay so. The error says that the address has been taken meanwhile.
func (p *Proxy) Pass() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency, p.cut = 0, -1
	for l := range p.links {
		l.left = -1
	}
	p.flowLocked()
	if p.listener == nil && !p.ended {
		return p.listenLocked()
	}
	return nil
}

func (p *Proxy) flowLocked() {
	select {
	case <-p.flows:
	default:
		close(p.flows)
	}
}

// Delay holds up what passes by d, in each direction, on connections that are
// there and on those to come. Zero ends it.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}

// Stall lets nothing pass and closes nothing, not even what one side has closed:
// a network that loses everything. Connections to come are accepted, and nothing
// answers them. It lasts until Pass.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flows:
		p.flows = make(chan struct{})
	default:
	}
}

// Reset cuts the connections that are there such that the client is told: with
// RST, and without what was on its way. It returns how many there were.
func (p *Proxy) Reset() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.links)
	for l := range p.links {
		l.reset()
	}
	return n
}

// HalfClose ends the connections that are there towards the client only: it
// reads an end of file, and what it writes still arrives at the server. It
// returns how many there were.
func (p *Proxy) HalfClose() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.links)
	for l := range p.links {
		l.halfCloseLocked()
	}
	return n
}

// CutAfter lets n more bytes of answers pass on each connection, those to come
// included, and then closes it.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = n
	for l := range p.links {
		l.left = n
	}
}

// Refuse listens no more, until Pass. The connections that are there stay.
func (p *Proxy) Refuse() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return nil
	}
	err := p.listener.Close()
	p.listener = nil
	return err
}

// Open is the number of connections that go through the proxy now, those that
// are not at the server yet included.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func (p *Proxy) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // the listener was closed
		}
		k := &link{proxy: p, client: c.(*net.TCPConn), gone: make(chan struct{})}
		p.mu.Lock()
		if p.ended {
			p.mu.Unlock()
			_ = c.Close()
			return
		}
		k.left = p.cut
		p.links[k] = struct{}{}
		p.running.Go(k.run)
		p.mu.Unlock()
	}
}

// A link is one connection through the proxy.
type link struct {
	proxy  *Proxy
	client *net.TCPConn
	gone   chan struct{} // closed when the link is cut
	cut    sync.Once

	server atomic.Pointer[net.TCPConn] // nil until dialed
	left   int64                       // bytes that may still be answered; negative for no end; guarded by proxy.mu
	deaf   bool                        // the client gets no more; guarded by proxy.mu
}

// run passes both directions on until each has ended.
func (k *link) run() {
	defer func() {
		k.end()
		k.proxy.mu.Lock()
		delete(k.proxy.links, k)
		k.proxy.mu.Unlock()
	}()
	if !k.pause() {
		return
	}
	c, err := net.Dial("tcp", k.proxy.server)
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	k.server.Store(server)
	if k.isGone() { // while it was dialed
		return
	}
	var both sync.WaitGroup
	both.Go(func() { k.pass(server, k.client, func(b []byte) ([]byte, error) { return b, nil }) })
	both.Go(func() { k.pass(k.client, server, k.answer) })
	both.Wait()
}

// pass copies one direction, as far as allowed says, and hands its end on.
func (k *link) pass(to, from *net.TCPConn, allowed func([]byte) ([]byte, error)) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !k.pause() {
			return
		}
		if n > 0 {
			b, stop := allowed(buf[:n])
			if _, err := to.Write(b); err != nil {
				k.end()
				return
			}
			if stop != nil {
				k.end()
				return
			}
		}
		if errors.Is(err, io.EOF) {
			_ = to.CloseWrite() // fails if the other side is gone already
			return
		}
		if err != nil {
			k.end()
			return
		}
	}
}

// errCut ends a link that has answered as much as it may.
var errCut = errors.New("cut")

// answer returns what the client may have of an answer.
func (k *link) answer(b []byte) ([]byte, error) {
	k.proxy.mu.Lock()
	defer k.proxy.mu.Unlock()
	if k.deaf {
		return nil, nil
	}
	if k.left < 0 {
		return b, nil
	}
	if int64(len(b)) < k.left {
		k.left -= int64(len(b))
		return b, nil
	}
	return b[:k.left], errCut
}

// pause waits for what the proxy makes of the network now. It reports false if the
// link was cut meanwhile.
func (k *link) pause() bool {
	k.proxy.mu.Lock()
	flows, latency := k.proxy.flows, k.proxy.latency
	k.proxy.mu.Unlock()
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-k.gone:
		}
	}
	select {
	case <-flows:
	case <-k.gone:
	}
	return !k.isGone()
}

func (k *link) isGone() bool {
	select {
	case <-k.gone:
		return true
	default:
		return false
	}
}

// end closes both sides.
func (k *link) end() {
	k.cut.Do(func() { close(k.gone) })
	_ = k.client.Close()
	if s := k.server.Load(); s != nil {
		_ = s.Close()
	}
}

// reset closes both sides, the client's with RST.
func (k *link) reset() {
	_ = k.client.SetLinger(0) // fails if the client is gone already
	k.end()
}

// halfCloseLocked ends the client's side of the answers.
func (k *link) halfCloseLocked() {
	k.deaf = true
	_ = k.client.CloseWrite() // fails if the client is gone already
}
