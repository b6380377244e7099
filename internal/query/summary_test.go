package query

import (
	"strings"
	"testing"
)

// summaryTests are statements with their summaries.
type summaryTests []struct {
	text, want string
}

func (all summaryTests) test(t *testing.T, d Dialect) {
	t.Helper()
	for _, c := range all {
		if got := Parse(c.text, Options{Dialect: d}).Summary; got != c.want {
			t.Errorf("%s\n got %q\nwant %q", c.text, got, c.want)
		}
	}
}

func TestSummary_MatchesTheExamplesOfTheConventions(t *testing.T) {
	summaryTests{
		{"SELECT *\nFROM   wuser_table\nWHERE  username = ?", "SELECT wuser_table"},
		{
			"INSERT INTO shipping_details\n            (order_id,\n            address)\nSELECT order_id,\n       address\nFROM   orders\nWHERE  order_id = ?",
			"INSERT shipping_details SELECT orders",
		},
		{"SELECT *\nFROM   songs,\n       artists\nWHERE  songs.artist_id == artists.id", "SELECT songs artists"},
		{
			"SELECT order_date\nFROM   (SELECT *\n        FROM   orders o\n               JOIN customers c\n                 ON o.customer_id = c.customer_id)",
			"SELECT SELECT orders customers",
		},
		{"{call some_stored_procedure}", "call some_stored_procedure"},
		{"SELECT * FROM (SELECT * FROM table) t", "SELECT SELECT table"},
	}.test(t, Generic)
	// In other dialects 'artists' is a string.
	summaryTests{{"SELECT *\nFROM   \"song list\",\n       'artists'", `SELECT "song list" 'artists'`}}.test(t, SQLite)
}

func TestSummary_NamesTheTablesOfAQuery(t *testing.T) {
	summaryTests{
		{"select * from Users", "select Users"},
		{"SELECT 1", "SELECT"},
		{"SELECT a, b FROM t ORDER BY a, b", "SELECT t"},
		{"SELECT * FROM a x, b AS y, c", "SELECT a b c"},
		{"SELECT * FROM a LEFT JOIN b USING (id) NATURAL JOIN c, d", "SELECT a b c d"},
		{"SELECT * FROM (a JOIN b ON a.x = b.x), c", "SELECT a b c"},
		{"SELECT * FROM (SELECT 1 FROM t) s, u JOIN (SELECT 2 FROM v) w ON 1 = 1", "SELECT SELECT t u SELECT v"},
		{"SELECT * FROM s.t, db.s . u", "SELECT s.t db.s.u"},
		{"SELECT a FROM t UNION ALL SELECT b FROM u", "SELECT t SELECT u"},
		{"(SELECT a FROM t) EXCEPT (SELECT b FROM u) LIMIT 5", "SELECT t SELECT u"},
		{"SELECT (SELECT max(x) FROM u) FROM t WHERE EXISTS (SELECT 1 FROM v)", "SELECT SELECT u t SELECT v"},
		{"SELECT EXTRACT(YEAR FROM d), TRIM('x' FROM e), SUBSTRING(f FROM 2) FROM t", "SELECT t"},
		{"SELECT a IS DISTINCT FROM b FROM t JOIN u ON a IS NOT DISTINCT FROM b, v", "SELECT t u v"},
		{"SELECT a AS delete FROM t", "SELECT t"},
		{"SELECT a AS update, replace(b, 'x', 'y') FROM t FOR UPDATE OF t, u", "SELECT t"},
		{"SELECT * FROM generate_series(1, 10) g, f(h(1), 'x'), t", "SELECT generate_series f t"},
		{"SELECT * FROM (VALUES (1, 'a'), (2, 'b')) v (x, y), t", "SELECT t"},
		{"SELECT * FROM ONLY t, LATERAL (SELECT 1 FROM u) x", "SELECT t SELECT u"},
		{"SELECT x.update, x.from FROM x", "SELECT x"},
		{"SELECT a INTO n FROM t", "SELECT n t"},
		{"SELECT * FROM ?", "SELECT"},
		{"SELECT * FROM :t x", "SELECT"},
		{"SELECT * FROM t JOIN u ON a = ARRAY[b, c], v", "SELECT t u v"},
		{"SELECT * FROM", "SELECT"},
		{"TABLE t", "TABLE t"},
		{"VALUES (1, 'a')", "VALUES"},
	}.test(t, PostgreSQL)
}

