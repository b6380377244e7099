package ledger

import "github.com/otelpool/otelpool/poolinfo"

// The lengths of arrays that are indexed by a phase, a source or a reason. Index 0 is
// not used.
const (
	NumPhases  = poolinfo.PhasePinned + 1
	NumSources = poolinfo.SourceOpener + 1
	NumReasons = poolinfo.ReasonUnknown + 1
)

// Effect is what a driver call leaves behind when it ends.
type Effect uint8

const (
	// NoEffect leaves things as they were before the call.
	NoEffect Effect = iota
	// RowsOpened means that a result set is open now.
	RowsOpened
	// TxBegan means that a transaction is open now.
	TxBegan
	// TxEnded means that the transaction has ended.
	TxEnded
)
