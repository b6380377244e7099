package query

import (
	"strings"
	"testing"
)

// textTests are statements with their texts.
type textTests []struct {
	text, want string
}

func (all textTests) test(t *testing.T, o Options) {
	t.Helper()
	for _, c := range all {
		if got := Parse(c.text, o).Text; got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.text, got, c.want)
		}
	}
}

func TestText_ReplacesLiteralsWithQuestionMarks(t *testing.T) {
	for d := Generic; d <= Oracle; d++ {
		textTests{
			{"SELECT 'a', '', 'it''s', N'a', X'1F', b'01'", "SELECT ?, ?, ?, ?, ?, ?"},
			{"SELECT 1, 1.5, .5, 5., 1e5, 1.5E-3, 0x1F, 1_000, 0b01", "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?"},
			{"SELECT -1, +1, (-1), a-1, a -1, 1-1", "SELECT ?, ?, (?), a-?, a -?, ?-?"},
			{"WHERE a = -1 AND b IN (-1,- 1)", "WHERE a = ? AND b IN (?,- ?)"},
			{"SELECT TRUE, false, NULL, truest", "SELECT ?, ?, NULL, truest"},
			{"SELECT DATE '2020-01-01', DATE'2020-01-01', INTERVAL '1' DAY", "SELECT DATE ?, DATE ?, INTERVAL ? DAY"},
			{"SELECT a1, t2.b3 FROM t4", "SELECT a1, t2.b3 FROM t4"},
			{"SELECT 1st, 5.x, 0x1Fg", "SELECT ?, ?, ?"},
			{"SELECT 'a' 'b'", "SELECT ? ?"},
			{"SELECT a.true, b . FALSE, true", "SELECT a.true, b . FALSE, ?"},
		}.test(t, Options{Dialect: d})
	}
}

func TestText_FollowsTheQuotingRulesOfTheDialect(t *testing.T) {
	textTests{
		{`SELECT 'a\'b', "a\"b", "a""b", _utf8'a\'b', n'\\'`, "SELECT ?, ?, ?, ?, ?"},
		{"SELECT @'x', @`x`, 'bob'@'%'", "SELECT @?, @`x`, ?@?"},
		{`SELECT u&'a\' x', 1 AS $a$, ' $a$ x -- '`, "SELECT ?, ? AS $a$, ?"},
	}.test(t, Options{Dialect: MySQL})
	textTests{
		{`SELECT 'a\', 'b', E'a\'b', e'\\', U&'\0061' UESCAPE '!'`, "SELECT ?, ?, ?, ?, ? UESCAPE ?"},
		{"SELECT E'a'\n'\\' b', 'c'", "SELECT ? ?, ?"},
		{"SELECT $$it's$$, $tag$ $$ $t$ $tag$, $é$x$é$, a$b", "SELECT ?, ?, ?, a$b"},
		{`SELECT "a", "a""b"`, `SELECT "a", "a""b"`},
		{`SELECT a <@E'\'x', @E'5\' x -- ', b[1:E'\' x'], c @> E'x', d ?E'\''`, "SELECT a <@?, @?, b[?:?], c @> ?, d ??"},
		{"SELECT a #>> '{b}', a->'b', x[1:2]", "SELECT a #>> ?, a->?, x[?:?]"},
	}.test(t, Options{Dialect: PostgreSQL})
	textTests{
		{`SELECT 'a\', x'00', [it's], "it's", ` + "`it's`", "SELECT ?, ?, [it's], ?, `it's`"},
	}.test(t, Options{Dialect: SQLite})
	textTests{
		{`SELECT 'a\', N'b', [it's], [a]]'b], "c", $5.00, -$5`, "SELECT ?, ?, [it's], [a]]'b], ?, ?, ?"},
	}.test(t, Options{Dialect: SQLServer})
	textTests{
		{`SELECT 'a\', q'[it's]', nq'{it's}', Q'!it's!', q'üit'sü', "a" FROM dual`, `SELECT ?, ?, ?, ?, ?, "a" FROM dual`},
	}.test(t, Options{Dialect: Oracle})
	textTests{
		{`SELECT 'a\\', "b", 'c\n'`, "SELECT ?, ?, ?"},
	}.test(t, Options{Dialect: Generic})
}

