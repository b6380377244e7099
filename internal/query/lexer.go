package query

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is the kind of a token.
type kind uint8

const (
	symbol      kind = iota // an operator or a punctuation mark
	word                    // a name without quotes, or a keyword
	quoted                  // a name in quotes
	ambiguous               // in quotes: a name or a string, by its position
	literal                 // a string or a number, with its prefix or sign
	placeholder             // a parameter or a variable
)

// token is a piece of the text. White space and comments belong to no token.
type token struct {
	kind       kind
	spaced     bool // the output needs a space before it
	start, end int32
}

// lexer splits a text into tokens.
type lexer struct {
	*grammar
	text   string
	pos    int
	tokens []token
	// escaped reports whether the last token is a string in which backslashes escape.
	// A string that follows continues it (E'a' '\'' in PostgreSQL).
	escaped bool
	// open reports whether the last token is in a name if [...] is one.
	open bool
}

// lex returns the tokens of the text, and whether they are complete. It stops
// before text that is not valid in the dialect, not closed or not UTF-8.
func lex(text string, d Dialect) (tokens []token, complete bool) {
	readable := validPrefix(text[:min(len(text), maxLexed)])
	l := lexer{grammar: &grammars[d], text: readable, tokens: make([]token, 0, len(readable)/3+1)}
	for l.pos < len(l.text) {
		start := l.pos
		if !l.next() {
			return l.tokens, false
		}
		if l.brackets == unknown && l.crossesBracket(start) {
			return l.tokens[:max(0, len(l.tokens)-1)], false
		}
	}
	if len(readable) == len(text) {
		return l.tokens, true
	}
	// The last token may continue after the limit.
	return l.tokens[:max(0, len(l.tokens)-1)], false
}

// validPrefix returns the longest prefix of s that is UTF-8.
func validPrefix(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)) {
			return s[:i]
		}
	}
	return s
}

// next reads one token, space or comment. It returns false if there is none.
func (l *lexer) next() bool {
	c, after := l.text[l.pos], l.at(l.pos+1)
	switch {
	case isSpace(c):
		l.pos++
		return true
	case 'a' <= c|0x20 && c|0x20 <= 'z':
		return l.word()
	case c == '-' && after == '-' && (l.dashes != yes || l.at(l.pos+2) <= ' '), c == '#' && l.hash == hashComment:
		return l.lineComment()
	case c == '/' && after == '*':
		return l.blockComment()
	case c == '/' && after == '/' && l.slashes == unknown:
		return false
	case c == '\'':
		return l.str(l.pos, l.escapes)
	case c == '"':
		return l.quote(l.doubleQuotes, '"', l.escapes)
	case c == '`' && l.backticks:
		return l.quote(quoted, '`', unknown)
	case c == '[' && l.brackets == yes:
		return l.quote(quoted, ']', no)
	case isDigit(c), c == '.' && isDigit(after):
		return l.number(l.pos)
	case c == '$':
		return l.dollar()
	case c == '@':
		return l.atSign()
	case c == ':' && (after == ':' || after == '='):
		return l.emit(symbol, l.pos+2)
	case c == ':', c == '?':
		return l.parameter(c)
	case c == '#' && l.hash == hashOperator, isOperator(c):
		return l.emit(symbol, l.pos+1)
	}
	return l.word()
}

// crossesBracket reports whether the text read from start ends differently if
// [...] is a name.
func (l *lexer) crossesBracket(start int) bool {
	switch piece := l.text[start:l.pos]; piece {
	case "[":
		l.open = true
	case "]":
		l.open = false
		return l.at(l.pos) == ']'
	default:
		return l.open && strings.Contains(piece, "]")
	}
	return false
}

// at returns the byte at i, or 0 after the end.
func (l *lexer) at(i int) byte {
	if i < len(l.text) {
		return l.text[i]
	}
	return 0
}

// emit appends the token from l.pos to end.
func (l *lexer) emit(k kind, end int) bool {
	t := token{kind: k, start: int32(l.pos), end: int32(end)} //nolint:gosec // no more than maxLexed
	if n := len(l.tokens); n > 0 {
		last := &l.tokens[n-1]
		// Two adjacent minus signs may begin a comment once a comment after them is dropped.
		t.spaced = last.end < t.start || k == symbol && l.text[l.pos] == '-' && l.isSymbol(n-1, '-')
		// Only names have dots.
		if last.kind == ambiguous && l.text[l.pos] == '.' && k == symbol {
			last.kind = quoted
		}
		if k == ambiguous && l.isSymbol(n-1, '.') {
			t.kind = quoted
		}
	}
	l.tokens = append(l.tokens, t)
	l.pos = end
	l.escaped = false
	return true
}

// isSymbol reports whether token i is the symbol c.
func (l *lexer) isSymbol(i int, c byte) bool {
	return i >= 0 && l.tokens[i].kind == symbol && l.text[l.tokens[i].start] == c
}