func TestSummary_AcceptsKeywordsAsTableNames(t *testing.T) {
	for _, name := range []string{
		"settings", "output", "format", "option", "start", "window", "offset", "return", "qualify", "prewhere", "minus",
		"session", "local", "global", "persist", "full", "verbose", "freeze", "extended", "overwrite",
	} {
		summaryTests{
			{"SELECT * FROM " + name, "SELECT " + name},
			{"SELECT * FROM " + name + " s JOIN " + name + " ON a = b, " + name + " WHERE c", "SELECT " + name + " " + name + " " + name},
			{"INSERT INTO " + name + " VALUES (1)", "INSERT " + name},
			{"UPDATE " + name + " SET a = 1", "UPDATE " + name},
			{"DROP TABLE IF EXISTS " + name + " CASCADE", "DROP TABLE " + name},
			{"ALTER TABLE " + name + " ADD a int", "ALTER TABLE " + name},
			{"TRUNCATE " + name + " RESTART IDENTITY", "TRUNCATE " + name},
			{"WITH " + name + " AS (SELECT 1) SELECT * FROM " + name, "SELECT SELECT"},
		}.test(t, PostgreSQL)
	}
	summaryTests{
		{"SELECT a INTO TEMP TABLE x FROM t", "SELECT x t"},
		{"INSERT OVERWRITE TABLE t SELECT a FROM u", "INSERT t SELECT u"},
		{"DESC FORMAT = JSON SELECT a FROM t", "DESC SELECT t"},
		{"MERGE INTO t USING s ON a = b WHEN MATCHED THEN DELETE OUTPUT deleted.a, c", "MERGE t s"},
	}.test(t, Generic)
}

func TestSummary_OmitsCommonTableExpressions(t *testing.T) {
	summaryTests{
		{"WITH c AS (SELECT * FROM t) SELECT * FROM c, u", "SELECT t SELECT u"},
		{"WITH RECURSIVE c (a, b) AS (SELECT 1 UNION ALL SELECT a FROM C) SELECT * FROM c", "SELECT SELECT SELECT"},
		{`WITH "c" AS MATERIALIZED (SELECT 1), d AS NOT MATERIALIZED (SELECT 2 FROM c) SELECT * FROM d JOIN x.c ON 1 = 1, d.y`, "SELECT SELECT SELECT x.c d.y"},
		{"WITH d AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM d", "DELETE t INSERT u SELECT"},
		{"WITH c AS (SELECT 1) UPDATE t SET a = 1 FROM c", "SELECT UPDATE t"},
		{"INSERT INTO u WITH c AS (SELECT 1) SELECT * FROM c", "INSERT u SELECT SELECT"},
		{"SELECT * FROM (WITH c AS (SELECT 1) SELECT * FROM c) x; SELECT * FROM c", "SELECT SELECT SELECT SELECT c"},
		{"SELECT * FROM f(1) WITH ORDINALITY AS x (a, b), t", "SELECT f t"},
	}.test(t, PostgreSQL)
}