func TestText_KeepsAmbiguousQuotesOnlyWhereANameIsRequired(t *testing.T) {
	for _, d := range []Dialect{Generic, MySQL, SQLite, SQLServer} {
		textTests{
			{
				`SELECT "a", "t"."b", t."c" FROM "t", s."u" JOIN "v" ON "d" = 1`,
				`SELECT ?, "t"."b", t."c" FROM "t", s."u" JOIN "v" ON ? = ?`,
			},
			{`INSERT INTO "t" ("a") VALUES ("b")`, `INSERT INTO "t" (?) VALUES (?)`},
			{`UPDATE "t" SET "a" = "b", "c" = "d"`, `UPDATE "t" SET ? = ?, ? = ?`},
			{`CREATE TABLE "t" ("a" int)`, `CREATE TABLE "t" (? int)`},
			{`WITH "c" AS (SELECT "a") SELECT * FROM "c"`, `WITH "c" AS (SELECT ?) SELECT * FROM "c"`},
			{`GRANT SELECT ON "t" TO "bob", "alice"`, `GRANT SELECT ON "t" TO ?, ?`},
		}.test(t, Options{Dialect: d})
	}
}

func TestText_KeepsASingleQuotedNameOnlyForATable(t *testing.T) {
	textTests{
		{"SELECT * FROM 'a', main.t JOIN 'b' ON 'c' = 'd'", "SELECT * FROM 'a', main.t JOIN 'b' ON ? = ?"},
		{"INSERT INTO 'a' VALUES ('b')", "INSERT INTO ? VALUES (?)"},
		{"SELECT * FROM 's3://hunter2', '', '1a', 'a b', 'it''s'", "SELECT * FROM ?, ?, ?, ?, ?"},
	}.test(t, Options{Dialect: SQLite})
	for _, d := range []Dialect{Generic, MySQL, PostgreSQL, SQLServer, Oracle} {
		textTests{{"SELECT * FROM 'a', t", "SELECT * FROM ?, t"}}.test(t, Options{Dialect: d})
	}
	textTests{
		{"SELECT * FROM t ARRAY JOIN ['a', 'b'] AS x, u", "SELECT * FROM t ARRAY JOIN [?, ?] AS x, u"},
		{"SELECT * FROM t JOIN u ON a = {'b': 'c', 'd': 'e'}, v", "SELECT * FROM t JOIN u ON a = {?: ?, ?: ?}, v"},
	}.test(t, Options{})
}

func TestText_KeepsPlaceholders(t *testing.T) {
	textTests{
		{"SELECT ?, $1, :name, @p1, @@rowcount, %s WHERE a=? AND b = 'x'", "SELECT ?, $1, :name, @p1, @@rowcount, %s WHERE a=? AND b = ?"},
	}.test(t, Options{Dialect: Generic})
	textTests{{"SELECT $1::int, a::text, :b::int, x ?| $2$3", "SELECT $1::int, a::text, :b::int, x ?| $2$3"}}.test(t, Options{Dialect: PostgreSQL})
	textTests{{"SELECT ?1, :2, :a, $b", "SELECT ?1, :2, :a, $b"}}.test(t, Options{Dialect: SQLite})
	textTests{{"SELECT :1, :a FROM t@link", "SELECT :1, :a FROM t@link"}}.test(t, Options{Dialect: Oracle})
}

func TestText_ReplacesWhiteSpaceAndCommentsWithOneSpace(t *testing.T) {
	for d := Generic; d <= Oracle; d++ {
		textTests{
			{"\n SELECT\t1 -- it's\r\n  ,/* it's */ 2/**/+ 3 ; -- end", "SELECT ? , ? + ? ;"},
		}.test(t, Options{Dialect: d})
	}
	textTests{
		{"SELECT 1 # it's\n, 2", "SELECT ? , ?"},
		{"SELECT a--# b\n+c", "SELECT a- - +c"},
		{"SELECT 1--2, 3 --\n, 4--\t5", "SELECT ?-?, ? , ?"},
		{"SELECT /*+ NO_MERGE(a) */ 1 /*! + 2 */ /* a /* b */", "SELECT ?"},
	}.test(t, Options{Dialect: MySQL})
	for _, d := range []Dialect{PostgreSQL, SQLServer} {
		textTests{{"SELECT /* a /* b */ 'c' */ 1", "SELECT ?"}}.test(t, Options{Dialect: d})
	}
}

