package query

import "strings"

// sanitise writes the tokens with ? for every literal, and with one space where
// white space or a comment separated two of them.
func sanitise(text string, tokens []token, o Options) string {
	if o.Collapse {
		tokens = collapse(text, tokens)
	}
	var out strings.Builder
	room := len(text)
	if o.MaxText > 0 {
		room = min(room, min(room, o.MaxText)+64) // one token more than the limit
	}
	out.Grow(room)
	for i, t := range tokens {
		piece := text[t.start:t.end]
		hidden := t.kind == literal || t.kind == ambiguous ||
			t.kind == word && isBoolean(piece) && !is(text, tokens, i-1, ".")
		if hidden {
			piece = "?"
		}
		if t.spaced || hidden && i > 0 && tokens[i-1].kind == word { // DATE'2020-01-01'
			out.WriteByte(' ')
		}
		out.WriteString(piece)
		if o.MaxText > 0 && out.Len() > o.MaxText {
			break
		}
	}
	return Cut(out.String(), o.MaxText)
}

// collapse drops all but the first value of an IN list, and all but the first
// row of VALUES. It reuses the array of tokens.
func collapse(text string, tokens []token) []token {
	kept := tokens[:0]
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		kept = append(kept, t)
		if t.kind != word {
			continue
		}
		switch end, name := list(text, tokens, i+1), text[t.start:t.end]; {
		case end == 0:
		case strings.EqualFold(name, "IN"):
			kept = append(kept, tokens[i+1], tokens[i+2])
			i = end - 1
		case strings.EqualFold(name, "VALUES"):
			kept = append(kept, tokens[i+1:end+1]...)
			for is(text, tokens, end+1, ",") {
				row := list(text, tokens, end+2)
				if row == 0 {
					break
				}
				end = row
			}
			i = end
		}
	}
	return kept
}

// list returns the index of the parenthesis that closes the list of plain values
// opening at i, or 0 if there is no such list.
func list(text string, tokens []token, i int) int {
	if !is(text, tokens, i, "(") {
		return 0
	}
	for i += 2; i < len(tokens); i += 2 {
		switch {
		case !isValue(text, tokens[i-1]):
			return 0
		case is(text, tokens, i, ")"):
			return i
		case !is(text, tokens, i, ","):
			return 0
		}
	}
	return 0
}

func isValue(text string, t token) bool {
	if t.kind != word {
		return t.kind == literal || t.kind == ambiguous || t.kind == placeholder
	}
	name := text[t.start:t.end]
	return isBoolean(name) || strings.EqualFold(name, "NULL") || strings.EqualFold(name, "DEFAULT")
}

// isQuotedWord reports whether text is a word in the quotes of a string.
func isQuotedWord(text string) bool {
	inside := strings.Trim(text, "'")
	if len(inside) == 0 || len(inside) != len(text)-2 || isDigit(inside[0]) {
		return false
	}
	for i := range len(inside) {
		if !isWordByte(inside[i]) {
			return false
		}
	}
	return true
}

func isBoolean(name string) bool {
	return strings.EqualFold(name, "TRUE") || strings.EqualFold(name, "FALSE")
}

// is reports whether token i is the keyword or the symbol s.
func is(text string, tokens []token, i int, s string) bool {
	if i < 0 || i >= len(tokens) || tokens[i].kind != word && tokens[i].kind != symbol {
		return false
	}
	return strings.EqualFold(text[tokens[i].start:tokens[i].end], s)
}