func TestSummary_NamesTheTargetAndSourcesOfAChange(t *testing.T) {
	summaryTests{
		{"INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y')", "INSERT t"},
		{"INSERT INTO t SELECT * FROM u ON CONFLICT (a) DO UPDATE SET b = 1, c = 2", "INSERT t SELECT u"},
		{"UPDATE ONLY t AS x SET a = 1, b = 2 FROM u, v WHERE x.c = u.c", "UPDATE t u v"},
		{"UPDATE t SET a = (SELECT 1 FROM u), b = 2 WHERE c IN (SELECT 3 FROM v)", "UPDATE t SELECT u SELECT v"},
		{"DELETE FROM t WHERE a = 1", "DELETE t"},
		{"DELETE FROM t USING u JOIN v USING (id), w", "DELETE t u v w"},
		{"MERGE INTO t x USING s ON x.a = s.a WHEN MATCHED THEN UPDATE SET b = 1, c = 2 WHEN NOT MATCHED THEN INSERT (a) VALUES (1)", "MERGE t s"},
		{"MERGE INTO t USING (SELECT * FROM s) x ON 1 = 1 WHEN MATCHED THEN DELETE", "MERGE t SELECT s"},
		{"COPY t (a, b) FROM '/tmp/x'", "COPY t"},
		{"COPY (SELECT * FROM t) TO STDOUT", "COPY SELECT t"},
		{"TRUNCATE TABLE ONLY a, b RESTART IDENTITY", "TRUNCATE TABLE a b"},
		{"TRUNCATE t", "TRUNCATE t"},
	}.test(t, PostgreSQL)
	summaryTests{
		{"INSERT IGNORE INTO t SET a = 1, b = 2 ON DUPLICATE KEY UPDATE a = 3, b = 4", "INSERT t"},
		{"REPLACE LOW_PRIORITY t VALUES (1)", "REPLACE t"},
		{"UPDATE a JOIN b ON a.x = b.x, c SET a.y = 1, b.y = 2", "UPDATE a b c"},
		{"DELETE QUICK FROM t", "DELETE t"},
		{"DELETE a, b FROM a JOIN b USING (id)", "DELETE a b"},
		{"SELECT STRAIGHT_JOIN a.x FROM a STRAIGHT_JOIN b", "SELECT a b"},
		{"SELECT * FROM a USE INDEX (i, j), b FORCE INDEX FOR JOIN (k) WHERE c", "SELECT a b"},
		{"SELECT * FROM a IGNORE INDEX FOR JOIN (i), b USE KEY FOR ORDER BY (j), c", "SELECT a b c"},
		{"SELECT a INTO OUTFILE '/tmp/x' FIELDS TERMINATED BY ',' FROM t", "SELECT t"},
		{"SELECT a FROM t LIMIT 5, 10", "SELECT t"},
		{"SELECT a INTO @x FROM `my table`, `d`.`t``u`", "SELECT `my table` `d`.`t``u`"},
		{"LOAD DATA INFILE '/tmp/x' INTO TABLE t (a, @b) SET c = 1", "LOAD t"},
		{"LOCK TABLES a READ, b AS x WRITE; UNLOCK TABLES", "LOCK TABLES a b UNLOCK"},
		{`SELECT * FROM "a" JOIN "d"."b"`, `SELECT "a" "d"."b"`},
	}.test(t, MySQL)
	summaryTests{
		{"UPDATE TOP (5) t SET a = 1", "UPDATE t"},
		{"UPDATE u SET a = 1 FROM [dbo].[my users] u WITH (NOLOCK), b", "UPDATE [dbo].[my users] b"},
		{"DELETE TOP (5) FROM t OUTPUT deleted.a INTO @x WHERE a = 1", "DELETE t"},
		{"SELECT * FROM a CROSS APPLY dbo.f(a.x) OUTER APPLY (SELECT 1 FROM b) x", "SELECT a dbo.f SELECT b"},
		{"SELECT * INTO #tmp FROM db..t, [a]]b], @v", "SELECT #tmp db..t [a]]b]"},
		{"MERGE t USING @s s ON 1 = 1 WHEN MATCHED THEN DELETE", "MERGE t"},
		{"IF EXISTS (SELECT 1 FROM t) UPDATE u SET a = 1 ELSE INSERT INTO v VALUES (1)", "IF SELECT t UPDATE u INSERT v"},
		{"DECLARE @x int = 5 SELECT @x FROM t", "DECLARE SELECT t"},
	}.test(t, SQLServer)
	summaryTests{
		{"INSERT OR REPLACE INTO t VALUES (1)", "INSERT t"},
		{"UPDATE OR IGNORE t SET a = 1", "UPDATE t"},
		{`SELECT * FROM [a b], "c d", 'e', 'f g', main.'h'`, `SELECT [a b] "c d" 'e' main`},
	}.test(t, SQLite)
	summaryTests{
		{"INSERT ALL INTO a VALUES (1) INTO b VALUES (2) SELECT 1 FROM dual", "INSERT a b SELECT dual"},
		{"SELECT * FROM t@link, TABLE(f(1)) x", "SELECT t f"},
		{`DELETE "Ünïcode".t#1`, `DELETE "Ünïcode".t#1`},
	}.test(t, Oracle)
}

