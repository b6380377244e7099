package faults_test

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/dbtest/server"
	"github.com/otelpool/otelpool/otelmysql"
	"github.com/otelpool/otelpool/otelpostgres/otelpgx"
	"github.com/otelpool/otelpool/otelpostgres/otelpq"
)

// A backend is a driver with its server, and the statements that the faults need.
type backend struct {
	driver string // as registered with database/sql

	// shared is the server of rows that do not disturb each other. fragile is the server
	// that rows may fill, make read-only or stop.
	shared, fragile *server.Shared

	// connector makes the driver's connector from a DSN.
	connector func(dsn string) (driver.Connector, error)

	// adapter makes the option with the driver's adapter.
	adapter func() otelpool.Option

	// session returns the number of the current session. The others are formats for such
	// a number: kill ends a session, interrupt ends its statement, sessions counts the
	// sessions with that number.
	session, kill, interrupt, sessions string
	// sessionsBy counts the sessions of a user, some returns the numbers of three of
	// them. Both are formats for the user.
	sessionsBy, some string

	// sleep runs for longer than any test; it is a format for a number. sleeping counts
	// the sessions that run it with a given text.
	sleep, sleeping string
	// nap is a statement that takes a tenth of a second.
	nap string

	// rows is a format for a number: its answer has that many rows of a hundred bytes.
	rows string
}

// The accounts of the servers, besides an administrator without a password.
const (
	withPassword = "secured" // has the password "right"
	limited      = "limited" // may have two connections; one for each driver, with its name
	plain        = "plain"   // not an administrator
)

// The accounts of the soak test.
const (
	soakBare    = "bare"
	soakWrapped = "wrapped"
	soakLogged  = "logged"
)

var soakers = []string{soakBare, soakWrapped, soakLogged}

var mysqlBackend = backend{
	driver:     "mysql",
	shared:     server.NewShared(startMariaDB, "--lock-wait-timeout=60"),
	fragile:    server.NewShared(startMariaDB, "--max-connections=10"),
	connector:  func(dsn string) (driver.Connector, error) { return mysql.MySQLDriver{}.OpenConnector(dsn) },
	adapter:    otelmysql.WithAdapter,
	session:    "SELECT CONNECTION_ID()",
	kill:       "KILL %d",
	interrupt:  "KILL QUERY %d",
	sessions:   "SELECT COUNT(*) FROM information_schema.processlist WHERE id = %d",
	sessionsBy: "SELECT COUNT(*) FROM information_schema.processlist WHERE user = '%s'",
	some:       "SELECT id FROM information_schema.processlist WHERE user = '%s' ORDER BY RAND() LIMIT 3",
	nap:        "SELECT SLEEP(0.1)",
	sleep:      "SELECT SLEEP(100) /* %d */",
	sleeping:   "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep' AND info LIKE '%s'",
	rows:       "SELECT seq, REPEAT('x', 100) FROM seq_1_to_%d",
}

var pgxBackend = backend{
	driver:  "pgx",
	shared:  server.NewShared(startPostgreSQL),
	fragile: server.NewShared(startPostgreSQL, "-c", "max_connections=20", "-c", "superuser_reserved_connections=3"),
	connector: func(dsn string) (driver.Connector, error) {
		cfg, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, err
		}
		return stdlib.GetConnector(*cfg), nil
	},
	adapter:    otelpgx.WithAdapter,
	session:    "SELECT pg_backend_pid()",
	kill:       "SELECT pg_terminate_backend(%d)",
	interrupt:  "SELECT pg_cancel_backend(%d)",
	sessions:   "SELECT COUNT(*) FROM pg_stat_activity WHERE pid = %d",
	sessionsBy: "SELECT COUNT(*) FROM pg_stat_activity WHERE usename = '%s'",
	some:       "SELECT pid FROM pg_stat_activity WHERE usename = '%s' ORDER BY random() LIMIT 3",
	nap:        "SELECT pg_sleep(0.1)",
	sleep:      "SELECT pg_sleep(100) /* %d */",
	sleeping:   "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%s'",
	rows:       "SELECT n, REPEAT('x', 100) FROM generate_series(1, %d) n",
}

