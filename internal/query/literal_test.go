package query

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// shapes are statements and their summaries, the same in every dialect. Each % is a
// literal and each space is white space.
var shapes = []struct{ text, summary string }{
	{"SELECT a FROM t WHERE b = % AND c > %", "SELECT t"},
	{"SELECT %, a, % FROM t, u WHERE b IN (%, %, %) OR c LIKE %", "SELECT t u"},
	{"SELECT * FROM a JOIN b ON a.x = b.x AND b.y = % JOIN c USING (z), d WHERE a.v BETWEEN % AND %", "SELECT a b c d"},
	{"SELECT * FROM (SELECT a FROM t WHERE b = %) x WHERE y = (SELECT max(%) FROM u)", "SELECT SELECT t SELECT u"},
	{"SELECT a FROM t WHERE b = % UNION ALL SELECT % FROM u ORDER BY a LIMIT %, %", "SELECT t SELECT u"},
	{"SELECT EXTRACT(YEAR FROM %), TRIM(% FROM a), f(%, g(%)) FROM h(%, %) x, t", "SELECT h t"},
	{"SELECT CASE WHEN a = % THEN % ELSE % END FROM t GROUP BY a HAVING count(*) > %", "SELECT t"},
	{"SELECT DATE %, INTERVAL % DAY, CAST(% AS text) AS x FROM t", "SELECT t"},
	{"SELECT a FROM t WHERE b = ? AND c = %", "SELECT t"},
	{"SELECT * FROM (VALUES (%, %), (%, %)) v", "SELECT"},
	{"WITH c AS (SELECT % FROM t), d (x) AS (SELECT %) SELECT * FROM c, d, u WHERE x = %", "SELECT t SELECT SELECT u"},
	{"INSERT INTO s.t (a, b) VALUES (%, %), (%, %)", "INSERT s.t"},
	{"INSERT INTO t (a) SELECT b FROM u WHERE c = % ON CONFLICT (a) DO UPDATE SET b = %, c = %", "INSERT t SELECT u"},
	{"UPDATE t SET a = %, b = b + % FROM u, v WHERE c = %", "UPDATE t u v"},
	{"UPDATE t JOIN u ON t.a = % SET b = %, c = %", "UPDATE t u"},
	{"DELETE FROM t WHERE a = % OR (b, c) = (%, %)", "DELETE t"},
	{"MERGE INTO t USING (SELECT % FROM s) x ON (t.a = %) WHEN MATCHED THEN UPDATE SET b = %, c = % WHEN NOT MATCHED THEN INSERT (a, b) VALUES (%, %)", "MERGE t SELECT s"},
	{"CALL s.p(%, %, %)", "CALL s.p"},
	{"EXEC p %, %", "EXEC p"},
	{"SET PASSWORD = %", "SET PASSWORD"},
	{"SET x = %, y = %", "SET x"},
	{"SHOW x LIKE %", "SHOW x"},
	{"PRAGMA x(%)", "PRAGMA x"},
	{"CREATE TABLE t (a int DEFAULT %, b text CHECK (b <> %)) COMMENT = %", "CREATE TABLE t"},
	{"CREATE INDEX i ON t (a) WHERE b = %", "CREATE INDEX i t"},
	{"CREATE VIEW v AS SELECT % AS a FROM t WHERE b = %", "CREATE VIEW v SELECT t"},
	{"CREATE PROCEDURE p(a int) BEGIN UPDATE t SET a = %; SELECT % FROM u; END", "CREATE PROCEDURE p"},
	{"ALTER TABLE t ALTER a SET DEFAULT %, ADD b int DEFAULT %", "ALTER TABLE t"},
	{"COMMENT ON TABLE t IS %", "COMMENT TABLE t"},
	{"GRANT SELECT ON t TO %, %", "GRANT t"},
	{"COPY t FROM % WITH (DELIMITER %)", "COPY t"},
	{"LOAD DATA INFILE % INTO TABLE t FIELDS TERMINATED BY %", "LOAD t"},
	{"KILL %", "KILL"},
	{"SELECT a IS DISTINCT FROM %, b IS NOT DISTINCT FROM % FROM t", "SELECT t"},
	{"SELECT a FROM t USE INDEX (i), u TABLESAMPLE x (%), v LIMIT % OFFSET %", "SELECT t u v"},
	{"SELECT a FROM t SETTINGS x = %, y = %", "SELECT t"},
	{"SELECT a FROM t SORT BY %, %", "SELECT t"},
	{"SELECT a FROM t PROCEDURE ANALYSE(%, %)", "SELECT t"},
	{"SELECT a INTO OUTFILE % FIELDS TERMINATED BY % FROM t", "SELECT t"},
	{"SELECT a FROM t JOIN u ON b = { x : %, y : % }, v", "SELECT t u v"},
	{"SELECT a FROM JSON_TABLE(%, % COLUMNS (b int PATH %)) x", "SELECT JSON_TABLE"},
	{"SELECT a -> %, b ->> % FROM t WINDOW w AS (ORDER BY c ROWS % PRECEDING)", "SELECT t"},
	{"SELECT a FROM t WHERE MATCH (a) AGAINST (% IN BOOLEAN MODE) FOR XML PATH(%), ROOT(%)", "SELECT t"},
	{"DELETE FROM t OUTPUT deleted.a, %, deleted.b WHERE c = %", "DELETE t"},
	{"DELETE FROM t WHERE a = % RETURNING b, %", "DELETE t"},
	{"REPLACE INTO t SELECT %, % FROM u", "REPLACE t SELECT u"},
	{"PREPARE s FROM %", "PREPARE"},
	{"FETCH % FROM c", "FETCH"},
	{"EXECUTE IMMEDIATE % USING %", "EXECUTE IMMEDIATE"},
	{"SHOW TABLES FROM % LIKE %", "SHOW TABLES"},
	{"NOTIFY c, %", "NOTIFY"},
	{"BACKUP DATABASE d TO DISK = %, DISK = %", "BACKUP"},
	{"CHANGE MASTER TO MASTER_USER = %, MASTER_PASSWORD = %", "CHANGE"},
	{"CREATE SUBSCRIPTION s CONNECTION % PUBLICATION p", "CREATE SUBSCRIPTION s"},
	{"CREATE TRIGGER r AFTER INSERT ON t FOR EACH ROW BEGIN DELETE FROM u WHERE a = %; END", "CREATE TRIGGER r t"},
	{"BEGIN; UPDATE t SET a = %; DELETE FROM u WHERE b = %; COMMIT", "BEGIN UPDATE t DELETE u COMMIT"},
}

