package query

// Dialect selects the rules by which strings, names and comments are quoted.
type Dialect uint8

const (
	// Generic is for all other databases. If the dialects disagree on what a
	// quote means, the text is dropped. Double quotes are read as in [MySQL].
	Generic Dialect = iota
	// MySQL is MySQL and MariaDB. Double quotes enclose a string by default, a name
	// with ANSI_QUOTES. They are read as a name where only a name is possible (the
	// target of an operation, beside a dot), and as a literal otherwise.
	MySQL
	// PostgreSQL is PostgreSQL and CockroachDB.
	PostgreSQL
	// SQLite reads "x" as a string if there is no column x, so double quotes are
	// read as in [MySQL]. It reads 'x' as a name where only a name is possible. Here
	// this applies to the names of tables, if x is valid without quotes.
	SQLite
	// SQLServer reads "x" as a string without QUOTED_IDENTIFIER, so double quotes
	// are read as in [MySQL].
	SQLServer
	// Oracle is Oracle Database.
	Oracle
)

// DialectOf returns the dialect of a db.system.name.
func DialectOf(system string) Dialect {
	switch system {
	case "mysql", "mariadb":
		return MySQL
	case "postgresql", "cockroachdb":
		return PostgreSQL
	case "sqlite":
		return SQLite
	case "microsoft.sql_server":
		return SQLServer
	case "oracle.db":
		return Oracle
	}
	return Generic
}

// tristate is whether a dialect has a feature. If a text depends on an unknown
// one, the lexer stops.
type tristate uint8

const (
	no tristate = iota
	yes
	unknown
)

// grammar is what the lexer and the summary know of a dialect.
type grammar struct {
	escapes       tristate // a backslash in a string escapes a quote
	dollars       tristate // $a$...$a$ is a string
	dashes        tristate // -- is a comment only before a space
	brackets      tristate // [...] is a name
	tcl           tristate // (...) or :: may continue a variable
	nests         tristate // comments nest
	slashes       tristate // // begins a comment
	qstrings      tristate // q'[...]' is a string
	estrings      bool     // a backslash escapes in E'...', and maybe in b'...'
	stringNames   bool     // '...' is a name in the place of a table
	doubleQuotes  kind     // what "..." is
	backticks     bool     // `...` is a name
	hash          hash     // what # begins
	dollarNumbers bool     // $1 is a number
	bareStrings   bool     // a procedure accepts a bare word as a string
	implicitCalls bool     // a procedure may be called without EXEC
	bareSettings  bool     // SET a.b TO accepts a bare word as a string
	numberedBy    string   // marks that form a placeholder with a number
	inWord        string   // characters of words besides letters, digits, _ and $
}

// hash is the meaning of #.
type hash uint8

const (
	hashInvalid hash = iota
	hashComment
	hashOperator
	hashName
)

var grammars = [...]grammar{
	Generic: {
		escapes: unknown, dollars: unknown, dashes: unknown, brackets: unknown, tcl: unknown, nests: unknown,
		slashes: unknown, qstrings: unknown, doubleQuotes: ambiguous, backticks: true, bareStrings: true, bareSettings: true,
	},
	MySQL:      {escapes: yes, doubleQuotes: ambiguous, backticks: true, dashes: yes, hash: hashComment},
	PostgreSQL: {dollars: yes, nests: yes, estrings: true, doubleQuotes: quoted, bareSettings: true, hash: hashOperator},
	SQLite:     {brackets: yes, tcl: yes, stringNames: true, doubleQuotes: ambiguous, backticks: true, numberedBy: "?:"},
	SQLServer:  {brackets: yes, nests: yes, doubleQuotes: ambiguous, bareStrings: true, implicitCalls: true, hash: hashName, dollarNumbers: true, inWord: "#@"},
	Oracle:     {qstrings: yes, doubleQuotes: quoted, numberedBy: ":", inWord: "#"},
}
