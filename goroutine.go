package otelpool

import (
	"runtime"
	"slices"

	"github.com/otelpool/otelpool/internal/pool"
)

// maxExamined is how many goroutines of a profile are looked at closely.
const maxExamined = 1000

// goroutinesIn returns the goroutines of the process that are in one of the given
// functions: their stacks from there on. The program is stopped for two short moments.
func goroutinesIn(functions ...string) (out []stack) {
	records := make([]runtime.StackRecord, runtime.NumGoroutine()+64)
	n, ok := runtime.GoroutineProfile(records)
	if !ok {
		return nil // many more were started meanwhile
	}
	in := map[uintptr]bool{} // by program counter
	for i := range records[:n] {
		pcs := records[i].Stack()
		at := slices.IndexFunc(pcs, func(pc uintptr) bool {
			yes, known := in[pc]
			if !known {
				f := runtime.FuncForPC(pc - 1)
				yes = f != nil && slices.Contains(functions, f.Name())
				in[pc] = yes
			}
			return yes
		})
		if at >= 0 {
			var s stack
			copy(s[:], pcs[at:])
			out = append(out, s)
		}
		if len(out) == maxExamined {
			break
		}
	}
	return out
}

// The functions that read rows.
const (
	frameNext          = ScopeName + ".(*rows).Next"
	frameNextResultSet = ScopeName + ".(*rows).NextResultSet"
	frameNextRow       = ScopeName + ".scanRows.NextRow"
)

// notReading suspects those of some holders who are not reading a row. A read that
// began in the first second of its result set is not known to go on. It does if there
// is a goroutine in it that has come by the place where the connection was asked for;
// if that is not known, if there is any in a read.
func (c *connector) notReading(unsure []*pool.Conn) (suspects []pool.Holding) {
	readers := goroutinesIn(frameNext, frameNextResultSet, frameNextRow)
	for _, one := range unsure {
		h, held := one.Hold()
		by := pathOf(h.Stack)
		reads := slices.ContainsFunc(readers, func(s stack) bool {
			return len(by.frames) == 0 || cameBy(by, pathOf(s))
		})
		switch {
		case !held:
		case reads:
			one.Reading()
		default:
			if h, ok := one.Suspect(c.cfg.leakThreshold); ok {
				suspects = append(suspects, h)
			}
		}
	}
	return suspects
}
