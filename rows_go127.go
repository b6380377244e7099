//go:build go1.27

package otelpool

import "database/sql/driver"

// scanRows is rows whose driver scans into the caller's variables itself. database/sql reads such
// rows in another way, so they have the methods if, and only if, the driver's have.
type scanRows struct{ *rows }

var _ driver.RowsColumnScanner = scanRows{}

func (r scanRows) NextRow() error {
	var err error
	if inner := r.inner.(driver.RowsColumnScanner); r.records() {
		tracked := r.reads.Begin()
		err = inner.NextRow()
		r.reads.End(tracked)
	} else {
		err = inner.NextRow()
	}
	if err != nil {
		return r.failed(err)
	}
	r.read++
	return nil
}

func (r scanRows) ScanColumn(ctx driver.ScanContext, i int, dest any) error {
	return r.inner.(driver.RowsColumnScanner).ScanColumn(ctx, i, dest)
}

func shapeRows(r *rows) driver.Rows {
	if _, ok := r.inner.(driver.RowsColumnScanner); ok {
		return scanRows{r}
	}
	return r
}