// lineComment skips to the end of the line. It stops at a carriage return within
// a comment, because servers differ on it. If it may not be a comment, it must
// not contain quotes.
func (l *lexer) lineComment() bool {
	line, _, _ := strings.Cut(l.text[l.pos:], "\n")
	if l.dashes == unknown && l.at(l.pos+2) > ' ' && opensQuotes(line) {
		return false
	}
	l.pos += len(line)
	return !strings.Contains(strings.TrimSuffix(line, "\r"), "\r")
}

// blockComment skips a comment. A server may execute it or read a hint from it.
// The end of such a comment is not certain if it contains quotes.
func (l *lexer) blockComment() bool {
	start, depth := l.pos, 1
	for l.pos += 2; depth > 0; {
		switch {
		case l.pos+1 >= len(l.text):
			return false
		case l.text[l.pos:l.pos+2] == "*/":
			depth--
			l.pos += 2
		case l.text[l.pos:l.pos+2] == "/*" && l.nests != no:
			depth++
			l.pos += 2
		default:
			l.pos++
		}
		if depth > 1 && l.nests == unknown {
			return false
		}
	}
	body := l.text[start+2 : l.pos-2]
	live := strings.HasPrefix(body, "!") || strings.HasPrefix(body, "M!") || strings.HasPrefix(body, "+")
	return !live || !opensQuotes(body) && !strings.Contains(body, "--")
}

// opensQuotes reports whether s may contain a string, a name in quotes or a
// comment in some dialect. It ignores comments that begin with --.
func opensQuotes(s string) bool {
	return strings.ContainsAny(s, "'\"`#[$") || strings.Contains(s, "/*")
}

// str reads the string whose quote opens at open. Its prefix begins at l.pos.
func (l *lexer) str(open int, escapes tristate) bool {
	if l.escaped {
		escapes = yes
	}
	end, ok := l.closing(open, '\'', escapes)
	if !ok {
		return false
	}
	l.emit(literal, end)
	l.escaped = escapes == yes
	return true
}

// quote reads a token in quotes other than single quotes.
func (l *lexer) quote(k kind, closing byte, escapes tristate) bool {
	end, ok := l.closing(l.pos, closing, escapes)
	return ok && l.emit(k, end)
}

// closing returns the end of the token that opens at open and closes with
// quote. A doubled quote does not close it.
func (l *lexer) closing(open int, quote byte, escapes tristate) (end int, ok bool) {
	if escapes == unknown && l.at(open+1) == quote && l.at(open+2) == quote {
		return 0, false // three quotes open a string of their own in some dialects
	}
	for i := open + 1; i < len(l.text); i++ {
		switch {
		case l.text[i] == '\\' && escapes != no:
			i++
			if escapes == unknown && l.at(i) == quote {
				return 0, false
			}
		case l.text[i] != quote:
		case l.at(i+1) == quote:
			i++
		default:
			return i + 1, true
		}
	}
	return 0, false
}

// number reads a number whose first digit or point is at i, with all adjacent
// letters: 1e-5, 0x1F, 1_000, and 1st even where that is a name.
func (l *lexer) number(i int) bool {
	for ; i < len(l.text); i++ {
		c := l.text[i]
		exponent := (c == '-' || c == '+') && l.text[i-1]|0x20 == 'e' && isDigit(l.at(i+1))
		if !isWordByte(c) && c != '.' && (c != '$' || l.dollars != no) && !exponent {
			break
		}
	}
	if l.hasSign() {
		n := len(l.tokens) - 1
		l.pos = int(l.tokens[n].start)
		l.tokens = l.tokens[:n]
	}
	return l.emit(literal, i)
}

// hasSign reports whether the last token is the sign of a number at l.pos: it
// is adjacent, and the token before it cannot be an operand.
func (l *lexer) hasSign() bool {
	n := len(l.tokens) - 1
	if !l.isSymbol(n, '-') && !l.isSymbol(n, '+') || int(l.tokens[n].end) != l.pos {
		return false
	}
	if n == 0 {
		return true
	}
	before := l.tokens[n-1]
	if before.kind == word {
		return lookup(clauses, l.text[before.start:before.end]) != 0
	}
	return before.kind == symbol && !l.isSymbol(n-1, ')') && !l.isSymbol(n-1, ']')
}

// dollar reads $1, $name and $tag$...$tag$, and in some dialects the name $a$.
func (l *lexer) dollar() bool {
	if l.dollarNumbers && isDigit(l.at(l.pos+1)) {
		return l.number(l.pos + 1)
	}
	i := l.pos + 1
	for isWordByte(l.at(i)) || l.at(i) == '$' && l.dollars == no {
		i++
	}
	switch {
	case l.at(i) == '$' && !isDigit(l.at(l.pos+1)):
		if l.dollars == unknown {
			return false
		}
		tag := l.text[l.pos : i+1]
		body, _, ok := strings.Cut(l.text[i+1:], tag)
		return ok && l.emit(literal, i+1+len(body)+len(tag))
	case i > l.pos+1 && l.at(i) != '\'':
		return l.variable(i)
	}
	return false
}

