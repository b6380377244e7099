package dbtest_test

import (
	"database/sql"
	"database/sql/driver"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"
	"modernc.org/sqlite"

	"github.com/otelpool/otelpool/dbtest/server"
)

// A backend is a driver with its database, and the statements that the scripts need.
type backend struct {
	driver string // as registered with database/sql
	system string // db.system.name

	// server is nil for a database that is a file.
	server *server.Shared

	// connect makes the driver's connector for a DSN.
	connect func(dsn string) (driver.Connector, error)

	// numbered is set if placeholders are $1 and $2 rather than ?.
	numbered bool

	// table is the body of CREATE TABLE for the scripts: id increments automatically, name
	// is unique, and the other columns may be null.
	table string

	// session returns the number of the current session. The others are formats for such a
	// number: kill ends a session, sessions counts the sessions with that number.
	session, kill, sessions string

	// endSoon makes the server end the session as soon as possible, unless another
	// statement follows.
	endSoon string

	// sleep runs for longer than any test; it is a format for a number. sleeping counts the
	// sessions that run it.
	sleep, sleeping string
}

var mysqlBackend = backend{
	driver:  "mysql",
	system:  "mysql",
	server:  mariadb,
	connect: func(dsn string) (driver.Connector, error) { return mysql.MySQLDriver{}.OpenConnector(dsn) },
	table: `id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE, note TEXT,
		price DECIMAL(10,2), at DATETIME(6), data VARBINARY(40), ok BOOLEAN`,
	session:  "SELECT CONNECTION_ID()",
	kill:     "KILL %d",
	sessions: "SELECT COUNT(*) FROM information_schema.processlist WHERE id = %d",
	endSoon:  "SET SESSION wait_timeout = 1",
	sleep:    "SELECT SLEEP(600) /* %d */",
	sleeping: "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep' AND info LIKE ?",
}

var pgxBackend = backend{
	driver: "pgx",
	system: "postgresql",
	server: postgres,
	connect: func(dsn string) (driver.Connector, error) {
		cfg, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, err
		}
		return stdlib.GetConnector(*cfg), nil
	},
	numbered: true,
	table: `id BIGSERIAL PRIMARY KEY, name VARCHAR(40) NOT NULL UNIQUE, note TEXT,
		price NUMERIC(10,2), at TIMESTAMPTZ, data BYTEA, ok BOOLEAN`,
	session:  "SELECT pg_backend_pid()",
	kill:     "SELECT pg_terminate_backend(%d)",
	sessions: "SELECT COUNT(*) FROM pg_stat_activity WHERE pid = %d",
	endSoon:  "SET idle_session_timeout = 1",
	sleep:    "SELECT pg_sleep(600) /* %d */",
	sleeping: "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE ?",
}

var pqBackend = func() backend {
	s := pgxBackend
	s.driver = "postgres"
	s.connect = func(dsn string) (driver.Connector, error) { return pq.NewConnector(dsn) }
	return s
}()

var sqliteBackend = backend{
	driver:  "sqlite",
	system:  "sqlite",
	connect: sqlite.NewConnector,
	table: `id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(40) NOT NULL UNIQUE, note TEXT,
		price DECIMAL(10,2), at DATETIME, data BLOB, ok BOOLEAN`,
	sleep: `WITH RECURSIVE n(i) AS (SELECT dbtest_running(%d) UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000000)
		SELECT MAX(i) FROM n`,
}

// backends are all backends; served are those whose database is a server.
var (
	backends = []backend{mysqlBackend, pgxBackend, pqBackend, sqliteBackend}
	served   = []backend{mysqlBackend, pgxBackend, pqBackend}
)

// each runs a test for each backend.
func each(t *testing.T, list []backend, f func(*testing.T, backend)) {
	for _, s := range list {
		t.Run(s.driver, func(t *testing.T) { f(t, s) })
	}
}

// dsn returns the data source name of the backend's shared server, or of a temporary file,
// with the given key=value parameters.
func (s backend) dsn(tb testing.TB, params ...string) string {
	tb.Helper()
	if s.server == nil {
		params = append(params, "_pragma=busy_timeout(60000)", "_pragma=journal_mode(WAL)")
		return "file:" + filepath.Join(tb.TempDir(), "x.db") + "?" + strings.Join(params, "&")
	}
	if s.driver == "mysql" {
		params = append(params, "parseTime=true")
	}
	return s.server.Instance(tb).DSN(params...)
}

// sql converts a statement's placeholders to the backend's notation. The statements of the
// scripts have no other question marks.
func (s backend) sql(statement string) string {
	if !s.numbered {
		return statement
	}
	var b strings.Builder
	n := 0
	for _, c := range statement {
		if c != '?' {
			b.WriteRune(c)
			continue
		}
		n++
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
	}
	return b.String()
}

// bare opens the bare driver until the test ends.
func (s backend) bare(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(s.driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() }) // often for a second time
	return db
}
