package dbtest_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"
)

func TestOpen_EveryWayToOpenBehavesAsTheBareDriver(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		same(t, s, s.dsn(t), crud)
	})
}

// crud writes and reads rows, with the typical mistakes of programs.
func crud(t *testing.T, db *sql.DB, tr *transcript) {
	ctx := t.Context()
	defer table(t, db, tr, "crud")()

	moment := time.Date(2026, 2, 3, 4, 5, 6, 789000, time.UTC)
	const insert = "INSERT INTO crud (name, note, price, at, data, ok) VALUES (?, ?, ?, ?, ?, ?)"
	tr.exec(ctx, "insert", db, insert, "one", "first", "12.50", moment, []byte{0, 1, 0xff}, true)
	tr.exec(ctx, "insert nulls", db, insert, "two", nil, nil, nil, nil, nil)
	tr.exec(ctx, "insert typed nulls", db, insert, "three", sql.NullString{}, sql.NullFloat64{},
		sql.NullTime{}, []byte(nil), sql.NullBool{})
	tr.exec(ctx, "insert with a context that does not end", db, insert, "four", "", 0.25,
		sql.NullTime{Time: moment, Valid: true}, []byte{}, false)
	tr.exec(ctx, "insert without arguments", db, "INSERT INTO crud (name) VALUES ('five'), ('six')")
	tr.exec(context.Background(), "update", db, "UPDATE crud SET note = ? WHERE name LIKE 't%'", "both")
	tr.exec(ctx, "update nothing", db, "UPDATE crud SET note = ? WHERE name = ?", "x", "nobody")

	tr.query(ctx, "all", db, "SELECT * FROM crud ORDER BY id")
	tr.query(ctx, "some", db, "SELECT name, note FROM crud WHERE id BETWEEN ? AND ? ORDER BY id", 2, 4)
	tr.query(ctx, "none", db, "SELECT name FROM crud WHERE name = ?", "nobody")

	var (
		id    int64
		name  string
		note  sql.NullString
		price sql.Null[float64]
		at    *time.Time
		data  []byte
		ok    *bool
	)
	row := db.QueryRowContext(ctx, "SELECT id, name, note, price, at, data, ok FROM crud WHERE name = 'one'")
	tr.record("typed", row.Scan(&id, &name, &note, &price, &at, &data, &ok), id, name, note, price, *at, data, *ok)
	row = db.QueryRow(tr.s.sql("SELECT note, at, data, ok FROM crud WHERE name = ?"), "two")
	tr.record("typed nulls", row.Scan(&note, &at, &data, &ok), note, at == nil, data, ok == nil)
	tr.record("no row", db.QueryRowContext(ctx, "SELECT id FROM crud WHERE 1 = 0").Scan(&id))
	tr.record("null into a string", db.QueryRowContext(ctx, "SELECT note FROM crud WHERE name = 'five'").Scan(&name))
	tr.record("a string into a number", db.QueryRowContext(ctx, "SELECT name FROM crud WHERE name = 'five'").Scan(&id))
	tr.record("too few destinations", db.QueryRowContext(ctx, "SELECT id, name FROM crud WHERE name = 'five'").Scan(&id))
	var raw sql.RawBytes
	tr.record("raw bytes of a single row", db.QueryRowContext(ctx, "SELECT name FROM crud WHERE name = 'five'").Scan(&raw))
	rawBytes(ctx, t, db, tr)
	unread(ctx, t, db, tr)

	tr.exec(ctx, "a duplicate", db, insert, "one", nil, nil, nil, nil, nil)
	tr.exec(ctx, "a duplicate without arguments", db, "INSERT INTO crud (name) VALUES ('one')")
	tr.exec(ctx, "a null", db, insert, nil, nil, nil, nil, nil, nil)
	tr.exec(ctx, "no such table", db, "INSERT INTO nowhere (name) VALUES (?)", "x")
	tr.query(ctx, "no such table", db, "SELECT * FROM nowhere")
	tr.query(ctx, "no such column", db, "SELECT absent FROM crud WHERE id = ?", 1)
	tr.exec(ctx, "no statement", db, "this is not a statement")
	tr.exec(ctx, "an empty statement", db, "")
	tr.query(ctx, "an empty query", db, "")
	tr.exec(ctx, "too few arguments", db, insert, "seven")
	tr.query(ctx, "too many arguments", db, "SELECT name FROM crud WHERE id = ?", 1, 2)
	tr.query(ctx, "arguments without placeholders", db, "SELECT 1", 1)
	tr.query(ctx, "an unsupported argument", db, "SELECT name FROM crud WHERE id = ?", struct{ X chan int }{})
	tr.exec(ctx, "a query as a statement", db, "SELECT name FROM crud")
	tr.query(ctx, "a statement as a query", db, "UPDATE crud SET note = 'seen' WHERE name = 'six'")

	tr.record("ping", db.PingContext(ctx))
	tr.exec(ctx, "delete", db, "DELETE FROM crud WHERE id > ?", 1)
	tr.query(ctx, "what is left", db, "SELECT COUNT(*) FROM crud")
	tr.stats("the pool", db)
}

// rawBytes reads memory of the driver, which is valid until the next row.
func rawBytes(ctx context.Context, t *testing.T, db *sql.DB, tr *transcript) {
	t.Helper()
	rows, err := db.QueryContext(ctx, "SELECT name, data FROM crud ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var name, data sql.RawBytes
		err := rows.Scan(&name, &data)
		tr.record("raw bytes", err, []byte(name), []byte(data), data == nil)
	}
	tr.record("raw bytes, end", rows.Err(), rows.Close())
}

// unread closes rows before their end.
func unread(ctx context.Context, t *testing.T, db *sql.DB, tr *transcript) {
	t.Helper()
	rows, err := db.QueryContext(ctx, "SELECT name FROM crud ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	var name string
	tr.record("one row of many", rows.Next(), rows.Scan(&name), name)
	tr.record("closed early", rows.Close(), rows.Next(), rows.Err(), rows.Scan(&name), rows.Close())
	_, err = rows.Columns()
	tr.record("closed early, columns", err)
}

// table creates the backend's table under a name, and returns a function that drops it.
// It first drops a table that an interrupted run left behind.
func table(t *testing.T, db *sql.DB, tr *transcript, name string) func() {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	drop := func() {
		if _, err := db.ExecContext(ctx, "DROP TABLE IF EXISTS "+name); err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
	}
	drop()
	tr.exec(ctx, "create "+name, db, "CREATE TABLE "+name+" ("+strings.TrimSpace(tr.s.table)+")")
	return drop
}