func TestSummary_OmitsAliases(t *testing.T) {
	summaryTests{
		{"DELETE o FROM orders o JOIN archive a ON a.id = o.id", "DELETE orders archive"},
		{"DELETE O, `l` FROM d.orders AS o LEFT JOIN (`lines` l) USING (id)", "DELETE d.orders `lines`"},
		{"DELETE FROM o USING orders o, users u WHERE o.user_id = u.id", "DELETE orders users"},
		{"DELETE d.t, u FROM d.t JOIN d.u", "DELETE d.t d.u"},
		{"DELETE a.t FROM b.t", "DELETE a.t b.t"},
		{"DELETE t.* FROM t", "DELETE t"},
		{`DELETE "o" FROM orders "o"`, "DELETE orders"},
		{"DELETE FROM t WHERE a = (SELECT max(b) FROM t)", "DELETE t SELECT t"},
	}.test(t, MySQL)
	summaryTests{
		{"UPDATE u SET a = (SELECT 1 FROM v) FROM t AS u JOIN v ON 1 = 1", "UPDATE SELECT v t v"},
		{"UPDATE t SET a = 1 FROM t JOIN u ON 1 = 1", "UPDATE t u"},
		{"UPDATE t SET a = 1 FROM u", "UPDATE t u"},
		{"WITH c AS (SELECT 1 FROM t) DELETE x FROM c x", "SELECT t DELETE"},
	}.test(t, SQLServer)
	summaryTests{
		{"DELETE FROM orders o USING users u WHERE u.id = o.user_id", "DELETE orders users"},
		{"UPDATE orders o SET a = 1 FROM lines l, users AS u", "UPDATE orders lines users"},
	}.test(t, PostgreSQL)
}

func TestSummary_IgnoresCommasInBrackets(t *testing.T) {
	summaryTests{
		{"SELECT * FROM t ARRAY JOIN ['a', 'b'] AS x, u", "SELECT t u"},
		{"SELECT * FROM t JOIN u ON a = {'b': 'c', 'd': 'e'}, v", "SELECT t u v"},
	}.test(t, Generic)
}

func TestSummary_NamesTheProcedure(t *testing.T) {
	summaryTests{
		{"CALL p(1, 'x')", "CALL p"},
		{"call db.p", "call db.p"},
		{"EXEC dbo.p @a = 1, @b = N'x'", "EXEC dbo.p"},
		{"EXEC @r = p 'x'", "EXEC p"},
		{"EXEC ('SELECT 1')", "EXEC"},
		{"{? = call p(?)}", "call p"},
		{"EXECUTE sp_executesql N'SELECT 1'", "EXECUTE sp_executesql"},
		{`EXEC @p @a = "x"`, "EXEC"},
		{`EXEC @p "x", 1`, "EXEC"},
		{`EXEC @r = @p "x"`, "EXEC"},
		{"EXEC @p x", "EXEC"},
		{"EXEC ('SELECT 1') AT srv", "EXEC"},
		{`EXEC (@sql) PRINT "x"`, "EXEC"},
		{`EXEC 'a' "x"`, "EXEC"},
		{"INSERT INTO t EXEC p 1", "INSERT t EXEC p"},
		{"DECLARE @r int EXEC @r = p 1", "DECLARE EXEC p"},
	}.test(t, SQLServer)
}

