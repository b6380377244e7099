package dbtest_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/dbtest/server"
	"github.com/otelpool/otelpool/otelmysql"
	"github.com/otelpool/otelpool/otelpostgres/otelpgx"
	"github.com/otelpool/otelpool/otelpostgres/otelpq"
	"github.com/otelpool/otelpool/poolinfo"
)

// adapted opens a data source name with the Open function of the driver's adapter.
func (s backend) adapted(dsn string, opts ...otelpool.Option) (*sql.DB, error) {
	switch s.driver {
	case "mysql":
		return otelmysql.Open(dsn, opts...)
	case "pgx":
		return otelpgx.Open(dsn, opts...)
	case "postgres":
		return otelpq.Open(dsn, opts...)
	}
	return otelpool.Open(s.driver, dsn, opts...)
}

// openAdapted opens a pool with an adapter and full telemetry until the test ends.
func (s backend) openAdapted(t *testing.T, dsn string, tel *telemetry, opts ...otelpool.Option) *sql.DB {
	t.Helper()
	return openFunc{"adapter", backend.adapted}.open(t, s, dsn, tel, opts...)
}

// setting runs a query for one value.
func (s backend) setting(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var value string
	if err := db.QueryRowContext(t.Context(), query).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestMySQL_PoolIsNamedAfterTheDataSourceName(t *testing.T) {
	s := mysqlBackend
	in := mariadb.Instance(t)
	tel := newTelemetry()
	db := s.openAdapted(t, s.dsn(t), tel)
	if err := db.PingContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	snap := inspect(t, db)
	want := poolinfo.Target{
		System: "mysql", Address: "127.0.0.1", Port: in.Port(), Namespace: "app",
		PoolName: fmt.Sprintf("127.0.0.1:%d/app", in.Port()),
	}
	if snap.Target != want || snap.Pool != want.PoolName || snap.System != "mysql" {
		t.Errorf("pool %q, system %q, target %+v, want %+v", snap.Pool, snap.System, snap.Target, want)
	}
	if snap.Server != (poolinfo.Server{}) {
		t.Errorf("server %+v, want none without a query", snap.Server)
	}
}

func TestMySQL_ServerQueryRecognisesMariaDB(t *testing.T) {
	s := mysqlBackend
	bare := s.bare(t, s.dsn(t))
	seconds, err := strconv.Atoi(s.setting(t, bare, "SELECT @@wait_timeout"))
	if err != nil {
		t.Fatal(err)
	}
	want := poolinfo.Server{System: "mariadb", Version: s.setting(t, bare, "SELECT VERSION()"), IdleTimeout: time.Duration(seconds) * time.Second}
	tel := newTelemetry()
	db := s.openAdapted(t, s.dsn(t), tel, otelpool.WithServerQuery())
	s.setting(t, db, "SELECT 1")
	snap := inspect(t, db)
	if snap.Server != want || snap.System != "mariadb" {
		t.Errorf("system %q, server %+v, want %+v", snap.System, snap.Server, want)
	}
	systems := map[string]string{}
	for _, span := range tel.ended() {
		systems[span.Name()] = spanAttr(span, "db.system.name")
	}
	if want := map[string]string{"connect": "mariadb", "query": "mariadb"}; !maps.Equal(systems, want) {
		t.Errorf("the systems of the spans are %v, want %v", systems, want)
	}
}

func TestMySQL_ServerQueryRunsOnceForAPoolAndOnlyIfAllowed(t *testing.T) {
	s := mysqlBackend
	questions := "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'QUESTIONS'"
	count := func(db *sql.DB) int {
		n, err := strconv.Atoi(s.setting(t, db, questions))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	bare := count(s.bare(t, s.dsn(t)))
	if got := count(s.openAdapted(t, s.dsn(t), newTelemetry())); got != bare {
		t.Errorf("%d statements on a new connection, on the bare driver %d", got, bare)
	}
	querying := s.openAdapted(t, s.dsn(t), newTelemetry(), otelpool.WithServerQuery())
	querying.SetMaxIdleConns(0) // each statement has its own connection
	for i, want := range []int{bare + 1, bare} {
		if got := count(querying); got != want {
			t.Errorf("%d statements on connection %d, want %d", got, i+1, want)
		}
	}
}

func TestMySQL_TimeoutOfTheDataSourceNameIsKnownWithoutAQuery(t *testing.T) {
	s := mysqlBackend
	db := s.openAdapted(t, s.dsn(t, "wait_timeout=77"), newTelemetry())
	if got := s.setting(t, db, "SELECT @@wait_timeout"); got != "77" {
		t.Errorf("the setting is %s", got)
	}
	if got, want := inspect(t, db).Server, (poolinfo.Server{IdleTimeout: 77 * time.Second}); got != want {
		t.Errorf("server %+v, want %+v", got, want)
	}
}

// lines is the output of a program's logger.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(l.buf.String(), "address")
}

// For a connection that was killed while idle, the driver's log and the caller's error
// depend on a race, on the bare driver too: the server's last message arrives before the
// close.
func TestMySQL_LoggerReportsWhatEndedAConnection(t *testing.T) {
	s := mysqlBackend
	admin := s.bare(t, s.dsn(t))
	kill := func(open func(*mysql.Config) (*sql.DB, error)) (*sql.DB, string) {
		cfg, err := mysql.ParseDSN(s.dsn(t))
		if err != nil {
			t.Fatal(err)
		}
		var logged lines
		cfg.Logger = log.New(&logged, "", 0)
		db, err := open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		db.SetMaxOpenConns(1)
		losses[0].lose(t, admin, s, db)
		s.setting(t, db, "SELECT 1") // must not fail
		return db, logged.String()
	}

	tel := newTelemetry()
	db, got := kill(func(cfg *mysql.Config) (*sql.DB, error) { return otelmysql.OpenDB(cfg, tel.options()...) })
	closed := inspect(t, db).RecentlyClosed
	if len(closed) != 1 {
		t.Fatalf("%d closed: %v", len(closed), closed)
	}
	d := closed[0]
	if d.Reason != poolinfo.ReasonBad || d.DriverNotice == nil || d.ErrorType != "bad_connection" || d.Uses != 1 {
		t.Errorf("%+v", d)
	}
	switch {
	case errors.Is(d.DriverNotice, io.EOF), errors.Is(d.DriverNotice, syscall.ECONNRESET):
		if d.Class != poolinfo.ClassNetwork {
			t.Errorf("notice %v, class %s", d.DriverNotice, d.Class)
		}
	case d.DriverNotice.Error() == "unexpected read from socket":
		if d.Class != poolinfo.ClassBadConnection {
			t.Errorf("notice %v, class %s", d.DriverNotice, d.Class)
		}
	default:
		t.Errorf("notice %v", d.DriverNotice)
	}
	if !strings.Contains(got, "closing bad idle connection: ") {
		t.Errorf("the program's logger got %q", got)
	}

	var bare []string
	for range 50 {
		_, want := kill(func(cfg *mysql.Config) (*sql.DB, error) {
			c, err := mysql.NewConnector(cfg)
			if err != nil {
				return nil, err
			}
			return sql.OpenDB(c), nil
		})
		if got == want {
			return
		}
		bare = append(bare, want)
	}
	t.Errorf("the program's logger got %q, and on the bare driver %q", got, bare)
}

func TestClosedConn_HasTheIdleTimeoutOfTheServer(t *testing.T) {
	for _, s := range served {
		t.Run(s.driver, func(t *testing.T) {
			admin := s.bare(t, s.dsn(t))
			param := map[string]string{"mysql": "wait_timeout=1", "postgresql": "idle_session_timeout=1s"}[s.system]
			db := s.openAdapted(t, s.dsn(t, param), newTelemetry())
			db.SetMaxOpenConns(1)
			awaitEnd(t, admin, s, s.sessionOf(t, db))
			// pgx detects the loss with a ping; an earlier caller gets the error.
			for {
				err := db.PingContext(t.Context())
				if err == nil {
					break
				}
				t.Logf("a caller got %v", err)
			}
			closed := inspect(t, db).RecentlyClosed
			if len(closed) != 1 {
				t.Fatalf("%d closed: %v", len(closed), closed)
			}
			d := closed[0]
			if d.Reason != poolinfo.ReasonBad || d.Class != poolinfo.ClassServerIdleTimeout || d.Server.IdleTimeout != time.Second {
				t.Errorf("%+v", d)
			}
			if want := "the server closes a connection that is idle for 1s: set SetConnMaxIdleTime below that"; d.Advice != want {
				t.Errorf("advice %q, want %q", d.Advice, want)
			}
		})
	}
}

func TestMySQL_TelemetryHasNoUserData(t *testing.T) {
	in := server.MariaDB(t)
	admin, err := sql.Open("mysql", in.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.ExecContext(t.Context(), "CREATE USER 'qqquser'@'%' IDENTIFIED BY 'qqq@:/%?qqq'"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ExecContext(t.Context(), "GRANT ALL ON app.* TO 'qqquser'@'%'"); err != nil {
		t.Fatal(err)
	}
	address := in.Addr
	for dsn, valid := range map[string]bool{
		"qqquser:qqq@:/%?qqq@tcp(" + address + ")/app?sql_mode=%27ANSI%27&connectionAttributes=qqqk:qqqv": true,
		"qqquser:qqqwrong@tcp(" + address + ")/app":                                                       false,
	} {
		tel := newTelemetry()
		db := mysqlBackend.openAdapted(t, dsn, tel, otelpool.WithServerQuery())
		ctx, caller := tel.caller(context.Background())
		if err := db.PingContext(ctx); (err == nil) != valid {
			t.Errorf("%q: %v", dsn, err)
		}
		caller.End()
		if all := tel.everything(t); strings.Contains(all, "qqq") || strings.Contains(all, "ANSI") {
			t.Errorf("emitted for %q:\n%s", dsn, all)
		}
		if all := fmt.Sprintf("%+v", inspect(t, db)); strings.Contains(all, "qqq") || strings.Contains(all, "ANSI") {
			t.Errorf("Inspect of %q:\n%s", dsn, all)
		}
	}
}
