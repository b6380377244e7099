package otelpool

import (
	"context"
	"database/sql/driver"
	"io"
	"reflect"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// rows is a result set with telemetry. It has every optional interface that has
// an answer equal to absence; for the one that has none see scanRows.
type rows struct {
	in     driver.Rows
	c      *conn
	closed bool

	st     *statement
	ctx    context.Context //nolint:containedctx // that of the statement's span, for the exemplar
	caller trace.Span      // that of the query's caller
	opened time.Duration   // when the query returned
	read   int64           // rows
	fault  *fault          // of the first error that reading them met, nil if there was none
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
func (c *conn) wrapRows(k *call, in driver.Rows, err error) (driver.Rows, error) {
	if err != nil || in == nil {
		return in, err
	}
	k.rows = &rows{in: in, c: c, st: k.st, ctx: k.ctx, caller: trace.SpanFromContext(k.from)}
	return shapeRows(k.rows), nil
}

func (r *rows) Columns() []string { return r.in.Columns() }

// Next costs nothing but for the first row, and two atomic adds in a result set that has
// been open for a second. No clock is read for a row.
func (r *rows) Next(dest []driver.Value) error {
	var err error
	if r.isNoted() {
		err = r.noted(dest)
	} else {
		err = r.in.Next(dest)
	}
	if err != nil {
		return r.failed(err)
	}
	r.read++
	return nil
}

// isNoted reports whether the next read is to be noted.
func (r *rows) isNoted() bool { return r.read == 0 || r.c.rec.Watched() }

// noted reads a row and notes that.
func (r *rows) noted(dest []driver.Value) error {
	watched := r.c.rec.Reads()
	err := r.in.Next(dest)
	r.c.rec.HasRead(watched)
	return err
}

// failed notes that there is no further row, or why.
func (r *rows) failed(err error) error {
	if r.fault == nil && err != io.EOF { //nolint:errorlint // database/sql compares by identity
		f := r.c.blame(r.ctx, r.c.fine, err)
		r.fault = &f
	}
	return err
}

func (r *rows) Close() error {
	err := r.in.Close()
	if !r.closed {
		r.closed = true
		now := r.c.rec.RowsClosed()
		switch {
		case err != nil:
			r.c.blame(r.ctx, r.c.fine, err)
		case r.fault == nil:
			r.c.well(now)
		}
		r.tell(now - r.opened)
	}
	return err
}

// tell tells the end of a result set that was open for a time. The span of its
// query has ended by then, so the event is the caller's.
func (r *rows) tell(open time.Duration) {
	in := r.c.pool.ins
	if in.returnedRows.Enabled(r.ctx) {
		opts := r.st.series.succeeded[opRows]
		if r.fault != nil {
			opts = in.failed(opRows, r.st.series, *r.fault)
		}
		in.returnedRows.Record(r.ctx, r.read, opts...)
	}
	if r.caller.IsRecording() && (r.c.rowsTold < maxRowsTold || r.fault != nil) {
		r.c.rowsTold++
		r.c.events().tellRows(r.caller, r.read, open, r.fault)
	}
}

// maxRowsTold bounds the result sets of a hold that are told by an event, but for those
// that failed. A span keeps its last events only, those of the program among them: a
// holder who asks again and again must not push out what matters.
const maxRowsTold = 32

func (r *rows) HasNextResultSet() bool {
	in, ok := r.in.(driver.RowsNextResultSet)
	return ok && in.HasNextResultSet()
}

func (r *rows) NextResultSet() error {
	in, ok := r.in.(driver.RowsNextResultSet)
	if !ok {
		return io.EOF
	}
	watched := r.c.rec.Reads()
	defer r.c.rec.HasRead(watched)
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