var pqBackend = func() backend {
	s := pgxBackend
	s.driver, s.adapter = "postgres", otelpq.WithAdapter
	s.connector = func(dsn string) (driver.Connector, error) { return pq.NewConnector(dsn) }
	return s
}()

var backends = []backend{mysqlBackend, pgxBackend, pqBackend}

// target is the part of a data source name that differs from the default.
type target struct {
	addr, user, password, database string
	params                         []string // key=value, for a query string
}

// dsn returns the data source name of a target.
func (s backend) dsn(to target) string {
	if s.driver == "mysql" {
		cfg := mysql.NewConfig()
		cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName = or(to.user, "root"), to.password, "tcp", to.addr, or(to.database, "app")
		return query(cfg.FormatDSN(), to.params)
	}
	u := url.URL{Scheme: "postgres", Host: to.addr, Path: "/" + or(to.database, "postgres"), User: url.User(or(to.user, "postgres"))}
	if to.password != "" {
		u.User = url.UserPassword(u.User.Username(), to.password)
	}
	params := to.params
	if !strings.Contains(strings.Join(params, "&"), "sslmode=") {
		params = append([]string{"sslmode=disable"}, params...)
	}
	return query(u.String(), params)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

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

// open opens the bare driver until the test ends.
func (s backend) open(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(s.driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func startMariaDB(args ...string) (*server.Instance, error) {
	return started(server.StartMariaDB, args, "mysql",
		"CREATE USER secured@'127.0.0.1' IDENTIFIED BY 'right'",
		"CREATE USER limitedmysql@'127.0.0.1' WITH MAX_USER_CONNECTIONS 2",
		"CREATE USER plain@'127.0.0.1'",
		"GRANT ALL ON app.* TO limitedmysql@'127.0.0.1'",
		"GRANT ALL ON app.* TO plain@'127.0.0.1'",
		"CREATE USER bare@'127.0.0.1', wrapped@'127.0.0.1', logged@'127.0.0.1'",
		"GRANT ALL ON app.* TO bare@'127.0.0.1', wrapped@'127.0.0.1', logged@'127.0.0.1'",
		"CREATE TABLE app.soaked (id INT PRIMARY KEY)",
	)
}

func startPostgreSQL(args ...string) (*server.Instance, error) {
	return started(server.StartPostgreSQL, args, "pgx",
		"CREATE ROLE secured LOGIN PASSWORD 'right'",
		"CREATE ROLE limitedpgx LOGIN CONNECTION LIMIT 2",
		"CREATE ROLE limitedpostgres LOGIN CONNECTION LIMIT 2",
		"CREATE ROLE plain LOGIN",
		"CREATE ROLE bare LOGIN",
		"CREATE ROLE wrapped LOGIN",
		"CREATE ROLE logged LOGIN",
		"CREATE TABLE soaked (id INT PRIMARY KEY)",
		"GRANT ALL ON soaked TO PUBLIC",
		// The server starts with trust for all users. Its administrator may write files,
		// including the authentication rules.
		`DO $$ BEGIN EXECUTE format('COPY (SELECT unnest(ARRAY[%L, %L])) TO %L',
			'host all secured 127.0.0.1/32 scram-sha-256', 'host all all 127.0.0.1/32 trust', current_setting('hba_file')); END $$`,
		"SELECT pg_reload_conf()",
	)
}

// started starts a server and runs statements on it.
func started(start func(...string) (*server.Instance, error), args []string, driver string, statements ...string) (*server.Instance, error) {
	in, err := start(args...)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open(driver, in.DSN())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			_ = in.Close()
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	return in, nil
}
