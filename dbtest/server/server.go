// Package server starts private MariaDB and PostgreSQL servers for tests. Each has its own
// data directory, loopback port and socket. It does not touch other servers, and its data
// are removed with it.
//
// On Linux no server outlives its test binary: the kernel stops it with its parent. On
// other systems an interrupted test can leave a server behind. The folder of an
// interrupted test, otelpool-* among the temporary files, is not removed.
package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// RequireEnv names the environment variable that makes a missing server a
// failure. Without it, or with any value but 1, a test that needs a server
// that is not installed is skipped.
const RequireEnv = "OTELPOOL_REQUIRE_SERVERS"

// patience bounds each wait for a server: to answer after its start, and to end after its
// stop. Both take about a second on an idle machine, and longer on a loaded one.
const patience = 90 * time.Second

// A MissingError means that a server is not installed. Install is how to install it.
type MissingError struct {
	Server  string
	Install string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("no %s here: %s", e.Server, e.Install)
}

// kind is what differs between the two servers.
type kind struct {
	name string

	// find returns the folder of the server's programs, or a [MissingError].
	find func() (string, error)

	// install creates the data directory.
	install func(*Instance) error

	// command is the server's command line, without the extra arguments.
	command func(*Instance) []string

	// ping returns nil as soon as the server answers a client.
	ping func(context.Context, *Instance) error

	// dsn is the data source name with the given key=value parameters.
	dsn func(in *Instance, params []string) string

	// stop is an orderly shutdown: clients are disconnected, data is written. kill is a
	// crash: the next start recovers.
	stop, kill os.Signal
}

// An Instance is one private server. Its methods may be called from several
// goroutines, one at a time: a Stop waits for a Start.
type Instance struct {
	// Addr is host:port on the loopback interface, the same over restarts.
	Addr string

	kind kind
	bin  string // folder of the server's programs
	dir  string // everything that the server writes, including the socket
	args []string
	as   account

	mu   sync.Mutex // guards proc
	proc *process
}

// DSN returns the data source name of the server's first database, in the form of its
// drivers. Each parameter is key=value, already encoded for a query string.
func (in *Instance) DSN(params ...string) string { return in.kind.dsn(in, params) }

// Port is the port part of Addr.
func (in *Instance) Port() int {
	_, port, _ := net.SplitHostPort(in.Addr)
	n, _ := strconv.Atoi(port)
	return n
}

// Start starts a stopped server on its old address and returns when it answers. It
// returns an error if the server runs.
func (in *Instance) Start() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.startLocked()
}

func (in *Instance) startLocked() error {
	if in.proc != nil && in.proc.running() {
		return fmt.Errorf("%s on %s is already running", in.kind.name, in.Addr)
	}
	line := append(in.kind.command(in), in.args...)
	proc, err := start(line, in.dir, filepath.Join(in.dir, "out.log"), in.as, in.kind.kill)
	if err != nil {
		return fmt.Errorf("start %s: %w", in.kind.name, err)
	}
	in.proc = proc
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := in.kind.ping(ctx, in)
		if err == nil {
			return nil
		}
		select {
		case <-proc.ended:
			return fmt.Errorf("%s ended while it started: %w\n%s", in.kind.name, proc.err, in.tail())
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s does not answer: %w\n%s", in.kind.name, err, in.tail()), proc.end(in.kind.kill))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop shuts the server down, disconnects its clients, and returns when its process has
// ended. Stopping a stopped server does nothing.
func (in *Instance) Stop() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.endLocked(in.kind.stop)
}

// Kill ends the server as a crash does and returns when its process has ended.
func (in *Instance) Kill() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.endLocked(in.kind.kill)
}

// Restart is Stop and Start.
func (in *Instance) Restart() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.endLocked(in.kind.stop); err != nil {
		return err
	}
	return in.startLocked()
}

// Close kills the server and removes its data. The instance cannot be used afterwards.
func (in *Instance) Close() error {
	return errors.Join(in.Kill(), os.RemoveAll(in.dir))
}

func (in *Instance) endLocked(sig os.Signal) error {
	if in.proc == nil {
		return nil
	}
	err := in.proc.end(sig)
	in.proc = nil
	if err != nil {
		return fmt.Errorf("end %s: %w\n%s", in.kind.name, err, in.tail())
	}
	return nil
}

// tail returns the end of the server's log.
func (in *Instance) tail() string {
	const most = 4096
	out, err := os.ReadFile(filepath.Join(in.dir, "out.log"))
	if err != nil {
		return err.Error()
	}
	return string(out[max(0, len(out)-most):])
}

