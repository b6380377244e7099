package poolinfo

// State is what a connection is doing as far as the pool is concerned.
type State uint8

const (
	// StateFresh is a connection that database/sql opened in the background and that
	// has not been used yet. It is in the free list, or was handed to a waiter who
	// has not made a driver call yet.
	StateFresh State = iota + 1
	// StateIdle is a connection that was released and waits for its next user.
	StateIdle
	// StateHeld is a connection that is checked out.
	StateHeld
	// StateClosed is a connection that is no longer part of the pool.
	StateClosed
)

func (s State) String() string { return name(s, "fresh", "idle", "held", "closed") }

// MarshalText returns the text of s.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Phase is what the holder of a connection does with it, the attribute
// otelpool.phase.
type Phase uint8

const (
	// PhaseExecuting is time inside a driver call.
	PhaseExecuting Phase = iota + 1
	// PhaseRows is time in which a result set is open and no driver call runs.
	PhaseRows
	// PhaseTx is time in which a transaction is open and nothing runs.
	PhaseTx
	// PhasePinned is time in which the connection is held and none of the above holds. It is
	// the last phase: a new one goes before it.
	PhasePinned
)

func (p Phase) String() string { return name(p, "executing", "rows", "tx", "pinned") }

// MarshalText returns the text of p.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Source is where an acquired connection came from, the attribute otelpool.source.
type Source uint8

const (
	// SourceNew is a connection that the caller dialed itself.
	SourceNew Source = iota + 1
	// SourceReused is a connection that was used before.
	SourceReused
	// SourceOpener is the first use of a connection that was opened in the background. It is
	// the last source: a new one goes before it.
	SourceOpener
)

func (s Source) String() string { return name(s, "new", "reused", "opener") }

// MarshalText returns the text of s.
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// name returns the text of a value that counts from 1, "" for one that has none.
func name[T ~uint8](v T, names ...string) string {
	if v == 0 || int(v) > len(names) {
		return ""
	}
	return names[v-1]
}