func TestSummary_NamesTheKindAndObjectOfADefinition(t *testing.T) {
	summaryTests{
		{"CREATE TABLE t (a int REFERENCES b (c) ON DELETE CASCADE ON UPDATE SET NULL)", "CREATE TABLE t"},
		{"CREATE TEMP TABLE IF NOT EXISTS s.t AS SELECT * FROM u", "CREATE TABLE s.t SELECT u"},
		{"CREATE OR REPLACE VIEW v AS SELECT * FROM t", "CREATE VIEW v SELECT t"},
		{"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON ONLY t USING btree (a) WHERE b = 'x'", "CREATE INDEX i t"},
		{"CREATE INDEX ON t (a)", "CREATE INDEX t"},
		{"DROP TABLE IF EXISTS a, s.b CASCADE", "DROP TABLE a s.b"},
		{"DROP FUNCTION f(int), g; SELECT 1 FROM t", "DROP FUNCTION f g SELECT t"},
		{"ALTER TABLE t ADD COLUMN a int, DROP COLUMN b", "ALTER TABLE t"},
		{"ALTER SYSTEM SET work_mem = '1GB'", "ALTER"},
		{"CREATE TRIGGER r BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f(); SELECT 1", "CREATE TRIGGER r t"},
		{"CREATE POLICY p ON t FOR SELECT USING (a = (SELECT 1 FROM u)); SELECT 1 FROM v", "CREATE POLICY p t SELECT v"},
		{"CREATE FUNCTION f() RETURNS int AS $$ SELECT 1 FROM t $$ LANGUAGE sql", "CREATE FUNCTION f"},
		{"COMMENT ON TABLE t IS 'x'", "COMMENT TABLE t"},
		{"REFRESH MATERIALIZED VIEW CONCURRENTLY v", "REFRESH VIEW v"},
		{"CREATE DATABASE d", "CREATE DATABASE d"},
		{"CREATE USER bob PASSWORD 'x'", "CREATE USER"},
		{`DROP ROLE bob, "alice"`, "DROP ROLE"},
		{"GRANT SELECT (a), INSERT ON TABLE t, u TO bob, alice WITH GRANT OPTION", "GRANT TABLE t u"},
		{"REVOKE ALL ON SCHEMA s FROM bob", "REVOKE SCHEMA s"},
		{"GRANT admin TO bob", "GRANT"},
		{"GRANT SELECT ON ALL TABLES IN SCHEMA s, u TO bob", "GRANT SCHEMA s u"},
		{"CREATE INDEX CONCURRENTLY ON t (a)", "CREATE INDEX t"},
		{"CREATE TABLE t (replace text)", "CREATE TABLE t"},
		{"CREATE TABLE t (update timestamp, a int)", "CREATE TABLE t"},
	}.test(t, PostgreSQL)
	summaryTests{
		{"CREATE UNIQUE CLUSTERED INDEX i ON dbo.t (a) ON [PRIMARY]", "CREATE INDEX i dbo.t"},
		{"ALTER PROC p @a int AS UPDATE t SET b = @a", "ALTER PROC p"},
		{"IF EXISTS (SELECT 1 FROM t) DROP TABLE t", "IF SELECT t DROP TABLE t"},
		{"IF OBJECT_ID('t') IS NULL CREATE TABLE t (a int)", "IF CREATE TABLE t"},
	}.test(t, SQLServer)
	summaryTests{
		{"CREATE USER 'bob'@'%' IDENTIFIED BY 'x'", "CREATE USER"},
		{"CREATE DEFINER=`root`@`localhost` PROCEDURE p(a int) BEGIN SELECT 1; UPDATE t SET a = 1; END", "CREATE PROCEDURE p"},
		{"CREATE TABLE t (a int) ENGINE=InnoDB, CHARSET=utf8", "CREATE TABLE t"},
		{"DROP INDEX i ON t", "DROP INDEX i t"},
		{"CREATE ALGORITHM = MERGE DEFINER = 'a'@'b' SQL SECURITY INVOKER VIEW v AS SELECT 1 FROM t", "CREATE VIEW v SELECT t"},
		{`CREATE SPATIAL REFERENCE SYSTEM 1 NAME "a" DESCRIPTION TYPE "b"`, "CREATE"},
		{`RENAME USER "a"@"b" TO "c"@"d"`, "RENAME USER"},
		{`GRANT PROXY ON "a"@"b" TO "c"@"d"`, "GRANT"},
		{"LOCK TABLES user READ, role WRITE", "LOCK TABLES user role"},
		{"RENAME TABLE a TO b, c TO d", "RENAME TABLE a"},
		{"OPTIMIZE TABLE a, b", "OPTIMIZE TABLE a b"},
		{"ANALYZE TABLE a, b", "ANALYZE TABLE a b"},
		{"ANALYZE TABLE t UPDATE HISTOGRAM ON c, d WITH 5 BUCKETS", "ANALYZE TABLE t"},
		{"CREATE TABLE /*!32312 IF NOT EXISTS*/ t (a int)", "CREATE TABLE t"},
	}.test(t, MySQL)
}

