// Package setting finds and parses idle_session_timeout: how long a session may be idle
// before a PostgreSQL server ends it.
package setting

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Name is the server's setting. PostgreSQL has it since version 14.
const Name = "idle_session_timeout"

// ServerQuery returns the server's version and the setting, which is null where the
// server does not have it. It changes nothing in the session. The drivers close a
// connection whose call times out; otelpool then dials another.
const ServerQuery = "SELECT current_setting('server_version'), current_setting('" + Name + "', true)"

// FromConfig returns the setting that a client sends when it connects, as a parameter or
// in the options of the server's command line. It is 0 if the client sends none. The
// parameter takes precedence, since the server reads it last.
func FromConfig(params map[string]string, options string) time.Duration {
	for name, value := range params {
		if strings.EqualFold(name, Name) {
			return Interval(value)
		}
	}
	return Interval(option(options))
}

// option returns the value of the setting in options of the forms -c name=value,
// -cname=value and --name=value. The last one applies; without any the value is empty. A
// backslash escapes the next character.
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

// split splits a command line into words as the server does.
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

// Interval parses a time setting as the server does: a number and a unit, which defaults
// to milliseconds. It is 0 for a text that it cannot parse, and for a timeout that is off.
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

// units are the units of the server's settings. They are case-sensitive.
var units = map[string]time.Duration{
	"":    time.Millisecond,
	"us":  time.Microsecond,
	"ms":  time.Millisecond,
	"s":   time.Second,
	"min": time.Minute,
	"h":   time.Hour,
	"d":   24 * time.Hour,
}
