package poolinfo

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// ClosedConn is a connection that was closed, and why.
type ClosedConn struct {
	// Time is when it was closed.
	Time time.Time
	// Pool is the name of the pool, ConnID the number of the connection, see [Conn].
	Pool   string
	ConnID uint64
	// Reason is why it was closed. It is zero for a close by a limit that is not known
	// yet.
	Reason Reason
	// Class is the failure that broke it, empty if there was none.
	Class Class
	// Age is how long it was open, Uses how often it was acquired. Idle is how long
	// nothing had been done with it when it failed, or was closed for another reason;
	// in the latter case it is zero if it was held.
	Age, Idle time.Duration
	Uses      int64
	// ErrorType and Code are error.type and db.response.status_code of the error that
	// broke it, or else of the last error that the driver returned for it, if no call
	// has succeeded since; empty if there was none.
	ErrorType, Code string
	// DriverNotice is what the driver reported about its end outside of its results,
	// such as to its logger. It is nil if there is no adapter, or nothing was
	// reported. Its text appears nowhere else.
	DriverNotice error
	// Server is what was known of the server.
	Server Server
	// Advice says in one sentence what to change, empty if there is nothing.
	Advice string
}

// String says in one line what happened: "pool orders: connection 7 closed as bad
// (killed by the server or an administrator): 31s old, idle for 2s, used 12 times".
//
// It has no text of an error.
func (c ClosedConn) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pool %s: connection %d closed %s: %s old", c.Pool, c.ConnID, c.why(), brief(c.Age))
	switch {
	case c.Idle >= time.Millisecond:
		fmt.Fprintf(&b, ", idle for %s", brief(c.Idle))
	case c.Reason == ReasonBad:
		b.WriteString(", in use")
	}
	switch c.Uses {
	case 0:
		b.WriteString(", never used")
	case 1:
		b.WriteString(", used once")
	default:
		fmt.Fprintf(&b, ", used %d times", c.Uses)
	}
	if c.Code != "" && c.Class != "" {
		fmt.Fprintf(&b, ", code %s", c.Code)
	}
	if c.Advice != "" {
		b.WriteString("; " + c.Advice)
	}
	return b.String()
}

// why says in a few words why the connection was closed.
func (c *ClosedConn) why() string {
	switch c.Reason {
	case 0:
		return "by a limit"
	case ReasonBad:
		return fmt.Sprintf("as bad (%s)", cmp.Or(c.Class.Description(), string(c.Class)))
	default:
		return fmt.Sprintf("(%s)", cmp.Or(c.Reason.explanation(), c.Reason.String()))
	}
}
