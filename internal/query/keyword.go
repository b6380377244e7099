package query

// verb describes what follows the first word of a statement.
type verb uint32

const (
	bare          verb = 1 << iota // no name comes next
	named                          // a name comes next
	object                         // the kind of the object may come before its name
	hasKind                        // other words may come before the kind: CREATE OR REPLACE VIEW
	listed                         // further names may come after commas
	dml                            // the statement may be part of another
	query                          // FROM and JOIN name tables
	into                           // INTO names a table
	using                          // USING names a table
	on                             // ON names the object
	calls                          // a variable and = may come before the name: EXEC @r = p
	defines                        // the object may contain statements
	opaque                         // verbs in it begin no statements: GRANT SELECT ON t
	takesPassword                  // a bare word may be a password
	takesKey                       // the same after KEY, or after a name that ends in it
	sets                           // it assigns values to settings
	adverbial                      // words such as FULL may come before the name
	controlFlow                    // definitions may follow without a semicolon
	byAlias                        // a target may be an alias that FROM or USING defines
)

func (v verb) has(w verb) bool { return v&w != 0 }

// verbs are the words that begin a statement. Other texts have no summary, so
// that text that is not SQL does not become the name of a span.
var verbs = map[string]verb{
	"SELECT":  dml | query | into,
	"INSERT":  dml | query | named | into,
	"REPLACE": dml | query | named | into,
	"UPSERT":  dml | query | named | into,
	"MERGE":   dml | query | named | into | using,
	"UPDATE":  dml | query | named | listed | byAlias,
	"DELETE":  dml | query | named | listed | using | byAlias,
	"TABLE":   named | query,

	"CREATE":  named | hasKind | defines | sets,
	"ALTER":   named | hasKind | defines | sets,
	"DROP":    named | hasKind | listed,
	"COMMENT": named | hasKind,
	"REFRESH": named | hasKind,

	"ANALYZE":  named | object | listed | adverbial,
	"CHECK":    named | object | listed,
	"CHECKSUM": named | object | listed,
	"CLUSTER":  named | adverbial,
	"COPY":     named,
	"DESC":     named | object | adverbial,
	"DESCRIBE": named | object | adverbial,
	"LOCK":     named | object | listed,
	"OPTIMIZE": named | object | listed,
	"PRAGMA":   named | takesKey,
	"REINDEX":  named | object,
	"RENAME":   named | object,
	"REPAIR":   named | object | listed,
	"RESET":    named,
	"SET":      named | sets | adverbial,
	"SHOW":     named | adverbial,
	"START":    named,
	"TRUNCATE": named | object | listed,
	"USE":      named,
	"VACUUM":   named | listed | adverbial,

	"CALL":    named | calls,
	"EXEC":    named | calls,
	"EXECUTE": named | calls | object,

	"DENY":   opaque | on | object | listed,
	"GRANT":  opaque | on | object | listed,
	"REVOKE": opaque | on | object | listed,

	"ADMINISTER": bare | takesPassword,
	"ATTACH":     bare | takesKey,
	"CONNECT":    bare | takesPassword,
	"LOAD":       bare | into,

	"ABORT":      bare,
	"BACKUP":     bare,
	"BEGIN":      bare,
	"CHANGE":     bare,
	"CHECKPOINT": bare,
	"CLOSE":      bare,
	"COMMIT":     bare,
	"DEALLOCATE": bare,
	"DECLARE":    bare,
	"DETACH":     bare,
	"DISCARD":    bare,
	"DO":         bare,
	"END":        bare,
	"EXPLAIN":    bare,
	"FETCH":      bare,
	"FLUSH":      bare,
	"IF":         bare | controlFlow,
	"KILL":       bare,
	"LISTEN":     bare,
	"MOVE":       bare,
	"NOTIFY":     bare,
	"OPEN":       bare,
	"PREPARE":    bare,
	"PURGE":      bare,
	"RELEASE":    bare,
	"RESTORE":    bare,
	"ROLLBACK":   bare,
	"SAVEPOINT":  bare,
	"UNLISTEN":   bare,
	"UNLOCK":     bare,
	"VALUES":     bare,
	"WHILE":      bare | controlFlow,
	"XA":         bare,
}

// clause is what a word does within a statement.
type clause uint8

const (
	statement  clause = iota + 1 // may begin a nested statement: see dml
	definition                   // may begin a statement within control flow
	execution                    // may begin a statement after another without a semicolon
	from
	join
	intoTable
	usingTable
	onObject
	with
	identified // a password follows, a bare word in some dialects
	orAction   // OR in INSERT OR REPLACE
	modifier   // may come before the name of a table
	condition  // may come before the name of another object
	adverb     // may come before a name after an adverbial verb
	ends       // no more names
	mayEnd     // a name if one is expected, otherwise no more names
)