// secret is part of every planted literal and comment.
const secret = "90210"

// commonLiterals are literals that all dialects read the same. dialectLiterals are
// the additional ones of each.
var commonLiterals = []string{
	`'90210'`, `'it''s 90210'`, `'"90210"'`, "'`90210`'", `'-- 90210'`, `'/* 90210'`, `'90210 */'`,
	`'; DROP TABLE t90210; '`, `'# 90210'`, `'$$90210$a$'`, `'[90210'`, "'90210\n FROM t90210, u'", `'?, 90210, :a90210'`,
	`N'90210'`, `x'90210'`, `B'90210'`, `'ü90210'`, `'\\90210'`, `'\n90210\\'`,
	`90210`, `0.90210`, `.90210`, `90210.`, `90210e5`, `9.0210e90210`, `90210E-90210`, `0x90210ff`, `0b90210`, `1_90210`, `90210u`, `0x90210e-90210`,
}

var dialectLiterals = map[Dialect][]string{
	MySQL: {
		`'it\'s 90210'`, `'90210\\\''`, `"90210"`, `"it's 90210"`, `"a""90210\""`, `_utf8mb4'90210\''`, `n'\'90210'`, `''''||'90210'`,
	},
	PostgreSQL: {
		`'90210\'`, `E'it\'s 90210'`, `e'90210\\'`, `U&'90210\'`, `$$it's 90210$$`, `$a$ 90210 $$ $b$ $a$`, `$_é1$'90210$_é1$`,
		"E'a'\n'\\' 90210'", "E'a' -- 90210'\n '90210\\''", `''''||'90210'`,
	},
	SQLite:    {`'90210\'`, `"90210"`, `"it's 90210"`, `"90210\"`, `''''||'90210'`},
	SQLServer: {`'90210\'`, `"it's 90210"`, `$90210.5`, `N'90210\'`, `''''||'90210'`},
	Oracle:    {`'90210\'`, `q'[it's 90210]'`, `Q'{90210'}'`, `nq'!it's 90210!'`, `q'<90210>'`, `q''90210''`, `''''||'90210'`},
	Generic:   {`"90210"`, `"it's 90210"`, `"90210\\"`},
}

// commonComments are comments in all dialects, dialectComments in one.
var commonComments = []string{"/* 90210 */", "/* it's 90210 */", "/**/", "-- 90210 it's \"\n", "--\n", "/* `\" $$ [ */"}

var dialectComments = map[Dialect][]string{
	MySQL:      {"# it's 90210\n", "/*!90210 x */", "/*+ x(90210) */", "/* /* 90210 */"},
	PostgreSQL: {"/* /* 90210 */ '90210' */"},
	SQLServer:  {"/* a /* b /* c */ */ 90210 */"},
}

// planter generates statements, the same ones for the same seed.
type planter struct {
	*rand.Rand
	Dialect
}

