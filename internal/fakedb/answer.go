package fakedb

import (
	"database/sql/driver"
	"reflect"
	"strings"
	"time"
)

// An Answer is the server's response to one query text. The zero Answer takes no
// time, affects one row, and selects one row with the column n = 1.
type Answer struct {
	// Latency is how long Exec, Query, StmtExec and StmtQuery take. They return
	// earlier if their context ends.
	Latency time.Duration

	// Result is the result of an exec; nil for driver.RowsAffected(1).
	Result driver.Result

	// Sets are the result sets of a query, at least one.
	Sets []Set

	// Rows, if not zero, repeats the last row of the first set up to this number
	// of rows, without storing them.
	Rows int

	// Uncounted makes NumInput return -1, like a driver that cannot count
	// placeholders. Otherwise it returns the number of question marks in the text.
	Uncounted bool

	// Nothing makes Prepare, Exec and Query return nil without an error, which is
	// a bug in a driver.
	Nothing bool
}

// A Set is one result set.
type Set struct {
	Columns []Column
	Rows    [][]driver.Value
	Err     error // the error after the last row; nil for io.EOF
}

// A Column is what the ColumnType methods return for a column.
type Column struct {
	Name             string
	DatabaseType     string
	ScanType         reflect.Type
	Length           int64
	Nullable         bool
	Precision, Scale int64
	Unsure           bool // ok is false for Length, Nullable, Precision and Scale
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
