package query

import (
	"strings"
	"unicode/utf8"
)

// maxSummary is the length in characters that the conventions allow.
const maxSummary = 255

// want is what the next name is.
type want uint8

const (
	nothing want = iota
	target
	commonTable // the name of a table that the statement itself defines
)

// scope is what is known of the statement between two parentheses, brackets or
// braces, or outside of all.
type scope struct {
	verb   verb // none in an expression
	want   want
	list   bool // a comma, and in a query a JOIN, brings another target
	common bool // between WITH and the statement: a comma brings another common table
	on     bool // ON brings a target
}

// summary is what one pass over the tokens finds. On its way it makes names of
// the doubtful tokens that are targets.
type summary struct {
	text   string
	tokens []token
	i      int // the token that is looked at
	scopes []scope
	first  bool // no word of the statement was read
	body   bool // the rest of the text is the body of what was created
	common map[string]bool
	names  bool // see grammar

	out    strings.Builder
	left   int  // the characters that out may still have
	secret bool // there may be a password that is not a literal
}

func summarise(text string, tokens []token, d Dialect) *summary {
	s := &summary{
		text: text, tokens: tokens, scopes: make([]scope, 1, 8), first: true,
		names: grammars[d].names, left: maxSummary + len(" "),
	}
	for s.i = 0; s.i < len(tokens); s.i++ {
		switch t := tokens[s.i]; t.kind {
		case symbol:
			s.symbol(text[t.start])
		case word:
			s.word(s.name(s.i))
		case quoted, doubtful:
			s.named()
		case literal:
			s.literal(text[t.start])
		case placeholder:
			s.expression()
		}
	}
	return s
}

// String returns the summary.
func (s *summary) String() string { return s.out.String() }

func (s *summary) scope() *scope { return &s.scopes[len(s.scopes)-1] }

// name returns the text of token i.
func (s *summary) name(i int) string { return s.text[s.tokens[i].start:s.tokens[i].end] }

func (s *summary) is(i int, keyword string) bool { return is(s.text, s.tokens, i, keyword) }

// clause returns what token i does, if it is a word.
func (s *summary) clause(i int) clause {
	if i >= len(s.tokens) || s.tokens[i].kind != word {
		return 0
	}
	return lookup(clauses, s.name(i))
}

func (s *summary) symbol(c byte) {
	sc := s.scope()
	switch c {
	case '(':
		s.open(sc)
	case '[', '{':
		sc.want = nothing
		s.scopes = append(s.scopes, scope{verb: sc.verb & closed})
	case ')', ']', '}':
		if len(s.scopes) > 1 {
			s.scopes = s.scopes[:len(s.scopes)-1]
		}
	case ',':
		s.comma(sc)
	case ';':
		if !s.body {
			s.scopes = append(s.scopes[:0], scope{})
			s.first = true
			clear(s.common)
		}
	default:
		s.expression()
	}
}

// open enters a parenthesis. Where tables are named, it holds tables or a
// query; anywhere else, the name that is wanted is still to come after it
// (VACUUM (FULL) t).
func (s *summary) open(sc *scope) {
	inner := scope{verb: sc.verb & closed}
	if sc.want == target && sc.list && sc.verb.has(query) && !s.is(s.i-1, "TOP") {
		inner = scope{verb: query, want: target, list: true}
		sc.want = nothing
	}
	s.scopes = append(s.scopes, inner)
}

func (s *summary) comma(sc *scope) {
	switch {
	case sc.common:
		sc.want = commonTable
	case sc.list:
		sc.want = target
	default:
		sc.want = nothing
	}
}

// expression notes a token that is in no name.
func (s *summary) expression() {
	if sc := s.scope(); !sc.verb.has(calls) {
		sc.want = nothing
	}
}

// literal notes a literal, which is a name where a table is named in a dialect
// that has such names.
func (s *summary) literal(quote byte) {
	if sc := s.scope(); s.names && quote == '\'' && sc.list && sc.verb.has(query) {
		s.named()
		return
	}
	s.expression()
}

func (s *summary) word(name string) {
	first := s.first
	s.first = false
	c := lookup(clauses, name)
	if s.is(s.i-1, ".") || (first || c == statement) && s.begin(name, first) {
		return
	}
	switch sc := s.scope(); c {
	case from:
		if !s.is(s.i-1, "DISTINCT") { // IS DISTINCT FROM
			sc.expect(sc.verb.has(query), true)
		}
	case join:
		sc.expect(sc.list && sc.verb.has(query), true)
	case intoTable:
		sc.expect(sc.verb.has(into), false)
	case usingTable:
		// JOIN t USING (c) is not DELETE FROM t USING u.
		if sc.verb.has(using) && (sc.verb.has(into) || !s.is(s.i+1, "(")) {
			sc.expect(true, true)
		}
	case onObject:
		if sc.on {
			sc.expect(true, sc.verb.has(listed))
			sc.on = false
		}
	case with:
		if s.definesTables() {
			sc.common, sc.want = true, commonTable
		}
	case identified:
		s.secret = s.secret || !sc.verb.has(query)
	case ends:
		sc.expect(false, false)
	default:
		s.optional(name, c)
	}
}

// expect says whether a target comes next, and whether it is one of a list.
func (sc *scope) expect(wanted, list bool) {
	sc.want, sc.list = nothing, wanted && list
	if wanted {
		sc.want = target
	}
}

