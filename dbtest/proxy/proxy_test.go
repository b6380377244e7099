package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// patience bounds the wait for expected data. moment is how long a test waits for data
// that must not arrive.
const (
	patience = time.Minute
	moment   = 50 * time.Millisecond
)

// echo starts a server that returns each line, and closes when its client does. It
// returns the server's address and the lines that it receives.
func echo(t *testing.T) (addr string, received <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	lines := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for s := bufio.NewScanner(c); s.Scan(); {
					lines <- s.Text()
					_, _ = fmt.Fprintf(c, "%s\n", s.Text())
				}
			}()
		}
	}()
	return l.Addr().String(), lines
}

// client is a connection through a proxy.
type client struct {
	*net.TCPConn
	t *testing.T
}

func dial(t *testing.T, p *Proxy) client {
	t.Helper()
	c, err := net.DialTimeout("tcp", p.Addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return client{c.(*net.TCPConn), t}
}

func (c client) send(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, "%s\n", line); err != nil {
		c.t.Fatal(err)
	}
}

// read reads n bytes, or what arrives within a time.
func (c client) read(n int, within time.Duration) (string, error) {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, n)
	got, err := io.ReadFull(c, b)
	return string(b[:got]), err
}

// echo sends a line and expects it back.
func (c client) echo(line string) {
	c.t.Helper()
	c.send(line)
	if got, err := c.read(len(line)+1, patience); got != line+"\n" || err != nil {
		c.t.Fatalf("sent %q, read %q, %v", line, got, err)
	}
}

// waitClosed waits until the proxy has no connections.
func waitClosed(t *testing.T, p *Proxy) {
	t.Helper()
	for end := time.Now().Add(patience); p.Open() > 0; {
		if time.Now().After(end) {
			t.Fatalf("%d connections are open", p.Open())
		}
		time.Sleep(time.Millisecond)
	}
}

func TestProxy_ForwardsBothDirectionsAndTheirEnds(t *testing.T) {
	server, _ := echo(t)
	p := Start(t, server)
	c := dial(t, p)
	c.echo("a")
	c.echo("b")
	if n := p.Open(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	c.send("c")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "c\n" || err != nil {
		t.Errorf("after the end read %q, %v", got, err)
	}
	waitClosed(t, p)
}

func TestDelay_AppliesToEachDirection(t *testing.T) {
	server, _ := echo(t)
	p := Start(t, server)
	c := dial(t, p)
	c.echo("a")
	p.Delay(moment)
	start := time.Now()
	c.echo("b")
	if took := time.Since(start); took < 2*moment {
		t.Errorf("it took %v, want at least %v", took, 2*moment)
	}
}

func TestStall_HoldsEverythingBackUntilItEnds(t *testing.T) {
	server, received := echo(t)
	p := Start(t, server)
	c, closing := dial(t, p), dial(t, p)
	c.echo("a")
	closing.echo("b")
	<-received
	<-received
	p.Stall()
	p.Stall()
	c.send("held back")
	later := dial(t, p)
	later.send("held back")
	_ = closing.Close()
	for _, c := range []client{c, later} {
		if got, err := c.read(10, moment); got != "" || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("in a stall read %q, %v", got, err)
		}
	}
	select {
	case line := <-received:
		t.Errorf("in a stall the server read %q", line)
	default:
	}
	if n := p.Open(); n != 3 {
		t.Errorf("%d connections, want 3: a stall closes nothing", n)
	}
	if err := p.Pass(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []client{c, later} {
		if got, err := c.read(10, patience); got != "held back\n" || err != nil {
			t.Errorf("after the stall read %q, %v", got, err)
		}
		_ = c.Close()
	}
	waitClosed(t, p)
}

func TestReset_ResetsTheClientsConnection(t *testing.T) {
	server, _ := echo(t)
	p := Start(t, server)
	c := dial(t, p)
	c.echo("a")
	if n := p.Reset(); n != 1 {
		t.Errorf("%d were reset, want 1", n)
	}
	if _, err := c.read(1, patience); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %v, want a reset", err)
	}
	waitClosed(t, p)
	dial(t, p).echo("b")
}

func TestHalfClose_StillForwardsWrites(t *testing.T) {
	server, received := echo(t)
	p := Start(t, server)
	c := dial(t, p)
	c.echo("a")
	<-received
	if n := p.HalfClose(); n != 1 {
		t.Errorf("%d were half-closed, want 1", n)
	}
	c.send("b")
	if line := <-received; line != "b" {
		t.Errorf("the server read %q", line)
	}
	if got, err := c.read(1, patience); got != "" || !errors.Is(err, io.EOF) {
		t.Errorf("read %q, %v, want end of file", got, err)
	}
	_ = c.Close()
	waitClosed(t, p)
}

func TestCutAfter_CutsAtTheByte(t *testing.T) {
	server, _ := echo(t)
	p := Start(t, server)
	before := dial(t, p)
	before.echo("a")
	p.CutAfter(5)
	for _, c := range []client{before, dial(t, p)} {
		c.echo("b")
		c.send("cdefg")
		if got, err := c.read(10, patience); got != "cde" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("read %q, %v, want three bytes and end of file", got, err)
		}
	}
	waitClosed(t, p)
	if err := p.Pass(); err != nil {
		t.Fatal(err)
	}
	dial(t, p).echo("works again")
}

func TestRefuse_RefusesNewConnectionsOnly(t *testing.T) {
	server, _ := echo(t)
	p := Start(t, server)
	c := dial(t, p)
	c.echo("a")
	for range 2 {
		if err := p.Refuse(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := net.Dial("tcp", p.Addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialed: %v, want a refusal", err)
	}
	c.echo("b")
	for range 2 {
		if err := p.Pass(); err != nil {
			t.Fatal(err)
		}
	}
	dial(t, p).echo("c")
}

func TestClose_LeavesNothingBehind(t *testing.T) {
	server, _ := echo(t)
	p, err := New(server)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, p)
	c.echo("a")
	p.Stall()
	c.send("b")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if n := p.Open(); n != 0 {
		t.Errorf("%d connections are open", n)
	}
	if err := p.Close(); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if err := p.Pass(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", p.Addr); err == nil {
		t.Error("a closed proxy listens")
	}
}

func TestProxy_ClosesTheClientIfTheServerIsDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := l.Addr().String()
	_ = l.Close()
	p := Start(t, down)
	c := dial(t, p)
	if got, err := c.read(1, patience); got != "" || !errors.Is(err, io.EOF) {
		t.Errorf("read %q, %v, want end of file", got, err)
	}
	waitClosed(t, p)
}
