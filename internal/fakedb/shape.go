package fakedb

import "strings"

//go:generate go run gen.go

// A ConnShape is the set of optional interfaces of a connection. Every
// combination is possible.
type ConnShape int

// The optional interfaces of a connection.
const (
	Pinger ConnShape = 1 << iota
	Execer
	ExecerContext
	Queryer
	QueryerContext
	ConnPrepareContext
	ConnBeginTx
	SessionResetter
	Validator
	NamedValueChecker

	AllConn ConnShape = 1<<iota - 1
)

// A StmtShape is the set of optional interfaces of a prepared statement.
type StmtShape int

// The optional interfaces of a statement.
const (
	StmtExecContext StmtShape = 1 << iota
	StmtQueryContext
	StmtNamedValueChecker
	StmtColumnConverter

	AllStmt StmtShape = 1<<iota - 1
)

// A RowsShape is the set of optional interfaces of a result set.
type RowsShape int

// The optional interfaces of a result set, except RowsColumnScanner, which needs
// Go 1.27.
const (
	RowsNextResultSet RowsShape = 1 << iota
	RowsColumnTypeScanType
	RowsColumnTypeDatabaseTypeName
	RowsColumnTypeLength
	RowsColumnTypeNullable
	RowsColumnTypePrecisionScale

	AllRows RowsShape = 1<<iota - 1
)

func (s ConnShape) String() string {
	return formatBits(int(s), "Pinger", "Execer", "ExecerContext", "Queryer", "QueryerContext",
		"ConnPrepareContext", "ConnBeginTx", "SessionResetter", "Validator", "NamedValueChecker")
}

func (s StmtShape) String() string {
	return formatBits(int(s), "StmtExecContext", "StmtQueryContext", "StmtNamedValueChecker", "StmtColumnConverter")
}

func (s RowsShape) String() string {
	return formatBits(int(s), "RowsNextResultSet", "RowsColumnTypeScanType", "RowsColumnTypeDatabaseTypeName",
		"RowsColumnTypeLength", "RowsColumnTypeNullable", "RowsColumnTypePrecisionScale", "RowsColumnScanner")
}

func formatBits(bits int, names ...string) string {
	var has []string
	for i, name := range names {
		if bits&(1<<i) != 0 {
			has = append(has, name)
		}
	}
	if len(has) == 0 {
		return "nothing"
	}
	return strings.Join(has, "+")
}
