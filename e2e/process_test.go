package e2e

import (
	"bytes"
	"context"
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

// process is a program that runs beside the test.
type process struct {
	name  string
	stop  context.CancelFunc // interrupts it
	ended chan struct{}      // is closed at its end
	err   error              // is set then, unless it has exited with 0

	mu  sync.Mutex // guards log
	log bytes.Buffer
}

// Write takes what the program prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

// printed is what the program has printed so far.
func (p *process) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// launch starts a program with more variables in its environment, each NAME=value, and
// none about OpenTelemetry but those. It is interrupted at the end of the test at the
// latest, and what it has printed is told if that failed.
func launch(t *testing.T, environ []string, program string, args ...string) *process {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p := &process{name: filepath.Base(program), stop: stop, ended: make(chan struct{})}
	c := exec.CommandContext(ctx, program, args...)
	inherited := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OTEL_") })
	c.Env = append(inherited, environ...)
	c.Stdout, c.Stderr = p, p
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
		close(p.ended)
	}()
	t.Cleanup(func() {
		stop()
		<-p.ended
		if t.Failed() {
			t.Logf("%s printed:\n%s", p.name, p.printed())
		}
	})
	return p
}

// end waits until the program has ended, which has to be without a failure.
func (p *process) end(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("gave up after %v on the end of %s", patience, p.name)
	}
	if p.err != nil {
		t.Error(p.err)
	}
}

// answers waits until the program answers at an address, and not that it is not ready.
func (p *process) answers(t *testing.T, url string) {
	t.Helper()
	await(t, "an answer from "+url, func() bool {
		select {
		case <-p.ended:
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

// await asks again and again for something that has to happen.
func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !happened(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up after %v on: %s", patience, what)
		}
	}
}
