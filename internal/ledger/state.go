package ledger

// State is what a connection is doing as far as the pool is concerned.
type State uint8

const (
	// Fresh is a connection that database/sql opened in the background and that
	// has not been used yet. It may wait in the free list, or have been handed to
	// a waiter whose first driver call is still to come.
	Fresh State = iota
	// Idle is a connection that was given back and waits for its next user.
	Idle
	// Held is a connection that somebody has.
	Held
	// Closed is the end. A closed connection has left the ledger.
	Closed
)

func (s State) String() string { return [...]string{"fresh", "idle", "held", "closed"}[s] }

// Phase is what the holder of a connection does with it.
type Phase uint8

const (
	// Executing is time inside a driver call.
	Executing Phase = iota
	// Rows is time in which a result set is open and no other call runs.
	Rows
	// Tx is time in which a transaction is open and nothing runs.
	Tx
	// Pinned is time in which the connection is held and none of the above is true.
	Pinned

	// NumPhases is how many phases there are.
	NumPhases = 4
)

func (p Phase) String() string { return [...]string{"executing", "rows", "tx", "pinned"}[p] }

// Source is where an acquired connection came from.
type Source uint8

const (
	// New is a connection that the acquirer dialed itself.
	New Source = iota
	// Reused is a connection that had been in use before.
	Reused
	// Opener is the first use of a connection that was opened in the background.
	Opener

	// NumSources is how many sources there are.
	NumSources = 3
)

func (s Source) String() string { return [...]string{"new", "reused", "opener"}[s] }

// Reason is why a connection was closed.
type Reason uint8

const (
	// Lifetime is SetConnMaxLifetime.
	Lifetime Reason = iota
	// IdleTime is SetConnMaxIdleTime.
	IdleTime
	// IdleCount is SetMaxIdleConns.
	IdleCount
	// OpenCount is SetMaxOpenConns, lowered below what was open.
	OpenCount
	// Bad is a connection that the driver or its user called bad.
	Bad
	// RollbackDiscard is a transaction whose context ended on a driver that does
	// not know how to clean a connection.
	RollbackDiscard
	// PoolClosed is DB.Close.
	PoolClosed
	// Unknown is a close that nothing visible explains.
	Unknown

	// NumReasons is how many reasons there are.
	NumReasons = 8
)

func (r Reason) String() string {
	return [...]string{
		"lifetime", "idle_time", "idle_count", "open_count",
		"bad", "rollback_discard", "pool_closed", "unknown",
	}[r]
}

// Effect is what a driver call leaves behind when it ends.
type Effect uint8

const (
	// NoEffect leaves things as they were before the call.
	NoEffect Effect = iota
	// RowsOpened means that a result set is open now.
	RowsOpened
	// TxBegan means that a transaction is open now.
	TxBegan
	// TxEnded means that the transaction is over.
	TxEnded
)
