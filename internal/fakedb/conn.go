package fakedb

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync/atomic"
)

// conn is a connection with the mandatory methods. The types below add one
// optional method each; the generated shapes combine them.
type conn struct {
	object
	db     *DB
	busy   atomic.Bool
	closed bool
}

func (c *conn) call(op Op, method string) call {
	return call{op: op, receiver: c.object, conn: c, closed: c.closed, method: method}
}

func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.prepare(nil, "Prepare", query)
}

func (c *conn) Begin() (driver.Tx, error) {
	return c.begin(c.call(Begin, "Begin"))
}

// Close closes the connection even if the test makes it fail, as drivers do.
func (c *conn) Close() error {
	cl := c.call(Close, "Close")
	if !c.closed {
		c.closed = true
		c.db.closed.Add(1)
	}
	if err := c.db.run(cl, 0); err != nil {
		return err
	}
	c.db.record(cl, "ok")
	return nil
}

func (c *conn) prepare(ctx context.Context, method, query string) (driver.Stmt, error) {
	cl := c.call(Prepare, method)
	cl.ctx, cl.query = ctx, query
	if err := c.db.run(cl, 0); err != nil {
		return nil, err
	}
	answer := c.db.config.Answers[query]
	if answer.Nothing {
		c.db.record(cl, "nil")
		return nil, nil
	}
	s := &stmt{object: object{"stmt", c.db.stmts.Add(1)}, conn: c, query: query, answer: answer}
	c.db.record(cl, s.object)
	return stmtShapes[c.db.config.Stmt](s), nil
}

func (c *conn) begin(cl call) (driver.Tx, error) {
	if err := c.db.run(cl, 0); err != nil {
		return nil, err
	}
	t := &tx{object: object{"tx", c.db.txs.Add(1)}, conn: c}
	c.db.record(cl, t.object)
	return t, nil
}

// exec runs a query text for the connection or for a statement prepared on it.
func (c *conn) exec(cl call, answer Answer) (driver.Result, error) {
	if err := c.db.run(cl, answer.Latency); err != nil {
		return nil, err
	}
	c.db.record(cl, "ok")
	if answer.Nothing {
		return nil, nil
	}
	res := answer.Result
	if res == nil {
		res = driver.RowsAffected(1)
	}
	if c.db.config.Quiet {
		return res, nil
	}
	return result{res, cl.receiver, c.db}, nil
}

// result logs the calls on the result of an exec.
type result struct {
	inner    driver.Result
	receiver object // what was executed
	db       *DB
}

func (r result) LastInsertId() (int64, error) {
	n, err := r.inner.LastInsertId()
	r.db.recordUnscripted(r.receiver, "LastInsertId", fmt.Sprint(n, ", error ", err))
	return n, err
}

func (r result) RowsAffected() (int64, error) {
	n, err := r.inner.RowsAffected()
	r.db.recordUnscripted(r.receiver, "RowsAffected", fmt.Sprint(n, ", error ", err))
	return n, err
}

// query is exec for queries.
func (c *conn) query(cl call, answer Answer) (driver.Rows, error) {
	if err := c.db.run(cl, answer.Latency); err != nil {
		return nil, err
	}
	if answer.Nothing {
		c.db.record(cl, "nil")
		return nil, nil
	}
	r := &rows{object: object{"rows", c.db.rows.Add(1)}, conn: c, query: cl.query, sets: answer.sets(), repeat: answer.Rows}
	c.db.record(cl, r.object)
	return r.shape(c.db.config.Rows), nil
}

func check(db *DB, receiver object, f func(*driver.NamedValue) error, nv *driver.NamedValue) error {
	given := *nv
	err := driver.ErrSkip
	if f != nil {
		err = f(nv)
	}
	if !db.config.Quiet {
		cl := call{op: numOps, receiver: receiver, method: "CheckNamedValue", args: []driver.NamedValue{given}}
		db.record(cl, fmt.Sprint(formatValues(nv.Value), ", error ", err))
	}
	return err
}

type pinger struct{ c *conn }

func (p pinger) Ping(ctx context.Context) error {
	cl := p.c.call(Ping, "Ping")
	cl.ctx = ctx
	if err := p.c.db.run(cl, 0); err != nil {
		return err
	}
	p.c.db.record(cl, "ok")
	return nil
}

type execer struct{ c *conn }

func (e execer) Exec(query string, args []driver.Value) (driver.Result, error) {
	cl := e.c.call(Exec, "Exec")
	cl.query, cl.values = query, args
	return e.c.exec(cl, e.c.db.config.Answers[query])
}

type execerContext struct{ c *conn }

func (e execerContext) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	cl := e.c.call(Exec, "ExecContext")
	cl.ctx, cl.query, cl.args = ctx, query, args
	return e.c.exec(cl, e.c.db.config.Answers[query])
}

type queryer struct{ c *conn }

func (q queryer) Query(query string, args []driver.Value) (driver.Rows, error) {
	cl := q.c.call(Query, "Query")
	cl.query, cl.values = query, args
	return q.c.query(cl, q.c.db.config.Answers[query])
}

type queryerContext struct{ c *conn }

func (q queryerContext) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	cl := q.c.call(Query, "QueryContext")
	cl.ctx, cl.query, cl.args = ctx, query, args
	return q.c.query(cl, q.c.db.config.Answers[query])
}

type connPrepareContext struct{ c *conn }

func (p connPrepareContext) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	return p.c.prepare(ctx, "PrepareContext", query)
}

type connBeginTx struct{ c *conn }

func (b connBeginTx) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	cl := b.c.call(Begin, "BeginTx")
	cl.ctx, cl.opts = ctx, opts
	return b.c.begin(cl)
}

type sessionResetter struct{ c *conn }

func (s sessionResetter) ResetSession(ctx context.Context) error {
	cl := s.c.call(Reset, "ResetSession")
	cl.ctx = ctx
	if err := s.c.db.run(cl, 0); err != nil {
		return err
	}
	s.c.db.record(cl, "ok")
	return nil
}

type validator struct{ c *conn }

func (v validator) IsValid() bool {
	cl := v.c.call(Valid, "IsValid")
	if err := v.c.db.run(cl, 0); err != nil {
		return false
	}
	v.c.db.record(cl, true)
	return true
}

type namedValueChecker struct{ c *conn }

func (n namedValueChecker) CheckNamedValue(nv *driver.NamedValue) error {
	return check(n.c.db, n.c.object, n.c.db.config.CheckConn, nv)
}

// tx is a transaction. It has no optional interface.
type tx struct {
	object
	conn *conn
	done bool
}

func (t *tx) Commit() error   { return t.end(Commit, "Commit") }
func (t *tx) Rollback() error { return t.end(Rollback, "Rollback") }

func (t *tx) end(op Op, method string) error {
	cl := call{op: op, receiver: t.object, conn: t.conn, closed: t.done || t.conn.closed, method: method}
	t.done = true
	if err := t.conn.db.run(cl, 0); err != nil {
		return err
	}
	t.conn.db.record(cl, "ok")
	return nil
}
