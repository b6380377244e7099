package monitor

import (
	"fmt"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// maxClosed is how many closed connections a pool keeps.
const maxClosed = 64

// ClosedConn is a connection that was closed.
type ClosedConn struct {
	poolinfo.ClosedConn
	// Deferred says that the reason is not known yet, and ClosedBy by which function of
	// database/sql it is resolved. See [Monitor.ResolveReason].
	Deferred bool
	ClosedBy int
	// IdleInHold says that it was idle while it was held, and not in the pool.
	IdleInHold bool
	// Notice returns what the driver reported about the connection; nil if there is
	// no adapter. It may be reported after the close.
	Notice func() error
}

// ConnClosed keeps a connection that was closed, with advice.
func (m *Monitor) ConnClosed(c *ClosedConn) {
	if !c.Deferred {
		c.Advice = c.advice()
	}
	m.recentlyClosed.add(*c)
	if c.Reason == poolinfo.ReasonBad && !c.Deferred {
		m.connLost(c.Class)
	}
}

// connLost notes a connection that broke. One whose caller canceled is not lost: many
// drivers close it, and nothing is wrong with the server.
func (m *Monitor) connLost(class poolinfo.Class) {
	if class != poolinfo.ClassCanceled && class != poolinfo.ClassDeadline {
		m.losses.add(m.ledger.Now(), class)
	}
}

// ResolveReason gives its reason to the oldest connection that was closed by a function and
// whose reason was deferred. The connection may not be kept any more.
func (m *Monitor) ResolveReason(closedBy int, r poolinfo.Reason) {
	m.recentlyClosed.update(func(c *ClosedConn) bool {
		if !c.Deferred || c.ClosedBy != closedBy {
			return false
		}
		c.Deferred, c.Reason = false, r
		c.Advice = c.advice()
		return true
	})
}

// RecentlyClosed returns the last connections that were closed, latest first.
func (m *Monitor) RecentlyClosed() (all []poolinfo.ClosedConn) {
	for _, c := range m.recentlyClosed.latest() {
		if c.Notice != nil {
			c.DriverNotice = c.Notice()
		}
		all = append(all, c.ClosedConn)
	}
	return all
}

// shortLife is an age at which it is a waste to close a connection.
const shortLife = 10 * time.Second

// advice returns what to change so that such a close does not happen again, "" where
// that is not known, or nothing is wrong.
func (c *ClosedConn) advice() string {
	limit := c.Server.IdleTimeout
	switch {
	case c.Class == poolinfo.ClassServerIdleTimeout && limit > 0 && c.IdleInHold:
		return fmt.Sprintf("the server closes a connection that is idle for %s: release it while there is nothing to do with it", limit)
	case c.Class == poolinfo.ClassServerIdleTimeout && limit > 0:
		return fmt.Sprintf("the server closes a connection that is idle for %s: set SetConnMaxIdleTime below that", limit)
	case c.Class == poolinfo.ClassServerIdleTimeout:
		return "set SetConnMaxIdleTime below the idle time-out of the server"
	case c.Class == poolinfo.ClassIdleInTransaction:
		return "commit or roll back before work that is not the database's"
	case c.Class == poolinfo.ClassBusyConnection:
		return "read or close a result set before the next statement on its connection"
	case c.Reason == poolinfo.ReasonIdleCount && c.Age < shortLife:
		return "if this is often, set SetMaxIdleConns nearer to SetMaxOpenConns"
	}
	return ""
}