func (p planter) pick(all ...[]string) string {
	n := 0
	for _, some := range all {
		n += len(some)
	}
	n = p.IntN(n)
	for _, some := range all {
		if n < len(some) {
			return some[n]
		}
		n -= len(some)
	}
	return ""
}

func (p planter) space() string {
	var s strings.Builder
	s.WriteString(p.pick([]string{" ", "\n", "\t", "\r\n", "  "}))
	for p.IntN(4) == 0 {
		s.WriteString(p.pick(commonComments, dialectComments[p.Dialect]))
		s.WriteString(p.pick([]string{"", " ", "\n"}))
	}
	return s.String()
}

// plant returns the shape with random literals and white space.
func (p planter) plant(shape string) string {
	var s strings.Builder
	for _, c := range shape {
		switch c {
		case ' ':
			s.WriteString(p.space())
		case '%':
			s.WriteString(p.pick(commonLiterals, dialectLiterals[p.Dialect]))
		default:
			s.WriteRune(c)
		}
	}
	return s.String()
}

// testPlanted tests the summary and text of one statement for a seed.
func testPlanted(t *testing.T, seed uint64) {
	t.Helper()
	p := planter{Rand: rand.New(rand.NewPCG(seed, 0))}
	p.Dialect = Dialect(p.IntN(int(Oracle) + 1))
	shape := shapes[p.IntN(len(shapes))]
	text := p.plant(shape.text)
	got := Parse(text, Options{Dialect: p.Dialect})
	// Some literals consist of two.
	normalised := strings.NewReplacer("?||?", "?", "? ?", "?", "?-?", "?").Replace(got.Text)
	if want := strings.ReplaceAll(shape.text, "%", "?"); normalised != want || strings.Contains(got.Text, secret) {
		t.Errorf("seed %d, dialect %d\n   of %q\n  got %q\n want %q", seed, p.Dialect, text, normalised, want)
	}
	if got.Summary != shape.summary {
		t.Errorf("seed %d, dialect %d\n   of %q\n  got %q\n want %q", seed, p.Dialect, text, got.Summary, shape.summary)
	}
}

func TestParse_HidesLiteralsAndKeepsTheSummary(t *testing.T) {
	for seed := range uint64(20_000) {
		testPlanted(t, seed)
	}
}

func FuzzParse_PlantedLiterals(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		testPlanted(t, seed)
		testPrefixed(t, seed)
	})
}

// prefixes may come directly before a literal: the prefix of a string in some
// dialect, or the beginning of a token that may contain a quote.
var prefixes = []string{
	"", "a", "é", "@", "@@", "@a", "<@E", "@E", "@u&", ":", ":a", "x[1:E", ":U&", "$", "$a", "$a$", "$$", "$1", "[", "x[", "[[1]]",
	"[a]]", "E", "e", "u&", "U&", "b", "B", "N", "x", "q", "nq", "_utf8", "r", "DATE", "?", "?1", "--", "1--", "//", "#", "a$",
	"$a(", "@a(", ":a(", "$a::b(", "1$", "5",
}

// portableStrings end at the same place in every dialect.
var portableStrings = []string{
	"'hunter2'", "'it''s hunter2'", "'\" hunter2'", "'hunter2 -- '", "'], hunter2'", "'), hunter2'", "'$a$ hunter2'", "'$$ hunter2'",
	"'/* hunter2'", "'` hunter2'", "'\nhunter2 -- '",
}

// changesMeaning reports whether a server may read more than a prefix, so that the
// string after it is not a string.
func (p planter) changesMeaning(prefix string) bool {
	comment := strings.HasSuffix(prefix, "--")
	switch p.Dialect {
	case Generic:
		return false
	case MySQL:
		return prefix == "#"
	case PostgreSQL:
		return comment || strings.HasSuffix(prefix, "$")
	case SQLite, SQLServer:
		return comment || strings.Contains(prefix, "[")
	case Oracle:
		return comment || strings.HasSuffix(prefix, "q")
	}
	return false
}

// stringAfter returns a string that ends where it seems to after the prefix in p's
// dialect.
func (p planter) stringAfter(prefix string) string {
	escapes := p.Dialect == MySQL || p.Dialect == PostgreSQL && (strings.HasSuffix(prefix, "E") && prefix != "DATE" || prefix == "e" || prefix == "b")
	switch {
	case p.Dialect == Generic || p.IntN(2) == 0:
		return p.pick(portableStrings)
	case escapes:
		return `'it\'s hunter2 -- '`
	case p.Dialect == PostgreSQL && strings.EqualFold(prefix, "b"): // a string of its own in CockroachDB
		return "'hunter2'"
	}
	return `'hunter2\'`
}

