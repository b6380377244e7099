package server

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// servers are the two kinds of servers.
var servers = []struct {
	kind
	driver string
	start  func(...string) (*Instance, error)
}{
	{mariaDB, "mysql", StartMariaDB},
	{postgreSQL, "pgx", StartPostgreSQL},
}

func TestInstance_KeepsAddressAndDataOverRestarts(t *testing.T) {
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			in := owned(t, s.start, nil)
			addr := in.Addr
			do := func(statement string) {
				t.Helper()
				db, err := sql.Open(s.driver, in.DSN())
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Errorf("%s: %v", statement, err)
				}
			}
			do("CREATE TABLE kept (n INT)")
			if err := in.Start(); err == nil {
				t.Error("a running server was started")
			}
			for _, end := range []struct {
				name string
				f    func() error
			}{{"Stop", in.Stop}, {"Kill", in.Kill}} {
				if err := end.f(); err != nil {
					t.Fatalf("%s: %v", end.name, err)
				}
				if listens(addr) {
					t.Errorf("after %s a server listens on %s", end.name, addr)
				}
				if err := end.f(); err != nil {
					t.Errorf("%s of a stopped server: %v", end.name, err)
				}
				if err := in.Start(); err != nil {
					t.Fatalf("Start after %s: %v", end.name, err)
				}
				do("INSERT INTO kept VALUES (1)")
			}
			if err := in.Restart(); err != nil {
				t.Fatalf("Restart: %v", err)
			}
			do("INSERT INTO kept VALUES (2)")
			if in.Addr != addr || !listens(addr) {
				t.Errorf("the server is on %s, started on %s", in.Addr, addr)
			}

			if err := in.Stop(); err != nil {
				t.Fatal(err)
			}
			in.args = []string{"--no-such-option"}
			if err := in.Start(); err == nil || !strings.Contains(err.Error(), "no-such-option") {
				t.Errorf("got %v, want the server's error about the option", err)
			}

			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			if listens(addr) {
				t.Errorf("after Close a server listens on %s", addr)
			}
			if _, err := os.Stat(in.dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("after Close the folder still exists: %v", err)
			}
		})
	}
}

// orphanEnv makes the test binary the parent that is killed.
const orphanEnv = "OTELPOOL_TEST_ORPHAN"

func TestInstance_EndsWithTheProcessThatStartedIt(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux signals the end of a program's parent")
	}
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if os.Getenv(orphanEnv) == s.name {
				in, err := s.start()
				need(t, err)
				fmt.Printf("\n%s %s %s\n", orphanEnv, in.Addr, in.dir)
				select {} // until killed
			}
			if os.Getenv(orphanEnv) != "" {
				t.Skip("the other server's turn")
			}
			if _, err := s.find(); err != nil {
				need(t, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			parent := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v")
			parent.Env = append(os.Environ(), orphanEnv+"="+s.name)
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			var addr, dir string
			for lines := bufio.NewScanner(out); addr == "" && lines.Scan(); {
				if f := strings.Fields(lines.Text()); len(f) == 3 && f[0] == orphanEnv {
					addr, dir = f[1], f[2]
				}
			}
			if err := parent.Process.Kill(); err != nil {
				t.Error(err)
			}
			_ = parent.Wait() // the error is that it was killed
			if addr == "" {
				t.Fatal("the process started no server")
			}
			defer func() { _ = os.RemoveAll(dir) }() // another process made it
			for end := time.Now().Add(patience); listens(addr); {
				if time.Now().After(end) {
					t.Fatalf("the server on %s outlives the process that started it", addr)
				}
				time.Sleep(10 * time.Millisecond) // another process: there is no event to wait for
			}
		})
	}
}

func TestNeed_AMissingServerSkipsATestUnlessItIsRequired(t *testing.T) {
	missing := &MissingError{Server: "X", Install: "install x"}
	for _, c := range []struct {
		env  string
		want string
	}{
		{"", "skip: no X here: install x"},
		{"0", "skip: no X here: install x"},
		{"1", "fatal: no X here: install x"},
	} {
		t.Setenv(RequireEnv, c.env)
		got := testResult{TB: t}
		need(&got, missing)
		if got.results[0] != c.want {
			t.Errorf("with %s=%q: %q, want %q", RequireEnv, c.env, got.results[0], c.want)
		}
	}
}

// testResult records how a test would have ended.
type testResult struct {
	testing.TB
	results []string
}

func (v *testResult) Helper() {}

func (v *testResult) Skip(args ...any) {
	v.results = append(v.results, "skip: "+args[0].(error).Error())
}

func (v *testResult) Fatal(args ...any) {
	v.results = append(v.results, "fatal: "+args[0].(error).Error())
}

func listens(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
