package query

import "strings"

// Where they expect a string, some servers accept a word or a name in quotes. If it
// may be a password, the text is dropped.

// flagSecret sets secret if the quoted current token may be a password that looks like
// a name, or precede one.
func (s *summary) flagSecret(k kind) {
	sc := s.scope()
	s.secret = s.secret || s.isKey(sc) || k == quoted && (s.implicitCalls && s.atStart || s.bareStrings && s.isArgument(sc))
}

// isSecret reports whether the current word may be a password, or precede one.
func (s *summary) isSecret(sc *scope, name string, c clause) bool {
	switch c {
	case usingTable:
		return s.is(s.i-1, "DECRYPT") || s.is(s.i-1, "ENCRYPT")
	case ends:
		return s.is(s.i, "TO") && s.setsToName(sc)
	case execution:
		return s.bareStrings && !s.atStart && !sc.verb.has(on) && (sc.verb.has(opaque) || !s.beginsNested(sc, calls, name))
	default:
		called := s.implicitCalls && s.atStart && c == 0 && lookup(verbs, name) == 0 // p hunter2
		return called || s.isKey(sc) || s.bareStrings && s.isArgument(sc) && !lookup(argumentWords, name)
	}
}

// isKey reports whether the current token names a setting whose value is a key:
// PRAGMA key = hunter2.
func (s *summary) isKey(sc *scope) bool {
	return sc.verb.has(takesKey) && strings.HasSuffix(fold(s.name(s.i)), "key")
}

// isArgument reports whether the current name is an argument of a procedure:
// EXEC p hunter2.
func (s *summary) isArgument(sc *scope) bool {
	return sc.verb.has(calls) && sc.want == noName && !s.is(s.i+1, "=") && !s.is(s.i+1, "(")
}

// setsToName reports whether the current = or TO assigns a name to a setting that
// the application defines: SET app.password TO hunter2.
func (s *summary) setsToName(sc *scope) bool {
	if !s.bareSettings || !sc.verb.has(sets) || s.i+1 >= len(s.tokens) || s.is(s.i+1, "DEFAULT") {
		return false
	}
	last, value := s.i-1, s.tokens[s.i+1].kind
	first := last
	for s.is(first-1, ".") {
		first -= 2
	}
	own := first < last || s.tokens[last].kind != word || value == quoted && sc.verb.has(defines)
	return own && (value == word || value == quoted) && s.isSet(first)
}

// isSet reports whether the name at i is the name of a setting.
func (s *summary) isSet(i int) bool {
	for _, before := range []string{"SET", "LOCAL", "SESSION", "GLOBAL", "SETTING", ","} {
		if s.is(i-1, before) {
			return true
		}
	}
	return false
}