// atSign reads @name, @@name, or the operator.
func (l *lexer) atSign() bool {
	i := l.pos + 1
	if l.at(i) == '@' {
		i++
	}
	end := l.wordEnd(i)
	if end == i || l.isPrefix(end) {
		return l.emit(symbol, l.pos+1)
	}
	return l.variable(end)
}

// isPrefix reports whether the word that ends at end may be the prefix of a
// string: <@E'a' has an operator, not the variable @E.
func (l *lexer) isPrefix(end int) bool {
	return l.at(end) == '\'' || l.at(end) == '&' && l.at(end+1) == '\''
}

// variable emits the variable that ends at end. In SQLite, the suffix of a Tcl
// variable may contain a quote, so it is rejected.
func (l *lexer) variable(end int) bool {
	if l.tcl != no && l.at(end) == '(' || l.tcl == yes && l.at(end) == ':' && l.at(end+1) == ':' {
		return false
	}
	return l.emit(placeholder, end)
}

// parameter reads :name, :1, ? and ?1. A colon before a number is a parameter
// only in some dialects; in others it may be the colon of x[1:2].
func (l *lexer) parameter(sign byte) bool {
	end := l.pos + 1
	if strings.IndexByte(l.numberedBy, sign) >= 0 {
		for isDigit(l.at(end)) {
			end++
		}
	}
	if sign == '?' {
		return l.emit(placeholder, end)
	}
	if end == l.pos+1 {
		end = l.wordEnd(end)
	}
	if end == l.pos+1 || l.isPrefix(end) {
		return l.emit(symbol, l.pos+1)
	}
	return l.variable(end)
}

// word reads a word, or a string with the word as its prefix.
func (l *lexer) word() bool {
	end := l.wordEnd(l.pos)
	if end == l.pos {
		return false
	}
	prefix := l.text[l.pos:end]
	switch {
	case l.at(end) == '&' && l.at(end+1) == '\'' && strings.EqualFold(prefix, "u"):
		return l.str(end+1, l.escapes)
	case l.at(end) != '\'':
		return l.emit(word, end)
	case strings.EqualFold(prefix, "e") && l.estrings:
		return l.str(end, yes)
	case strings.EqualFold(prefix, "b") && l.estrings:
		return l.str(end, unknown)
	case strings.EqualFold(prefix, "q"), strings.EqualFold(prefix, "nq"):
		return l.qstr(end)
	case prefix[0] == '_', len(prefix) == 1 && strings.Contains("nNbBxXeE", prefix):
		return l.str(end, l.escapes)
	}
	return l.emit(word, end)
}

// qstr reads Oracle's q'[...]'.
func (l *lexer) qstr(open int) bool {
	if l.qstrings != yes {
		return l.qstrings == no && l.emit(word, open)
	}
	closing, size := utf8.DecodeRuneInString(l.text[open+1:])
	if i := strings.IndexRune("[{(<", closing); i >= 0 {
		closing = rune("]})>"[i])
	}
	tail := string(closing) + "'"
	start := open + 1 + size
	body, _, ok := strings.Cut(l.text[start:], tail)
	return ok && l.emit(literal, start+len(body)+len(tail))
}

// wordEnd returns the end of the word at i, or i if there is none.
func (l *lexer) wordEnd(i int) int {
	start := i
	for i < len(l.text) {
		r, size := rune(l.text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(l.text[i:])
		}
		if !l.inName(r, i == start) {
			break
		}
		i += size
	}
	return i
}

// inName reports whether a name without quotes may begin with r, or continue
// with it.
func (l *lexer) inName(r rune, first bool) bool {
	switch {
	case 'a' <= r|0x20 && r|0x20 <= 'z', r == '_':
		return true
	case r >= utf8.RuneSelf:
		return unicode.IsLetter(r) || !first && (unicode.IsDigit(r) || unicode.IsMark(r))
	case first:
		return r == '#' && l.hash == hashName
	}
	return '0' <= r && r <= '9' || r == '$' || strings.ContainsRune(l.inWord, r)
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// isOperator reports whether c is an operator or a punctuation mark in every
// dialect.
func isOperator(c byte) bool {
	switch c {
	case '(', ')', '[', ']', '{', '}', ',', ';', '.', '+', '-', '*', '/', '%', '<', '>', '=', '!', '~', '^', '&', '|':
		return true
	}
	return false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isWordByte reports whether c is a letter, a digit, an underscore, or part of a
// character that is not ASCII.
func isWordByte(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || isDigit(c) || c == '_' || c >= utf8.RuneSelf
}
