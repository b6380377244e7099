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

// patience bounds what must come, and moment is how long is waited for what must
// not.
const (
	patience = time.Minute
	moment   = 50 * time.Millisecond
)

// echo is a server that answers each line with itself, and closes when its client
// does. It returns its address, and what it read.
func echo(t *testing.T) (addr string, heard <-chan string) {
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

func (c client) say(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, "%s\n", line); err != nil {
		c.t.Fatal(err)
	}
}

// hear reads n bytes, as many as come within a time.
func (c client) hear(n int, within time.Duration) (string, error) {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, n)
	got, err := io.ReadFull(c, b)
	return string(b[:got]), err
}

// answered says a line and wants it back.
func (c client) answered(line string) {
	c.t.Helper()
	c.say(line)
	if got, err := c.hear(len(line)+1, patience); got != line+"\n" || err != nil {
		c.t.Fatalf("said %q, heard %q, %v", line, got, err)
	}
}

// lost waits until no connection goes through the proxy.
func lost(t *testing.T, p *Proxy) {
	t.Helper()
	for end := time.Now().Add(patience); p.Open() > 0; {
		if time.Now().After(end) {
			t.Fatalf("%d connections are left", p.Open())
		}
		time.Sleep(time.Millisecond)
	}
}

func TestProxy_ForwardsBothDirectionsAndTheirEnds(t *testing.T) {
	server, _ := echo(t)
	p := Start(t, server)
	c := dial(t, p)
	c.answered("a")
	c.answered("b")
	if n := p.Open(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	c.say("c")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "c\n" || err != nil {
		t.Errorf("after the end heard %q, %v", got, err)
	}
	lost(t, p)
}

func TestDelay_AppliesToEachDirection(t *testing.T) {
	server, _ := echo(t)
	p := Start(t, server)
	c := dial(t, p)
	c.answered("a")
	p.Delay(moment)
	start := time.Now()
	c.answered("b")
	if took := time.Since(start); took < 2*moment {
		t.Errorf("it took %v, want at least %v", took, 2*moment)
	}
}

func TestStall_HoldsEverythingBackUntilItEnds(t *testing.T) {
	server, heard := echo(t)
	p := Start(t, server)
	c, closing := dial(t, p), dial(t, p)
	c.answered("a")
	closing.answered("b")
	<-heard
	<-heard
	p.Stall()
	p.Stall()
	c.say("held back")
	late := dial(t, p)
	late.say("held back")
	_ = closing.Close()
	for _, c := range []client{c, late} {
		if got, err := c.hear(10, moment); got != "" || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("in a stall heard %q, %v", got, err)
		}
	}
	select {
	case line := <-heard:
		t.Errorf("in a stall the server heard %q", line)
	default:
	}
	if n := p.Open(); n != 3 {
		t.Errorf("%d connections, want 3: a stall closes nothing", n)
	}
	if err := p.Pass(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []client{c, late} {
		if got, err := c.hear(10, patience); got != "held back\n" || err != nil {
			t.Errorf("after the stall heard %q, %v", got, err)
		}
		_ = c.Close()
	}
	lost(t, p)
}

func TestReset_ResetsTheClientsConnection(t *testing.T) {
	server, _ := echo(t)
	p := Start(t, server)
	c := dial(t, p)
	c.answered("a")
	if n := p.Reset(); n != 1 {
		t.Errorf("%d were reset, want 1", n)
	}
	if _, err := c.hear(1, patience); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("heard %v, want a reset", err)
	}
	lost(t, p)
	dial(t, p).answered("b")
}

func TestHalfClose_StillForwardsWrites(t *testing.T) {
	server, heard := echo(t)
	p := Start(t, server)
	c := dial(t, p)
	c.answered("a")
	<-heard
	if n := p.HalfClose(); n != 1 {
		t.Errorf("%d were half-closed, want 1", n)
	}
	c.say("b")
	if line := <-heard; line != "b" {
		t.Errorf("the server heard %q", line)
	}
	if got, err := c.hear(1, patience); got != "" || !errors.Is(err, io.EOF) {
		t.Errorf("heard %q, %v, want the end", got, err)
	}
	_ = c.Close()
	lost(t, p)
}

func TestCutAfter_CutsAtTheByte(t *testing.T) {
	server, _ := echo(t)
	p := Start(t, server)
	before := dial(t, p)
	before.answered("a")
	p.CutAfter(5)
	for _, c := range []client{before, dial(t, p)} {
		c.answered("b")
		c.say("cdefg")
		if got, err := c.hear(10, patience); got != "cde" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("heard %q, %v, want three bytes and the end", got, err)
		}
	}
	lost(t, p)
	if err := p.Pass(); err != nil {
		t.Fatal(err)
	}
	dial(t, p).answered("whole again")
}

func TestRefuse_RefusesNewConnectionsOnly(t *testing.T) {
	server, _ := echo(t)
	p := Start(t, server)
	c := dial(t, p)
	c.answered("a")
	for range 2 {
		if err := p.Refuse(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := net.Dial("tcp", p.Addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialed: %v, want a refusal", err)
	}
	c.answered("b")
	for range 2 {
		if err := p.Pass(); err != nil {
			t.Fatal(err)
		}
	}
	dial(t, p).answered("c")
}

func TestClose_LeavesNothingBehind(t *testing.T) {
	server, _ := echo(t)
	p, err := New(server)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, p)
	c.answered("a")
	p.Stall()
	c.say("b")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if n := p.Open(); n != 0 {
		t.Errorf("%d connections are left", n)
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
	if got, err := c.hear(1, patience); got != "" || !errors.Is(err, io.EOF) {
		t.Errorf("heard %q, %v, want the end", got, err)
	}
	lost(t, p)
}
