//go:build go1.27

package fakedb

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
)

// RowsColumnScanner is the bit for driver.RowsColumnScanner. It is not part of
// AllRows, because database/sql reads rows differently with it.
const RowsColumnScanner RowsShape = AllRows + 1

type rowsColumnScanner struct {
	r   *rows
	row *[]driver.Value
}

func newScanner(r *rows) rowsColumnScanner { return rowsColumnScanner{r, new([]driver.Value)} }

func (s rowsColumnScanner) NextRow() (err error) {
	*s.row, err = s.r.advance("NextRow")
	return err
}

func (s rowsColumnScanner) ScanColumn(ctx driver.ScanContext, i int, dest any) error {
	err := sql.ConvertAssign(ctx, dest, (*s.row)[i])
	if !s.r.conn.db.config.Quiet {
		outcome := fmt.Sprintf("%s into %T, error %v", formatValues((*s.row)[i]), dest, err)
		s.r.conn.db.recordUnscripted(s.r.object, "ScanColumn", outcome, i)
	}
	return err
}
