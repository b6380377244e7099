package otelpool

import (
	"context"
	"database/sql/driver"

	"github.com/otelpool/otelpool/internal/ledger"
)

// stmt is a prepared statement with telemetry.
type stmt struct {
	in driver.Stmt
	c  *conn
	st *statement // resolved once, when it was prepared

	// What the driver's statement can do; nil where it cannot.
	execer  driver.StmtExecContext
	queryer driver.StmtQueryContext
	checker driver.NamedValueChecker

	// declined is the call that this statement takes the place of, until it runs.
	declined call
}

var (
	_ driver.Stmt              = (*stmt)(nil)
	_ driver.StmtExecContext   = (*stmt)(nil)
	_ driver.StmtQueryContext  = (*stmt)(nil)
	_ driver.NamedValueChecker = (*stmt)(nil)
)

// newStmt returns the statement in its shape: with ColumnConverter if the driver
// has it, since its presence alone changes how arguments are counted.
func newStmt(c *conn, in driver.Stmt, st *statement, declined call) driver.Stmt {
	s := &stmt{in: in, c: c, st: st, declined: declined}
	s.execer, _ = in.(driver.StmtExecContext)
	s.queryer, _ = in.(driver.StmtQueryContext)
	s.checker, _ = in.(driver.NamedValueChecker)
	if _, ok := in.(driver.ColumnConverter); ok { //nolint:staticcheck // drivers still have it
		return columnStmt{s}
	}
	return s
}

// columnStmt is a stmt whose driver converts arguments column by column.
type columnStmt struct{ *stmt }

func (s columnStmt) ColumnConverter(i int) driver.ValueConverter {
	return s.in.(driver.ColumnConverter).ColumnConverter(i) //nolint:staticcheck // drivers still have it
}

// begin starts a call of the statement, or goes on with the one that it takes
// the place of.
func (s *stmt) begin(k *call) {
	if s.declined.span == nil {
		s.c.begin(k)
		return
	}
	*k = s.declined
	s.declined = call{}
	k.returned = false
	s.c.used(k.from)
	s.c.rec.Begin(s.st.parsed.Summary)
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (res driver.Result, err error) {
	k := call{from: ctx, op: opExec, st: s.st}
	s.begin(&k)
	defer s.c.end(&k, ledger.NoEffect, &err)
	s.c.noteArgs(&k, args)
	res, err = ctxStmtExec(k.ctx, s.in, s.execer, args)
	k.returned = true
	s.c.noteAffected(&k, res, err)
	return res, err
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (_ driver.Rows, err error) {
	k := call{from: ctx, op: opQuery, st: s.st}
	s.begin(&k)
	defer s.c.end(&k, ledger.RowsOpened, &err)
	s.c.noteArgs(&k, args)
	in, err := ctxStmtQuery(k.ctx, s.in, s.queryer, args)
	k.returned = true
	return s.c.wrapRows(&k, in, err)
}

// Exec and Query are here because a driver.Stmt has them; database/sql calls the
// methods with contexts.

func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(args))
}

func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

func (s *stmt) NumInput() int { return s.in.NumInput() }

// CheckNamedValue asks the one that database/sql would have asked: the
// statement, else the connection, else nobody.
func (s *stmt) CheckNamedValue(v *driver.NamedValue) error {
	if s.checker != nil {
		return s.checker.CheckNamedValue(v)
	}
	return s.c.CheckNamedValue(v)
}

// Close may be called after the connection was given back, and with the lock of
// the DB held: it must not touch the ledger, nor ask the DB for anything.
func (s *stmt) Close() error {
	if s.declined.span != nil {
		s.c.abandon(&s.declined)
	}
	return s.in.Close()
}
