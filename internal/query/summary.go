package query

import (
	"strings"
	"unicode/utf8"
)

// maxSummary is the length in characters that the conventions allow.
const maxSummary = 255

// maxReferred bounds how many names of one statement are held against its tables.
// No server joins more tables than that.
const maxLeading = 64

// maxSought bounds how many words are before the kind of the object: CREATE
// ALGORITHM = MERGE DEFINER = CURRENT_USER SQL SECURITY INVOKER VIEW.
const maxKindWords = 8

// want is what the next name is.
type want uint8

const (
	noName want = iota
	target
	commonTable // the name of a table that the statement itself defines
)

// scope is what is known of the statement between two parentheses, brackets or
// braces, or outside of all.
type scope struct {
	verb   verb // none in an expression
	want   want
	list   bool // a comma, and in a query a JOIN, brings another target
	inWith bool // between WITH and the statement: a comma brings another common table
	on     bool // ON brings a target

	// The parts that are named before FROM or USING, in an UPDATE or DELETE. If
	// that comes, they may only refer to tables that are named after it.
	leading, leadingEnd int
	hasSources          bool // it came
}

// part is an operation or a target.
type part struct {
	first, last int // tokens
	kind        int // the token of the kind of object that is a part of the operation, or 0
	dropped     bool
}

// summary is what one pass over the tokens finds. On its way it makes names of
// the doubtful tokens that are targets.
type summary struct {
	text         string
	tokens       []token
	i            int // the token that is looked at
	scopes       []scope
	atStart      bool // no word of the statement was read
	body         bool // the rest of the text is the body of what was created
	commonTables map[string]bool
	copiesData   bool // what follows the statement is the data that it copies

	*grammar
	parts  []part
	secret bool // there may be a password that is not a literal
}

func summarise(text string, tokens []token, d Dialect) *summary {
	s := &summary{
		text: text, tokens: tokens, scopes: make([]scope, 1, 8), atStart: true,
		grammar: &grammars[d], parts: make([]part, 0, 8),
	}
	for s.i = 0; s.i < len(s.tokens); s.i++ {
		switch t := tokens[s.i]; t.kind {
		case symbol:
			s.symbol(text[t.start])
		case word:
			s.word(s.name(s.i))
		case quoted, ambiguous:
			s.flagSecret(t.kind)
			s.takeName()
		case literal:
			s.flagSecret(t.kind)
			s.literal(s.name(s.i))
		case placeholder:
			s.expression()
		}
	}
	return s
}

// String returns the summary. It ends before the first part that does not fit.
func (s *summary) String() string {
	var out strings.Builder
	left := maxSummary
	for _, p := range s.parts {
		if p.dropped {
			continue
		}
		start := out.Len()
		if start > 0 {
			out.WriteByte(' ')
		}
		for i := p.first; i <= p.last; i++ {
			out.WriteString(s.name(i))
		}
		if p.kind > 0 {
			out.WriteByte(' ')
			out.WriteString(s.name(p.kind))
		}
		if left -= utf8.RuneCountInString(out.String()[start:]); left < 0 {
			return out.String()[:start]
		}
	}
	return out.String()
}

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
		sc.want = noName
		s.scopes = append(s.scopes, scope{verb: sc.verb & opaque})
	case ')', ']', '}':
		if len(s.scopes) > 1 {
			s.scopes = s.scopes[:len(s.scopes)-1]
		}
	case ',':
		s.comma(sc)
	case ';':
		if s.copiesData && s.i+1 < len(s.tokens) {
			s.secret = true
			s.tokens = s.tokens[:s.i+1]
		}
		if !s.body {
			s.scopes = append(s.scopes[:0], scope{})
			s.atStart = true
			clear(s.commonTables)
		}
	case '=':
		s.secret = s.secret || s.setsToName(sc)
		s.expression()
	default:
		s.expression()
	}
}

