package query

// Dialect says what is quoted how.
type Dialect uint8

const (
	// Generic is for databases that are none of the others. What quotes in one
	// dialect and not in another is not guessed: the text is dropped. Double
	// quotes are read as in [MySQL].
	Generic Dialect = iota
	// MySQL is MySQL and MariaDB. Double quotes hold a string by default, a name
	// with ANSI_QUOTES: they are a name where only a name can be (the target of an
	// operation, beside a dot), and a literal elsewhere.
	MySQL
	// PostgreSQL is PostgreSQL and CockroachDB.
	PostgreSQL
	// SQLite takes "x" for a string if there is no column x: double quotes are read
	// as in [MySQL]. It takes 'x' for a name where only a name can be, which is read
	// so where a table is named, if x could be one without quotes.
	SQLite
	// SQLServer takes "x" for a string without QUOTED_IDENTIFIER: double quotes
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

// answer is to a question about a dialect. Where it is perhaps, a text in
// which the answer matters is not read on.
type tristate uint8

const (
	no tristate = iota
	yes
	unknown
)

// grammar is what a lexer has to know of a dialect.
type grammar struct {
	escapes       tristate // a backslash in a string escapes a quote
	dollars       tristate // $a$...$a$ is a string
	dashes        tristate // -- is a comment only before a space
	brackets      tristate // [...] is a name
	tcl           tristate // a variable may go on with (...) or ::
	nests         tristate // a comment may hold comments
	slashes       tristate // // begins a comment
	qstrings      tristate // q'[...]' is a string
	estrings      bool     // in E'...' a backslash escapes, and in b'...' perhaps
	stringNames   bool     // '...' is a name where a table is named
	doubleQuotes  kind     // what "..." is
	backticks     bool     // `...` is a name
	hash          hash
	dollarNumbers bool   // $1 is a number
	bareStrings   bool   // a procedure takes a word for a string
	implicitCalls bool   // a procedure may be called without a verb
	bareSettings  bool   // SET a.b TO takes a word for a string
	numberedBy    string // before which marks a number is a placeholder
	inWord        string // what a word may hold besides letters, digits, _ and $
}

// hash is what # begins.
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