// definesTables reports whether the WITH that is looked at is followed by
// RECURSIVE, by name (, or by name AS (.
func (s *summary) definesTables() bool {
	if s.is(s.i+1, "RECURSIVE") || s.is(s.i+2, "(") && !s.is(s.i+1, "(") {
		return true
	}
	return s.is(s.i+2, "AS") && (s.is(s.i+3, "(") || s.is(s.i+3, "NOT") || s.is(s.i+3, "MATERIALIZED"))
}

// begin begins a statement with the word that is looked at, if it can.
func (s *summary) begin(name string, first bool) bool {
	sc := s.scope()
	v := lookup(verbs, name)
	if v == 0 || sc.verb.has(closed) || !first && !s.nested(sc, v, name) {
		return false
	}
	*sc = scope{verb: v, on: v.has(on)}
	sc.expect(v.has(named), v.has(listed))
	s.part(s.i, s.i)
	s.secret = s.secret || v.has(guarded)
	if v.has(sought) {
		s.seek(sc)
	}
	return true
}

// nested reports whether a statement begins with the word that is looked at,
// which is not the first of its statement.
func (s *summary) nested(sc *scope, v verb, name string) bool {
	before := s.i - 1
	switch {
	case s.is(before, "AS") && sc.verb.has(query): // the name of a column
		return false
	case strings.EqualFold(name, "SELECT"),
		v.has(into) && s.clause(s.i+1) == intoTable,
		strings.EqualFold(name, "DELETE") && s.clause(s.i+1) == from:
		return true
	}
	led := s.is(before, "(") || s.is(before, ")") || s.tokens[before].kind == word && lookup(leads, s.name(before))
	return led && s.nameFollows()
}

// nameFollows reports whether the next token is a name, or what may come before
// one.
func (s *summary) nameFollows() bool {
	if s.i+1 >= len(s.tokens) {
		return false
	}
	if k := s.tokens[s.i+1].kind; k != word {
		return k == quoted || k == doubtful
	}
	c := s.clause(s.i + 1)
	return c == 0 || c == modifier || c == condition
}

// seek goes on to the kind of the object, which is a part of the operation.
func (s *summary) seek(sc *scope) {
	for i := s.i + 1; i < len(s.tokens) && !s.is(i, "(") && !s.is(i, ";"); i++ {
		if s.tokens[i].kind != word {
			continue
		}
		k := lookup(objectKinds, s.name(i))
		if k == 0 {
			continue
		}
		s.i = i
		s.part(i, i)
		sc.on = k&onTable != 0
		if sc.verb.has(defines) && k&operation != 0 {
			sc.verb |= closed
			s.body = k&body != 0
		}
		if k&principal != 0 {
			s.secret = true
			sc.expect(false, false)
		}
		return
	}
	sc.expect(false, false)
}

// optional notes a word that is a name, unless it is one that may come before a
// name and something else follows.
func (s *summary) optional(name string, c clause) {
	sc := s.scope()
	switch {
	case sc.want != target:
		s.named()
	case c == either:
		s.i++
	case sc.verb.has(object) && lookup(objectKinds, name) != 0 && s.nameFollows():
		s.part(s.i, s.i)
	case s.clause(s.i+1) == intoTable, // INSERT ALL INTO
		c == modifier && (s.nameFollows() || s.is(s.i+1, "(") || s.clause(s.i+1) == from),
		c == condition && !sc.verb.has(query) && s.nameFollows():
	default:
		s.named()
	}
}

// named takes the token that is looked at for the name that is wanted, with
// what is joined to it by dots.
func (s *summary) named() {
	sc := s.scope()
	if sc.want == nothing {
		return
	}
	first := s.i
	for dot := first + 1; s.is(dot, "."); dot++ { // two dots, too: db..t
		if next := dot + 1; next < len(s.tokens) && (s.tokens[next].kind == word || s.tokens[next].kind == quoted) {
			s.i, dot = next, next
		}
	}
	switch {
	case sc.want == commonTable && s.is(first, "RECURSIVE") && s.nameFollows():
		return
	case sc.want == commonTable:
		s.define(s.name(first))
	case s.i > first || s.common == nil || !s.common[fold(s.name(first))]:
		s.part(first, s.i)
	}
	if s.tokens[first].kind != word {
		s.tokens[first].kind = quoted
	}
	sc.want = nothing
}

// define notes the name of a common table. It is not a target, wherever it
// stands in the statement.
func (s *summary) define(name string) {
	if s.common == nil {
		s.common = map[string]bool{}
	}
	s.common[fold(name)] = true
}

// fold returns the name without quotes and in lower case.
func fold(name string) string { return strings.ToLower(strings.Trim(name, "\"'`[]")) }

// part adds an operation or a target to the summary: the tokens from first to
// last. The first one that does not fit is the end of the summary.
func (s *summary) part(first, last int) {
	size := len(" ")
	for i := first; i <= last; i++ {
		size += utf8.RuneCountInString(s.name(i))
	}
	if size > s.left {
		s.left = 0
		return
	}
	s.left -= size
	if s.out.Len() > 0 {
		s.out.WriteByte(' ')
	}
	for i := first; i <= last; i++ {
		s.out.WriteString(s.name(i))
	}
}
