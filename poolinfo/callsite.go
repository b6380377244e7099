package poolinfo

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// CallSite is where a connection was acquired: the program counters of the
// goroutine's stack as runtime.Callers gives them, nearest call first, with zeros
// after the last. It is zero if the call site was not captured. Two call sites are
// equal if the same calls led to them.
type CallSite [16]uintptr

// IsZero reports whether the call site was not captured.
func (s CallSite) IsZero() bool { return s[0] == 0 }

// library begins the names of the functions of the package that wraps drivers.
const library = "github.com/otelpool/otelpool."

// Frames returns the call site and its callers: the first frame outside database/sql
// and otelpool, and those that called it. It is empty if the call site was not
// captured.
func (s CallSite) Frames() []runtime.Frame {
	n := 0
	for n < len(s) && s[n] != 0 {
		n++
	}
	if n == 0 {
		return nil
	}
	var all []runtime.Frame
	for frames, more := runtime.CallersFrames(s[:n]), true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		switch {
		case strings.HasPrefix(f.Function, "runtime."): // the start of a goroutine, or a panic in progress
		case len(all) > 0 || !strings.HasPrefix(f.Function, "database/sql.") && !strings.HasPrefix(f.Function, library):
			all = append(all, f)
		}
	}
	return all
}

// String names the lines of up to three frames: "store.go:120 from stream.go:88". It
// is empty if the call site was not captured.
func (s CallSite) String() string {
	frames := s.Frames()
	var b strings.Builder
	for i, f := range frames[:min(3, len(frames))] {
		if i > 0 {
			b.WriteString(" from ")
		}
		fmt.Fprintf(&b, "%s:%d", filepath.Base(f.File), f.Line)
	}
	return b.String()
}

// MarshalText returns the text of s: a call site is written to JSON as its lines, not as
// addresses.
func (s CallSite) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// at returns " at " and the call site, "" if it was not captured.
func (s CallSite) at() string {
	if at := s.String(); at != "" {
		return " at " + at
	}
	return ""
}
