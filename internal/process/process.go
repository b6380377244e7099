// Package process runs other programs beside a test, such as a backend of telemetry.
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

// Timeout is how long something that has to happen is waited for.
const Timeout = 5 * time.Minute

// Process is a program that runs beside a test.
type Process struct {
	name   string
	stop   context.CancelFunc // interrupts it
	exited chan struct{}      // is closed at its end
	err    error              // is set then, unless it has exited with 0
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

// Start starts a program with more variables in its environment, each NAME=value, and
// none about OpenTelemetry but those. It is interrupted at the end of the test at the
// latest, and what it has printed is told if that failed.
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
			p.err = nil // that it was interrupted is no failure
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

// Output is what the program has printed so far.
func (p *Process) Output() string {
	p.output.mu.Lock()
	defer p.output.mu.Unlock()
	return p.output.log.String()
}

// Interrupt tells the program to end.
func (p *Process) Interrupt() { p.stop() }

// AwaitExit waits until the program has ended, which has to be without a failure.
func (p *Process) AwaitExit(t testing.TB) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(Timeout):
		t.Fatalf("gave up after %v on the end of %s", Timeout, p.name)
	}
	if p.err != nil {
		t.Error(p.err)
	}
}

// AwaitReady waits until the program answers at an address, and not that it is not ready.
func (p *Process) AwaitReady(t testing.TB, url string) {
	t.Helper()
	Await(t, "an answer from "+url, func() bool {
		select {
		case <-p.exited:
			t.Fatalf("%s has ended", p.name)
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

// Await asks again and again for something that has to happen.
func Await(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Timeout); !happened(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up after %v on: %s", Timeout, what)
		}
	}
}

// FreeAddress returns an address on the loopback interface that nobody listens on.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
