package otelpool

import (
	"context"
	"database/sql/driver"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
)

// stmt is a prepared statement with telemetry.
type stmt struct {
	inner driver.Stmt
	conn  *conn
	text  *telemetry.Statement // resolved once, when it was prepared

	// What the driver's statement can do; nil where it cannot.
	execer  driver.StmtExecContext
	queryer driver.StmtQueryContext
	checker driver.NamedValueChecker

	// declined is the call that this statement takes the place of, until it runs.
	declined driverCall
}

var (
	_ driver.Stmt              = (*stmt)(nil)
	_ driver.StmtExecContext   = (*stmt)(nil)
	_ driver.StmtQueryContext  = (*stmt)(nil)
	_ driver.NamedValueChecker = (*stmt)(nil)
)

// newStmt returns the statement in its shape: with ColumnConverter if the driver has it, since its
// presence alone changes how arguments are counted.
func newStmt(c *conn, inner driver.Stmt, text *telemetry.Statement, declined driverCall) driver.Stmt {
	s := &stmt{inner: inner, conn: c, text: text, declined: declined}
	s.execer, _ = inner.(driver.StmtExecContext)
	s.queryer, _ = inner.(driver.StmtQueryContext)
	s.checker, _ = inner.(driver.NamedValueChecker)
	if _, ok := inner.(driver.ColumnConverter); ok { //nolint:staticcheck // drivers still have it
		return columnStmt{s}
	}
	return s
}

// columnStmt is a stmt whose driver converts arguments column by column.
type columnStmt struct{ *stmt }

func (s columnStmt) ColumnConverter(i int) driver.ValueConverter {
	return s.inner.(driver.ColumnConverter).ColumnConverter(i) //nolint:staticcheck // drivers still have it
}

// begin starts a call of the statement, or goes on with the one that it takes the place of.
func (s *stmt) begin(ctx context.Context, call *driverCall, op telemetry.Op) {
	if !s.declined.Begun() {
		s.conn.begin(ctx, call, op, s.text)
		return
	}
	*call = s.declined
	s.declined = driverCall{}
	call.returned = false
	s.conn.use(call.Parent)
	s.conn.rec.Begin(s.text.Summary())
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (res driver.Result, err error) {
	var call driverCall
	s.begin(ctx, &call, telemetry.OpExec)
	defer s.conn.end(&call, ledger.NoEffect, &err)
	s.conn.pool.setArguments(&call.Call, args)
	res, err = ctxStmtExec(call.Ctx, s.inner, s.execer, args)
	call.returned = true
	s.conn.setAffected(&call, res, err)
	return res, err
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (_ driver.Rows, err error) {
	var call driverCall
	s.begin(ctx, &call, telemetry.OpQuery)
	defer s.conn.end(&call, ledger.RowsOpened, &err)
	s.conn.pool.setArguments(&call.Call, args)
	inner, err := ctxStmtQuery(call.Ctx, s.inner, s.queryer, args)
	call.returned = true
	return s.conn.wrapRows(&call, inner, err)
}

// Exec and Query are here because a driver.Stmt has them; database/sql calls the methods with
// contexts.

func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(args))
}

func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

func (s *stmt) NumInput() int { return s.inner.NumInput() }

// CheckNamedValue calls the one that database/sql would have called: the statement, else the
// connection, else nobody.
func (s *stmt) CheckNamedValue(v *driver.NamedValue) error {
	if s.checker != nil {
		return s.checker.CheckNamedValue(v)
	}
	return s.conn.CheckNamedValue(v)
}

// Close may be called after the connection was released, and with the lock of the DB held: it must
// not touch the ledger, nor call the DB.
func (s *stmt) Close() error {
	if s.declined.Begun() {
		endNotRun(s.conn.pool, &s.declined)
	}
	return s.inner.Close()
}
