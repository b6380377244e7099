package monitor

import (
	"runtime"
	"slices"
	"strings"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/poolinfo"
)

// maxExamined is how many goroutines of a profile are looked at closely.
const maxExamined = 1000

// Functions that goroutines of interest are in: the one that waits for a connection, and
// those that read rows.
const (
	library            = "github.com/otelpool/otelpool."
	frameConn          = "database/sql.(*DB).conn"
	frameNext          = library + "(*rows).Next"
	frameNextResultSet = library + "(*rows).NextResultSet"
	frameNextRow       = library + "scanRows.NextRow"
)

// profile is the goroutines of the process at one moment: that at which it is first
// used, since taking it stops the program for two short moments.
type profile struct {
	taken   bool
	all     bool // there is none but those in records
	records []runtime.StackRecord
}

func (p *profile) capture() {
	p.taken = true
	records := make([]runtime.StackRecord, runtime.NumGoroutine()+64)
	var n int
	if n, p.all = runtime.GoroutineProfile(records); p.all { // else many more were started meanwhile
		p.records = records[:n]
	}
}

// in returns the goroutines that are in one of the given functions: their stacks from
// there on. It reports false if those are not all.
func (p *profile) in(functions ...string) (stacks [][]uintptr, all bool) {
	if !p.taken {
		p.capture()
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
		if len(stacks) == maxExamined {
			return stacks, false
		}
		stacks = append(stacks, pcs[at:])
	}
	return stacks, p.all
}

// waiters returns the goroutines that wait for a connection of any *sql.DB.
func (p *profile) waiters() (all []poolinfo.Waiter) {
	stacks, _ := p.in(frameConn)
	for _, pcs := range stacks {
		w := poolinfo.Waiter{Waited: -1}
		copy(w.CallSite[:], pcs)
		all = append(all, w)
	}
	return all
}

// path is how a goroutine has come to a place: the callers, the nearest first.
type path struct {
	frames []runtime.Frame
	whole  bool // from where the goroutine began
}

// pathOf reads a stack up to the first zero, without the frames of database/sql and
// otelpool at its top.
func pathOf(pcs []uintptr) (p path) {
	if n := slices.Index(pcs, 0); n >= 0 {
		pcs = pcs[:n]
	}
	if len(pcs) == 0 {
		return path{}
	}
	for frames, more := runtime.CallersFrames(pcs), true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		switch {
		case f.Function == "runtime.goexit" || f.Function == "runtime.main":
			p.whole = true
			return p
		case strings.HasPrefix(f.Function, "runtime."): // a panic in progress
		case len(p.frames) > 0 || !strings.HasPrefix(f.Function, "database/sql.") && !strings.HasPrefix(f.Function, library):
			p.frames = append(p.frames, f)
		}
	}
	return p
}

func (p path) from(i int) path { return path{p.frames[i:], p.whole} }

// passedThrough reports whether a goroutine that is at one place has passed through
// another: both were called in the same way up to one function, in which it is further
// down now, or, if it counts, in the same line.
func passedThrough(site, now path, sameLine bool) bool {
	for i := range site.frames {
		for j := range now.frames {
			a, b := &site.frames[i], &now.frames[j]
			if a.Function == b.Function && (a.Line < b.Line || sameLine && a.Line == b.Line) && sameCalls(site.from(i+1), now.from(j+1)) {
				return true
			}
		}
	}
	return false
}

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

// readers are the goroutines that read a row. Whether a read that began in the first
// second of its result set still runs is not recorded. It does if a goroutine is in a
// read and has passed through the holder's call site; if that call site is not known, if
// any goroutine is in a read; and if there are too many goroutines to know.
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

// mayInclude reports whether a holder may be reading a row.
func (r readers) mayInclude(h *ledger.Holding) bool {
	site := pathOf(h.CallSite[:])
	return !r.all || slices.ContainsFunc(r.paths, func(p path) bool {
		return len(site.frames) == 0 || passedThrough(site, p, true)
	})
}
