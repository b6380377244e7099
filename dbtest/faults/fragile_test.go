package faults_test

import (
	"context"
	"database/sql"
)

// serverRows are faults of a whole server.
var serverRows = []row{
	{
		name:    "the server is full",
		fragile: true,
		to:      func(backend) target { return target{user: plain} },
		play: func(st *stage) {
			var held []*sql.Conn
			for full := false; !full; {
				s := st.try("one more", func(ctx context.Context) error {
					c, err := st.db.Conn(ctx)
					if err == nil {
						held = append(held, c)
					}
					return seen(ctx, err)
				})
				if full = s.err != nil; full {
					st.record(s)
				}
			}
			for _, c := range held {
				_ = c.Close()
			}
		},
		set: func(db *sql.DB) { db.SetMaxIdleConns(100) },
		want: outcomes{
			"mysql": {`
one more: *mysql.MySQLError 1040
failed connect 1040 too_many_connections
`},
			"pgx": {`
one more: *pgconn.ConnectError 53300
failed connect 53300 too_many_connections
`},
			"postgres": {`
one more: *pq.Error 53300
failed connect 53300 too_many_connections
`},
		},
	},
	{
		name:    "the server becomes read-only",
		fragile: true,
		to:      func(backend) target { return target{user: plain} },
		set:     one,
		play: func(st *stage) {
			table := st.table()
			_ = st.exec("before", st.db, "UPDATE "+table+" SET v = 10 WHERE id = 1")
			st.order("SET GLOBAL read_only = 1")
			defer st.order("SET GLOBAL read_only = 0")
			_ = st.exec("update", st.db, "UPDATE "+table+" SET v = 20 WHERE id = 1")
		},
		want: outcomes{
			"mysql": {`
before: ok
update: *mysql.MySQLError 1290
failed exec 1290 read_only
`},
		},
	},
	{
		// PostgreSQL has the same code for a shutdown and for a killed connection.
		name:    "the server is restarted while connections are idle",
		fragile: true,
		set:     one,
		play: func(st *stage) {
			st.must(st.db, "SELECT 1")
			if err := st.in.Restart(); err != nil {
				st.Fatal(err)
			}
			_ = st.query("query", st.db, "SELECT 1")
			_ = st.query("the next", st.db, "SELECT 1")
		},
		want: lostIdle("network", "killed"),
		why:  arrives,
	},
	{
		name:    "the server is stopped while a statement runs",
		fragile: true,
		play: func(st *stage) {
			c := st.conn()
			statement, running := st.long()
			while(func() {
				running()
				_ = st.admin.Close()
				if err := st.in.Restart(); err != nil {
					st.Error(err)
				}
			}, func() { _ = st.query("query", c, statement) })
			_ = st.query("the next", c, "SELECT 1")
			_ = c.Close()
			_ = st.query("the pool", st.db, "SELECT 1")
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
query: *pgconn.PgError 57P01
the next: driver.ErrBadConn
the pool: ok
failed query 57P01 killed
failed query bad_connection killed
closed bad killed 57P01
`},
			"postgres": {`
query: driver.ErrBadConn
the next: sql.ErrConnDone
the pool: ok
failed query bad_connection killed
closed bad killed bad_connection
`},
		},
	},
	{
		name:    "the server crashes while a statement runs",
		fragile: true,
		play: func(st *stage) {
			c := st.conn()
			statement, running := st.long()
			while(func() {
				running()
				_ = st.admin.Close()
				if err := st.in.Kill(); err != nil {
					st.Error(err)
				}
				if err := st.in.Start(); err != nil {
					st.Error(err)
				}
			}, func() { _ = st.query("query", c, statement) })
			_ = st.query("the next", c, "SELECT 1")
			_ = c.Close()
			_ = st.query("the pool", st.db, "SELECT 1")
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
}
