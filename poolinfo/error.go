package poolinfo

// Cause is why an acquire got no connection.
type Cause string

const (
	// CauseDeadline is a caller whose deadline passed before it got a connection.
	CauseDeadline Cause = "deadline"
	// CauseCanceled is a caller whose context was canceled before.
	CauseCanceled Cause = "canceled"
	// CausePoolClosed is DB.Close, before the call or while it waited.
	CausePoolClosed Cause = "pool_closed"
	// CauseDial is a failure of the dial that the caller made itself, because there
	// was room for another connection.
	CauseDial Cause = "dial"
	// CauseBackgroundDial is a failure of a dial that database/sql made in the
	// background, because a connection was closed while callers waited. It hands the
	// error to one of them.
	CauseBackgroundDial Cause = "background_dial"
	// CauseBadConn is a driver that called every connection bad that database/sql
	// was about to hand out.
	CauseBadConn Cause = "bad_connection"
)

// ErrorInfo is what is known of an error of a driver.
type ErrorInfo struct {
	// Code is db.response.status_code, as the server gave it: at most 32 letters,
	// digits, points, dashes and underscores. Another value is ignored.
	Code string
	// Class is the kind of failure, empty if it is not known.
	Class Class
	// ServerStopped says that the server stopped the statement, because of a limit or
	// because it was asked to, as drivers do when a context ends. If the caller's context
	// has ended by then, the class is that of the context.
	ServerStopped bool
}
