package otelpool

import (
	"context"
	"database/sql/driver"
)

// capabilities are what the driver's connection can do, asserted once; nil where it cannot.
type capabilities struct {
	pinger     driver.Pinger
	preparer   driver.ConnPrepareContext
	beginner   driver.ConnBeginTx
	resetter   driver.SessionResetter
	validator  driver.Validator
	checker    driver.NamedValueChecker
	execer     driver.ExecerContext
	queryer    driver.QueryerContext
	oldExecer  driver.Execer  //nolint:staticcheck // drivers still have it
	oldQueryer driver.Queryer //nolint:staticcheck // drivers still have it
}

func capabilitiesOf(inner driver.Conn) (c capabilities) {
	c.pinger, _ = inner.(driver.Pinger)
	c.preparer, _ = inner.(driver.ConnPrepareContext)
	c.beginner, _ = inner.(driver.ConnBeginTx)
	c.resetter, _ = inner.(driver.SessionResetter)
	c.validator, _ = inner.(driver.Validator)
	c.checker, _ = inner.(driver.NamedValueChecker)
	c.execer, _ = inner.(driver.ExecerContext)
	c.queryer, _ = inner.(driver.QueryerContext)
	c.oldExecer, _ = inner.(driver.Execer)   //nolint:staticcheck // drivers still have it
	c.oldQueryer, _ = inner.(driver.Queryer) //nolint:staticcheck // drivers still have it
	return c
}

// execConn is a conn whose driver can run a statement without preparing it. The method set must say
// so exactly: database/sql converts arguments by the rules of the connection before it calls
// ExecContext, and by those of the statement otherwise, so declining in the call is too late.
type execConn struct{ *conn }

func (c execConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.exec(ctx, query, args)
}

// queryConn is a conn whose driver can query without preparing.
type queryConn struct{ *conn }

func (c queryConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.query(ctx, query, args)
}

// execQueryConn is a conn whose driver can do both.
type execQueryConn struct{ *conn }

func (c execQueryConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.exec(ctx, query, args)
}

func (c execQueryConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.query(ctx, query, args)
}

// shape returns c as a connection that can run statements directly if, and only if, the driver's
// can. A struct of one pointer is stored in an interface without allocating.
func (c *conn) shape() driver.Conn {
	exec := c.execer != nil || c.oldExecer != nil
	query := c.queryer != nil || c.oldQueryer != nil
	switch {
	case exec && query:
		return execQueryConn{c}
	case exec:
		return execConn{c}
	case query:
		return queryConn{c}
	}
	return c
}
