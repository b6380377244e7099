package dbtest_test

import (
	"database/sql"
	"fmt"
	"testing"
)

func TestRows_ResultSetsAreThoseOfTheBareDriver(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		var params []string
		if s.driver == "mysql" {
			params = append(params, "multiStatements=true")
		}
		same(t, s, s.dsn(t, params...), func(t *testing.T, db *sql.DB, tr *transcript) {
			ctx := t.Context()
			defer table(t, db, tr, "sets")()
			tr.query(ctx, "three", db, "SELECT 1 AS a; SELECT 'x' AS b, 2 AS c; SELECT 3 AS d WHERE 1 = 0")
			tr.query(ctx, "a failure in the second", db, "SELECT 1 AS a; SELECT absent FROM nowhere")
			tr.query(ctx, "a statement among them", db, "SELECT 1 AS a; INSERT INTO sets (name) VALUES ('x'); SELECT name FROM sets")
			tr.exec(ctx, "statements", db, "INSERT INTO sets (name) VALUES ('y'); INSERT INTO sets (name) VALUES ('z')")
			tr.exec(ctx, "a failure among statements", db, "INSERT INTO sets (name) VALUES ('u'); INSERT INTO sets (name) VALUES ('u')")
			tr.query(ctx, "with an argument", db, "SELECT name FROM sets WHERE name = ?; SELECT 2", "x")

			rows, err := db.QueryContext(ctx, "SELECT 1 AS a; SELECT 2 AS b; SELECT 3 AS c")
			if err == nil {
				tr.record("skip rows unread", rows.NextResultSet(), rows.Err(), rows.Next(), rows.Err())
				tr.record("leave the rest", rows.Close(), rows.NextResultSet(), rows.Err())
			} else {
				tr.record("skip rows unread", err)
			}
			tr.query(ctx, "all rows", db, "SELECT name FROM sets ORDER BY id")
			tr.stats("the pool", db)
		}, "Open", "OpenDB")
	})
}

// wide is a query with a column of each type of the database.
var wide = map[string]string{
	"mysql": `CREATE TEMPORARY TABLE kinds (
			t TINYINT NOT NULL, ut TINYINT UNSIGNED, s SMALLINT, m MEDIUMINT, i INT, ui INT UNSIGNED NOT NULL, b BIGINT,
			ub BIGINT UNSIGNED, f FLOAT, d DOUBLE NOT NULL, p DECIMAL(12,4), c CHAR(7), v VARCHAR(9) NOT NULL, x TEXT,
			l LONGTEXT, bn BINARY(3), vb VARBINARY(5), bl BLOB, bi BIT(9), da DATE, ti TIME, dt DATETIME(3), ts TIMESTAMP NULL,
			y YEAR, e ENUM('a','b'), se SET('a','b'), j JSON);
		SELECT * FROM kinds; SELECT COUNT(*) AS n, NULL AS missing, 1.5 AS num, 'text' AS txt FROM kinds`,
	"postgresql": `SELECT 1::int2 AS s, 1::int4 AS i, 1::int8 AS b, 1::float4 AS f, 1::float8 AS d, 1.5::numeric(12,4) AS p,
			1.5::numeric AS n, 'x'::char(7) AS c, 'x'::varchar(9) AS v, 'x'::varchar AS vv, 'x'::text AS x, 'x'::bytea AS y, true AS bo,
			'2026-01-02'::date AS da, '03:04:05'::time AS ti, '2026-01-02 03:04:05'::timestamp AS ts,
			'2026-01-02 03:04:05Z'::timestamptz AS tz, '1 day'::interval AS iv, '{"a":1}'::json AS j, '{"a":1}'::jsonb AS jb,
			'00000000-0000-0000-0000-000000000001'::uuid AS u, '127.0.0.1'::inet AS ip, '{1,2}'::int4[] AS ai,
			'{a,b}'::text[] AS at, 'x'::name AS na, 1::oid AS o, '(1,2)'::point AS pt, B'101'::bit(3) AS bi, B'101'::varbit(5) AS vb,
			'[1,2)'::int4range AS r, NULL AS missing, '<a/>'::xml AS xm`,
	"sqlite": `SELECT 1 AS i, 1.5 AS f, 'x' AS t, x'00ff' AS b, NULL AS missing, k.* FROM (SELECT 1) LEFT JOIN kinds k`,
}

func TestRows_ColumnTypesAreThoseOfTheBareDriver(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		var params []string
		if s.driver == "mysql" {
			params = append(params, "multiStatements=true")
		}
		same(t, s, s.dsn(t, params...), func(t *testing.T, db *sql.DB, tr *transcript) {
			ctx := t.Context()
			db.SetMaxOpenConns(1) // MariaDB's table is temporary
			if s.system == "sqlite" {
				tr.exec(ctx, "create", db, `CREATE TABLE IF NOT EXISTS kinds (i INTEGER NOT NULL, b BOOLEAN, r REAL, t TEXT,
					v VARCHAR(9), d DATE, dt DATETIME, ts TIMESTAMP, bl BLOB, n NUMERIC(12,4), missing)`)
				defer tr.exec(ctx, "drop", db, "DROP TABLE kinds")
				tr.exec(ctx, "insert", db, "INSERT INTO kinds VALUES (1, true, 1.5, 'x', 'y', '2026-01-02', '2026-01-02 03:04:05', 1, x'00', 1.25, NULL)")
			}
			rows, err := db.QueryContext(ctx, wide[s.system])
			if err != nil {
				t.Fatal(err)
			}
			for set := 1; ; set++ {
				columnTypes(tr, fmt.Sprintf("set %d", set), rows)
				for rows.Next() {
				}
				columnTypes(tr, fmt.Sprintf("set %d, read", set), rows)
				if !rows.NextResultSet() {
					break
				}
			}
			tr.record("end", rows.Err(), rows.Close())
			_, err = rows.ColumnTypes()
			tr.record("closed", err)
			tr.query(ctx, "the values", db, "SELECT 1")
			tr.wide(t, db)
		}, "Open", "OpenDB")
	})
}

// wide records the values of the wide query.
func (tr *transcript) wide(t *testing.T, db *sql.DB) {
	t.Helper()
	if tr.s.system == "mysql" {
		tr.exec(t.Context(), "fill", db, `DELETE FROM kinds; INSERT INTO kinds VALUES
			(-1, 255, -2, 3, 4, 4000000000, -5, 18446744073709551615, 1.5, 2.5, 12.3456, 'c', 'v', 'x', 'l', 'abc', 'vb', 'bl', b'101',
			'2026-01-02', '03:04:05', '2026-01-02 03:04:05.678', '2026-01-02 03:04:05', 2026, 'a', 'a,b', '{"a":1}')`)
		tr.query(t.Context(), "in text", db, "SELECT * FROM kinds")
		tr.query(t.Context(), "in binary", db, "SELECT * FROM kinds WHERE 1 = ?", 1)
		tr.exec(t.Context(), "drop", db, "DROP TABLE kinds")
		return
	}
	tr.query(t.Context(), "wide", db, wide[tr.s.system])
}

// columnTypes records everything that the driver reports about the columns.
func columnTypes(tr *transcript, step string, rows *sql.Rows) {
	types, err := rows.ColumnTypes()
	tr.record(step, len(types), err)
	for _, c := range types {
		length, hasLength := c.Length()
		precision, scale, hasScale := c.DecimalSize()
		nullable, knowsNull := c.Nullable()
		tr.record(step+", "+c.Name(), c.DatabaseTypeName(), fmt.Sprint(c.ScanType()), length, hasLength,
			precision, scale, hasScale, nullable, knowsNull)
	}
}
