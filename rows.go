package otelpool

import (
	"context"
	"database/sql/driver"
	"io"
	"math"
	"reflect"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/errclass"
	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
)

// rows is a result set with telemetry. It has every optional interface that has an answer equal to
// absence; for the one that has none see scanRows.
type rows struct {
	inner driver.Rows
	conn  *conn
	reads *ledger.RowActivity // of the connection, for Next

	text   *telemetry.Statement
	ctx    context.Context //nolint:containedctx // that of the statement's span, for the exemplar
	caller trace.Span      // that of the query's caller
	opened time.Duration   // when the query returned; rowsClosed after Close
	read   int64           // rows
	fault  *errclass.Fault // of the first error that reading them returned, nil if there was none
}

// wrapRows wraps what a query returned. A driver that returns neither rows nor an error gets the
// treatment from database/sql that it would have got.
func (c *conn) wrapRows(call *driverCall, inner driver.Rows, err error) (driver.Rows, error) {
	if err != nil || inner == nil {
		return inner, err
	}
	call.rows = &rows{inner: inner, conn: c, reads: c.rec.Reads(), text: call.Statement, ctx: call.Ctx, caller: trace.SpanFromContext(call.Parent)}
	return shapeRows(call.rows), nil
}

func (r *rows) Columns() []string { return r.inner.Columns() }

// Next costs nothing but for the first row, and two atomic adds in a result set that the monitor
// has seen. No clock is read for a row.
func (r *rows) Next(dest []driver.Value) error {
	var err error
	if r.records() {
		err = r.recordedNext(dest)
	} else {
		err = r.inner.Next(dest)
	}
	if err != nil {
		return r.failed(err)
	}
	r.read++
	return nil
}

// records reports whether the next read is to be recorded.
func (r *rows) records() bool { return r.read == 0 || r.reads.Tracked() }

// recordedNext reads a row and records that.
func (r *rows) recordedNext(dest []driver.Value) error {
	tracked := r.reads.Begin()
	err := r.inner.Next(dest)
	r.reads.End(tracked)
	return err
}

// failed notes that there is no further row, or why.
func (r *rows) failed(err error) error {
	if r.fault == nil && err != io.EOF { //nolint:errorlint // database/sql compares by identity
		f := r.conn.classifyFailure(r.ctx, r.conn.health.lastSuccess, err)
		r.fault = &f
	}
	return err
}

// rowsClosed is no time on the ledger's clock.
const rowsClosed time.Duration = math.MinInt64

// maxRowsEvents bounds the result sets of a hold that get an event, but for those that failed. A
// span keeps its last events only, those of the program among them: a holder who queries again and
// again must not push out what matters.
const maxRowsEvents = 32

// Close ends the result set. The span of its query has ended by then, so the event goes to the
// caller's span.
func (r *rows) Close() error {
	err := r.inner.Close()
	if r.opened == rowsClosed {
		return err
	}
	opened := r.opened
	r.opened = rowsClosed
	c := r.conn
	now := c.rec.RowsClosed()
	switch {
	case err != nil:
		c.classifyFailure(r.ctx, c.health.lastSuccess, err)
	case r.fault == nil:
		c.health.markHealthy(now)
	}
	c.pool.telemetry.ReturnedRows(r.ctx, r.text, r.read, r.fault)
	if r.caller.IsRecording() && (c.hold.resultSets < maxRowsEvents || r.fault != nil) {
		c.hold.resultSets++
		c.spanEvents().RowsClosed(r.caller, r.read, now-opened, r.fault)
	}
	return err
}

func (r *rows) HasNextResultSet() bool {
	inner, ok := r.inner.(driver.RowsNextResultSet)
	return ok && inner.HasNextResultSet()
}

func (r *rows) NextResultSet() error {
	inner, ok := r.inner.(driver.RowsNextResultSet)
	if !ok {
		return io.EOF
	}
	tracked := r.reads.Begin()
	defer r.reads.End(tracked)
	return inner.NextResultSet()
}

func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	if inner, ok := r.inner.(driver.RowsColumnTypeScanType); ok {
		return inner.ColumnTypeScanType(i)
	}
	return reflect.TypeFor[any]()
}

func (r *rows) ColumnTypeDatabaseTypeName(i int) string {
	if inner, ok := r.inner.(driver.RowsColumnTypeDatabaseTypeName); ok {
		return inner.ColumnTypeDatabaseTypeName(i)
	}
	return ""
}

func (r *rows) ColumnTypeLength(i int) (length int64, ok bool) {
	if inner, ok := r.inner.(driver.RowsColumnTypeLength); ok {
		return inner.ColumnTypeLength(i)
	}
	return 0, false
}

func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) {
	if inner, ok := r.inner.(driver.RowsColumnTypeNullable); ok {
		return inner.ColumnTypeNullable(i)
	}
	return false, false
}

func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	if inner, ok := r.inner.(driver.RowsColumnTypePrecisionScale); ok {
		return inner.ColumnTypePrecisionScale(i)
	}
	return 0, 0, false
}
