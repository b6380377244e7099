package poolinfo

// Reason is why a connection was closed, the attribute otelpool.reason.
type Reason uint8

const (
	// ReasonLifetime is SetConnMaxLifetime.
	ReasonLifetime Reason = iota + 1
	// ReasonIdleTime is SetConnMaxIdleTime.
	ReasonIdleTime
	// ReasonIdleCount is SetMaxIdleConns.
	ReasonIdleCount
	// ReasonOpenCount is SetMaxOpenConns, lowered below the number of open connections.
	ReasonOpenCount
	// ReasonBad is a connection that the driver, or the function given to
	// sql.Conn.Raw, called bad.
	ReasonBad
	// ReasonRollbackDiscard is a transaction whose context ended, on a driver that
	// cannot clean a connection.
	ReasonRollbackDiscard
	// ReasonPoolClosed is DB.Close.
	ReasonPoolClosed
	// ReasonUnknown is a close that nothing visible explains. It is the last reason: a
	// new one goes before it.
	ReasonUnknown
)

func (r Reason) String() string {
	return name(r, "lifetime", "idle_time", "idle_count", "open_count", "bad", "rollback_discard", "pool_closed", "unknown")
}

// MarshalText returns the text of r.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// explanation says which setting or event the reason stands for, "" if the reason
// says it already.
func (r Reason) explanation() string {
	switch r {
	case ReasonLifetime:
		return "it reached SetConnMaxLifetime"
	case ReasonIdleTime:
		return "it reached SetConnMaxIdleTime"
	case ReasonIdleCount:
		return "SetMaxIdleConns allows no more idle connections"
	case ReasonOpenCount:
		return "SetMaxOpenConns was lowered"
	case ReasonRollbackDiscard:
		return "the context of its transaction ended, and the driver cannot clean a connection"
	case ReasonPoolClosed:
		return "DB.Close"
	case ReasonBad, ReasonUnknown:
	}
	return ""
}
