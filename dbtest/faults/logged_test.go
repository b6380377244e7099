package faults_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync/atomic"
)

// attempts counts the driver calls for a program that returned driver.ErrBadConn, and how
// many of these errors the program got. The others were masked by a retry.
type attempts struct{ bad, seen atomic.Int64 }

type attemptsKey struct{}

// logging returns a context for calls of a program, and their counts. They stay 0 unless
// the pool has a logged driver.
func logging(ctx context.Context) (context.Context, *attempts) {
	a := &attempts{}
	return context.WithValue(ctx, attemptsKey{}, a), a
}

// masked returns the number of errors that the program did not get.
func (a *attempts) masked() int64 { return a.bad.Load() - a.seen.Load() }

// recordAttempt records an error that the driver returned.
func recordAttempt(ctx context.Context, err error) {
	if a, ok := ctx.Value(attemptsKey{}).(*attempts); ok && errors.Is(err, driver.ErrBadConn) {
		a.bad.Add(1)
	}
}

// seen records an error that the program got, and returns it. It must be called with the
// error of each call that is made with the context of logging, and with no other.
func seen(ctx context.Context, err error) error {
	// An ErrBadConn without an attempt does not come from the driver: database/sql found
	// an expired connection three times.
	if a, ok := ctx.Value(attemptsKey{}).(*attempts); ok && errors.Is(err, driver.ErrBadConn) && a.masked() > 0 {
		a.seen.Add(1)
	}
	return err
}

// loggedConnector records the result of each driver call that has a context.
type loggedConnector struct{ driver.Connector }

func (c loggedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	recordAttempt(ctx, err)
	if err != nil {
		return nil, err
	}
	l := loggedConn{inner.(fullConn)}
	if v, ok := inner.(driver.Validator); ok {
		return validConn{l, v}, nil
	}
	return l, nil
}

// fullConn has the interfaces that the connections of all three drivers have.
type fullConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
	driver.NamedValueChecker
}

type loggedConn struct{ fullConn }

// validConn is a connection with a Validator. Without one, database/sql would discard
// connections that it otherwise keeps.
type validConn struct {
	loggedConn
	driver.Validator
}

func (c loggedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.fullConn.PrepareContext(ctx, query)
	recordAttempt(ctx, err)
	if err != nil {
		return nil, err
	}
	return loggedStmt{s.(fullStmt)}, nil
}

func (c loggedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.fullConn.BeginTx(ctx, opts)
	recordAttempt(ctx, err)
	return tx, err
}

func (c loggedConn) Ping(ctx context.Context) error {
	err := c.fullConn.Ping(ctx)
	recordAttempt(ctx, err)
	return err
}

func (c loggedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	r, err := c.fullConn.ExecContext(ctx, query, args)
	recordAttempt(ctx, err)
	return r, err
}

func (c loggedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.fullConn.QueryContext(ctx, query, args)
	recordAttempt(ctx, err)
	return rows, err
}

func (c loggedConn) ResetSession(ctx context.Context) error {
	err := c.fullConn.ResetSession(ctx)
	recordAttempt(ctx, err)
	return err
}

// fullStmt has the interfaces that the statements of all three drivers have. Those of
// go-sql-driver also check arguments, as its connection does.
type fullStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type loggedStmt struct{ fullStmt }

func (s loggedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	r, err := s.fullStmt.ExecContext(ctx, args)
	recordAttempt(ctx, err)
	return r, err
}

func (s loggedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.fullStmt.QueryContext(ctx, args)
	recordAttempt(ctx, err)
	return rows, err
}
