package otelpool

import (
	"context"
	"database/sql/driver"
	"runtime"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
)

// tx is a transaction with telemetry.
type tx struct {
	inner driver.Tx
	conn  *conn
	ctx   context.Context //nolint:containedctx // Commit and Rollback have none of their own

	// begun is the stack of BeginTx, kept only where Rollback needs it.
	begun []uintptr
}

var _ driver.Tx = (*tx)(nil)

// newTx wraps a transaction that was begun in ctx.
//
// database/sql keeps the connection of a transaction whose context ended only if the connection has
// both SessionResetter and Validator. Ours always has both, so for a driver that has not, Rollback
// must see to it that the connection is dropped as it would have been.
func newTx(c *conn, ctx context.Context, inner driver.Tx) *tx { //nolint:revive // the receiver of the call comes first
	t := &tx{inner: inner, conn: c, ctx: ctx}
	c.health.txCtx = ctx
	if (c.resetter == nil || c.validator == nil) && ctx.Done() != nil {
		t.begun = make([]uintptr, maxBegunFrames)
		t.begun = t.begun[:runtime.Callers(2, t.begun)]
	}
	return t
}

// maxBegunFrames reaches from BeginTx to the method of the sql.Conn that it was called by, with
// room for wrappers between.
const maxBegunFrames = 16

func (t *tx) Commit() (err error) {
	var call driverCall
	t.conn.begin(t.ctx, &call, telemetry.OpCommit, t.conn.pool.telemetry.NoStatement())
	defer t.conn.end(&call, ledger.TxEnded, &err)
	err = t.inner.Commit()
	call.returned = true
	return err
}

// Rollback is called by the caller's Rollback, and by database/sql when the context of the
// transaction has ended. Only then, and only for a driver that cannot keep it, the connection is
// dropped: through IsValid, which makes database/sql close it silently. A transaction on a sql.Conn
// keeps its connection, and IsValid is not called; there ErrBadConn does what database/sql would
// have done, but for closing the statements that were prepared in the transaction, which end with
// their connection.
func (t *tx) Rollback() error {
	err := t.rollback()
	if t.begun == nil || t.ctx.Err() == nil {
		return err
	}
	if by, _ := calledFrom(frameTxAwaitDone); by == "" {
		return err
	}
	t.conn.health.discard = true
	if on, _ := nearest(t.begun, frameConnBeginTx); on != "" {
		return driver.ErrBadConn
	}
	return err
}

func (t *tx) rollback() (err error) {
	var call driverCall
	t.conn.begin(t.ctx, &call, telemetry.OpRollback, t.conn.pool.telemetry.NoStatement())
	defer t.conn.end(&call, ledger.TxEnded, &err)
	err = t.inner.Rollback()
	call.returned = true
	return err
}
