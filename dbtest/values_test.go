package dbtest_test

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/lib/pq"
)

// cents is an argument that the program converts itself.
type cents int64

func (c cents) Value() (driver.Value, error) { return float64(c) / 100, nil }

// label is a defined string type, which a driver has to convert.
type label string

func TestArguments_AreConvertedAsByTheBareDriver(t *testing.T) {
	var none *string
	text := "pointed at" // here, because some errors show the pointer
	each(t, backends, func(t *testing.T, s backend) {
		same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			ctx := t.Context()
			defer table(t, db, tr, "args")()
			for _, a := range []struct {
				step string
				arg  any
			}{
				{"nil", nil},
				{"a nil pointer", none},
				{"a pointer", &text},
				{"a string", "text"},
				{"bytes", []byte("bytes")},
				{"no bytes", []byte(nil)},
				{"a defined string type", label("label")},
				{"an int", 42},
				{"a negative int8", int8(-8)},
				{"a uint64 with the high bit", uint64(math.MaxUint64)},
				{"a uint64 without", uint64(7)},
				{"a float32", float32(1.5)},
				{"a float64", math.Pi},
				{"a bool", true},
				{"a time", time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("here", 3600))},
				{"a valuer", cents(1234)},
				{"json", json.RawMessage(`{"a":1}`)},
				{"a null string", sql.NullString{String: "x", Valid: true}},
				{"strings", []string{"a", "b"}},
				{"int64s", []int64{1, 2, 3}},
				{"an array of pq", pq.Array([]int64{1, 2, 3})},
				{"a struct", struct{ A int }{1}},
				{"a map", map[string]string{"a": "b"}},
				{"a channel", (chan int)(nil)},
				{"a named argument", sql.Named("n", "named")},
				{"an out parameter", sql.Out{Dest: &text}},
			} {
				tr.exec(ctx, "insert "+a.step, db, "INSERT INTO args (name, note) VALUES (?, ?)", a.step, a.arg)
				tr.query(ctx, "select "+a.step, db, "SELECT note FROM args WHERE name = ?", a.step)
			}
			for _, arg := range []any{uint64(math.MaxUint64), uint64(1) << 63, uint64(1)<<63 - 1, "1", []byte("1"), nil, true, 1.5} {
				tr.query(ctx, "compare a number", db, "SELECT name FROM args WHERE id = ?", arg)
				tr.query(ctx, "compare a text", db, "SELECT name FROM args WHERE name = ?", arg)
			}
			tr.query(ctx, "all", db, "SELECT name, note FROM args ORDER BY id")
			tr.stats("the pool", db)
		}, "Open", "OpenDB")
	})
}

func TestMySQL_KeepsTheHighBit(t *testing.T) {
	s := mysqlBackend
	for _, params := range [][]string{nil, {"interpolateParams=true"}} {
		same(t, s, s.dsn(t, params...), func(t *testing.T, db *sql.DB, tr *transcript) {
			var back uint64
			err := db.QueryRowContext(t.Context(), "SELECT CAST(? AS UNSIGNED)", uint64(math.MaxUint64)).Scan(&back)
			tr.record("back", err, back)
			if back != math.MaxUint64 {
				t.Errorf("%v came back as %d", params, back)
			}
		}, "Open")
	}
}

func TestSQLite_AcceptsNamedArguments(t *testing.T) {
	s := sqliteBackend
	same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
		ctx := t.Context()
		named := []any{sql.Named("a", 1), sql.Named("b", "two")}
		tr.query(ctx, "query", db, "SELECT :a, @b, $a", named...)
		tr.query(ctx, "a missing one", db, "SELECT :a, :c", named...)
		stmt, err := db.PrepareContext(ctx, "SELECT :b, :a")
		if err != nil {
			t.Fatal(err)
		}
		rows, err := stmt.QueryContext(ctx, named...)
		tr.rows("query of a statement", rows, err)
		tr.record("close", stmt.Close())
		var b string
		tr.record("a row", db.QueryRowContext(ctx, "SELECT :b", sql.Named("b", "two")).Scan(&b), b)
		if b != "two" {
			t.Errorf("the named argument came back as %q", b)
		}
	}, "Open", "OpenDB")
}

func TestPgx_AcceptsItsOwnTypes(t *testing.T) {
	s := pgxBackend
	same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
		ctx := t.Context()
		tr.query(ctx, "strings", db, "SELECT cardinality(?::text[]), ?::text[]", []string{"a", "b"}, []string{"c"})
		tr.query(ctx, "any of them", db, "SELECT 1 WHERE 'b' = ANY(?)", []string{"a", "b"})
		tr.query(ctx, "numbers", db, "SELECT ?::int8[]", []int64{1, 2, 3})
		tr.query(ctx, "a map as json", db, "SELECT ?::jsonb->>'a'", map[string]any{"a": 1})
		tr.query(ctx, "a type of its own", db, "SELECT ?::int4range", pgtype.Range[pgtype.Int4]{
			Lower: pgtype.Int4{Int32: 1, Valid: true}, Upper: pgtype.Int4{Int32: 5, Valid: true},
			LowerType: pgtype.Inclusive, UpperType: pgtype.Exclusive, Valid: true,
		})
		tr.query(ctx, "names", db, "SELECT @a::text, @b::int4", pgx.NamedArgs{"a": "x", "b": 2})
		tr.query(ctx, "a mode", db, "SELECT ?::text", pgx.QueryExecModeSimpleProtocol, "simple")
		tr.exec(ctx, "a mode of an exec", db, "SELECT ?::int8", pgx.QueryExecModeExec, int64(1))

		types := pgtype.NewMap()
		var texts []string
		var numbers []int64
		err := db.QueryRowContext(ctx, "SELECT '{a,b}'::text[], '{1,2}'::int8[]").Scan(types.SQLScanner(&texts), types.SQLScanner(&numbers))
		tr.record("arrays", err, texts, numbers)
		var at pgtype.Timestamptz
		var u pgtype.UUID
		err = db.QueryRowContext(ctx, "SELECT '2026-01-02 03:04:05Z'::timestamptz, '00000000-0000-0000-0000-000000000001'::uuid").Scan(&at, &u)
		tr.record("types of its own", err, at.Time.UTC(), u)
	}, "Open", "OpenDB")
}

func TestPq_AcceptsArrays(t *testing.T) {
	s := pqBackend
	same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
		ctx := t.Context()
		tr.query(ctx, "an array", db, "SELECT ?::int8[]", pq.Array([]int64{1, 2, 3}))
		tr.query(ctx, "a slice", db, "SELECT ?::int8[]", []int64{1, 2, 3})
		var numbers []int64
		var texts []string
		err := db.QueryRowContext(ctx, "SELECT '{1,2}'::int8[], '{a,b}'::text[]").Scan(pq.Array(&numbers), pq.Array(&texts))
		tr.record("arrays", err, numbers, texts)
		stmt, err := db.PrepareContext(ctx, tr.s.sql("SELECT 1 WHERE 2 = ANY(?::int8[])"))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := stmt.QueryContext(ctx, pq.Array([]int64{1, 2}))
		tr.rows("an array for a statement", rows, err)
		tr.record("close", stmt.Close())
	}, "Open", "OpenDB")
}
