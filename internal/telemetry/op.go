package telemetry

// Op is one kind of driver call.
type Op uint8

// The calls of a driver.
const (
	OpConnect Op = iota
	OpPing
	OpQuery
	OpExec
	OpPrepare
	OpBegin
	OpCommit
	OpRollback

	opAcquire // not a call of the driver, but what precedes it; it can fail like one
	opRows    // not one call either: reading a result set
	numOps
)

func (o Op) String() string {
	return [...]string{"connect", "ping", "query", "exec", "prepare", "begin", "commit", "rollback", spanAcquire, "rows"}[o]
}

// isOperation reports whether o is a request to the database, as opposed to getting
// hold of a connection.
func (o Op) isOperation() bool { return o != OpConnect && o != opAcquire && o != opRows }

// hasText reports whether o is about the text of a statement.
func (o Op) hasText() bool { return o == OpQuery || o == OpExec || o == OpPrepare }
