package fakedb

import (
	"database/sql/driver"
	"reflect"
	"strings"
	"time"
)

// An Answer is what the server does with one query text. The zero Answer takes
// no time, affects one row, and selects one row of one column, n = 1.
type Answer struct {
	// Latency is how long Exec, Query, StmtExec and StmtQuery take, or until
	// their context ends.
	Latency time.Duration

	// Result is the outcome of an exec; nil for driver.RowsAffected(1).
	Result driver.Result

	// Sets are the result sets of a query, at least one.
	Sets []Set

	// Rows, if not zero, repeats the last row of the first set until it has
	// so many, without storing them.
	Rows int

	// Uncounted makes NumInput answer -1, as a driver does that cannot count
	// placeholders. Otherwise it answers how many question marks the text has.
	Uncounted bool

	// Nothing makes the driver answer nil and no error, which is a bug of the
	// driver, where a result, a result set, a statement or a transaction is due.
	Nothing bool
}

// A Set is one result set.
type Set struct {
	Columns []Column
	Rows    [][]driver.Value
	Err     error // what follows the rows; nil for io.EOF
}

// A Column is a column as the ColumnType methods describe it.
type Column struct {
	Name             string
	DatabaseType     string
	ScanType         reflect.Type
	Length           int64
	Nullable         bool
	Precision, Scale int64
	Unsure           bool // Length, Nullable and Precision answer ok = false
}

func oneRow() []Set {
	return []Set{{Columns: []Column{{Name: "n"}}, Rows: [][]driver.Value{{int64(1)}}}}
}

func (a Answer) sets() []Set {
	if len(a.Sets) == 0 {
		return oneRow()
	}
	return a.Sets
}

func (a Answer) inputs(query string) int {
	if a.Uncounted {
		return -1
	}
	return strings.Count(query, "?")
}
