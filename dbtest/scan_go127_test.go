//go:build go1.27

package dbtest_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// Since Go 1.27 a driver can scan into types that database/sql does not support. pgx does;
// with the others the errors are as before.
func TestRows_DriversScanColumnsIfTheyCan(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			ctx := t.Context()
			var (
				texts   []string
				numbers []int64
				number  int64
				text    *string
				any     any
				raw     sql.RawBytes
			)
			list := map[string]string{"postgresql": "SELECT '{a,b}'::text[], '{1,2}'::int8[]"}[s.system]
			if list == "" {
				list = "SELECT 'a,b', '1,2'"
			}
			tr.record("slices", db.QueryRowContext(ctx, list).Scan(&texts, &numbers), texts, numbers)
			if s.driver == "pgx" && (len(texts) != 2 || len(numbers) != 2) {
				t.Errorf("pgx scanned %q and %v", texts, numbers)
			}
			tr.record("null into a pointer", db.QueryRowContext(ctx, "SELECT NULL").Scan(&text), text == nil)
			tr.record("any", db.QueryRowContext(ctx, list).Scan(&any, &any), any)
			tr.record("a text into a number", db.QueryRowContext(ctx, "SELECT 'x'").Scan(&number))
			tr.record("null into a number", db.QueryRowContext(ctx, "SELECT NULL").Scan(&number))
			tr.record("no destination", db.QueryRowContext(ctx, "SELECT 1").Scan(nil))
			tr.record("not a pointer", db.QueryRowContext(ctx, "SELECT 1").Scan(number))

			rows, err := db.QueryContext(ctx, "SELECT 1 AS n, 'one' AS t UNION ALL SELECT 2, 'two'")
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				tr.record("a row", rows.Scan(&any, &text), any, *text)
				tr.record("the row again", rows.Scan(&number, &raw), number, []byte(raw))
			}
			tr.record("end", rows.Err(), rows.Close())

			if s.system != "postgresql" {
				return
			}
			var matrix pgtype.Array[int64]
			var flat pgtype.FlatArray[string]
			var at time.Time
			tr.record("types of pgx", db.QueryRowContext(ctx, "SELECT '{{1,2},{3,4}}'::int8[], '{a}'::text[], '2026-01-02 03:04:05Z'::timestamptz").
				Scan(&matrix, &flat, &at), matrix, flat, at.UTC())
			tr.record("a null array", db.QueryRowContext(ctx, "SELECT NULL::text[]").Scan(&texts), texts == nil)
		})
	})
}
