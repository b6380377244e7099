package faults_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/otelpool/otelpool/dbtest/lapse"
)

// statementRows are statements that fail on a healthy connection.
var statementRows = []row{
	{
		name: "a lock times out",
		to: func(s backend) target {
			return target{params: s.params("innodb_lock_wait_timeout=1", "lock_timeout=200")}
		},
		set: one,
		play: func(st *stage) {
			table := st.table()
			other := st.begin(st.admin)
			st.must(other, "UPDATE "+table+" SET v = 10 WHERE id = 1")
			_ = st.exec("update", st.db, "UPDATE "+table+" SET v = 20 WHERE id = 1")
			_ = other.Rollback()
			_ = st.exec("the next", st.db, "UPDATE "+table+" SET v = 30 WHERE id = 1")
		},
		want: outcomes{
			"mysql": {`
update: *mysql.MySQLError 1205
the next: ok
failed exec 1205 lock_wait
`},
			"pgx": {`
update: *pgconn.PgError 55P03
the next: ok
failed exec 55P03 lock_wait
`},
			"postgres": {`
update: *pq.Error 55P03
the next: ok
failed exec 55P03 lock_wait
`},
		},
	},
	{
		name: "two transactions deadlock",
		play: func(st *stage) {
			table := st.table()
			update := func(tx *sql.Tx, id, v int) func(context.Context) error {
				return func(ctx context.Context) error {
					_, err := tx.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET v = %d WHERE id = %d", table, v, id))
					return seen(ctx, err)
				}
			}
			first, second := st.begin(st.db), st.begin(st.db)
			for _, err := range []error{update(first, 1, 10)(st.ctx), update(second, 2, 20)(st.ctx)} {
				if err != nil {
					st.Fatal(err)
				}
			}
			var a, b step
			var both sync.WaitGroup
			both.Go(func() { a = st.try("update", update(first, 2, 11)) })
			both.Go(func() { b = st.try("update", update(second, 1, 21)) })
			both.Wait()
			// The server chooses which of the two fails.
			if a.err == nil {
				a, b = b, a
			}
			st.record(a)
			st.record(b)
			_ = first.Rollback()
			_ = second.Rollback()
		},
		want: outcomes{
			"mysql": {`
update: *mysql.MySQLError 1213
update: ok
failed exec 1213 deadlock
`},
			"pgx": {`
update: *pgconn.PgError 40P01
update: ok
failed exec 40P01 deadlock
`},
			"postgres": {`
update: *pq.Error 40P01
update: ok
failed exec 40P01 deadlock
`},
		},
	},
	{
		name: "two transactions cannot be serialized",
		play: func(st *stage) {
			table := st.table()
			tx, err := st.db.BeginTx(st.ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
			if err != nil {
				st.Fatal(err)
			}
			st.must(tx, "SELECT * FROM "+table)
			st.order("UPDATE %s SET v = 10 WHERE id = 1", table)
			_ = st.exec("update", tx, "UPDATE "+table+" SET v = 20 WHERE id = 1")
			_ = tx.Rollback()
		},
		want: outcomes{
			"pgx": {`
update: *pgconn.PgError 40001
failed exec 40001 serialization
`},
			"postgres": {`
update: *pq.Error 40001
failed exec 40001 serialization
`},
		},
	},
	{
		name: "a transaction is read-only",
		play: func(st *stage) {
			table := st.table()
			tx, err := st.db.BeginTx(st.ctx, &sql.TxOptions{ReadOnly: true})
			if err != nil {
				st.Fatal(err)
			}
			_ = st.exec("update", tx, "UPDATE "+table+" SET v = 10 WHERE id = 1")
			_ = tx.Rollback()
		},
		want: outcomes{
			"mysql": {`
update: *mysql.MySQLError 1792
failed exec 1792 read_only
`},
			"pgx": {`
update: *pgconn.PgError 25006
failed exec 25006 read_only
`},
			"postgres": {`
update: *pq.Error 25006
failed exec 25006 read_only
`},
		},
	},
	{
		name: "a transaction continues after a failure",
		play: func(st *stage) {
			tx := st.begin(st.db)
			_ = st.query("wrong", tx, "SELECT nothing")
			_ = st.query("right", tx, "SELECT 1")
			_ = st.call("commit", func(context.Context) error { return tx.Commit() })
		},
		want: outcomes{
			"mysql": {`
wrong: *mysql.MySQLError 1054
right: ok
commit: ok
failed query 1054 statement
`},
			"pgx": {`
wrong: *pgconn.PrepareError 42703
right: *pgconn.PrepareError 25P02
commit: *errors.errorString
failed commit *errors.errorString failed_transaction
failed query 25P02 failed_transaction
failed query 42703 statement
`},
			"postgres": {`
wrong: *pq.Error 42703
right: *pq.Error 25P02
commit: *errors.errorString
failed commit *errors.errorString failed_transaction
failed query 25P02 failed_transaction
failed query 42703 statement
`},
		},
	},
	{
		name: "the caller cancels a statement",
		set:  one,
		play: func(st *stage) { st.lapse(context.Canceled) },
		want: outcomes{
			"mysql": {`
query: context.Canceled
the next: ok
failed query canceled canceled
closed bad canceled canceled
`},
			"pgx": {`
query: context.Canceled
the next: ok
failed query canceled canceled
retried bad_connection canceled
closed bad canceled canceled
`},
			"postgres": {`
query: *pq.Error 57014
the next: ok
failed query 57014 canceled
closed bad canceled 57014
`},
		},
	},
	{
		name: "the deadline of the caller passes",
		set:  one,
		play: func(st *stage) { st.lapse(context.DeadlineExceeded) },
		want: outcomes{
			"mysql": {`
query: context.DeadlineExceeded
the next: ok
failed query deadline_exceeded deadline
closed bad deadline deadline_exceeded
`},
			"pgx": {`
query: *pgconn.errTimeout context.DeadlineExceeded
the next: ok
failed query deadline_exceeded deadline
retried bad_connection deadline
closed bad deadline deadline_exceeded
`},
			"postgres": {`
query: *pq.Error 57014
the next: ok
failed query 57014 deadline
closed bad deadline 57014
`},
		},
	},
	{
		name: "the server times out a statement",
		to: func(s backend) target {
			return target{params: s.params("max_statement_time=0.2", "statement_timeout=200")}
		},
		set: one,
		play: func(st *stage) {
			statement, _ := st.long()
			_ = st.query("query", st.db, statement)
			_ = st.query("the next", st.db, "SELECT 1")
		},
		want: outcomes{
			"mysql": {`
query: *mysql.MySQLError 1969
the next: ok
unread 1969 statement_timeout
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
	{
		name: "a connection is used while rows are open",
		play: func(st *stage) {
			tx := st.begin(st.db)
			rows, err := tx.QueryContext(st.ctx, fmt.Sprintf(st.rows, 10_000))
			if err != nil {
				st.Fatal(err)
			}
			rows.Next()
			_ = st.query("query", tx, "SELECT 1")
			_ = rows.Close()
			_ = tx.Rollback()
			_ = st.query("the pool", st.db, "SELECT 1")
		},
		want: outcomes{
			"mysql": {`
query: driver.ErrBadConn
the pool: ok
failed query bad_connection bad_connection
failed rollback *errors.errorString bad_connection
closed bad bad_connection *errors.errorString
`},
			"pgx": {`
query: driver.ErrBadConn
the pool: ok
failed query bad_connection bad_connection
`},
			"postgres": {`
query: *errors.errorString
the pool: ok
failed query *errors.errorString busy_connection
`},
		},
	},
	{
		name: "a value exists already",
		play: func(st *stage) { _ = st.exec("insert", st.db, "INSERT INTO "+st.table()+" VALUES (1, 3)") },
		want: outcomes{
			"mysql": {`
insert: *mysql.MySQLError 1062
failed exec 1062 constraint
`},
			"pgx": {`
insert: *pgconn.PgError 23505
failed exec 23505 constraint
`},
			"postgres": {`
insert: *pq.Error 23505
failed exec 23505 constraint
`},
		},
	},
	{
		name: "a statement has a syntax error",
		play: func(st *stage) { _ = st.query("query", st.db, "SELEC 1") },
		want: outcomes{
			"mysql": {`
query: *mysql.MySQLError 1064
failed query 1064 statement
`},
			"pgx": {`
query: *pgconn.PrepareError 42601
failed query 42601 statement
`},
			"postgres": {`
query: *pq.Error 42601
failed query 42601 statement
`},
		},
	},
	{
		name: "a table does not exist",
		play: func(st *stage) { _ = st.query("query", st.db, "SELECT * FROM nothing") },
		want: outcomes{
			"mysql": {`
query: *mysql.MySQLError 1146
failed query 1146 statement
`},
			"pgx": {`
query: *pgconn.PrepareError 42P01
failed query 42P01 statement
`},
			"postgres": {`
query: *pq.Error 42P01
failed query 42P01 statement
`},
		},
	},
}

// lapse runs a long statement whose context ends while the server executes it.
func (st *stage) lapse(why error) {
	statement, running := st.long()
	l := lapse.New(st.ctx, why)
	while(func() {
		running()
		l.End()
	}, func() {
		_ = st.call("query", func(ctx context.Context) error {
			l.Context = ctx
			return readAll(l, st.db, statement)
		})
	})
	st.atRest()
	_ = st.query("the next", st.db, "SELECT 1")
}