func TestText_IsEmptyIfTheStatementIsAmbiguous(t *testing.T) {
	dropped := func(d Dialect, all ...string) {
		t.Helper()
		for _, text := range all {
			textTests{{text, ""}}.test(t, Options{Dialect: d})
		}
	}
	for d := Generic; d <= Oracle; d++ {
		dropped(d,
			"SELECT 'a", `SELECT "a`, "SELECT 1 /* a", "SELECT $", `SELECT \N`,
			"SELECT \x00", "SELECT 'a\xff'", "SELECT \u00a0a", "SELECT €5", "SELECT ‘a’",
			"SELECT 1 -- a\rSELECT 'b'", "SELECT 1 /*! 'a*/ b' */", "SELECT 1 /*+ \"a\" */",
			"SELECT 1"+strings.Repeat(" ", maxLexed),
			"CREATE USER u IDENTIFIED BY hunter2", "ALTER USER u PASSWORD hunter2", "CREATE ROLE r",
			"GRANT CONNECT TO u IDENTIFIED BY hunter2", "CONNECT u PASSWORD hunter2",
			"SELECT 1 ALTER USER u IDENTIFIED BY hunter2",
		)
	}
	dropped(Generic,
		`SELECT 'a\' , 'b'`, `SELECT "a\" , "b"`, "SELECT `a\\`", "SELECT '''a'''", "SELECT q'[a]'",
		"SELECT 1 /* /* */", "SELECT 1 # a", "SELECT a #> b", "SELECT 1 // a",
	)
	dropped(Generic,
		`SELECT u&'a\' x ' -- '`, "SELECT $a$ x $a$", "SELECT [it's], 'x' -- '", "SELECT [a]]'x], 'x'", "SELECT [\"a], 'x' -- \"",
		"SELECT [/*], 'x' -- */", "SELECT 1--'\nx -- '", "SELECT $a('), 'x -- '",
	)
	dropped(PostgreSQL, "SELECT `a`", "SELECT 1 /* /* */", "SELECT $a$ b", `SELECT b'it\'s x -- '`, "SELECT $a'x'")
	dropped(SQLite, "SELECT $a('), 'x -- '", "SELECT @a(1)", "SELECT :a(1)", "SELECT $a::b('), 'x -- '")
	dropped(SQLServer, "SELECT `a`")
	dropped(SQLServer, "SELECT [a")
	dropped(SQLite, "SELECT 1 # a")
	dropped(Oracle, "SELECT q'[a]")
}

func TestText_IsEmptyIfANameMayBeAPassword(t *testing.T) {
	for d, all := range map[Dialect][]string{
		SQLite: {
			"PRAGMA key = hunter2", "PRAGMA main.key(hunter2)", "PRAGMA key = [hunter2]", "PRAGMA rekey = `hunter2`",
			"PRAGMA hexkey = hunter2", `PRAGMA "hexrekey" = hunter2`, "PRAGMA 'textkey' = hunter2", "ATTACH DATABASE x AS y KEY hunter2",
		},
		SQLServer: {
			"EXEC sp_addlogin bob, hunter2", "EXEC p @passwd = hunter2", "sp_password hunter2, x", "dbo.sp_password hunter2",
			"[dbo].[sp_password] hunter2", "[dbo].sp_password hunter2", "EXEC p [hunter2]", "EXEC @p hunter2", "{call p(bob, hunter2)}",
			"IF EXISTS (SELECT 1 FROM t) EXEC p hunter2", "DECLARE @x int EXEC p hunter2", "INSERT INTO t EXEC p hunter2",
			"CREATE PROC q AS EXEC p hunter2", "SELECT 1; EXEC p;1 hunter2",
		},
		PostgreSQL: {
			"SET app.password TO hunter2", "SET LOCAL app.password = hunter2", `SET app.password TO "hunter2"`, `SET "app.password" = hunter2`,
			"ALTER DATABASE d SET app.a.b TO hunter2", "ALTER SYSTEM SET app.x TO hunter2", `ALTER SYSTEM SET primary_conninfo = "hunter2"`,
			"ALTER ROLE r SET app.x TO hunter2", "SET CLUSTER SETTING a.b = hunter2",
			"COPY t FROM stdin;\nhunter2\t1", "COPY t (a) FROM STDIN WITH (FORMAT csv);\nselect hunter2 from t\n\\.\n",
		},
		MySQL: {`RENAME USER "hunter2"@"h" TO a`, "RENAME USER hunter2 TO a"},
		Oracle: {
			"CREATE PLUGGABLE DATABASE p USING 'f' DECRYPT USING hunter2", "ALTER PLUGGABLE DATABASE p UNPLUG INTO 'f' ENCRYPT USING hunter2",
			`ADMINISTER KEY MANAGEMENT EXPORT KEYS WITH SECRET "hunter2" TO 'f'`,
		},
		Generic: {"EXEC p hunter2", "SET app.password TO hunter2", "SELECT 1 EXEC p hunter2"},
	} {
		for _, text := range all {
			got := Parse(text, Options{Dialect: d})
			if got.Text != "" || strings.Contains(got.Summary, "hunter2") {
				t.Errorf("%s\n got %+v in dialect %d, want no text and no password", text, got, d)
			}
		}
	}
}

