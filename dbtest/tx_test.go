package dbtest_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/otelpool/otelpool/poolinfo"
)

func TestTx_EndsAsOnTheBareDriver(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		same(t, s, s.dsn(t), transactions, "Open", "OpenDB")
	})
}

func transactions(t *testing.T, db *sql.DB, tr *transcript) {
	ctx := t.Context()
	defer table(t, db, tr, "tx")()
	begin := func() *sql.Tx {
		t.Helper()
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}

	tx := begin()
	tr.exec(ctx, "insert", tx, "INSERT INTO tx (name) VALUES (?)", "committed")
	tr.query(ctx, "seen inside", tx, "SELECT name FROM tx ORDER BY id")
	tr.record("commit", tx.Commit())
	tr.record("commit again", tx.Commit())
	tr.record("rollback after it", tx.Rollback())
	tr.exec(ctx, "insert after it", tx, "INSERT INTO tx (name) VALUES (?)", "late")

	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	tr.exec(ctx, "insert", tx, "INSERT INTO tx (name) VALUES (?)", "rolled back")
	tr.record("rollback", tx.Rollback())
	tr.record("commit after it", tx.Commit())

	tx = begin()
	tr.exec(ctx, "insert", tx, "INSERT INTO tx (name) VALUES (?)", "with a failure")
	tr.exec(ctx, "insert the same", tx, "INSERT INTO tx (name) VALUES (?)", "with a failure")
	tr.query(ctx, "read after the failure", tx, "SELECT name FROM tx ORDER BY id")
	tr.record("commit after the failure", tx.Commit())

	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tx, err = conn.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr.exec(ctx, "insert on a connection", tx, "INSERT INTO tx (name) VALUES (?)", "pinned")
	tr.record("commit", tx.Commit())
	tr.record("the connection still works", conn.PingContext(ctx))
	tr.record("close", conn.Close(), conn.Close(), conn.PingContext(ctx))

	tr.query(ctx, "all rows", db, "SELECT name FROM tx ORDER BY id")
	tr.stats("the pool", db)
}

func TestBeginTx_IsolationAndReadOnlyReachTheDatabaseOrAreRefused(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		same(t, s, s.dsn(t), isolations, "Open", "OpenDB")
	})
}

// isolations begins a transaction of each isolation level, and writes in it. What it reads
// before and after another transaction's commit shows its level.
func isolations(t *testing.T, db *sql.DB, tr *transcript) {
	ctx := t.Context()
	defer table(t, db, tr, "isolation")()
	for level := sql.LevelDefault; level <= sql.LevelLinearizable+1; level++ {
		for _, readOnly := range []bool{false, true} {
			step := fmt.Sprintf("%v, read only %v", level, readOnly)
			tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: readOnly})
			tr.record(step+", begin", err)
			if err != nil {
				continue
			}
			if tr.s.system == "postgresql" {
				tr.query(ctx, step+", level", tx, "SHOW transaction_isolation")
				tr.query(ctx, step+", mode", tx, "SHOW transaction_read_only")
			}
			tr.query(ctx, step+", before", tx, "SELECT COUNT(*) FROM isolation")
			// In MariaDB a serializable transaction locks what it has read.
			if level < sql.LevelSerializable {
				tr.exec(ctx, step+", another's", db, "INSERT INTO isolation (name) VALUES (?)", step)
			}
			tr.query(ctx, step+", after", tx, "SELECT COUNT(*) FROM isolation")
			tr.exec(ctx, step+", write", tx, "INSERT INTO isolation (name) VALUES (?)", step+", own")
			tr.record(step+", rollback", tx.Rollback())
		}
	}
}

func TestTx_IsRolledBackAsOnTheBareDriverWhenTheContextEnds(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		// In lib/pq a goroutine that marks the connection as bad races with the rollback.
		sameInARace(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			defer table(t, db, tr, "ended")()
			ctx, cancel := context.WithCancel(t.Context())
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			tr.exec(ctx, "insert", tx, "INSERT INTO ended (name) VALUES (?)", "x")
			cancel()
			// database/sql rolls back on another goroutine. It keeps the connection only if the
			// driver can reset and validate it.
			atRest(t, db)
			tr.record("commit", tx.Commit())
			tr.stats("the pool", db)
			tr.query(t.Context(), "all rows", db, "SELECT name FROM ended")
			tr.stats("the pool after its next use", db)
		}, func(t *testing.T, db *sql.DB, _ *telemetry, _ *transcript) {
			discarded := map[string]int64{"pgx": 1}[s.driver]
			if snap := inspect(t, db); snap.Closed[poolinfo.ReasonRollbackDiscard] != discarded {
				t.Errorf("closed are %v", snap.Closed)
			}
		})
	})
}

func TestCalls_WithAnEndedContextFailAsOnTheBareDriver(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			tx, err := db.BeginTx(ctx, nil)
			tr.record("begin", tx == nil, err)
			tr.query(ctx, "query", db, "SELECT 1")
			tr.exec(ctx, "exec", db, "SELECT 1")
			tr.record("ping", db.PingContext(ctx))
			_, err = db.PrepareContext(ctx, "SELECT 1")
			tr.record("prepare", err)
			_, err = db.Conn(ctx)
			tr.record("conn", err)
			if tr.s.driver == "postgres" || tr.s.driver == "sqlite" {
				// These run the statement while another goroutine cancels it. On the bare driver
				// too, either can be first.
				return
			}
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			tr.query(ctx, "query on a connection", conn, "SELECT 1")
			tx, err = conn.BeginTx(ctx, nil)
			tr.record("begin on a connection", tx == nil, err)
			tr.query(t.Context(), "the connection still works", conn, "SELECT 1")
			tr.record("close", conn.Close())
			tr.stats("the pool", db)
		}, "Open", "OpenDB")
	})
}
