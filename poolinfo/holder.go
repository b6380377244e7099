package poolinfo

import (
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Holder is who holds a connection.
type Holder struct {
	// ConnID is the number of the connection, see [Conn].
	ConnID uint64
	// Held is how long it has been held.
	Held time.Duration
	// Phase is what the holder does, and InPhase how long without a driver call in
	// between: for PhaseTx and PhasePinned the time that nothing was done with the
	// connection. Rows that are read in PhaseRows do not start it anew.
	Phase   Phase
	InPhase time.Duration
	// Idle is how long nothing was done with the connection: no driver call ran and
	// no row was read. Rows are counted, not timed, so it may be up to a second too
	// short. A read that began in the first second of its result set and has not
	// returned is not seen, and counts as nothing.
	Idle time.Duration
	// Statement is the summary of the last statement. It is empty before the first,
	// and if the last ones have none.
	Statement string
	// Span is the span that was current where the connection was acquired. It is not
	// valid if there was none.
	Span trace.SpanContext
	// CallSite is where the connection was acquired. It is zero with
	// otelpool.WithoutCallers, and where less than half of the pool was held: for calls
	// of a plain *sql.DB, unless a connection was held for long without a call site in
	// the last ten minutes, and for calls of an otelpool.DB that do not leave a
	// connection with their caller, such as Exec and QueryRow.
	CallSite CallSite
}

// String says how long the connection has been held, what for, and the lines of up to
// three frames: "5m12s (transaction idle for 5m11s) at store.go:120 from
// stream.go:88".
func (h Holder) String() string {
	doing := "idle"
	switch h.Phase {
	case PhaseExecuting:
		doing = "executing"
	case PhaseRows:
		doing = "rows open"
	case PhaseTx:
		doing = "transaction idle"
	case PhasePinned:
	}
	return fmt.Sprintf("%s (%s for %s)%s", brief(h.Held), doing, brief(h.InPhase), h.CallSite.at())
}

// lastStatement names what the holder ran last, "" if that is not known.
func (h *Holder) lastStatement() string {
	if h.Statement == "" {
		return ""
	}
	return ", last " + h.Statement
}

// HolderGroup is several holders that acquired their connections at one call site.
type HolderGroup struct {
	// Count is the number of holders, Longest the one that has held for longest. Its
	// call site is that of all.
	Count   int
	Longest Holder
	// Phases counts the holders by phase.
	Phases map[Phase]int
	// InCode is the number of holders that have held for a tenth of a second or more
	// and spent less than half of that in the database.
	InCode int
}

// brief rounds a duration to what is worth reading.
func brief(d time.Duration) string {
	unit := time.Microsecond
	switch {
	case d >= time.Second:
		unit = 100 * time.Millisecond
	case d >= time.Millisecond:
		unit = 100 * time.Microsecond
	}
	return d.Round(unit).String()
}
