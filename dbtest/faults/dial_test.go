package faults_test

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// ping is the whole script of most faults of a dial.
func ping(st *stage) {
	_ = st.call("ping", st.pinged)
}

func (st *stage) pinged(ctx context.Context) error { return seen(ctx, st.db.PingContext(ctx)) }

// dialRows are the faults of a dial.
var dialRows = []row{
	{
		name: "the password is wrong",
		to:   func(backend) target { return target{user: withPassword, password: "wrong"} },
		play: ping,
		want: outcomes{
			"mysql": {`
ping: *mysql.MySQLError 1045
failed connect 1045 auth
`},
			"pgx": {`
ping: *pgconn.ConnectError 28P01
failed connect 28P01 auth
`},
			"postgres": {`
ping: *pq.Error 28P01
failed connect 28P01 auth
`},
		},
	},
	{
		name: "there is no such user",
		to:   func(backend) target { return target{user: "nobody"} },
		play: ping,
		want: outcomes{
			"mysql": {`
ping: *mysql.MySQLError 1045
failed connect 1045 auth
`},
			"pgx": {`
ping: *pgconn.ConnectError 28000
failed connect 28000 auth
`},
			"postgres": {`
ping: *pq.Error 28000
failed connect 28000 auth
`},
		},
	},
	{
		name: "there is no such database",
		to:   func(backend) target { return target{database: "nowhere"} },
		play: ping,
		want: outcomes{
			"mysql": {`
ping: *mysql.MySQLError 1049
failed connect 1049 unknown_database
`},
			"pgx": {`
ping: *pgconn.ConnectError 3D000
failed connect 3D000 unknown_database
`},
			"postgres": {`
ping: *pq.Error 3D000
failed connect 3D000 unknown_database
`},
		},
	},
	{
		name:     "the port is closed",
		noServer: "127.0.0.1:1",
		play:     ping,
		want: outcomes{
			"mysql": {`
ping: *net.OpError ECONNREFUSED
failed connect *net.OpError dial_refused
`},
			"pgx": {`
ping: *pgconn.ConnectError ECONNREFUSED
failed connect *pgconn.ConnectError dial_refused
`},
			"postgres": {`
ping: *net.OpError ECONNREFUSED
failed connect *net.OpError dial_refused
`},
		},
	},
	{
		name:     "the name does not resolve",
		noServer: "nothing.invalid:1",
		play:     ping,
		want: outcomes{
			"mysql": {`
ping: *net.OpError
failed connect *net.OpError dns
`},
			"pgx": {`
ping: *pgconn.ConnectError
failed connect *pgconn.ConnectError dns
`},
			"postgres": {`
ping: *net.OpError
failed connect *net.OpError dns
`},
		},
	},
	{
		name: "the server has no TLS",
		to:   func(s backend) target { return target{params: s.params("tls=true", "sslmode=require")} },
		play: ping,
		want: outcomes{
			"mysql": {`
ping: mysql.ErrNoTLS
failed connect *errors.errorString tls
`},
			"pgx": {`
ping: *pgconn.ConnectError
failed connect *pgconn.ConnectError tls
`},
			"postgres": {`
ping: *errors.errorString
failed connect *errors.errorString tls
`},
		},
	},
	{
		name: "the user has too many connections",
		to:   func(s backend) target { return target{user: limited + s.driver} },
		play: func(st *stage) {
			// Sessions of an earlier run may not have ended yet.
			st.until("the user has no sessions", func() bool { return st.count(fmt.Sprintf(st.sessionsBy, limited+st.driver)) == 0 })
			first, second := st.conn(), st.conn()
			_ = st.call("a third", func(ctx context.Context) error {
				_, err := st.db.Conn(ctx)
				return seen(ctx, err)
			})
			_ = first.Close()
			_ = second.Close()
		},
		want: outcomes{
			"mysql": {`
a third: *mysql.MySQLError 1226
failed connect 1226 too_many_connections
`},
			"pgx": {`
a third: *pgconn.ConnectError 53300
failed connect 53300 too_many_connections
`},
			"postgres": {`
a third: *pq.Error 53300
failed connect 53300 too_many_connections
`},
		},
	},
	{
		// lib/pq ignores the context while it reads the server's greeting.
		name:    "the server does not answer until the deadline of the caller",
		proxied: true,
		play: func(st *stage) {
			st.proxy.Stall()
			_ = st.call("ping", within(st.pinged))
		},
		want: outcomes{
			"mysql": {`
ping: context.DeadlineExceeded
failed connect deadline_exceeded deadline
`, `
ping: *net.OpError context.DeadlineExceeded
failed connect deadline_exceeded deadline
`},
			"pgx": {`
ping: *pgconn.ConnectError context.DeadlineExceeded
failed connect deadline_exceeded deadline
`},
		},
		why: "the deadline may pass before the driver has connected",
	},
	{
		name:    "the server does not answer until the timeout of the driver",
		proxied: true,
		to:      func(s backend) target { return target{params: s.params("readTimeout=300ms", "connect_timeout=1")} },
		play: func(st *stage) {
			st.proxy.Stall()
			ping(st)
		},
		want: outcomes{
			"mysql": {`
ping: mysql.ErrInvalidConn
failed connect *errors.errorString network
`},
			"pgx": {`
ping: *pgconn.ConnectError context.DeadlineExceeded
failed connect deadline_exceeded dial_timeout
`},
			"postgres": {`
ping: *net.OpError os.ErrDeadlineExceeded
failed connect *net.OpError dial_timeout
`},
		},
	},
	{
		name:    "the connection is cut during the dial",
		proxied: true,
		play: func(st *stage) {
			st.proxy.CutAfter(3)
			ping(st)
		},
		want: outcomes{
			"mysql": {`
ping: mysql.ErrInvalidConn
failed connect *errors.errorString network
`},
			"pgx": {`
ping: *pgconn.ConnectError io.ErrUnexpectedEOF
failed connect *pgconn.ConnectError network
`},
			"postgres": {`
ping: io.ErrUnexpectedEOF
failed connect *errors.errorString network
`},
		},
	},
}

// params returns the parameters of a DSN for MariaDB or for PostgreSQL.
func (s backend) params(mariadb, postgresql string) []string {
	p := postgresql
	if s.driver == "mysql" {
		p = mariadb
	}
	if p == "" {
		return nil
	}
	return []string{p}
}

// within calls f with a deadline of a second.
func within(f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return f(ctx)
	}
}

func one(db *sql.DB) { db.SetMaxOpenConns(1) }
