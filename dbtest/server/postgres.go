package server

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgreSQL starts a PostgreSQL server that ends with the test. The arguments are added
// to the command line of postgres. If it is not installed, the test is skipped, or fails
// if [RequireEnv] is set.
func PostgreSQL(tb testing.TB, args ...string) *Instance {
	tb.Helper()
	return owned(tb, StartPostgreSQL, args)
}

// StartPostgreSQL starts a PostgreSQL server with a database postgres, and an
// administrator postgres without password. The caller closes it.
func StartPostgreSQL(args ...string) (*Instance, error) {
	return newInstance(postgreSQL, args)
}

var postgreSQL = kind{
	name:    "PostgreSQL",
	find:    findPostgreSQL,
	install: installPostgreSQL,
	command: func(in *Instance) []string {
		return []string{
			filepath.Join(in.bin, "postgres"),
			"-D", filepath.Join(in.dir, "data"),
			"-k", in.dir, "-p", strconv.Itoa(in.Port()),
			"-c", "listen_addresses=127.0.0.1",
			"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off",
			"-c", "shared_buffers=16MB",
		}
	},
	ping: func(ctx context.Context, in *Instance) error {
		conn, err := pgx.Connect(ctx, in.DSN())
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	},
	dsn: func(in *Instance, params []string) string {
		return query("postgres://postgres@"+in.Addr+"/postgres?sslmode=disable", params)
	},
	stop: syscall.SIGINT, // "fast": clients are disconnected, data is written
	// "immediate". SIGKILL would orphan the server's own processes, and the next start
	// would fail until the last of them has ended.
	kill: syscall.SIGQUIT,
}

func findPostgreSQL() (string, error) {
	bin, ok := findIn([]string{"initdb", "postgres"}, "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin")
	if !ok {
		return "", &MissingError{"PostgreSQL", "apt-get install --no-install-recommends postgresql"}
	}
	return bin, nil
}

func installPostgreSQL(in *Instance) error {
	out, err := run([]string{
		filepath.Join(in.bin, "initdb"),
		"-D", filepath.Join(in.dir, "data"),
		"-A", "trust", "-U", "postgres", "--no-sync", "--no-locale", "-E", "UTF8",
	}, in.dir, in.as)
	if err != nil {
		return fmt.Errorf("install PostgreSQL: %w\n%s", err, out)
	}
	return nil
}