// open enters a parenthesis. Where tables are named, it holds tables or a
// query; anywhere else, the name that is wanted is still to come after it
// (VACUUM (FULL) t).
func (s *summary) open(sc *scope) {
	inner := scope{verb: sc.verb & (opaque | calls)}
	if sc.verb.has(calls) {
		sc.want = noName
	}
	if sc.want == target && sc.list && sc.verb.has(query) && !s.is(s.i-1, "TOP") {
		inner = scope{
			verb: query, want: target, list: true,
			leading: sc.leading, leadingEnd: sc.leadingEnd, hasSources: sc.hasSources,
		}
		sc.want = noName
	}
	s.scopes = append(s.scopes, inner)
}

func (s *summary) comma(sc *scope) {
	switch {
	case sc.inWith:
		sc.want = commonTable
	case sc.list:
		sc.want = target
	default:
		sc.want = noName
	}
}

// expression notes a token that is in no name.
func (s *summary) expression() {
	if sc := s.scope(); sc.want != target || !sc.verb.has(calls) || !s.inReturnValue() {
		sc.want = noName
	}
}

// returns reports whether the token that is looked at is in the @r = of
// EXEC @r = p.
func (s *summary) inReturnValue() bool {
	first := s.parts[len(s.parts)-1].last + 1
	return s.isPlaceholder(first) && s.is(first+1, "=") && s.i <= first+1
}

func (s *summary) isPlaceholder(i int) bool {
	return i < len(s.tokens) && s.tokens[i].kind == placeholder
}

// literal notes a literal, which is a name where a table is named in a dialect
// that has such names, if it could be one without quotes.
func (s *summary) literal(text string) {
	if sc := s.scope(); s.stringNames && isQuotedWord(text) && sc.list && sc.verb.has(query) {
		s.takeName()
		return
	}
	s.expression()
}

func (s *summary) word(name string) {
	c := lookup(clauses, name)
	s.secret = s.secret || s.isSecret(s.scope(), name, c)
	first := s.atStart
	s.atStart = false
	begins := first || c == statement || c == definition || c == execution
	if s.is(s.i-1, ".") || begins && s.beginStatement(name, first) {
		return
	}
	switch sc := s.scope(); c {
	case from:
		if !s.is(s.i-1, "DISTINCT") { // IS DISTINCT FROM
			sc.expectSourceTables(sc.verb.has(query))
		}
		s.copiesData = s.copiesData || !sc.verb.has(query) && s.is(s.i+1, "STDIN")
	case join:
		sc.expectTarget(sc.list && sc.verb.has(query), true)
	case intoTable:
		sc.expectTarget(sc.verb.has(into), false)
	case usingTable:
		// JOIN t USING (c) is not DELETE FROM t USING u.
		if sc.verb.has(using) && (sc.verb.has(into) || !s.is(s.i+1, "(")) {
			sc.expectSourceTables(true)
		}
	case onObject:
		if sc.on {
			sc.expectTarget(!s.is(s.i-1, "PROXY"), sc.verb.has(listed))
			sc.on = false
		} else if !sc.verb.has(query) { // UPDATE HISTOGRAM ON a, b
			sc.list = false
		}
	case with:
		if s.definesTables() {
			sc.inWith, sc.want = true, commonTable
		}
	case identified:
		s.secret = s.secret || !sc.verb.has(query) || s.is(s.i+1, "BY")
	case ends, mayEnd:
		s.end(sc, c)
	default:
		s.nameOrModifier(name, c)
	}
}

// end notes a word after which no more names come, unless it is a name itself
// or in USE INDEX FOR JOIN (i).
func (s *summary) end(sc *scope, c clause) {
	switch {
	case c == mayEnd && sc.want != noName && !s.is(s.i+1, "="): // EXPLAIN FORMAT = JSON
		s.takeName()
	case s.is(s.i, "FOR") && (s.is(s.i-1, "INDEX") || s.is(s.i-1, "KEY")):
		for s.i+1 < len(s.tokens) && s.tokens[s.i+1].kind == word {
			s.i++
		}
	default:
		sc.expectTarget(false, false)
	}
}

// expect says whether a target comes next, and whether it is one of a list.
func (sc *scope) expectTarget(wanted, list bool) {
	sc.want, sc.list = noName, wanted && list
	if wanted {
		sc.want = target
	}
}