var clauses = map[string]clause{
	"SELECT": statement, "INSERT": statement, "REPLACE": statement, "UPSERT": statement,
	"MERGE": statement, "UPDATE": statement, "DELETE": statement,

	"ALTER": definition, "CREATE": definition, "DROP": definition, "TRUNCATE": definition,
	"EXEC": execution, "EXECUTE": execution,

	"FROM": from,
	"JOIN": join, "STRAIGHT_JOIN": join, "APPLY": join,
	"INTO":       intoTable,
	"USING":      usingTable,
	"ON":         onObject,
	"WITH":       with,
	"IDENTIFIED": identified,
	"OR":         orAction,

	"DELAYED": modifier, "HIGH_PRIORITY": modifier, "IGNORE": modifier, "LATERAL": modifier,
	"LOW_PRIORITY": modifier, "ONLY": modifier, "QUICK": modifier, "TABLE": modifier, "TOP": modifier,

	"CONCURRENTLY": condition, "EXISTS": condition, "IF": condition, "NOT": condition,

	"ANALYZE": adverb, "EXTENDED": adverb, "FREEZE": adverb, "FULL": adverb, "GLOBAL": adverb, "LOCAL": adverb,
	"PERSIST": adverb, "SESSION": adverb, "VERBOSE": adverb,

	"BY": ends, "CONNECT": ends, "DUMPFILE": ends, "EXCEPT": ends, "FETCH": ends, "FOR": ends, "GROUP": ends,
	"HAVING": ends, "INTERSECT": ends, "LIMIT": ends, "ORDER": ends, "OUTFILE": ends, "RETURNING": ends,
	"SET": ends, "TO": ends, "UNION": ends, "VALUES": ends, "WHEN": ends, "WHERE": ends,

	"FORMAT": mayEnd, "MINUS": mayEnd, "OFFSET": mayEnd, "OPTION": mayEnd, "OUTPUT": mayEnd, "PREWHERE": mayEnd,
	"QUALIFY": mayEnd, "RETURN": mayEnd, "SETTINGS": mayEnd, "START": mayEnd, "WINDOW": mayEnd,
}

// leads are the words after which a nested statement may begin.
var leads = map[string]bool{
	"ANALYZE": true, "AS": true, "ATOMIC": true, "BEGIN": true, "DO": true, "ELSE": true, "EXPLAIN": true,
	"PLAN": true, "THEN": true, "VERBOSE": true,
}

// argumentWords are the words after the name of a procedure that are not strings.
var argumentWords = map[string]bool{
	"AS": true, "AT": true, "DEFAULT": true, "ELSE": true, "END": true, "FALSE": true, "INTO": true, "NULL": true,
	"OUT": true, "OUTPUT": true, "RECOMPILE": true, "TRUE": true, "USING": true, "WITH": true,
}

// objectKind describes what follows the name of an object of this kind.
type objectKind uint8

const (
	plain     objectKind = 1 << iota // nothing relevant
	onTable                          // ON and the table of the object
	operation                        // names of operations: those it fires on or applies to
	body                             // statements, to the end of the text
	principal                        // perhaps a password; the name may be a person's
)

var objectKinds = map[string]objectKind{
	"AGGREGATE": plain, "COLLATION": plain, "COLUMN": plain, "CONSTRAINT": plain, "DATABASE": plain,
	"DOMAIN": plain, "EXTENSION": plain, "PUBLICATION": plain, "SCHEMA": plain, "SEQUENCE": plain,
	"SERVER": plain, "STATISTICS": plain, "SUBSCRIPTION": plain, "SYNONYM": plain, "TABLE": plain,
	"TABLES": plain, "TABLESPACE": plain, "TYPE": plain, "VIEW": plain,

	"INDEX":     onTable,
	"POLICY":    onTable | operation,
	"RULE":      onTable | operation,
	"TRIGGER":   onTable | operation | body,
	"EVENT":     operation | body,
	"FUNCTION":  operation | body,
	"PACKAGE":   operation | body,
	"PROC":      operation | body,
	"PROCEDURE": operation | body,

	"LOGIN": principal, "ROLE": principal, "USER": principal,
}

// lookup returns the value of the keyword in m, ignoring case. It does not
// allocate.
func lookup[V any](m map[string]V, keyword string) V {
	var upper [len("STRAIGHT_JOIN")]byte // the longest keyword
	if len(keyword) > len(upper) {
		var zero V
		return zero
	}
	for i := range len(keyword) {
		c := keyword[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	return m[string(upper[:len(keyword)])]
}
