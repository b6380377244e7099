package faults_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync/atomic"
)

// attempts is the log of the driver calls that were made for a program: how many of
// them called the connection bad, and how many of those the program was told of. The
// others were masked.
type attempts struct{ bad, seen atomic.Int64 }

type attemptsKey struct{}

// logging returns a context for calls of a program, and their log. It stays empty
// unless the pool is over a logged driver.
func logging(ctx context.Context) (context.Context, *attempts) {
	a := &attempts{}
	return context.WithValue(ctx, attemptsKey{}, a), a
}

// masked is how many attempts the program does not know of.
func (a *attempts) masked() int64 { return a.bad.Load() - a.seen.Load() }

// note is for what the driver returned, seen for what the program got. It must get
// the error of each call that the driver's calls are logged for, and of no other.
func recordAttempt(ctx context.Context, err error) {
	if a, ok := ctx.Value(attemptsKey{}).(*attempts); ok && errors.Is(err, driver.ErrBadConn) {
		a.bad.Add(1)
	}
}

func seen(ctx context.Context, err error) error {
	// An ErrBadConn that no attempt was noted for is of a connection that the driver
	// had no part in: database/sql found it too old three times.
	if a, ok := ctx.Value(attemptsKey{}).(*attempts); ok && errors.Is(err, driver.ErrBadConn) && a.masked() > 0 {
		a.seen.Add(1)
	}
	return err
}

// loggedConnector logs what each call of the driver returned that has a context.
type loggedConnector struct{ driver.Connector }

func (c loggedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	in, err := c.Connector.Connect(ctx)
	recordAttempt(ctx, err)
	if err != nil {
		return nil, err
	}
	l := loggedConn{in.(able)}
	if v, ok := in.(driver.Validator); ok {
		return validConn{l, v}, nil
	}
	return l, nil
}

// able is what the connections of all three drivers can do.
type able interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
	driver.NamedValueChecker
}

type loggedConn struct{ able }

// validConn is the connection of a driver that has a Validator: one that has none
// loses connections that it would keep otherwise.
type validConn struct {
	loggedConn
	driver.Validator
}

func (c loggedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.able.PrepareContext(ctx, query)
	recordAttempt(ctx, err)
	if err != nil {
		return nil, err
	}
	return loggedStmt{s.(ableStmt)}, nil
}

func (c loggedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.able.BeginTx(ctx, opts)
	recordAttempt(ctx, err)
	return tx, err
}

func (c loggedConn) Ping(ctx context.Context) error {
	err := c.able.Ping(ctx)
	recordAttempt(ctx, err)
	return err
}

func (c loggedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	r, err := c.able.ExecContext(ctx, query, args)
	recordAttempt(ctx, err)
	return r, err
}

func (c loggedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.able.QueryContext(ctx, query, args)
	recordAttempt(ctx, err)
	return rows, err
}

func (c loggedConn) ResetSession(ctx context.Context) error {
	err := c.able.ResetSession(ctx)
	recordAttempt(ctx, err)
	return err
}

// ableStmt is what the prepared statements of all three drivers can do. That of
// go-sql-driver checks arguments besides, as its connection does.
type ableStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type loggedStmt struct{ ableStmt }

func (s loggedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	r, err := s.ableStmt.ExecContext(ctx, args)
	recordAttempt(ctx, err)
	return r, err
}

func (s loggedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.ableStmt.QueryContext(ctx, args)
	recordAttempt(ctx, err)
	return rows, err
}
