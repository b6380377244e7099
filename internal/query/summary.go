package query

import (
	"strings"
	"unicode/utf8"
)

// maxSummary is the maximum length in characters in the conventions.
const maxSummary = 255

// maxLeading bounds how many leading targets of a statement are compared with its
// tables. No server joins more tables.
const maxLeading = 64

// maxKindWords bounds the number of words up to the kind of the object: CREATE
// ALGORITHM = MERGE DEFINER = CURRENT_USER SQL SECURITY INVOKER VIEW.
const maxKindWords = 8

// want is the role of the next name.
type want uint8

const (
	noName want = iota
	target
	commonTable // the name of a common table expression
)

// scope is the state of the pass within parentheses, brackets or braces, or
// outside of all.
type scope struct {
	verb   verb // 0 in an expression
	want   want
	list   bool // another target follows a comma, and in a query a JOIN
	inWith bool // between WITH and the statement: another common table follows a comma
	on     bool // a target follows ON

	// leading and leadingEnd delimit the parts named before FROM or USING in an
	// UPDATE or DELETE. They may be aliases of the tables named after it.
	leading, leadingEnd int
	hasSources          bool // FROM or USING follows leading parts
}

// part is an operation or a target.
type part struct {
	first, last int // tokens
	kind        int // the token of the kind of object in the operation, or 0
	dropped     bool
}

// summary is the state and result of one pass over the tokens. The pass turns
// ambiguous tokens that are targets into names.
type summary struct {
	text         string
	tokens       []token
	i            int // the current token
	scopes       []scope
	atStart      bool // no word of the statement was read yet
	body         bool // the rest of the text is the body of the created object
	commonTables map[string]bool
	copiesData   bool // the data to copy follows the statement

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

// clause returns the clause of token i, or 0 if it is not a word.
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

// open enters a parenthesis. In a list of tables, it contains tables or a query.
// Otherwise the expected name may follow it (VACUUM (FULL) t).
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

// expression handles a token that is not part of a name.
func (s *summary) expression() {
	if sc := s.scope(); sc.want != target || !sc.verb.has(calls) || !s.inReturnValue() {
		sc.want = noName
	}
}

// inReturnValue reports whether the current token is part of @r = in
// EXEC @r = p.
func (s *summary) inReturnValue() bool {
	first := s.parts[len(s.parts)-1].last + 1
	return s.isPlaceholder(first) && s.is(first+1, "=") && s.i <= first+1
}

func (s *summary) isPlaceholder(i int) bool {
	return i < len(s.tokens) && s.tokens[i].kind == placeholder
}

// literal handles a literal. In some dialects it is a name in the place of a table,
// if it is valid without quotes.
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

// end handles a word that ends the names, unless it is a name itself or part of
// USE INDEX FOR JOIN (i).
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

// expectTarget sets whether a target comes next, and whether it is one of a list.
func (sc *scope) expectTarget(wanted, list bool) {
	sc.want, sc.list = noName, wanted && list
	if wanted {
		sc.want = target
	}
}

// expectSourceTables is expectTarget after FROM or USING.
func (sc *scope) expectSourceTables(wanted bool) {
	sc.expectTarget(wanted, true)
	sc.hasSources = sc.leadingEnd > sc.leading
}

// definesTables reports whether RECURSIVE, name ( or name AS ( follows the
// current WITH.
func (s *summary) definesTables() bool {
	if s.is(s.i+1, "RECURSIVE") || s.is(s.i+2, "(") && !s.is(s.i+1, "(") {
		return true
	}
	return s.is(s.i+2, "AS") && (s.is(s.i+3, "(") || s.is(s.i+3, "NOT") || s.is(s.i+3, "MATERIALIZED"))
}

// beginStatement begins a statement at the current word, if possible.
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

// beginsNested reports whether the current word, which is not the first of its
// statement, begins a nested one.
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
	// WHEN MATCHED THEN DELETE OUTPUT has no target.
	return led && s.nameFollows() && (s.clause(s.i+1) != mayEnd || !strings.EqualFold(name, "DELETE"))
}

// inDefinition reports whether the current token is directly in the parentheses
// of a created object: CREATE TABLE t (replace text).
func (s *summary) inDefinition() bool {
	return len(s.scopes) > 1 && s.scopes[len(s.scopes)-2].verb.has(hasKind)
}

// nameFollows reports whether the next token is a name, or may come before one.
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

// findKind skips to the kind of the object and adds it to the operation.
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

// nameOrModifier handles a word that is a name, or comes before one.
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

// precedesName reports whether the current word comes before the expected name.
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

// takeName takes the current token as the expected name, with the names joined
// to it by dots.
func (s *summary) takeName() {
	sc := s.scope()
	if sc.want == noName {
		return
	}
	first := s.i
	for dot := first + 1; s.is(dot, "."); dot++ { // db..t has two dots
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

// defineCommonTable records the name of a common table. It is not a target
// anywhere in the statement.
func (s *summary) defineCommonTable(name string) {
	if s.commonTables == nil {
		s.commonTables = map[string]bool{}
	}
	s.commonTables[fold(name)] = true
}

// fold returns the name without quotes and in lower case.
func fold(name string) string { return strings.ToLower(unquoted(name)) }

func unquoted(name string) string { return strings.Trim(name, "\"'`[]") }

// kindMayFollow reports whether the statement has no names so far.
func (s *summary) kindMayFollow(sc *scope) bool {
	return len(s.parts) == sc.leading && s.parts[sc.leading-1].kind == 0
}

// addKind adds the kind of the object to its operation.
func (s *summary) addKind(i int) {
	s.parts[len(s.parts)-1].kind = i
}

// dropAliases drops the leading targets that refer to the table whose name spans
// the tokens from first to the current one: DELETE x FROM t x deletes from t.
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

// sameNames reports whether the names of p equal the tokens from first to the
// current one.
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
