package faults_test

import (
	"context"
	"database/sql"
	"time"
)

// limitRows are closes by the pool itself.
var limitRows = []row{
	{
		name: "a connection is too old",
		set: func(db *sql.DB) {
			db.SetMaxOpenConns(1)
			db.SetConnMaxLifetime(50 * time.Millisecond)
		},
		play: func(st *stage) {
			_ = st.query("query", st.db, "SELECT 1")
			st.until("it is closed", func() bool { return st.db.Stats().MaxLifetimeClosed == 1 })
		},
		want: outcomes{
			"mysql": {`
query: ok
closed lifetime - -
`},
			"pgx": {`
query: ok
closed lifetime - -
`},
			"postgres": {`
query: ok
closed lifetime - -
`},
		},
	},
	{
		name: "a connection is idle for too long",
		set: func(db *sql.DB) {
			db.SetMaxOpenConns(1)
			db.SetConnMaxIdleTime(50 * time.Millisecond)
		},
		play: func(st *stage) {
			_ = st.query("query", st.db, "SELECT 1")
			st.until("it is closed", func() bool { return st.db.Stats().MaxIdleTimeClosed == 1 })
		},
		want: outcomes{
			"mysql": {`
query: ok
closed idle_time - -
`},
			"pgx": {`
query: ok
closed idle_time - -
`},
			"postgres": {`
query: ok
closed idle_time - -
`},
		},
	},
	{
		name: "a connection exceeds the limit of idle connections",
		set:  func(db *sql.DB) { db.SetMaxIdleConns(1) },
		play: func(st *stage) {
			a, b := st.conn(), st.conn()
			_ = a.Close()
			_ = b.Close()
			_ = st.query("query", st.db, "SELECT 1")
		},
		want: outcomes{
			"mysql": {`
query: ok
closed idle_count - -
`},
			"pgx": {`
query: ok
closed idle_count - -
`},
			"postgres": {`
query: ok
closed idle_count - -
`},
		},
	},
	{
		name: "a connection exceeds the limit of open connections",
		play: func(st *stage) {
			a, b := st.conn(), st.conn()
			st.db.SetMaxOpenConns(1)
			_ = a.Close()
			_ = st.query("query", b, "SELECT 1")
			_ = b.Close()
		},
		want: outcomes{
			"mysql": {`
query: ok
closed open_count - -
`},
			"pgx": {`
query: ok
closed open_count - -
`},
			"postgres": {`
query: ok
closed open_count - -
`},
		},
	},
	{
		name: "the context of a transaction ends",
		set:  one,
		play: func(st *stage) {
			ctx, cancel := context.WithCancel(st.ctx)
			tx, err := st.db.BeginTx(ctx, nil)
			if err != nil {
				st.Fatal(err)
			}
			st.must(tx, "SELECT 1")
			cancel()
			st.atRest()
			_ = st.call("commit", func(context.Context) error { return tx.Commit() })
			_ = st.query("query", st.db, "SELECT 1")
		},
		want: outcomes{
			"mysql": {`
commit: sql.ErrTxDone
query: ok
`},
			"pgx": {`
commit: sql.ErrTxDone
query: ok
failed rollback canceled canceled
closed rollback_discard - canceled
`},
			"postgres": {`
commit: sql.ErrTxDone
query: ok
closed bad canceled -
`, `
commit: sql.ErrTxDone
query: ok
failed rollback bad_connection bad_connection
closed bad bad_connection bad_connection
`, `
commit: sql.ErrTxDone
query: ok
`},
		},
		why: "the driver may see the end of the context before database/sql rolls back, after it, or not at all",
	},
	{
		name: "the pool is closed",
		play: func(st *stage) {
			c := st.conn()
			_ = st.query("query", st.db, "SELECT 1")
			_ = st.call("close", func(context.Context) error { return st.db.Close() })
			_ = st.query("the held one", c, "SELECT 1")
			_ = c.Close()
			_ = st.query("the pool", st.db, "SELECT 1")
		},
		want: outcomes{
			"mysql": {`
query: ok
close: ok
the held one: ok
the pool: *errors.errorString
closed pool_closed - -
closed pool_closed - -
`},
			"pgx": {`
query: ok
close: ok
the held one: ok
the pool: *errors.errorString
closed pool_closed - -
closed pool_closed - -
`},
			"postgres": {`
query: ok
close: ok
the held one: ok
the pool: *errors.errorString
closed pool_closed - -
closed pool_closed - -
`},
		},
	},
}
