// Package query tells what a statement does without telling what is in it: a
// summary to group by, and a text without literals.
//
// It follows OpenTelemetry's conventions for db.query.summary and
// db.query.text, and knows nothing else of OpenTelemetry. It is a lexer with a
// list of what each dialect quotes, and on top of it one pass that finds the
// operations and their targets. It does not check grammar.
//
// Invariants, for any text and options:
//
//   - no literal of the text is in the summary, nor in the sanitised text;
//   - the summary does not depend on white space, comments or literals, but for
//     a name that SQLite has in the quotes of one;
//   - what could not be read for certain is not told: the text is dropped and
//     the summary ends where the doubt begins.
//
// They hold for a server that quotes as its dialect does by default. Where a
// setting changes that (NO_BACKSLASH_ESCAPES in MySQL,
// standard_conforming_strings in PostgreSQL), [Generic] is the safe dialect.
package query

import (
	"strings"
	"unicode/utf8"
)

// maxLexed is how many bytes of a text are read. Of a longer one there is no
// sanitised text, and the summary is that of its beginning.
const maxLexed = 64 << 10

// Mode says what is told of a statement besides its summary.
type Mode uint8

const (
	// Sanitised is the text with ? for each literal, without comments and with
	// single spaces. Placeholders stay. So does NULL, which is not a literal that
	// the conventions list.
	//
	// The conventions would leave the text alone as soon as it has placeholders.
	// It is sanitised all the same: a literal beside a placeholder is as likely
	// to be somebody's name as any other.
	Sanitised Mode = iota
	// AsWritten is the text as the application wrote it, literals and all.
	AsWritten
	// Off is no text.
	Off
)

// Options says how to read statements and what to tell of them.
type Options struct {
	Dialect Dialect
	Text    Mode
	// Collapse shortens IN (?, ?, ?) to IN (?) and the rows of VALUES to the
	// first, in sanitised text. The first value of a list stays as it was, so
	// IN ($1, $2) becomes IN ($1).
	Collapse bool
	// MaxText is the length in bytes that the text is cut to, at the end of a
	// character. Zero or less is no limit.
	MaxText int
}

// Statement is what may be told of a statement.
type Statement struct {
	// Summary is the operations and their targets, as written and in order,
	// separated by spaces: at most 255 characters, cut between two of them. It is
	// empty if there is no operation that the package knows.
	Summary string
	// Text is empty if it is switched off, and if it was to be sanitised but the
	// statement is not certain to be free of literals then: it could not be
	// lexed, it is longer than 64 KiB, data follows it (COPY FROM STDIN), or its
	// grammar takes a password as a name (CREATE USER, PRAGMA key, EXEC p hunter2
	// in SQL Server, SET a.b TO hunter2 in PostgreSQL, and the like).
	//
	// Text as written may share memory with the statement.
	Text string
}

// Parse reads the statements in text. Its time is linear in the length of the
// text.
func Parse(text string, o Options) Statement {
	tokens, complete := lex(text, o.Dialect)
	s := summarise(text, tokens, o.Dialect)
	switch {
	case o.Text == AsWritten:
		return Statement{Summary: s.String(), Text: Cut(strings.ToValidUTF8(text, "\uFFFD"), o.MaxText)}
	case o.Text == Off || !complete || s.secret:
		return Statement{Summary: s.String()}
	}
	return Statement{Summary: s.String(), Text: sanitise(text, tokens, o)}
}

// Cut returns the longest beginning of s that has no more than limit bytes and
// ends with a whole character.
func Cut(s string, limit int) string {
	if limit <= 0 || len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return strings.Clone(s[:limit])
}
