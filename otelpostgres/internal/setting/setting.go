// Package setting finds idle_session_timeout, after how long without a statement a
// PostgreSQL server ends a session, and reads it.
package setting

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Name is the setting of the server. Before PostgreSQL 14 there is none.
const Name = "idle_session_timeout"

// Question asks a server for its version and for the setting; the second is null where
// there is none. It changes nothing in the session. The drivers close a connection whose
// call runs out of time; otelpool then dials another.
const Question = "SELECT current_setting('server_version'), current_setting('" + Name + "', true)"

// FromConfig returns the setting that a client sends when it connects, 0 if it sends
// none: a parameter, or in the options of the server's command line. The parameter
// counts, since the server reads it last.
func FromConfig(params map[string]string, options string) time.Duration {
	for name, value := range params {
		if strings.EqualFold(name, Name) {
			return Interval(value)
		}
	}
	return Interval(option(options))
}

// option returns the value that the last of the options -c name=value, -cname=value and
// --name=value gives the setting, empty if none does. A backslash takes the meaning
// from the character after it.
func option(options string) string {
	var found string
	words := split(options)
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case word == "-c" && i+1 < len(words):
			i++
			word = words[i]
		case strings.HasPrefix(word, "--"):
			word = word[2:]
		case strings.HasPrefix(word, "-c"):
			word = word[2:]
		default:
			continue
		}
		name, value, ok := strings.Cut(word, "=")
		if ok && strings.EqualFold(strings.ReplaceAll(name, "-", "_"), Name) {
			found = value
		}
	}
	return found
}

// split takes the words of a command line apart as the server does.
func split(s string) []string {
	var words []string
	var word strings.Builder
	inWord, escaped := false, false
	for i := range len(s) {
		c := s[i]
		space := c == ' ' || '\t' <= c && c <= '\r'
		switch {
		case escaped || !space && c != '\\':
			word.WriteByte(c)
			inWord, escaped = true, false
		case c == '\\':
			inWord, escaped = true, true
		case inWord:
			words = append(words, word.String())
			word.Reset()
			inWord = false
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

// Interval reads a setting of time as the server writes and takes it: a number, and a
// unit that is milliseconds if there is none. What it cannot read is 0, as is never.
func Interval(s string) time.Duration {
	s = strings.TrimSpace(s)
	i := strings.IndexFunc(s, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
	number, unit := s, ""
	if i >= 0 {
		number, unit = s[:i], strings.TrimSpace(s[i:])
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0
	}
	one, ok := units[unit]
	if !ok {
		return 0
	}
	ms := math.RoundToEven(n * float64(one) / float64(time.Millisecond))
	if ms > math.MaxInt32 { // the server refuses more
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// units are those of the server's settings, which tells capitals from small letters.
var units = map[string]time.Duration{
	"":    time.Millisecond,
	"us":  time.Microsecond,
	"ms":  time.Millisecond,
	"s":   time.Second,
	"min": time.Minute,
	"h":   time.Hour,
	"d":   24 * time.Hour,
}
