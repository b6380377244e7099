package dbtest_test

import (
	"database/sql"
	"testing"
)

func TestPrepared_StatementsRunOnEveryConnection(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		same(t, s, s.dsn(t), prepared, "Open", "OpenDB")
	})
}

// prepared uses statements on several connections, in transactions, and after their close.
func prepared(t *testing.T, db *sql.DB, tr *transcript) {
	ctx := t.Context()
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	defer table(t, db, tr, "prepared")()

	insert, err := db.PrepareContext(ctx, tr.s.sql("INSERT INTO prepared (name, note) VALUES (?, ?)"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c", "a"} {
		r, err := insert.ExecContext(ctx, name, "note "+name)
		tr.result("insert "+name, r, err)
	}
	r, err := insert.Exec("d")
	tr.result("too few arguments", r, err)

	find, err := db.Prepare(tr.s.sql("SELECT id, name FROM prepared WHERE name >= ? ORDER BY id"))
	if err != nil {
		t.Fatal(err)
	}
	// Each result set holds its connection, so the next one prepares the statement again.
	var open []*sql.Rows
	for _, from := range []string{"a", "b", "c"} {
		rows, err := find.QueryContext(ctx, from)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, rows)
	}
	tr.stats("three results open", db)
	for _, rows := range open {
		tr.rows("over several connections", rows, nil)
	}
	for range 3 {
		rows, err := find.Query("c")
		tr.rows("once more", rows, err)
	}
	var id int64
	tr.record("no row", find.QueryRowContext(ctx, "z").Scan(&id, new(string)))
	rows, err := find.QueryContext(ctx)
	tr.rows("no argument", rows, err)

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err = tx.StmtContext(ctx, insert).ExecContext(ctx, "in tx", "by the statement of the pool")
	tr.result("the pool's statement in a transaction", r, err)
	own, err := tx.PrepareContext(ctx, tr.s.sql("SELECT COUNT(*) FROM prepared WHERE note LIKE ?"))
	if err != nil {
		t.Fatal(err)
	}
	var n int
	tr.record("a statement of the transaction", own.QueryRowContext(ctx, "by%").Scan(&n), n)
	_, err = tx.PrepareContext(ctx, "this is not a statement")
	tr.record("no statement", err)
	tr.record("rollback", tx.Rollback())
	tr.record("a statement after its transaction", own.QueryRowContext(ctx, "by%").Scan(&n))
	tr.record("close it", own.Close())

	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := conn.PrepareContext(ctx, "SELECT COUNT(*) FROM prepared")
	if err != nil {
		t.Fatal(err)
	}
	tr.record("a statement of a connection", pinned.QueryRowContext(ctx).Scan(&n), n)
	tr.record("release the connection", conn.Close())
	tr.record("a statement after its connection", pinned.QueryRowContext(ctx).Scan(&n))
	tr.record("close it", pinned.Close())

	_, err = db.PrepareContext(ctx, "SELECT absent FROM nowhere")
	tr.record("prepare a query of no table", err)
	tr.record("close", find.Close(), find.Close(), insert.Close())
	_, err = find.QueryContext(ctx, "a")
	tr.record("a closed statement", err)
	tr.stats("the pool", db)
}

func TestPrepared_CloseClosesTheStatementOnTheServer(t *testing.T) {
	statements := map[string]string{
		"mysql":      "SHOW SESSION STATUS WHERE variable_name IN ('Com_stmt_prepare', 'Com_stmt_close')",
		"postgresql": "SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%of the test%' ORDER BY 1",
	}
	each(t, served, func(t *testing.T, s backend) {
		same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			ctx := t.Context()
			db.SetMaxOpenConns(1)
			tr.query(ctx, "with an argument", db, "SELECT ? /* once */", "1")
			stmt, err := db.PrepareContext(ctx, "SELECT 1 /* of the test */")
			if err != nil {
				t.Fatal(err)
			}
			other, err := db.PrepareContext(ctx, "SELECT 2 /* of the test */")
			if err != nil {
				t.Fatal(err)
			}
			tr.query(ctx, "two statements", db, statements[s.system])
			tr.record("close", stmt.Close())
			tr.query(ctx, "one statement", db, statements[s.system])
			tr.record("close", other.Close())
			tr.query(ctx, "no statement", db, statements[s.system])
		}, "Open")
	})
}
