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
type answer uint8

const (
	no answer = iota
	yes
	perhaps
)

// grammar is what a lexer has to know of a dialect.
type grammar struct {
	escapes   answer // a backslash in a string escapes a quote
	dollars   answer // $a$...$a$ is a string
	dashes    answer // -- is a comment only before a space
	brackets  answer // [...] is a name
	tcl       answer // a variable may go on with (...) or ::
	nests     answer // a comment may hold comments
	slashes   answer // // begins a comment
	qstrings  answer // q'[...]' is a string
	estrings  bool   // in E'...' a backslash escapes, and in b'...' perhaps
	names     bool   // '...' is a name where a table is named
	double    kind   // what "..." is
	backticks bool   // `...` is a name
	hash      hash
	money     bool   // $1 is a number
	words     bool   // a procedure takes a word for a string
	verbless  bool   // a procedure may be called without a verb
	settings  bool   // SET a.b TO takes a word for a string
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
		escapes: perhaps, dollars: perhaps, dashes: perhaps, brackets: perhaps, tcl: perhaps, nests: perhaps,
		slashes: perhaps, qstrings: perhaps, double: doubtful, backticks: true, words: true, settings: true,
	},
	MySQL:      {escapes: yes, double: doubtful, backticks: true, dashes: yes, hash: hashComment},
	PostgreSQL: {dollars: yes, nests: yes, estrings: true, double: quoted, settings: true, hash: hashOperator},
	SQLite:     {brackets: yes, tcl: yes, names: true, double: doubtful, backticks: true, numbered: "?:"},
	SQLServer:  {brackets: yes, nests: yes, double: doubtful, words: true, verbless: true, hash: hashName, money: true, inWord: "#@"},
	Oracle:     {qstrings: yes, double: quoted, numbered: ":", inWord: "#"},
}