// newInstance installs and starts a server.
func newInstance(k kind, args []string) (*Instance, error) {
	bin, err := k.find()
	if err != nil {
		return nil, err
	}
	as, err := serverAccount()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.name, err)
	}
	dir, err := workDir(as)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.name, err)
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", k.name, err), os.RemoveAll(dir))
	}
	in := &Instance{Addr: addr, kind: k, bin: bin, dir: dir, args: args, as: as}
	if err := k.install(in); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := in.Start(); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

// workDir creates an empty folder that the account owns and can enter. Its path is short
// enough for a socket in it: the address of a socket has at most 107 bytes.
func workDir(as account) (string, error) {
	var failed error
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if len(parent) > 60 || !as.reaches(parent) {
			continue
		}
		dir, err := os.MkdirTemp(parent, "otelpool-")
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if err := as.own(dir); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
		return dir, nil
	}
	return "", errors.Join(errors.New("no temporary folder with a short path that the server can reach"), failed)
}

// freeAddr returns an unused loopback address. Its port is below the range for outgoing
// connections. While the server is down, a client that dials a port in that range can get
// the same port, connect to itself, and keep the server from starting again.
func freeAddr() (string, error) {
	const low, high = 12000, 32000
	var failed error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(low+rand.IntN(high-low)))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			failed = err
			continue
		}
		if err := l.Close(); err != nil {
			return "", err
		}
		return addr, nil
	}
	return "", fmt.Errorf("no free port: %w", failed)
}

// findIn returns the folder that has all the named programs: the one in PATH, otherwise
// the last match of the first matching place. Places are patterns.
func findIn(programs []string, places ...string) (string, bool) {
	var folders []string
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		// The name in PATH can be a link to a folder with all the programs.
		if real, err := filepath.EvalSymlinks(filepath.Join(folder, programs[0])); err == nil {
			folders = append(folders, filepath.Dir(real))
		}
	}
	for _, pattern := range places {
		matches, _ := filepath.Glob(pattern) // none of our patterns is malformed
		for i := len(matches) - 1; i >= 0; i-- {
			folders = append(folders, matches[i])
		}
	}
	for _, folder := range folders {
		if hasAll(folder, programs) {
			return folder, true
		}
	}
	return "", false
}

func hasAll(folder string, programs []string) bool {
	for _, p := range programs {
		info, err := os.Stat(filepath.Join(folder, p))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// owned starts a server that ends with the test.
func owned(tb testing.TB, start func(...string) (*Instance, error), args []string) *Instance {
	tb.Helper()
	in, err := start(args...)
	need(tb, err)
	tb.Cleanup(func() {
		if err := in.Close(); err != nil {
			tb.Error(err)
		}
	})
	return in
}

// need ends the test if there is no server: skipped if it is not installed and not
// required, failed otherwise.
func need(tb testing.TB, err error) {
	tb.Helper()
	if err == nil {
		return
	}
	if missing, ok := errors.AsType[*MissingError](err); ok && os.Getenv(RequireEnv) != "1" {
		tb.Skip(missing)
	}
	tb.Fatal(err)
}

// Shared is one server for all tests of a process. The first call of Instance starts it;
// TestMain closes it after the last test.
type Shared struct {
	get func() (*Instance, error)

	mu sync.Mutex // guards in
	in *Instance
}

// NewShared returns a Shared of a server that start starts: [StartMariaDB] or
// [StartPostgreSQL].
func NewShared(start func(...string) (*Instance, error), args ...string) *Shared {
	s := &Shared{}
	s.get = sync.OnceValues(func() (*Instance, error) {
		in, err := start(args...)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.in = in
		return in, err
	})
	return s
}

// Instance returns the server. If it is not installed, the test is skipped, or fails if
// [RequireEnv] is set.
func (s *Shared) Instance(tb testing.TB) *Instance {
	tb.Helper()
	in, err := s.get()
	need(tb, err)
	return in
}

// Close ends the server if it was ever started.
func (s *Shared) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in == nil {
		return nil
	}
	err := s.in.Close()
	s.in = nil
	return err
}

// query appends parameters to a DSN.
func query(dsn string, params []string) string {
	if len(params) == 0 {
		return dsn
	}
	sep := "?"
	if strings.Contains(dsn, "?") {
		sep = "&"
	}
	return dsn + sep + strings.Join(params, "&")
}
