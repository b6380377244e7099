package benchmarks

import (
	"context"
	"database/sql"

	"github.com/otelpool/otelpool"
)

// The statements of the operations. Each has one argument and no literal, so that its
// text is emitted unchanged.
const (
	selectRow  = "SELECT visits FROM users WHERE id = ?"
	selectRows = "SELECT visits FROM users WHERE country = ? ORDER BY name"
	update     = "UPDATE users SET seen = CURRENT_TIMESTAMP WHERE id = ?"
)

// The statements as the floor emits them.
var (
	selectsRow  = opInfo{operation: query, text: selectRow, summary: "SELECT users", read: 1}
	selectsRows = opInfo{operation: query, text: selectRows, summary: "SELECT users", read: resultRows}
	updates     = opInfo{operation: execute, text: update, summary: "UPDATE users"}
)

// argument is boxed once: the operations measure wrappers, not conversions to an
// interface.
var argument any = int64(7)

// A call runs an operation once. It returns a number that proves the work was done: rows
// affected, or the sum of the rows read.
type call func(ctx context.Context) (int64, error)

// An Op is an operation of a program on a pool.
type Op struct {
	Name string

	// Note describes the operation in one line, for a report; it may be empty.
	Note string

	// plain runs the operation through database/sql, for every peer.
	plain func(db *sql.DB) (call, error)

	// floor runs the same operation and emits the signals of [floor].
	floor func(db *sql.DB, f *floor) (call, error)

	// viaDB runs the same operation through otelpool.DB. It is separate code rather than
	// plain with an interface: through an interface the compiler cannot prove that an
	// argument or a row does not escape, so each call would allocate more than in a
	// program.
	viaDB func(db *otelpool.DB) (call, error)

	// want is the result of one call.
	want int64
}

// Ops are the measured operations, in the order of the report.
var Ops = []Op{
	{Name: "query_row", plain: queryRow, floor: withSignals(selectsRow, queryRow), viaDB: dbQueryRow, want: 1},
	{Name: "rows", plain: rows, floor: withSignals(selectsRows, rows), viaDB: dbRows, want: resultRows * (resultRows + 1) / 2},
	execOp,
	{Name: "prepared_exec", plain: preparedExec, floor: withSignals(updates, preparedExec), viaDB: dbPreparedExec, want: 1},
	{Name: "tx", plain: tx, floor: floorTx, viaDB: dbTx, want: 1},
	{Name: "ping", plain: ping, floor: withSignals(opInfo{operation: pinging}, ping), viaDB: dbPing, want: 0},
}

// execOp is also the operation of saturated pools.
var execOp = Op{Name: "exec", plain: exec, floor: withSignals(updates, exec), viaDB: dbExec, want: 1}

func queryRow(db *sql.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		var n any
		if err := db.QueryRowContext(ctx, selectRow, argument).Scan(&n); err != nil {
			return 0, err
		}
		return n.(int64), nil
	}, nil
}

func rows(db *sql.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		return sum(db.QueryContext(ctx, selectRows, argument))
	}, nil
}

// sum reads a result set to its end and closes it. It scans into an any, so that
// database/sql copies the driver's value without a conversion.
func sum(rs *sql.Rows, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	var total int64
	var n any
	for rs.Next() {
		if err := rs.Scan(&n); err != nil {
			return 0, err
		}
		total += n.(int64)
	}
	if err := rs.Err(); err != nil {
		return 0, err
	}
	return total, rs.Close()
}

func exec(db *sql.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		return affected(db.ExecContext(ctx, update, argument))
	}, nil
}

func preparedExec(db *sql.DB) (call, error) {
	stmt, err := db.PrepareContext(context.Background(), update) //nolint:sqlclosecheck // closed with its DB
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (int64, error) {
		return affected(stmt.ExecContext(ctx, argument))
	}, nil
}

func tx(db *sql.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		t, err := db.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		return updateIn(ctx, t)
	}, nil
}

func updateIn(ctx context.Context, t *sql.Tx) (int64, error) {
	n, err := affected(t.ExecContext(ctx, update, argument))
	if err != nil {
		return 0, err
	}
	return n, t.Commit()
}

func ping(db *sql.DB) (call, error) {
	return func(ctx context.Context) (int64, error) { return 0, db.PingContext(ctx) }, nil
}

func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func dbQueryRow(db *otelpool.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		var n any
		if err := db.QueryRowContext(ctx, selectRow, argument).Scan(&n); err != nil {
			return 0, err
		}
		return n.(int64), nil
	}, nil
}

func dbRows(db *otelpool.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		return sum(db.QueryContext(ctx, selectRows, argument))
	}, nil
}

func dbExec(db *otelpool.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		return affected(db.ExecContext(ctx, update, argument))
	}, nil
}

// dbPreparedExec prepares through the DB. The statement acquires connections as that of a
// plain *sql.DB does.
func dbPreparedExec(db *otelpool.DB) (call, error) {
	stmt, err := db.PrepareContext(context.Background(), update) //nolint:sqlclosecheck // closed with its DB
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (int64, error) {
		return affected(stmt.ExecContext(ctx, argument))
	}, nil
}

func dbTx(db *otelpool.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		t, err := db.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		return updateIn(ctx, t)
	}, nil
}

func dbPing(db *otelpool.DB) (call, error) {
	return func(ctx context.Context) (int64, error) { return 0, db.PingContext(ctx) }, nil
}
