package otelpool

import (
	"context"
	"database/sql/driver"
	"errors"
)

// This file is what database/sql does for a driver that has no contexts, so that a wrapper that
// always has them answers as the driver alone would: the same refusals in the same words, the same
// moment at which the context is looked at, and the same clean-up. The errors are text because
// database/sql has no values for them.

func ctxPrepare(ctx context.Context, inner driver.Conn, withCtx driver.ConnPrepareContext, query string) (driver.Stmt, error) {
	if withCtx != nil {
		return withCtx.PrepareContext(ctx, query)
	}
	s, err := inner.Prepare(query)
	if err == nil && ctx.Err() != nil {
		_ = s.Close()
		return nil, ctx.Err()
	}
	return s, err
}

func ctxExec(ctx context.Context, withCtx driver.ExecerContext, old driver.Execer, query string, args []driver.NamedValue) (driver.Result, error) { //nolint:staticcheck // drivers still have it
	if withCtx != nil {
		return withCtx.ExecContext(ctx, query, args)
	}
	values, err := positional(ctx, args)
	if err != nil {
		return nil, err
	}
	return old.Exec(query, values)
}

func ctxQuery(ctx context.Context, withCtx driver.QueryerContext, old driver.Queryer, query string, args []driver.NamedValue) (driver.Rows, error) { //nolint:staticcheck // drivers still have it
	if withCtx != nil {
		return withCtx.QueryContext(ctx, query, args)
	}
	values, err := positional(ctx, args)
	if err != nil {
		return nil, err
	}
	return old.Query(query, values)
}

func ctxStmtExec(ctx context.Context, inner driver.Stmt, withCtx driver.StmtExecContext, args []driver.NamedValue) (driver.Result, error) {
	if withCtx != nil {
		return withCtx.ExecContext(ctx, args)
	}
	values, err := positional(ctx, args)
	if err != nil {
		return nil, err
	}
	return inner.Exec(values) //nolint:staticcheck // the driver has nothing newer
}

func ctxStmtQuery(ctx context.Context, inner driver.Stmt, withCtx driver.StmtQueryContext, args []driver.NamedValue) (driver.Rows, error) {
	if withCtx != nil {
		return withCtx.QueryContext(ctx, args)
	}
	values, err := positional(ctx, args)
	if err != nil {
		return nil, err
	}
	return inner.Query(values) //nolint:staticcheck // the driver has nothing newer
}

// ctxBegin refuses what a driver without BeginTx cannot honour. To drop the isolation level that a
// caller asked for would be to lie to it.
func ctxBegin(ctx context.Context, inner driver.Conn, withCtx driver.ConnBeginTx, opts driver.TxOptions) (driver.Tx, error) {
	if withCtx != nil {
		return withCtx.BeginTx(ctx, opts)
	}
	if opts.Isolation != 0 {
		return nil, errors.New("sql: driver does not support non-default isolation level")
	}
	if opts.ReadOnly {
		return nil, errors.New("sql: driver does not support read-only transactions")
	}
	tx, err := inner.Begin() //nolint:staticcheck // the driver has nothing newer
	if err == nil && ctx.Err() != nil {
		_ = tx.Rollback()
		return nil, ctx.Err()
	}
	return tx, err
}

// positional turns arguments into what a driver without contexts takes. The names are looked at
// before the context, as database/sql does.
func positional(ctx context.Context, args []driver.NamedValue) ([]driver.Value, error) {
	values := make([]driver.Value, len(args))
	for i, a := range args {
		if a.Name != "" {
			return nil, errors.New("sql: driver does not support the use of Named Parameters")
		}
		values[i] = a.Value
	}
	return values, ctx.Err()
}

// named is the way back, for a caller that uses the methods without contexts.
func named(values []driver.Value) []driver.NamedValue {
	args := make([]driver.NamedValue, len(values))
	for i, v := range values {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return args
}
