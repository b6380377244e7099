package poolinfo

import "time"

// StatementInfo is a statement as it is recorded.
type StatementInfo struct {
	// Operation is the call that runs it: "query", "exec" or "prepare".
	Operation string
	// Query is the text as the program wrote it. It may hold data.
	Query string
	// Summary is db.query.summary: the operations and their targets. It is empty
	// if the text has no operation that is known.
	Summary string
	// Text is db.query.text, empty if it is not recorded.
	Text string
}

// StatementResult is how a statement ended.
type StatementResult struct {
	// Duration is the time inside the driver.
	Duration time.Duration
	// Err is the error of the driver, nil if it succeeded.
	Err error
}
