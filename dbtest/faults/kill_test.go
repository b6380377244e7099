package faults_test

import "context"

// killRows are connections and statements that an administrator kills.
var killRows = []row{
	{
		name: "an idle connection of the pool is killed",
		set:  one,
		play: func(st *stage) {
			st.end(st.number(st.db))
			_ = st.query("query", st.db, "SELECT 1")
			_ = st.query("the next", st.db, "SELECT 1")
		},
		want: lostIdle("network", "killed"),
		why:  arrives,
	},
	{
		name: "an idle connection that is held is killed",
		play: func(st *stage) {
			c := st.conn()
			st.end(st.number(c))
			_ = st.query("query", c, "SELECT 1")
			_ = st.query("the next", c, "SELECT 1")
			_ = c.Close()
			_ = st.query("the pool", st.db, "SELECT 1")
		},
		want: lostHeld("network", "killed", "57P01"),
		why:  arrives,
	},
	{
		name: "a connection is killed in a transaction",
		play: func(st *stage) {
			tx := st.begin(st.db)
			st.end(st.number(tx))
			_ = st.exec("exec", tx, "DELETE FROM nothing")
			_ = st.call("commit", func(context.Context) error { return tx.Commit() })
			_ = st.query("the pool", st.db, "SELECT 1")
		},
		want: lostInTransaction("network", "killed", "57P01"),
		why:  arrives,
	},
	{
		// MariaDB closes without a message. lib/pq loses PostgreSQL's last message, since it
		// follows the start of an answer.
		name: "a connection is killed while a statement runs",
		play: func(st *stage) {
			c := st.conn()
			id := st.number(c)
			statement, running := st.long()
			while(func() {
				running()
				st.order(st.kill, id)
			}, func() { _ = st.query("query", c, statement) })
			_ = c.Close()
			_ = st.query("the pool", st.db, "SELECT 1")
		},
		want: outcomes{
			"mysql": {`
query: mysql.ErrInvalidConn
the pool: ok
failed query *errors.errorString network
closed bad network *errors.errorString
`},
			"pgx": {`
query: *pgconn.PgError 57P01
the pool: ok
failed query 57P01 killed
retried bad_connection killed
closed bad killed 57P01
`},
			"postgres": {`
query: driver.ErrBadConn
the pool: ok
failed query bad_connection killed
closed bad killed bad_connection
`},
		},
	},
	{
		// PostgreSQL has the same code for a statement that is killed and for one that takes
		// too long.
		name: "a statement is killed",
		play: func(st *stage) {
			c := st.conn()
			id := st.number(c)
			statement, running := st.long()
			while(func() {
				running()
				st.order(st.interrupt, id)
			}, func() { _ = st.query("query", c, statement) })
			_ = st.query("the next", c, "SELECT 1")
			_ = c.Close()
		},
		want: outcomes{
			"mysql": {`
query: *mysql.MySQLError 1317
the next: ok
unread 1317 killed
`},
			"pgx": {`
query: *pgconn.PgError 57014
the next: ok
failed query 57014 statement_timeout
`},
			"postgres": {`
query: *pq.Error 57014
the next: ok
failed query 57014 statement_timeout
`},
		},
	},
}