func TestSummary_NamesOtherCommands(t *testing.T) {
	summaryTests{
		{"BEGIN", "BEGIN"},
		{"BEGIN; INSERT INTO t VALUES (1); COMMIT", "BEGIN INSERT t COMMIT"},
		{"START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", "START TRANSACTION"},
		{"SAVEPOINT sp0xc000123456", "SAVEPOINT"},
		{"ROLLBACK TO SAVEPOINT x", "ROLLBACK"},
		{"SET search_path TO a, b", "SET search_path"},
		{"SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET TRANSACTION"},
		{"SET LOCAL app.user_id = '42'", "SET app.user_id"},
		{"SET PASSWORD = 'x'", "SET PASSWORD"},
		{"SHOW server_version", "SHOW server_version"},
		{"EXPLAIN (ANALYZE, BUFFERS) UPDATE t SET a = 1", "EXPLAIN UPDATE t"},
		{"EXPLAIN ANALYZE SELECT * FROM t", "EXPLAIN SELECT t"},
		{"VACUUM (FULL, ANALYZE) t", "VACUUM t"},
		{"VACUUM FULL VERBOSE t", "VACUUM t"},
		{"VACUUM", "VACUUM"},
		{"VACUUM (ANALYZE) a, s.b (c, d)", "VACUUM a s.b"},
		{"ANALYZE t", "ANALYZE t"},
		{"ANALYZE VERBOSE a (c, d), b", "ANALYZE a b"},
		{"DECLARE c CURSOR FOR SELECT * FROM t", "DECLARE SELECT t"},
		{"LISTEN x", "LISTEN"},
	}.test(t, PostgreSQL)
	summaryTests{
		{"SET @a = 5, b = 6", "SET"},
		{"SHOW FULL TABLES FROM d", "SHOW TABLES"},
		{"USE d", "USE d"},
		{"DESCRIBE t", "DESCRIBE t"},
		{"KILL 5", "KILL"},
	}.test(t, MySQL)
	summaryTests{
		{"PRAGMA foreign_keys = ON", "PRAGMA foreign_keys"},
		{"PRAGMA main.table_info('t')", "PRAGMA main.table_info"},
		{"ATTACH DATABASE 'x.db' AS y", "ATTACH"},
		{"EXPLAIN QUERY PLAN DELETE FROM t", "EXPLAIN DELETE t"},
	}.test(t, SQLite)
}

func TestSummary_IsEmptyForUnknownStatements(t *testing.T) {
	summaryTests{
		{"", ""},
		{";;", ""},
		{"-- nothing", ""},
		{"hunter2", ""},
		{"hunter 'x' SELECT a FROM t", "SELECT t"},
		{"and now for something completely different", ""},
		{"sp_who2; SELECT 1 FROM t", "SELECT t"},
	}.test(t, Generic)
}

func TestSummary_EndsWhereTheLexerStops(t *testing.T) {
	summaryTests{
		{"SELECT * FROM t; SELECT 'x FROM u", "SELECT t SELECT"},
		{"SELECT * FROM t /* FROM u", "SELECT t"},
		{"SELECT * FROM t, \xff, u", "SELECT t"},
		{"SELECT * FROM t, \x00, u", "SELECT t"},
	}.test(t, PostgreSQL)
	long := "SELECT * FROM t" + strings.Repeat(" ", maxLexed-len("SELECT * FROM tJOIN user")) + "JOIN user"
	if got := Parse(long+"s", Options{}).Summary; got != "SELECT t" {
		t.Errorf("got summary %q for a text truncated within a name, want %q", got, "SELECT t")
	}
}

func TestSummary_HasAtMost255Characters(t *testing.T) {
	table := strings.Repeat("ü", 100)
	got := Parse("SELECT * FROM "+table+"1, "+table+"2, "+table+"3, t", Options{}).Summary
	if want := "SELECT " + table + "1 " + table + "2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	longest := strings.Repeat("t", 255-len("SELECT "))
	if got, want := Parse("SELECT * FROM "+longest, Options{}).Summary, "SELECT "+longest; got != want {
		t.Errorf("got %q, want all 255 characters", got)
	}
	if got, want := Parse("SELECT * FROM "+longest+"t", Options{}).Summary, "SELECT"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	longest = strings.Repeat("t", 255-len("SELECT  DROP TABL"))
	if got, want := Parse("SELECT * FROM "+longest+"; DROP TABLE u", Options{}).Summary, "SELECT "+longest; got != want {
		t.Errorf("got %q, truncated within DROP TABLE", got)
	}
}
