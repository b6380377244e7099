package otelpool

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// AcquireError is the error of a call of a [DB] that got no connection: why, and what the pool
// looked like at that moment. A call that fails after it acquired a connection returns the driver's
// error unchanged.
type AcquireError struct {
	// Pool is the name of the pool.
	Pool string
	// Cause is why there was no connection.
	Cause poolinfo.Cause
	// Waited is how long the call waited, its own dials included.
	Waited time.Duration

	// MaxOpen is the limit of open connections, 0 if there is none. Held, Idle and Dialing are the
	// connections that were checked out, were not, and were being opened. Waiting is how many other
	// calls of the DB waited.
	MaxOpen, Held, Idle, Dialing, Waiting int
	// Holders are those who held connections for longest, the longest first; at most five.
	Holders []poolinfo.Holder

	err error
}

// newAcquireError makes the error of an acquire that failed now.
func newAcquireError(p *pool, cause poolinfo.Cause, waited time.Duration, err error) *AcquireError {
	s := p.ledger.Snapshot(nil)
	e := &AcquireError{
		Pool: p.name, Cause: cause, Waited: waited, err: err,
		MaxOpen: p.waits.maxOpen(), Held: s.Held, Idle: s.Idle + s.Fresh, Dialing: s.Dialing, Waiting: int(s.Waiting),
	}
	var longest [5]ledger.Holding
	held := longest[:p.ledger.Longest(longest[:])]
	for i := range held {
		e.Holders = append(e.Holders, telemetry.HolderOf(&held[i]))
	}
	return e
}

// Unwrap returns the error that *sql.DB would have returned.
func (e *AcquireError) Unwrap() error { return e.err }

// Timeout reports whether that error is a timeout, for code that checks without unwrapping, as it
// may with context.DeadlineExceeded.
func (e *AcquireError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.err, &t) && t.Timeout()
}

// Error explains the failure in one line: the cause, the state of the pool, up to three holders,
// and the error that *sql.DB would have returned.
func (e *AcquireError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "otelpool: no connection from pool %s: ", e.Pool)
	waited := e.Waited.Round(time.Microsecond)
	if waited >= time.Millisecond {
		waited = waited.Round(100 * time.Microsecond)
	}
	if waited >= time.Second {
		waited = waited.Round(100 * time.Millisecond)
	}
	switch e.Cause {
	case poolinfo.CauseDeadline:
		fmt.Fprintf(&b, "the deadline passed after %s", waited)
	case poolinfo.CauseCanceled:
		fmt.Fprintf(&b, "the caller canceled after %s", waited)
	case poolinfo.CausePoolClosed:
		fmt.Fprintf(&b, "it was closed, after a wait of %s", waited)
	case poolinfo.CauseDial:
		fmt.Fprintf(&b, "dialing failed after %s", waited)
	case poolinfo.CauseBackgroundDial:
		fmt.Fprintf(&b, "a dial in the background failed, after a wait of %s", waited)
	case poolinfo.CauseBadConn:
		fmt.Fprintf(&b, "every connection tried was bad (after %s)", waited)
	}
	if e.MaxOpen > 0 {
		fmt.Fprintf(&b, "; %d/%d held", e.Held, e.MaxOpen)
	} else {
		fmt.Fprintf(&b, "; %d held, no limit", e.Held)
	}
	fmt.Fprintf(&b, ", %d idle, %d dialing, %d more waiting", e.Idle, e.Dialing, e.Waiting)
	for i, h := range e.Holders[:min(3, len(e.Holders))] {
		b.WriteString([]string{"; longest: ", ", ", ", "}[i])
		b.WriteString(h.String())
	}
	// An error of a driver may have lines; a log entry is one.
	fmt.Fprintf(&b, ": %s", strings.ReplaceAll(fmt.Sprint(e.err), "\n", " "))
	return b.String()
}
