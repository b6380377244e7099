package dbtest_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
)

func TestTransactionsEndAsTheBareDriverEndsThem(t *testing.T) {
	each(t, subjects, func(t *testing.T, s subject) {
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
	tr.note("commit", tx.Commit())
	tr.note("commit again", tx.Commit())
	tr.note("rollback after it", tx.Rollback())
	tr.exec(ctx, "insert after it", tx, "INSERT INTO tx (name) VALUES (?)", "late")

	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	tr.exec(ctx, "insert", tx, "INSERT INTO tx (name) VALUES (?)", "rolled back")
	tr.note("rollback", tx.Rollback())
	tr.note("commit after it", tx.Commit())

	tx = begin()
	tr.exec(ctx, "insert", tx, "INSERT INTO tx (name) VALUES (?)", "with a failure")
	tr.exec(ctx, "insert the same", tx, "INSERT INTO tx (name) VALUES (?)", "with a failure")
	tr.query(ctx, "read after the failure", tx, "SELECT name FROM tx ORDER BY id")
	tr.note("commit after the failure", tx.Commit())

	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tx, err = conn.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr.exec(ctx, "insert on a connection", tx, "INSERT INTO tx (name) VALUES (?)", "pinned")
	tr.note("commit", tx.Commit())
	tr.note("the connection lives on", conn.PingContext(ctx))
	tr.note("close", conn.Close(), conn.Close(), conn.PingContext(ctx))

	tr.query(ctx, "what is there", db, "SELECT name FROM tx ORDER BY id")
	tr.stats("the pool", db)
}

func TestIsolationAndReadOnlyReachTheDatabaseOrAreRefused(t *testing.T) {
	each(t, subjects, func(t *testing.T, s subject) {
		same(t, s, s.dsn(t), isolations, "Open", "OpenDB")
	})
}

// isolations begins a transaction of each kind there is, and has it write. What
// it reads before and after another's commit tells its level.
func isolations(t *testing.T, db *sql.DB, tr *transcript) {
	ctx := t.Context()
	defer table(t, db, tr, "isolation")()
	for level := sql.LevelDefault; level <= sql.LevelLinearizable+1; level++ {
		for _, readOnly := range []bool{false, true} {
			step := fmt.Sprintf("%v, read only %v", level, readOnly)
			tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: readOnly})
			tr.note(step+", begin", err)
			if err != nil {
				continue
			}
			if tr.s.system == "postgresql" {
				tr.query(ctx, step+", level", tx, "SHOW transaction_isolation")
				tr.query(ctx, step+", mode", tx, "SHOW transaction_read_only")
			}
			tr.query(ctx, step+", before", tx, "SELECT COUNT(*) FROM isolation")
			// A serializable reader of MariaDB locks what it has read.
			if level < sql.LevelSerializable {
				tr.exec(ctx, step+", another's", db, "INSERT INTO isolation (name) VALUES (?)", step)
			}
			tr.query(ctx, step+", after", tx, "SELECT COUNT(*) FROM isolation")
			tr.exec(ctx, step+", write", tx, "INSERT INTO isolation (name) VALUES (?)", step+", own")
			tr.note(step+", rollback", tx.Rollback())
		}
	}
}

func TestATransactionWhoseContextEndedIsRolledBackAsOnTheBareDriver(t *testing.T) {
	each(t, subjects, func(t *testing.T, s subject) {
		// In lib/pq a goroutine that calls the connection bad races with the
		// rollback.
		sameInARace(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			defer table(t, db, tr, "ended")()
			ctx, cancel := context.WithCancel(t.Context())
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			tr.exec(ctx, "insert", tx, "INSERT INTO ended (name) VALUES (?)", "x")
			cancel()
			// database/sql rolls back on a goroutine of its own. Whether the
			// connection survives tells whether the driver can clean it.
			atRest(t, db)
			tr.note("commit", tx.Commit())
			tr.stats("the pool", db)
			tr.query(t.Context(), "what is there", db, "SELECT name FROM ended")
			tr.stats("the pool after its next use", db)
		}, func(t *testing.T, db *sql.DB, _ *told, _ *transcript) {
			discarded := map[string]int64{"pgx": 1}[s.driver]
			if snap := inspect(t, db); snap.Closed["rollback_discard"] != discarded {
				t.Errorf("closed are %v", snap.Closed)
			}
		})
	})
}

func TestWhatBeginsAfterItsContextEndedIsRefusedAsByTheBareDriver(t *testing.T) {
	each(t, subjects, func(t *testing.T, s subject) {
		same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			tx, err := db.BeginTx(ctx, nil)
			tr.note("begin", tx == nil, err)
			tr.query(ctx, "query", db, "SELECT 1")
			tr.exec(ctx, "exec", db, "SELECT 1")
			tr.note("ping", db.PingContext(ctx))
			_, err = db.PrepareContext(ctx, "SELECT 1")
			tr.note("prepare", err)
			_, err = db.Conn(ctx)
			tr.note("conn", err)
			if tr.s.driver == "postgres" || tr.s.driver == "sqlite" {
				// These run what they are asked to run while a goroutine of theirs
				// cancels it: on the bare driver too, either can be first.
				return
			}
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			tr.query(ctx, "query on a connection", conn, "SELECT 1")
			tx, err = conn.BeginTx(ctx, nil)
			tr.note("begin on a connection", tx == nil, err)
			tr.query(t.Context(), "the connection is whole", conn, "SELECT 1")
			tr.note("close", conn.Close())
			tr.stats("the pool", db)
		}, "Open", "OpenDB")
	})
}
