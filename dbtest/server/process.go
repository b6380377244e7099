package server

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// process is a running server program.
type process struct {
	os    *os.Process
	ended chan struct{} // closed when the program has ended
	err   error         // the result of Wait; set before ended is closed
}

// start runs a command line in a folder, and appends its output to a log file. onOrphan
// is the signal that it gets if this process ends first.
func start(line []string, dir, log string, as account, onOrphan os.Signal) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := command(line, dir, as)
	// A file, not a writer: Wait would wait for a pipe that the server's own processes
	// keep open.
	cmd.Stdout, cmd.Stderr = out, out
	orphaned(cmd, onOrphan)

	p := &process{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// For the kernel the parent is the thread that started the server. So that thread
		// has to live as long as the server.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.os = cmd.Process
		started <- nil
		p.err = cmd.Wait()
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// end sends the signal and waits for the program to end. The error is only about a
// program that does not end.
func (p *process) end(sig os.Signal) error {
	if err := p.os.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
	}
	err := p.os.Kill()
	<-p.ended
	return errors.Join(errors.New("did not end in time and was killed"), err)
}

// run runs a command line to its end and returns its output.
func run(line []string, dir string, as account) (string, error) {
	out, err := command(line, dir, as).CombinedOutput()
	return string(out), err
}

func command(line []string, dir string, as account) *exec.Cmd {
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = dir
	// The environment of a developer's machine may point at their own server.
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "MYSQL_") && !strings.HasPrefix(kv, "LC_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	as.assume(cmd)
	return cmd
}
