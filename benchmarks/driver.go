package benchmarks

import (
	"context"
	"database/sql/driver"
	"io"
)

// resultRows is the number of rows of a statement of the rows operation. It is
// below 256 so that a value converts to an interface without an allocation.
const resultRows = 100

// nopDriver is a driver whose calls cost as little as possible. It has every
// context-aware interface, so that no wrapper takes a slower path, and allocates
// only when a connection is opened or a statement is prepared.
type nopDriver struct{}

func (d nopDriver) Open(string) (driver.Conn, error) { return &nopConn{}, nil }

func (d nopDriver) OpenConnector(string) (driver.Connector, error) { return nopConnector{}, nil }

// nopConnector makes connections whose result sets count their rows if counts is set.
type nopConnector struct{ counts bool }

func (c nopConnector) Connect(context.Context) (driver.Conn, error) {
	return &nopConn{counts: c.counts}, nil
}

func (nopConnector) Driver() driver.Driver { return nopDriver{} }

// nopConn owns the one result set it can have open: database/sql closes a
// result set before it uses the connection again. It fills two cache lines:
// connections in use on different processors must not slow each other down.
type nopConn struct {
	rows    nopRows
	counted countedRows
	counts  bool
	_       [88]byte
}

var (
	_ driver.ExecerContext      = (*nopConn)(nil)
	_ driver.QueryerContext     = (*nopConn)(nil)
	_ driver.ConnPrepareContext = (*nopConn)(nil)
	_ driver.ConnBeginTx        = (*nopConn)(nil)
	_ driver.SessionResetter    = (*nopConn)(nil)
	_ driver.Validator          = (*nopConn)(nil)
	_ driver.Pinger             = (*nopConn)(nil)
	_ driver.NamedValueChecker  = (*nopConn)(nil)
)

func (c *nopConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

// QueryContext returns one row for selectRow and resultRows rows for any other query.
func (c *nopConn) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	c.rows = nopRows{left: resultRows}
	if query == selectRow {
		c.rows.left = 1
	}
	if c.counts {
		c.counted = countedRows{inner: &c.rows}
		return &c.counted, nil
	}
	return &c.rows, nil
}

// countedRows counts the rows that are read, and does nothing else.
type countedRows struct {
	inner driver.Rows
	read  int64
}

func (r *countedRows) Columns() []string { return r.inner.Columns() }
func (r *countedRows) Close() error      { return r.inner.Close() }

func (r *countedRows) Next(dest []driver.Value) error {
	err := r.inner.Next(dest)
	if err == nil {
		r.read++
	}
	return err
}

func (c *nopConn) Prepare(string) (driver.Stmt, error) { return &nopStmt{}, nil }

func (c *nopConn) PrepareContext(context.Context, string) (driver.Stmt, error) {
	return &nopStmt{}, nil
}

func (c *nopConn) Begin() (driver.Tx, error) { return c, nil }

// BeginTx returns the connection itself as the transaction.
func (c *nopConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return c, nil }

func (c *nopConn) Commit() error { return nil }

func (c *nopConn) Rollback() error { return nil }

func (c *nopConn) ResetSession(context.Context) error { return nil }

func (c *nopConn) IsValid() bool { return true }

func (c *nopConn) Ping(context.Context) error { return nil }

func (c *nopConn) CheckNamedValue(*driver.NamedValue) error { return nil }

func (c *nopConn) Close() error { return nil }

type nopStmt struct{}

var (
	_ driver.StmtExecContext  = (*nopStmt)(nil)
	_ driver.StmtQueryContext = (*nopStmt)(nil)
)

func (*nopStmt) NumInput() int { return 1 }

func (*nopStmt) Exec([]driver.Value) (driver.Result, error) { return driver.RowsAffected(1), nil }

func (*nopStmt) ExecContext(context.Context, []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), nil
}

func (*nopStmt) Query([]driver.Value) (driver.Rows, error) { return &nopRows{left: resultRows}, nil }

func (*nopStmt) QueryContext(context.Context, []driver.NamedValue) (driver.Rows, error) {
	return &nopRows{left: resultRows}, nil
}

func (*nopStmt) Close() error { return nil }

type nopRows struct{ left int }

var columnNames = []string{"n"}

func (r *nopRows) Columns() []string { return columnNames }

// Next counts down to 1, so that the sum of a result set is known.
func (r *nopRows) Next(dest []driver.Value) error {
	if r.left == 0 {
		return io.EOF
	}
	dest[0] = int64(r.left)
	r.left--
	return nil
}

func (r *nopRows) Close() error { return nil }
