// Package query describes a statement without revealing its values: a summary
// to group by, and a text without literals.
//
// It follows OpenTelemetry's conventions for db.query.summary and
// db.query.text, and depends on nothing else of OpenTelemetry. It is a lexer
// with the quoting rules of each dialect, followed by one pass that finds the
// operations and their targets. It does not check grammar.
//
// Invariants, for any text and options:
//
//   - no literal of the text is in the summary, nor in the sanitised text;
//   - the summary does not depend on white space, comments or literals, except
//     for a name in single quotes in SQLite;
//   - if the text is ambiguous, it is dropped, and the summary ends before the
//     first ambiguous token.
//
// They hold for a server with the default quoting rules of its dialect. If a
// setting changes these (NO_BACKSLASH_ESCAPES in MySQL,
// standard_conforming_strings in PostgreSQL), [Generic] is the safe dialect.
package query

import (
	"strings"
	"unicode/utf8"
)

// maxLexed is the number of bytes of a text that are read. A longer text has no
// sanitised text, and its summary covers only its beginning.
const maxLexed = 64 << 10

// Mode selects the text of a statement that is returned with its summary.
type Mode uint8

const (
	// Sanitised is the text with ? for each literal, without comments and with
	// single spaces. Placeholders stay. So does NULL: the conventions do not list
	// it as a literal.
	//
	// The conventions leave a text with placeholders unchanged. It is sanitised
	// here too: a literal beside a placeholder may be a person's name like any
	// other.
	Sanitised Mode = iota
	// AsWritten is the text as the application wrote it, with its literals.
	AsWritten
	// Off is no text.
	Off
)

// Options selects how statements are read and what is returned.
type Options struct {
	Dialect Dialect
	Text    Mode
	// Collapse shortens IN (?, ?, ?) to IN (?) and the rows of VALUES to the
	// first, in sanitised text. The first value of a list stays as it was, so
	// IN ($1, $2) becomes IN ($1).
	Collapse bool
	// MaxText is the length in bytes to which the text is truncated, at the end of
	// a character. Zero or less is no limit.
	MaxText int
}

// Statement is the part of a statement that is safe to report.
type Statement struct {
	// Summary is the operations and their targets, as written and in order,
	// separated by spaces: at most 255 characters, truncated between two of them.
	// It is empty if the package knows none of the operations.
	Summary string
	// Text is empty if it is switched off. A sanitised text is also empty if it
	// may still contain literals: it could not be lexed, it is longer than 64 KiB,
	// data follows it (COPY FROM STDIN), or its grammar allows a password as a
	// name (CREATE USER, PRAGMA key, EXEC p hunter2 in SQL Server, SET a.b TO
	// hunter2 in PostgreSQL, and the like).
	//
	// Text as written may share memory with the statement.
	Text string
}

// Parse reads the statements in text, in time linear in its length.
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

// Cut returns the longest prefix of s that has at most limit bytes and ends with
// a whole character. A limit of zero or less is no limit.
func Cut(s string, limit int) string {
	if limit <= 0 || len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return strings.Clone(s[:limit])
}
