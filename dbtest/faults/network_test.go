package faults_test

import (
	"context"
	"fmt"
)

// networkRows are connections that the network breaks.
var networkRows = []row{
	{
		name:    "an idle connection of the pool is reset",
		proxied: true,
		set:     one,
		play: func(st *stage) {
			st.must(st.db, "SELECT 1")
			st.proxy.Reset()
			_ = st.query("query", st.db, "SELECT 1")
			_ = st.query("the next", st.db, "SELECT 1")
		},
		want: lostIdle("network", "network"),
		why:  arrives,
	},
	{
		name:    "a connection is reset while a statement runs",
		proxied: true,
		play: func(st *stage) {
			st.busy(func() { st.proxy.Reset() })
		},
		want: outcomes{
			"mysql": {`
query: mysql.ErrInvalidConn
the next: driver.ErrBadConn
the pool: ok
failed query *errors.errorString network
failed query bad_connection network
closed bad network bad_connection
`},
			"pgx": {`
query: *net.OpError ECONNRESET
the next: driver.ErrBadConn
the pool: ok
failed query *net.OpError network
failed query bad_connection network
closed bad network bad_connection
`},
			"postgres": {`
query: *net.OpError ECONNRESET
the next: driver.ErrBadConn
the pool: ok
failed query *net.OpError network
failed query bad_connection network
closed bad network bad_connection
`},
		},
	},
	{
		name:    "an idle connection of the pool is half closed",
		proxied: true,
		set:     one,
		play: func(st *stage) {
			st.must(st.db, "SELECT 1")
			st.proxy.HalfClose()
			_ = st.query("query", st.db, "SELECT 1")
			_ = st.query("the next", st.db, "SELECT 1")
		},
		want: lostIdle("network", "network"),
		why:  arrives,
	},
	{
		name:    "a connection is half closed while a statement runs",
		proxied: true,
		play: func(st *stage) {
			st.busy(func() { st.proxy.HalfClose() })
		},
		want: outcomes{
			"mysql": {`
query: mysql.ErrInvalidConn
the next: driver.ErrBadConn
the pool: ok
failed query *errors.errorString network
failed query bad_connection network
closed bad network bad_connection
`},
			"pgx": {`
query: io.ErrUnexpectedEOF
the next: driver.ErrBadConn
the pool: ok
failed query *errors.errorString network
failed query bad_connection network
closed bad network bad_connection
`},
			"postgres": {`
query: driver.ErrBadConn
the next: sql.ErrConnDone
the pool: ok
failed query bad_connection network
closed bad network bad_connection
`},
		},
	},
	{
		// lib/pq sends a cancel request on a separate connection, and waits for its effect:
		// forever in a stall.
		name:    "the network stalls until the deadline of the caller",
		proxied: true,
		set:     one,
		play: func(st *stage) {
			_ = st.query("before", st.db, "SELECT 1")
			st.proxy.Stall()
			_ = st.call("query", within(func(ctx context.Context) error { return readAll(ctx, st.db, "SELECT 1") }))
			if err := st.proxy.Pass(); err != nil {
				st.Fatal(err)
			}
			_ = st.query("the next", st.db, "SELECT 1")
		},
		want: outcomes{
			"mysql": {`
before: ok
query: context.DeadlineExceeded
the next: ok
failed query deadline_exceeded deadline
closed bad deadline deadline_exceeded
`},
			"pgx": {`
before: ok
query: context.DeadlineExceeded
the next: ok
retried bad_connection deadline
closed bad deadline bad_connection
`},
		},
	},
	{
		name:    "a connection is cut in the middle of an answer",
		proxied: true,
		set:     one,
		play: func(st *stage) {
			_ = st.query("before", st.db, "SELECT 1")
			st.proxy.CutAfter(10_000)
			_ = st.query("query", st.db, fmt.Sprintf(st.rows, 10_000))
			if err := st.proxy.Pass(); err != nil {
				st.Fatal(err)
			}
			_ = st.query("the next", st.db, "SELECT 1")
		},
		want: outcomes{
			"mysql": {`
before: ok
query: mysql.ErrInvalidConn
the next: ok
unread *errors.errorString network
closed bad network *errors.errorString
`},
			"pgx": {`
before: ok
query: io.ErrUnexpectedEOF
the next: ok
unread *errors.errorString network
retried bad_connection network
closed bad network bad_connection
`},
			"postgres": {`
before: ok
query: driver.ErrBadConn
the next: ok
unread bad_connection network
closed bad network bad_connection
`},
		},
	},
	{
		name:    "a connection is cut in the first bytes of an answer",
		proxied: true,
		set:     one,
		play: func(st *stage) {
			_ = st.query("before", st.db, "SELECT 1")
			st.proxy.CutAfter(3)
			_ = st.query("query", st.db, "SELECT 2")
			if err := st.proxy.Pass(); err != nil {
				st.Fatal(err)
			}
			_ = st.query("the next", st.db, "SELECT 1")
		},
		want: outcomes{
			"mysql": {`
before: ok
query: mysql.ErrInvalidConn
the next: ok
failed query *errors.errorString network
closed bad network *errors.errorString
`},
			"pgx": {`
before: ok
query: *pgconn.ConnectError io.ErrUnexpectedEOF
the next: ok
failed connect *pgconn.ConnectError network
retried bad_connection network
closed bad network bad_connection
`},
			"postgres": {`
before: ok
query: io.ErrUnexpectedEOF
the next: ok
failed connect *errors.errorString network
failed query bad_connection network
retried bad_connection network
closed bad network bad_connection
`},
		},
	},
}

// busy runs a long statement through the proxy and calls fault while the server executes
// it. Then it kills the session, since the server may not detect the fault.
func (st *stage) busy(fault func()) {
	st.Helper()
	c := st.conn()
	id := st.number(c)
	statement, running := st.long()
	while(func() {
		running()
		fault()
	}, func() { _ = st.query("query", c, statement) })
	_ = st.query("the next", c, "SELECT 1")
	_ = c.Close()
	st.order(st.kill, id)
	_ = st.query("the pool", st.db, "SELECT 1")
}