// expectSources is expect after FROM or USING.
func (sc *scope) expectSourceTables(wanted bool) {
	sc.expectTarget(wanted, true)
	sc.hasSources = sc.leadingEnd > sc.leading
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
func (s *summary) beginStatement(name string, first bool) bool {
	sc := s.scope()
	v := lookup(verbs, name)
	if v == 0 || sc.verb.has(opaque) || !first && !s.beginsNested(sc, v, name) {
		return false
	}
	*sc = scope{verb: v, on: v.has(on)}
	sc.expectTarget(v.has(named), v.has(listed))
	s.parts = append(s.parts, part{first: s.i, last: s.i})
	sc.leading, sc.leadingEnd = len(s.parts), len(s.parts)
	s.secret = s.secret || v.has(takesPassword)
	if v.has(hasKind) {
		s.findKind(sc)
	}
	return true
}

// nested reports whether a statement begins with the word that is looked at,
// which is not the first of its statement.
func (s *summary) beginsNested(sc *scope, v verb, name string) bool {
	before := s.i - 1
	switch {
	case s.is(before, "AS") && sc.verb.has(query): // the name of a column
		return false
	case s.clause(s.i) == definition:
		return sc.verb.has(controlFlow)
	case s.clause(s.i) == execution:
		return s.bareStrings && !s.is(before, ",") && (s.nameFollows() || s.is(s.i+1, "(") || s.isPlaceholder(s.i+1))
	case strings.EqualFold(name, "SELECT"),
		v.has(into) && s.clause(s.i+1) == intoTable,
		strings.EqualFold(name, "DELETE") && s.clause(s.i+1) == from:
		return true
	}
	led := s.is(before, "(") && !s.inDefinition() || s.is(before, ")") ||
		s.tokens[before].kind == word && lookup(leads, s.name(before))
	// WHEN MATCHED THEN DELETE OUTPUT names nothing.
	return led && s.nameFollows() && (s.clause(s.i+1) != mayEnd || !strings.EqualFold(name, "DELETE"))
}

// inDefinition reports whether the summary is directly in the parentheses of
// what is created: CREATE TABLE t (replace text).
func (s *summary) inDefinition() bool {
	return len(s.scopes) > 1 && s.scopes[len(s.scopes)-2].verb.has(hasKind)
}

// nameFollows reports whether the next token is a name, or what may come before
// one.
func (s *summary) nameFollows() bool {
	if s.i+1 >= len(s.tokens) {
		return false
	}
	if k := s.tokens[s.i+1].kind; k != word {
		return k == quoted || k == ambiguous
	}
	switch s.clause(s.i + 1) {
	case 0, modifier, condition, adverb, mayEnd:
		return true
	default:
		return false
	}
}

// seek goes on to the kind of the object, which is a part of the operation.
func (s *summary) findKind(sc *scope) {
	words := 0
	for i := s.i + 1; i < len(s.tokens) && words < maxKindWords && !s.is(i, "(") && !s.is(i, ";"); i++ {
		if k := s.tokens[i].kind; k != word {
			if k != symbol && !s.is(i-1, "=") && !s.is(i-1, "@") { // DEFINER = 'a'@'b'
				break
			}
			continue
		}
		words++
		k := lookup(objectKinds, s.name(i))
		if k == 0 {
			continue
		}
		s.i = i
		s.addKind(i)
		sc.on = k&onTable != 0
		if sc.verb.has(defines) && k&operation != 0 {
			sc.verb |= opaque
			s.body = k&body != 0
		}
		if k&principal != 0 {
			s.secret = true
			sc.expectTarget(false, false)
		}
		return
	}
	sc.expectTarget(false, false)
}

// optional notes a word that is a name, unless it is one that may come before a
// name and something else follows.
func (s *summary) nameOrModifier(name string, c clause) {
	sc := s.scope()
	switch {
	case sc.want != target:
		s.takeName()
	case c == orAction:
		s.i++
	case sc.verb.has(on) && s.is(s.i, "ALL") && s.is(s.i+2, "IN") && s.is(s.i+3, "SCHEMA"): // ALL TABLES IN SCHEMA
		s.i += 2
	case sc.verb.has(object) && s.kindMayFollow(sc) && lookup(objectKinds, name) != 0 && s.nameFollows():
		s.addKind(s.i)
		if lookup(objectKinds, name)&principal != 0 {
			s.secret = true
			sc.expectTarget(false, false)
		}
	case !s.precedesName(sc, c):
		s.takeName()
	}
}

// comesBefore reports whether the word that is looked at comes before the name
// that is wanted.
func (s *summary) precedesName(sc *scope, c clause) bool {
	next := s.clause(s.i + 1)
	switch {
	case next == intoTable, // INSERT ALL INTO
		s.is(s.i+1, "TABLE") && sc.verb.has(dml|object): // INTO TEMP TABLE
		return true
	case c == modifier:
		return s.nameFollows() || s.is(s.i+1, "(") || next == from
	case c == condition:
		return !sc.verb.has(query) && (s.nameFollows() || next == onObject)
	}
	return c == adverb && sc.verb.has(adverbial) && s.nameFollows()
}

// takeName takes the token that is looked at for the name that is wanted, with
// what is joined to it by dots.
func (s *summary) takeName() {
	sc := s.scope()
	if sc.want == noName {
		return
	}
	first := s.i
	for dot := first + 1; s.is(dot, "."); dot++ { // two dots, too: db..t
		if next := dot + 1; next < len(s.tokens) && (s.tokens[next].kind == word || s.tokens[next].kind == quoted) {
			s.i, dot = next, next
		}
	}
	s.secret = s.secret || s.isKey(sc)
	switch {
	case sc.want == commonTable && s.is(first, "RECURSIVE") && s.nameFollows():
		return
	case sc.want == commonTable:
		s.defineCommonTable(s.name(first))
	default:
		s.dropAliases(sc, first)
		if s.i > first || s.commonTables == nil || !s.commonTables[fold(s.name(first))] {
			s.parts = append(s.parts, part{first: first, last: s.i})
		}
		if sc.verb.has(byAlias) && !sc.hasSources {
			sc.leadingEnd = len(s.parts)
		}
	}
	if s.tokens[first].kind != word {
		s.tokens[first].kind = quoted
	}
	sc.want = noName
}

// define notes the name of a common table. It is not a target, wherever it
// stands in the statement.
func (s *summary) defineCommonTable(name string) {
	if s.commonTables == nil {
		s.commonTables = map[string]bool{}
	}
	s.commonTables[fold(name)] = true
}

// fold returns the name without quotes and in lower case.
func fold(name string) string { return strings.ToLower(unquoted(name)) }

func unquoted(name string) string { return strings.Trim(name, "\"'`[]") }

// kindMayFollow reports whether nothing was named since the statement began.
func (s *summary) kindMayFollow(sc *scope) bool {
	return len(s.parts) == sc.leading && s.parts[sc.leading-1].kind == 0
}

// addKind adds the kind of the object to its operation, of which it is a part.
func (s *summary) addKind(i int) {
	s.parts[len(s.parts)-1].kind = i
}

// dereference drops the target that refers to the table whose name begins at
// first and ends where the summary is: DELETE x FROM t x is a DELETE of t.
func (s *summary) dropAliases(sc *scope, first int) {
	if !sc.hasSources {
		return
	}
	alias := s.i + 1
	if s.is(alias, "AS") {
		alias++
	}
	for i := sc.leading; i < min(sc.leadingEnd, sc.leading+maxLeading); i++ {
		p := &s.parts[i]
		switch single := p.first == p.last; {
		case single && (s.same(p.first, s.i) || s.same(p.first, alias)), !single && s.sameNames(p, first):
			p.dropped = true
		}
	}
}

// same reports whether tokens i and j are the same name.
func (s *summary) same(i, j int) bool {
	return j < len(s.tokens) && strings.EqualFold(unquoted(s.name(i)), unquoted(s.name(j)))
}

// sameNames reports whether what p names is written again from first to where the
// summary is.
func (s *summary) sameNames(p *part, first int) bool {
	if p.last-p.first != s.i-first {
		return false
	}
	for i := range s.i - first + 1 {
		if !s.same(p.first+i, first+i) {
			return false
		}
	}
	return true
}
