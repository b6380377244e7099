package query

// verb is what a statement's first word says of what follows it.
type verb uint32

const (
	bare          verb = 1 << iota // nothing
	named                          // a name comes next
	object                         // the kind of the object may come before its name
	hasKind                        // other words may come before the kind: CREATE OR REPLACE VIEW
	listed                         // further names may come after commas
	dml                            // it may be part of another statement
	query                          // it has tables: FROM and JOIN name them
	into                           // INTO names a table
	using                          // USING names a table
	on                             // ON names the object
	calls                          // a variable and = may come before the name: EXEC @r = p
	defines                        // what it makes may have statements in it
	opaque                         // the statements in it are not its own: GRANT SELECT ON t
	takesPassword                  // it takes a password as a bare word
	takesKey                       // so it does after KEY, or after a name that ends so
	sets                           // it gives settings their values
	adverbial                      // words such as FULL may come before the name
	controlFlow                    // definitions may follow without a semicolon
	byAlias                        // what it names may be a name that its FROM or USING gives to a table
)

func (v verb) has(w verb) bool { return v&w != 0 }

// verbs are the words that begin a statement. What is not here has no summary,
// so that what is not SQL does not become the name of a span.
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
	statement  clause = iota + 1 // may begin another statement: see dml
	definition                   // may begin one in a statement that holds others
	execution                    // may begin one that is not the first
	from
	join
	intoTable
	usingTable
	onObject
	with
	identified // a password follows, as a bare word in some dialects
	orAction   // OR of INSERT OR REPLACE
	modifier   // may come before the name of a table
	condition  // may come before the name of anything else
	adverb     // may come before a name after a wordy verb
	ends       // no more names
	mayEnd     // no more names, but one itself where one is wanted
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

// leads are the words after which a statement may begin within another.
var leads = map[string]bool{
	"ANALYZE": true, "AS": true, "ATOMIC": true, "BEGIN": true, "DO": true, "ELSE": true, "EXPLAIN": true,
	"PLAN": true, "THEN": true, "VERBOSE": true,
}

// arguments are the words after the name of a procedure that are no strings.
var argumentWords = map[string]bool{
	"AS": true, "AT": true, "DEFAULT": true, "ELSE": true, "END": true, "FALSE": true, "INTO": true, "NULL": true,
	"OUT": true, "OUTPUT": true, "RECOMPILE": true, "TRUE": true, "USING": true, "WITH": true,
}

// objectKind is what follows the name of an object of that kind.
type objectKind uint8

const (
	plain     objectKind = 1 << iota // nothing that matters
	onTable                          // ON and the table that it belongs to
	operation                        // the names of operations on the table, or of those it is for
	body                             // statements, to the end of the text
	principal                        // a password, perhaps; its name may be a person's
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

// lookup returns the value of the keyword in m, whatever its case. It does not
// allocate.
func lookup[V any](m map[string]V, keyword string) V {
	var upper [len("STRAIGHT_JOIN")]byte // the longest
	if len(keyword) > len(upper) {
		var none V
		return none
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
