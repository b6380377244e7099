// Package proxy is a TCP proxy for tests. It simulates faults of the network between a
// database driver and its server: delays, stalls, resets and cuts. It knows no protocol.
//
// A fault applies to all connections of the proxy at once. Each method documents whether
// it applies to later connections too.
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

// A Proxy forwards connections to one server. Its methods may be called from any
// goroutine.
type Proxy struct {
	// Addr is host:port on the loopback interface, where clients connect. It never
	// changes.
	Addr string

	server string

	mu       sync.Mutex // guards the fields below
	listener net.Listener
	links    map[*link]struct{}
	latency  time.Duration
	flows    chan struct{} // closed while data flow, open in a stall
	cut      int64         // bytes of answers for each link; negative for no limit
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

// New starts a proxy for the server at host:port. It listens at once, and dials the
// server for each connection. The caller closes it.
func New(server string) (*Proxy, error) {
	p := &Proxy{server: server, links: map[*link]struct{}{}, flows: closedChan(), cut: -1}
	// The port is below the range for outgoing connections. While the proxy refuses, a
	// client that dials a port in that range can connect to itself.
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

func closedChan() chan struct{} {
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

// Close closes all connections and stops the proxy. All its goroutines have ended when it
// returns.
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

// Pass ends every fault. Data that a stall held back are forwarded now. Connections that
// were cut stay closed. Pass returns an error if the address is no longer free.
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

// Delay delays data by d in each direction, on existing and later connections. Zero ends
// it.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency = d
}

// Stall forwards nothing, not even that one side has closed, as a network that loses
// every packet. Later connections are accepted, but not forwarded. It lasts until Pass.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flows:
		p.flows = make(chan struct{})
	default:
	}
}

// Reset closes the existing connections, the client's side with RST. Data in transit are
// lost. It returns the number of connections.
func (p *Proxy) Reset() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.links)
	for l := range p.links {
		l.reset()
	}
	return n
}

// HalfClose closes the existing connections towards the client only: the client reads an
// end of file, and its writes still reach the server. It returns the number of
// connections.
func (p *Proxy) HalfClose() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.links)
	for l := range p.links {
		l.halfCloseLocked()
	}
	return n
}

// CutAfter closes each existing and later connection after n more bytes of answers.
func (p *Proxy) CutAfter(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = n
	for l := range p.links {
		l.left = n
	}
}

// Refuse stops listening until Pass. Existing connections stay open.
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

// Open returns the number of connections, including those whose server is not dialed yet.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func (p *Proxy) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // the listener is closed
		}
		k := &link{proxy: p, client: c.(*net.TCPConn), closed: make(chan struct{})}
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
	closed chan struct{} // closed when the link is cut
	cut    sync.Once

	server     atomic.Pointer[net.TCPConn] // nil until dialed
	left       int64                       // bytes of answers until the cut; negative for no limit; guarded by proxy.mu
	halfClosed bool                        // guarded by proxy.mu
}

// run forwards both directions until both have ended.
func (k *link) run() {
	defer func() {
		k.end()
		k.proxy.mu.Lock()
		delete(k.proxy.links, k)
		k.proxy.mu.Unlock()
	}()
	if !k.wait() {
		return
	}
	c, err := net.Dial("tcp", k.proxy.server)
	if err != nil {
		return
	}
	server := c.(*net.TCPConn)
	k.server.Store(server)
	if k.isClosed() { // during the dial
		return
	}
	var both sync.WaitGroup
	both.Go(func() { k.forward(server, k.client, func(b []byte) ([]byte, error) { return b, nil }) })
	both.Go(func() { k.forward(k.client, server, k.allowed) })
	both.Wait()
}

// forward copies one direction as far as limit allows, and forwards its end.
func (k *link) forward(to, from *net.TCPConn, limit func([]byte) ([]byte, error)) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !k.wait() {
			return
		}
		if n > 0 {
			b, stop := limit(buf[:n])
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
			_ = to.CloseWrite() // fails if the other side is closed already
			return
		}
		if err != nil {
			k.end()
			return
		}
	}
}

// errCut ends a link at its cut.
var errCut = errors.New("cut")

// allowed returns the part of an answer that the client gets.
func (k *link) allowed(b []byte) ([]byte, error) {
	k.proxy.mu.Lock()
	defer k.proxy.mu.Unlock()
	if k.halfClosed {
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

// wait waits for the delay and for the end of a stall. It returns false if the link was
// closed meanwhile.
func (k *link) wait() bool {
	k.proxy.mu.Lock()
	flows, latency := k.proxy.flows, k.proxy.latency
	k.proxy.mu.Unlock()
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-k.closed:
		}
	}
	select {
	case <-flows:
	case <-k.closed:
	}
	return !k.isClosed()
}

func (k *link) isClosed() bool {
	select {
	case <-k.closed:
		return true
	default:
		return false
	}
}

// end closes both sides.
func (k *link) end() {
	k.cut.Do(func() { close(k.closed) })
	_ = k.client.Close()
	if s := k.server.Load(); s != nil {
		_ = s.Close()
	}
}

// reset closes both sides, the client's with RST.
func (k *link) reset() {
	_ = k.client.SetLinger(0) // fails if the client is closed already
	k.end()
}

// halfCloseLocked closes the direction towards the client.
func (k *link) halfCloseLocked() {
	k.halfClosed = true
	_ = k.client.CloseWrite() // fails if the client is closed already
}
