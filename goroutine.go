package otelpool

import (
	"runtime"
	"slices"

	"github.com/otelpool/otelpool/internal/ledger"
)

// maxExamined is how many goroutines of a profile are looked at closely.
const maxExamined = 1000

// profile is the goroutines of the process at one moment: that at which it is first
// asked, since to take it stops the program for two short moments.
type profile struct {
	taken   bool
	all     bool // there is none but those in records
	records []runtime.StackRecord
}

func (p *profile) take() {
	p.taken = true
	records := make([]runtime.StackRecord, runtime.NumGoroutine()+64)
	var n int
	if n, p.all = runtime.GoroutineProfile(records); p.all { // else many more were started meanwhile
		p.records = records[:n]
	}
}

// in returns the goroutines that are in one of the given functions: their stacks from
// there on. It reports false if those are not all.
func (p *profile) in(functions ...string) (out [][]uintptr, all bool) {
	if !p.taken {
		p.take()
	}
	in := map[uintptr]bool{} // by program counter
	for i := range p.records {
		pcs := p.records[i].Stack()
		at := slices.IndexFunc(pcs, func(pc uintptr) bool {
			yes, known := in[pc]
			if !known {
				f := runtime.FuncForPC(pc - 1)
				yes = f != nil && slices.Contains(functions, f.Name())
				in[pc] = yes
			}
			return yes
		})
		if at < 0 {
			continue
		}
		if len(out) == maxExamined {
			return out, false
		}
		out = append(out, pcs[at:])
	}
	return out, p.all
}

// cameBy reports whether a goroutine that is at one place has come by another: both
// were called in the same way up to one function, in which it is further down now, or,
// if it counts, in the same line.
func cameBy(by, now path, sameLine bool) bool {
	for i := range by.frames {
		for j := range now.frames {
			a, b := &by.frames[i], &now.frames[j]
			if a.Function == b.Function && (a.Line < b.Line || sameLine && a.Line == b.Line) && sameCalls(by.from(i+1), now.from(j+1)) {
				return true
			}
		}
	}
	return false
}

func (p path) from(i int) path { return path{p.frames[i:], p.whole} }

// sameCalls compares two paths as far as both are known.
func sameCalls(a, b path) bool {
	n := min(len(a.frames), len(b.frames))
	if whole := a.whole && b.whole; whole && len(a.frames) != len(b.frames) || !whole && n == 0 {
		return false
	}
	for i := range n {
		if a.frames[i].Function != b.frames[i].Function || a.frames[i].Line != b.frames[i].Line {
			return false
		}
	}
	return true
}

// The functions that read rows.
const (
	frameNext          = ScopeName + ".(*rows).Next"
	frameNextResultSet = ScopeName + ".(*rows).NextResultSet"
	frameNextRow       = ScopeName + ".scanRows.NextRow"
)

// readers finds out whether holders read a row. A read that began in the first second
// of its result set is not known to go on. It does if there is a goroutine in it that
// has come by the place where the connection was asked for; if that is not known, if
// there is any in a read; and if there are too many to know.
type readers struct {
	paths []path
	all   bool
}

func findReaders(p *profile) (r readers) {
	stacks, all := p.in(frameNext, frameNextResultSet, frameNextRow)
	r.all = all
	for _, pcs := range stacks {
		r.paths = append(r.paths, pathOf(pcs))
	}
	return r
}

func (r readers) mayInclude(h *ledger.Holding) bool {
	by := pathOf(h.Stack[:])
	return !r.all || slices.ContainsFunc(r.paths, func(p path) bool {
		return len(by.frames) == 0 || cameBy(by, p, true)
	})
}

// notReading suspects those of some holders who are not reading a row.
func (c *connector) notReading(unsure []*ledger.Conn) (suspects []ledger.Holding) {
	r := findReaders(&profile{})
	for _, one := range unsure {
		h, held := one.Hold()
		switch {
		case !held:
		case r.mayInclude(&h):
			one.Reading()
		default:
			if h, ok := one.Suspect(c.cfg.leakThreshold); ok {
				suspects = append(suspects, h)
			}
		}
	}
	return suspects
}
