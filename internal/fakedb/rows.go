package fakedb

import (
	"database/sql/driver"
	"io"
	"reflect"
)

// rows is a result set with the mandatory methods.
type rows struct {
	object
	conn   *conn
	query  string
	sets   []Set // the remaining sets; the first is being read
	next   int   // index of the next row of the first set
	repeat int   // number of rows of the first set, if more than it has
	closed bool
}

func (r *rows) shape(s RowsShape) driver.Rows {
	if s < RowsShape(len(rowsShapes)) {
		return rowsShapes[s](r)
	}
	return scannerShapes[s-RowsShape(len(rowsShapes))](r)
}

func (r *rows) call(op Op, method string) call {
	return call{op: op, receiver: r.object, conn: r.conn, closed: r.closed || r.conn.closed, method: method, query: r.query}
}

func (r *rows) Columns() []string {
	names := make([]string, len(r.sets[0].Columns))
	for i, c := range r.sets[0].Columns {
		names[i] = c.Name
	}
	r.conn.db.recordUnscripted(r.object, "Columns", names)
	return names
}

func (r *rows) Next(dest []driver.Value) error {
	row, err := r.advance("Next")
	copy(dest, row)
	return err
}

// advance returns the next row, or the error after the last one.
func (r *rows) advance(method string) ([]driver.Value, error) {
	cl := r.call(Next, method)
	if err := r.conn.db.run(cl, 0); err != nil {
		return nil, err
	}
	set := r.sets[0]
	if r.next < max(len(set.Rows), r.repeat) {
		row := set.Rows[min(r.next, len(set.Rows)-1)]
		r.next++
		if !r.conn.db.config.Quiet {
			r.conn.db.record(cl, formatValues(row...))
		}
		return row, nil
	}
	err := set.Err
	if err == nil {
		err = io.EOF
	}
	r.conn.db.record(cl, err)
	return nil, err
}

func (r *rows) Close() error {
	cl := r.call(RowsClose, "Close")
	r.closed = true
	if err := r.conn.db.run(cl, 0); err != nil {
		return err
	}
	r.conn.db.record(cl, "ok")
	return nil
}

func (r *rows) column(method string, i int) Column {
	c := r.sets[0].Columns[i]
	r.conn.db.recordUnscripted(r.object, method, c.Name, i)
	return c
}

type rowsNextResultSet struct{ r *rows }

func (n rowsNextResultSet) HasNextResultSet() bool {
	more := len(n.r.sets) > 1
	n.r.conn.db.recordUnscripted(n.r.object, "HasNextResultSet", more)
	return more
}

func (n rowsNextResultSet) NextResultSet() error {
	cl := n.r.call(NextSet, "NextResultSet")
	if err := n.r.conn.db.run(cl, 0); err != nil {
		return err
	}
	if len(n.r.sets) < 2 {
		n.r.conn.db.record(cl, io.EOF)
		return io.EOF
	}
	n.r.sets, n.r.next, n.r.repeat = n.r.sets[1:], 0, 0
	n.r.conn.db.record(cl, "ok")
	return nil
}

type rowsColumnTypeScanType struct{ r *rows }

func (t rowsColumnTypeScanType) ColumnTypeScanType(i int) reflect.Type {
	return t.r.column("ColumnTypeScanType", i).ScanType
}

type rowsColumnTypeDatabaseTypeName struct{ r *rows }

func (t rowsColumnTypeDatabaseTypeName) ColumnTypeDatabaseTypeName(i int) string {
	return t.r.column("ColumnTypeDatabaseTypeName", i).DatabaseType
}

type rowsColumnTypeLength struct{ r *rows }

func (t rowsColumnTypeLength) ColumnTypeLength(i int) (int64, bool) {
	c := t.r.column("ColumnTypeLength", i)
	return c.Length, !c.Unsure
}

type rowsColumnTypeNullable struct{ r *rows }

func (t rowsColumnTypeNullable) ColumnTypeNullable(i int) (nullable, ok bool) {
	c := t.r.column("ColumnTypeNullable", i)
	return c.Nullable, !c.Unsure
}

type rowsColumnTypePrecisionScale struct{ r *rows }

func (t rowsColumnTypePrecisionScale) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	c := t.r.column("ColumnTypePrecisionScale", i)
	return c.Precision, c.Scale, !c.Unsure
}