// testPrefixed tests that a string after any prefix is replaced or the text is
// dropped.
func testPrefixed(t *testing.T, seed uint64) {
	t.Helper()
	p := planter{Rand: rand.New(rand.NewPCG(seed, 1))}
	p.Dialect = Dialect(p.IntN(int(Oracle) + 1))
	prefix := p.pick(prefixes)
	if p.changesMeaning(prefix) {
		return
	}
	text := "SELECT "
	for range 3 {
		text += prefix + p.stringAfter(prefix) + p.pick([]string{", ", " WHERE ", "\n", " = ", "], ", ") "})
	}
	if got := Parse(text, Options{Dialect: p.Dialect}); strings.Contains(got.Summary+got.Text, "hunter2") {
		t.Errorf("seed %d, dialect %d\n   of %q\n  got %q", seed, p.Dialect, text, got)
	}
}

func TestParse_HidesStringsWhateverPrecedesThem(t *testing.T) {
	for seed := range uint64(50_000) {
		testPrefixed(t, seed)
	}
}

// perturb returns the statement with a comment in the place of every space, and
// with other strings and numbers.
func perturb(text string, d Dialect) string {
	tokens, _ := lex(text, d)
	summarise(text, tokens, d)
	var s strings.Builder
	for _, t := range tokens {
		if t.spaced {
			s.WriteString(" /* it's */\n")
		}
		piece := text[t.start:t.end]
		if t.kind == literal {
			switch c := piece[0]; {
			case c == '\'':
				piece = "'!'" // 'x' may be a name
			case isDigit(c):
				piece = "7"
			}
		}
		s.WriteString(piece)
	}
	return s.String()
}

func FuzzParse_AnyText(f *testing.F) {
	for d := Generic; d <= Oracle; d++ {
		for _, shape := range shapes {
			p := planter{Rand: rand.New(rand.NewPCG(uint64(d), 1)), Dialect: d}
			f.Add(p.plant(shape.text), uint8(d), d%2 == 0)
		}
		for _, text := range []string{
			"", "'", "((((", "))))", "....", "-- ", "/*", "$$", "$a$", "q'", "E'\\", "a.b.", "\xff", "\x00", "FROM . 'x'",
			"CREATE", "WITH a", "SELECT * FROM a, 'b'", "IN (", "VALUES (1),", "EXEC @r =", `"a"."b`, "1e-", "_é'",
		} {
			f.Add(text, uint8(d), true)
		}
	}
	f.Fuzz(func(t *testing.T, text string, dialect uint8, collapse bool) {
		o := Options{Dialect: Dialect(dialect % uint8(Oracle+1)), Collapse: collapse}
		got := Parse(text, o)
		if n := utf8.RuneCountInString(got.Summary); n > maxSummary {
			t.Errorf("summary has %d characters, want at most %d", n, maxSummary)
		}
		if !utf8.ValidString(got.Summary + got.Text) {
			t.Errorf("got %q, want UTF-8", got)
		}
		if len(got.Text) > len(text)+strings.Count(text, "-") { // see emit
			t.Errorf("got %d bytes of a text of %d", len(got.Text), len(text))
		}
		if got.Text == "" {
			return
		}
		if again := Parse(got.Text, o); again != got {
			t.Errorf("got  %q\nthen %q for the sanitised text", got, again)
		}
		if again := Parse(perturb(text, o.Dialect), Options{Dialect: o.Dialect, Text: Off}).Summary; again != got.Summary {
			t.Errorf("got %q, then %q with other literals and spaces: %q", got.Summary, again, perturb(text, o.Dialect))
		}
	})
}

func TestParse_TakesLinearTime(t *testing.T) {
	for _, piece := range []string{
		" ", "'", "''", "'a' ", "E'a' ", "(", "((1),", "a IN (", "a IN (1,", "/*", "/**/", "--\n", "$", "$a$", "$a$ $a$ ", ".",
		"a.", "- ", "WITH a AS (", "VALUES (1),", "\\'", "1e-", ", a", "CREATE ", "INSERT OR ", "SELECT * FROM a, ", "\"a\".", "[",
	} {
		text := strings.Repeat(piece, maxLexed/len(piece))
		for d := Generic; d <= Oracle; d++ {
			// Linear time takes some milliseconds, quadratic time many seconds in every
			// try. The tries are for a busy machine.
			took := time.Duration(math.MaxInt64)
			for tries := 0; took > 2*time.Second && tries < 10; tries++ {
				start := time.Now()
				Parse(text, Options{Dialect: d, Collapse: true})
				took = time.Since(start)
			}
			if took > 2*time.Second {
				t.Errorf("%v for 64 KiB of %q in dialect %d", took, piece, d)
			}
		}
	}
}
