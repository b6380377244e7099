package otelpool

import (
	"database/sql/driver"
	"io"
	"reflect"
)

// rows is a result set with telemetry. It has every optional interface that has
// an answer equal to absence; for the one that has none see scanRows.
type rows struct {
	in     driver.Rows
	c      *conn
	closed bool
}

var (
	_ driver.Rows                           = (*rows)(nil)
	_ driver.RowsNextResultSet              = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ driver.RowsColumnTypeLength           = (*rows)(nil)
	_ driver.RowsColumnTypeNullable         = (*rows)(nil)
	_ driver.RowsColumnTypePrecisionScale   = (*rows)(nil)
)

// wrapRows wraps what a query returned. A driver that returns neither rows nor
// an error gets the treatment from database/sql that it asked for.
func (c *conn) wrapRows(in driver.Rows, err error) (driver.Rows, error) {
	if err != nil || in == nil {
		return in, err
	}
	return shapeRows(&rows{in: in, c: c}), nil
}

func (r *rows) Columns() []string { return r.in.Columns() }

// Next costs one atomic add. No clock is read for a row.
func (r *rows) Next(dest []driver.Value) error {
	r.c.rec.Active()
	return r.in.Next(dest)
}

func (r *rows) Close() error {
	err := r.in.Close()
	if !r.closed {
		r.closed = true
		r.c.rec.RowsClosed()
	}
	return err
}

func (r *rows) HasNextResultSet() bool {
	in, ok := r.in.(driver.RowsNextResultSet)
	return ok && in.HasNextResultSet()
}

func (r *rows) NextResultSet() error {
	in, ok := r.in.(driver.RowsNextResultSet)
	if !ok {
		return io.EOF
	}
	r.c.rec.Active()
	return in.NextResultSet()
}

func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	if in, ok := r.in.(driver.RowsColumnTypeScanType); ok {
		return in.ColumnTypeScanType(i)
	}
	return reflect.TypeFor[any]()
}

func (r *rows) ColumnTypeDatabaseTypeName(i int) string {
	if in, ok := r.in.(driver.RowsColumnTypeDatabaseTypeName); ok {
		return in.ColumnTypeDatabaseTypeName(i)
	}
	return ""
}

func (r *rows) ColumnTypeLength(i int) (length int64, ok bool) {
	if in, ok := r.in.(driver.RowsColumnTypeLength); ok {
		return in.ColumnTypeLength(i)
	}
	return 0, false
}

func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) {
	if in, ok := r.in.(driver.RowsColumnTypeNullable); ok {
		return in.ColumnTypeNullable(i)
	}
	return false, false
}

func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	if in, ok := r.in.(driver.RowsColumnTypePrecisionScale); ok {
		return in.ColumnTypePrecisionScale(i)
	}
	return 0, 0, false
}
