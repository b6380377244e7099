package fakedb

import (
	"context"
	"database/sql/driver"
)

// stmt is a prepared statement with the mandatory methods.
type stmt struct {
	object
	conn   *conn
	query  string
	answer Answer
	closed bool
}

func (s *stmt) call(op Op, method string) call {
	return call{op: op, receiver: s.object, conn: s.conn, closed: s.closed || s.conn.closed, method: method, query: s.query}
}

func (s *stmt) NumInput() int {
	n := s.answer.inputs(s.query)
	s.conn.db.recordUnscripted(s.object, "NumInput", n)
	return n
}

func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	cl := s.call(StmtExec, "Exec")
	cl.values = args
	return s.conn.exec(cl, s.answer)
}

func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	cl := s.call(StmtQuery, "Query")
	cl.values = args
	return s.conn.query(cl, s.answer)
}

func (s *stmt) Close() error {
	cl := s.call(StmtClose, "Close")
	s.closed = true
	if err := s.conn.db.run(cl, 0); err != nil {
		return err
	}
	s.conn.db.record(cl, "ok")
	return nil
}

type stmtExecContext struct{ s *stmt }

func (e stmtExecContext) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	cl := e.s.call(StmtExec, "ExecContext")
	cl.ctx, cl.args = ctx, args
	return e.s.conn.exec(cl, e.s.answer)
}

type stmtQueryContext struct{ s *stmt }

func (q stmtQueryContext) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	cl := q.s.call(StmtQuery, "QueryContext")
	cl.ctx, cl.args = ctx, args
	return q.s.conn.query(cl, q.s.answer)
}

type stmtNamedValueChecker struct{ s *stmt }

func (n stmtNamedValueChecker) CheckNamedValue(nv *driver.NamedValue) error {
	return check(n.s.conn.db, n.s.object, n.s.conn.db.config.CheckStmt, nv)
}

type stmtColumnConverter struct{ s *stmt }

func (c stmtColumnConverter) ColumnConverter(idx int) driver.ValueConverter {
	db := c.s.conn.db
	var converter driver.ValueConverter = driver.DefaultParameterConverter
	if db.config.Convert != nil {
		converter = db.config.Convert(idx)
	}
	db.recordUnscripted(c.s.object, "ColumnConverter", "converter", idx)
	return converter
}
