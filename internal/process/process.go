// Package process runs other programs beside a test, such as a telemetry backend.
package process

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Timeout bounds every wait of this package.
const Timeout = 5 * time.Minute

// Process is a program that runs beside a test.
type Process struct {
	name   string
	stop   context.CancelFunc // interrupts it
	exited chan struct{}      // closed when it exits
	err    error              // set then, unless the exit code is 0
	output output
}

// output is what a program prints.
type output struct {
	mu  sync.Mutex // guards log
	log bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.Write(b)
}

// Start starts a program with additional environment variables, each NAME=value. It
// inherits no OTEL_ variables. The program is interrupted when the test ends, and its
// output is logged if the test failed.
func Start(t testing.TB, environ []string, path string, args ...string) *Process {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &Process{name: filepath.Base(path), stop: stop, exited: make(chan struct{})}
	c := exec.CommandContext(ctx, path, args...)
	inherited := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OTEL_") })
	c.Env = append(inherited, environ...)
	c.Stdout, c.Stderr = &p.output, &p.output
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	if err := c.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	go func() {
		if p.err = c.Wait(); ctx.Err() != nil && c.ProcessState.Success() {
			p.err = nil // an interrupt is not a failure
		}
		close(p.exited)
	}()
	t.Cleanup(func() {
		stop()
		<-p.exited
		if t.Failed() {
			t.Logf("%s printed:\n%s", p.name, p.Output())
		}
	})
	return p
}

// Output returns what the program has printed so far.
func (p *Process) Output() string {
	p.output.mu.Lock()
	defer p.output.mu.Unlock()
	return p.output.log.String()
}

// Interrupt sends the program an interrupt.
func (p *Process) Interrupt() { p.stop() }

// AwaitExit waits until the program exits. A failure of the program fails the test.
func (p *Process) AwaitExit(t testing.TB) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(Timeout):
		t.Fatalf("%s has not exited after %v", p.name, Timeout)
	}
	if p.err != nil {
		t.Error(p.err)
	}
}

// AwaitReady waits until the program answers at a URL without a server error.
func (p *Process) AwaitReady(t testing.TB, url string) {
	t.Helper()
	Await(t, "an answer from "+url, func() bool {
		select {
		case <-p.exited:
			t.Fatalf("%s has exited", p.name)
		default:
		}
		res, err := http.Get(url)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode < http.StatusInternalServerError
	})
}

// Await polls until happened returns true.
func Await(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Timeout); !happened(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out after %v waiting for %s", Timeout, what)
		}
	}
}

// FreeAddress returns an unused address on the loopback interface.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
