package server

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// MariaDB starts a MariaDB server that ends with the test. The arguments are added to the
// command line of mariadbd. If it is not installed, the test is skipped, or fails if
// [RequireEnv] is set.
func MariaDB(tb testing.TB, args ...string) *Instance {
	tb.Helper()
	return owned(tb, StartMariaDB, args)
}

// StartMariaDB starts a MariaDB server with a database app, and an
// administrator root without password. The caller closes it.
func StartMariaDB(args ...string) (*Instance, error) {
	return newInstance(mariaDB, args)
}

// redoLog keeps the data directory small: most of it is this log. Server and installer
// need the same size, or the first start creates the log again.
const redoLog = "--innodb-log-file-size=8M"

var mariaDB = kind{
	name:    "MariaDB",
	find:    findMariaDB,
	install: installMariaDB,
	command: func(in *Instance) []string {
		return []string{
			filepath.Join(in.bin, "mariadbd"), "--no-defaults",
			"--user=" + in.as.name,
			"--datadir=" + filepath.Join(in.dir, "data"),
			"--tmpdir=" + in.dir,
			"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(in.Port()),
			"--socket=" + filepath.Join(in.dir, "s.sock"),
			"--pid-file=" + filepath.Join(in.dir, "pid"),
			"--skip-name-resolve", redoLog,
			"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M",
			"--local-infile=1",
		}
	},
	ping: pingMariaDB,
	dsn: func(in *Instance, params []string) string {
		return query("root@tcp("+in.Addr+")/app", params)
	},
	stop: syscall.SIGTERM,
	kill: os.Kill,
}

func findMariaDB() (string, error) {
	bin, ok := findIn([]string{"mariadbd"}, "/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/opt/homebrew/opt/mariadb/bin", "/usr/local/opt/mariadb/bin")
	if _, can := installer(); !ok || !can {
		return "", &MissingError{"MariaDB", "apt-get install --no-install-recommends mariadb-server-core mariadb-client-core"}
	}
	return bin, nil
}

// installer returns the program that creates a data directory. Its folder can differ from
// the server's.
func installer() (string, bool) {
	const name = "mariadb-install-db"
	folder, ok := findIn([]string{name}, "/usr/bin", "/usr/local/bin", "/opt/homebrew/opt/mariadb/bin", "/usr/local/opt/mariadb/bin")
	return filepath.Join(folder, name), ok
}

func installMariaDB(in *Instance) error {
	program, _ := installer()
	out, err := run([]string{
		program, "--no-defaults",
		"--user=" + in.as.name,
		"--datadir=" + filepath.Join(in.dir, "data"),
		"--tmpdir=" + in.dir, // in a shared folder, a starting server would delete the temporary tables of others
		"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", redoLog,
	}, in.dir, in.as)
	if err != nil {
		return fmt.Errorf("install MariaDB: %w\n%s", err, out)
	}
	return nil
}

// pingMariaDB also creates the database, which the first start needs.
func pingMariaDB(ctx context.Context, in *Instance) error {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr = "root", "tcp", in.Addr
	cfg.Logger = &mysql.NopLogger{} // errors are expected while the server starts
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	_, err = db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS app")
	if closing := db.Close(); err == nil {
		err = closing
	}
	return err
}