func TestText_KeepsNamesThatCannotBeAPassword(t *testing.T) {
	for d, all := range map[Dialect][]string{
		SQLite:     {"PRAGMA journal_mode = WAL", "PRAGMA foreign_keys(on)", "ATTACH DATABASE x AS y", "SELECT * FROM t JOIN 'users'"},
		SQLServer:  {"EXEC p @a = @b OUTPUT, NULL, DEFAULT", "EXEC @r = p @a OUT", "BEGIN EXEC p @a END", "DENY EXECUTE ON p TO bob"},
		PostgreSQL: {"SET search_path TO a, b", "SET app.x TO DEFAULT", "EXECUTE p (a)", "CALL p(a)", "UPDATE t SET a.b = c", "COPY t FROM STDIN;"},
		MySQL:      {"CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET NEW.a = NEW.b", "hunter2"},
		Oracle:     {"SELECT $$PLSQL_LINE FROM dual"},
		Generic:    {"CALL p(x => f(?))", "CREATE TABLE t USING delta", "SELECT a[1], b['x'][2]", "hunter 'x' SELECT a FROM t"},
	} {
		for _, text := range all {
			textTests{{text, strings.NewReplacer("'x'", "?", "[1]", "[?]", "[2]", "[?]").Replace(text)}}.test(t, Options{Dialect: d})
		}
	}
}

func TestCollapse_KeepsTheFirstValueOfAList(t *testing.T) {
	textTests{
		{"WHERE a IN (1, 'x', -3) AND b in($1,$2) AND c IN (?)", "WHERE a IN (?) AND b in($1) AND c IN (?)"},
		{"WHERE a IN (1, b) AND c IN (SELECT 1, 2) AND (d, e) IN ((1, 2), (3, 4))", "WHERE a IN (?, b) AND c IN (SELECT ?, ?) AND (d, e) IN ((?, ?), (?, ?))"},
		{"INSERT INTO t VALUES (1, NULL), (?, DEFAULT), (true, ?) RETURNING a", "INSERT INTO t VALUES (?, NULL) RETURNING a"},
		{"INSERT INTO t VALUES (1, 2), (f(3), 4)", "INSERT INTO t VALUES (?, ?), (f(?), ?)"},
		{"WHERE a IN () AND b IN (1,", "WHERE a IN () AND b IN (?,"},
		{"VALUES (1), (", "VALUES (?), ("},
		{"SELECT a IN", "SELECT a IN"},
	}.test(t, Options{Dialect: PostgreSQL, Collapse: true})
}

func TestMaxText_TruncatesAtACharacterBoundary(t *testing.T) {
	const text = "SELECT 'x', ü FROM t"
	for limit, want := range map[int]string{
		0: "SELECT ?, ü FROM t", 100: "SELECT ?, ü FROM t", 18: "SELECT ?, ü FROM ", 19: "SELECT ?, ü FROM t",
		12: "SELECT ?, ü", 11: "SELECT ?, ", 8: "SELECT ?", 1: "S",
	} {
		textTests{{text, want}}.test(t, Options{MaxText: limit})
	}
	textTests{{text, "SELECT 'x', "}}.test(t, Options{Text: AsWritten, MaxText: 13})
}

func TestAsWritten_KeepsTheText(t *testing.T) {
	textTests{
		{"SELECT 'x' -- y", "SELECT 'x' -- y"},
		{"SELECT 'x", "SELECT 'x"},
		{"CREATE USER u", "CREATE USER u"},
		{"SELECT '\xff'", "SELECT '\uFFFD'"},
	}.test(t, Options{Text: AsWritten})
}

func TestOff_OmitsTheText(t *testing.T) {
	if got, want := Parse("SELECT 1 FROM t", Options{Text: Off}), (Statement{Summary: "SELECT t"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDialectOf_MapsSystemNames(t *testing.T) {
	for system, want := range map[string]Dialect{
		"mysql": MySQL, "mariadb": MySQL, "postgresql": PostgreSQL, "cockroachdb": PostgreSQL, "sqlite": SQLite,
		"microsoft.sql_server": SQLServer, "oracle.db": Oracle, "aws.redshift": Generic, "other_sql": Generic, "": Generic,
	} {
		if got := DialectOf(system); got != want {
			t.Errorf("got dialect %d of %q, want %d", got, system, want)
		}
	}
}
