package dbtest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// postgresBackends are the two drivers of PostgreSQL.
var postgresBackends = []backend{pgxBackend, pqBackend}

func TestPostgreSQL_PoolIsNamedAfterTheDataSource(t *testing.T) {
	each(t, postgresBackends, func(t *testing.T, s backend) {
		in := postgres.Instance(t)
		version := s.setting(t, s.bare(t, s.dsn(t)), "SHOW server_version")
		tel := newTelemetry()
		db := s.openAdapted(t, s.dsn(t, "idle_session_timeout=77s"), tel)
		if got := s.setting(t, db, "SHOW idle_session_timeout"); got != "77s" {
			t.Errorf("the setting is %s", got)
		}
		snap := inspect(t, db)
		want := poolinfo.Target{
			System: "postgresql", Address: "127.0.0.1", Port: in.Port(), Namespace: "postgres",
			PoolName: fmt.Sprintf("127.0.0.1:%d/postgres", in.Port()),
		}
		if snap.Target != want || snap.Pool != want.PoolName || snap.System != "postgresql" {
			t.Errorf("pool %q, system %q, target %+v, want %+v", snap.Pool, snap.System, snap.Target, want)
		}
		server := poolinfo.Server{IdleTimeout: 77 * time.Second}
		if s.driver == "pgx" {
			server.Version = version
		}
		if snap.Server != server {
			t.Errorf("server %+v, want %+v", snap.Server, server)
		}
	})
}

func TestPostgreSQL_ServerQueryReturnsTheIdleTimeout(t *testing.T) {
	admin := pgxBackend.bare(t, pgxBackend.dsn(t))
	const name = "dbtest_impatient"
	for _, statement := range []string{
		"DROP DATABASE IF EXISTS " + name, "CREATE DATABASE " + name, "ALTER DATABASE " + name + " SET idle_session_timeout = '90min'",
	} {
		if _, err := admin.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	each(t, postgresBackends, func(t *testing.T, s backend) {
		want := poolinfo.Server{Version: s.setting(t, admin, "SHOW server_version"), IdleTimeout: 90 * time.Minute}
		tel := newTelemetry()
		db := s.openAdapted(t, strings.Replace(s.dsn(t), "/postgres?", "/"+name+"?", 1), tel, otelpool.WithServerQuery())
		defer db.Close()
		s.setting(t, db, "SELECT 1")
		if got := inspect(t, db).Server; got != want {
			t.Errorf("server %+v, want %+v", got, want)
		}
	})
	if _, err := admin.ExecContext(t.Context(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
		t.Error(err)
	}
}

func TestPostgreSQL_EmitsTheHostOfTheConnection(t *testing.T) {
	in := postgres.Instance(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // reserves the port for the test
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go refuse(l)
	other := l.Addr().(*net.TCPAddr).Port
	each(t, postgresBackends, func(t *testing.T, s backend) {
		tel := newTelemetry()
		dsn := fmt.Sprintf("host=127.0.0.1,localhost port=%d,%d user=postgres dbname=postgres sslmode=disable", other, in.Port())
		db := s.openAdapted(t, dsn, tel)
		s.setting(t, db, "SELECT 1")
		snap := inspect(t, db)
		want := poolinfo.Target{
			System: "postgresql", Namespace: "postgres", PoolName: fmt.Sprintf("127.0.0.1:%d,localhost:%d/postgres", other, in.Port()),
		}
		if snap.Target != want {
			t.Errorf("target %+v, want %+v", snap.Target, want)
		}
		if snap.Server.Address != "localhost" || snap.Server.Port != in.Port() {
			t.Errorf("server %+v, want localhost and port %d", snap.Server, in.Port())
		}
		for _, span := range tel.ended() {
			address, port := spanAttr(span, "server.address"), spanAttr(span, "server.port")
			if address != "localhost" || port != strconv.Itoa(in.Port()) {
				t.Errorf("span %s has %s and %s", span.Name(), address, port)
			}
		}
	})
}

// refuse closes each connection.
func refuse(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = c.Close()
	}
}

func TestPostgreSQL_ClosedConnHasTheCodeThatEndedIt(t *testing.T) {
	each(t, postgresBackends, func(t *testing.T, s backend) {
		admin := s.bare(t, s.dsn(t))
		db := s.openAdapted(t, s.dsn(t), newTelemetry())
		db.SetMaxOpenConns(1)
		losses[0].lose(t, admin, s, db)
		var n int
		until(t, "a connection works again", func() bool { // a caller may get the error
			return db.QueryRowContext(t.Context(), "SELECT 1").Scan(&n) == nil
		})
		closed := inspect(t, db).RecentlyClosed
		if len(closed) != 1 {
			t.Fatalf("%d closed: %v", len(closed), closed)
		}
		d := closed[0]
		if d.Reason != poolinfo.ReasonBad || d.Class != poolinfo.ClassKilled {
			t.Errorf("%v", d)
		}
		if code := codeOf(d.DriverNotice); code != "57P01" {
			t.Errorf("notice %v, code %q", d.DriverNotice, code)
		}
	})
}

func codeOf(err error) string {
	var pgxErr *pgconn.PgError
	var pqErr *pq.Error
	switch {
	case errors.As(err, &pgxErr):
		return pgxErr.Code
	case errors.As(err, &pqErr):
		return string(pqErr.Code)
	}
	return ""
}

func TestPostgreSQL_TelemetryHasNoUserData(t *testing.T) {
	in := postgres.Instance(t)
	admin := pgxBackend.bare(t, pgxBackend.dsn(t))
	for _, statement := range []string{
		"DROP ROLE IF EXISTS qqquser", "CREATE ROLE qqquser LOGIN PASSWORD 'qqq@:/%?qqq'",
	} {
		if _, err := admin.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	each(t, postgresBackends, func(t *testing.T, s backend) {
		for dsn, valid := range map[string]bool{
			"postgres://qqquser:qqq%40%3A%2F%25%3Fqqq@" + in.Addr + "/postgres?sslmode=disable&application_name=qqqapp": true,
			"postgres://qqqnobody:qqq@" + in.Addr + "/postgres?sslmode=disable":                                         false,
		} {
			tel := newTelemetry()
			db := s.openAdapted(t, dsn, tel, otelpool.WithServerQuery())
			ctx, caller := tel.caller(context.Background())
			if err := db.PingContext(ctx); (err == nil) != valid {
				t.Errorf("%q: %v", dsn, err)
			}
			caller.End()
			if all := tel.everything(t); strings.Contains(all, "qqq") {
				t.Errorf("emitted for %q:\n%s", dsn, all)
			}
			if all := fmt.Sprintf("%+v", inspect(t, db)); strings.Contains(all, "qqq") {
				t.Errorf("Inspect of %q:\n%s", dsn, all)
			}
			if err := db.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
				t.Error(err)
			}
		}
	})
	if _, err := admin.ExecContext(t.Context(), "DROP ROLE qqquser"); err != nil {
		t.Error(err)
	}
}
