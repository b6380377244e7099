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
	// SQLite takes "x" for a string if there is no column x, and 'x' for a name
	// where only a name can be: double quotes are read as in [MySQL].
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
type answer uint8

const (
	no answer = iota
	yes
	perhaps
)

// grammar is what a lexer has to know of a dialect.
type grammar struct {
	escapes   answer // a backslash in a string escapes a quote
	nests     answer // a comment may hold comments
	slashes   answer // // begins a comment
	qstrings  answer // q'[...]' is a string
	estrings  bool   // in E'...' a backslash escapes
	names     bool   // '...' is a name where a table is named
	double    kind   // what "..." is
	backticks bool   // `...` is a name
	brackets  bool   // [...] is a name
	dashes    bool   // -- is a comment only before a space
	hash      hash
	money     bool   // $1 is a number
	numbered  string // before which marks a number is a placeholder
	inWord    string // what a word may hold besides letters, digits, _ and $
}

// hash is what # begins.
type hash uint8

const (
	hashNothing hash = iota
	hashComment
	hashOperator
	hashName
)

var grammars = [...]grammar{
	Generic: {
		escapes: perhaps, nests: perhaps, slashes: perhaps, qstrings: perhaps, names: true, double: doubtful, backticks: true,
	},
	MySQL:      {escapes: yes, double: doubtful, backticks: true, dashes: true, hash: hashComment},
	PostgreSQL: {nests: yes, estrings: true, double: quoted, hash: hashOperator},
	SQLite:     {names: true, double: doubtful, backticks: true, brackets: true, numbered: "?:"},
	SQLServer:  {nests: yes, double: doubtful, brackets: true, hash: hashName, money: true, inWord: "#@"},
	Oracle:     {qstrings: yes, double: quoted, numbered: ":", inWord: "#"},
}
