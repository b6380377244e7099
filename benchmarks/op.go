package benchmarks

import (
	"context"
	"database/sql"

	"github.com/otelpool/otelpool"
)

// The statements of the operations. Each has one argument, as a program's
// statements do, and no literal, so that it is told as it is.
const (
	selectRow  = "SELECT visits FROM users WHERE id = ?"
	selectRows = "SELECT visits FROM users WHERE country = ? ORDER BY name"
	update     = "UPDATE users SET seen = CURRENT_TIMESTAMP WHERE id = ?"
)

// What the floor tells of them.
var (
	selectsRow  = what{operation: query, text: selectRow, summary: "SELECT users", read: 1}
	selectsRows = what{operation: query, text: selectRows, summary: "SELECT users", read: resultRows}
	updates     = what{operation: execute, text: update, summary: "UPDATE users"}
)

// argument is boxed once: the operations measure wrappers, not conversions to
// an interface.
var argument any = int64(7)

// A call does an operation once and gives a number that only the right work
// can give: rows affected, or the sum of the rows read.
type call func(ctx context.Context) (int64, error)

// An Op is one thing that a program does with a pool.
type Op struct {
	Name string

	// Note says in one line what it is, for a report, if the name does not.
	Note string

	// plain does the operation through database/sql alone: what every peer is
	// measured with.
	plain func(db *sql.DB) (call, error)

	// told does the same and gives the signals of [floor] around it.
	told func(db *sql.DB, f *floor) (call, error)

	// exact does the same through otelpool's type. It is written out, not plain
	// through an interface: behind one the compiler cannot see that an argument or
	// a row does not escape, and each call would allocate more than a program's.
	exact func(db *otelpool.DB) (call, error)

	// want is what one call gives.
	want int64
}

// Ops are the operations measured, in the order in which they are reported.
var Ops = []Op{
	{Name: "query_row", plain: queryRow, told: one(selectsRow, queryRow), exact: exactQueryRow, want: 1},
	{Name: "rows", plain: rows, told: one(selectsRows, rows), exact: exactRows, want: resultRows * (resultRows + 1) / 2},
	execOp,
	{Name: "prepared_exec", plain: preparedExec, told: one(updates, preparedExec), exact: exactPreparedExec, want: 1},
	{Name: "tx", plain: tx, told: toldTx, exact: exactTx, want: 1},
	{Name: "ping", plain: ping, told: one(what{operation: pinging}, ping), exact: exactPing, want: 0},
}

// execOp is also what the goroutines of a saturated pool do.
var execOp = Op{Name: "exec", plain: exec, told: one(updates, exec), exact: exactExec, want: 1}

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

// sum reads a result set to its end and closes it. It scans into an any:
// database/sql then copies the driver's value and converts nothing.
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
	stmt, err := db.PrepareContext(context.Background(), update) //nolint:sqlclosecheck // it ends with its DB
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

func exactQueryRow(db *otelpool.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		var n any
		if err := db.QueryRowContext(ctx, selectRow, argument).Scan(&n); err != nil {
			return 0, err
		}
		return n.(int64), nil
	}, nil
}

func exactRows(db *otelpool.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		return sum(db.QueryContext(ctx, selectRows, argument))
	}, nil
}

func exactExec(db *otelpool.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		return affected(db.ExecContext(ctx, update, argument))
	}, nil
}

// exactPreparedExec prepares through the DB. The statement acquires by itself, as
// that of a plain *sql.DB does.
func exactPreparedExec(db *otelpool.DB) (call, error) {
	stmt, err := db.PrepareContext(context.Background(), update) //nolint:sqlclosecheck // it ends with its DB
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (int64, error) {
		return affected(stmt.ExecContext(ctx, argument))
	}, nil
}

func exactTx(db *otelpool.DB) (call, error) {
	return func(ctx context.Context) (int64, error) {
		t, err := db.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		return updateIn(ctx, t)
	}, nil
}

func exactPing(db *otelpool.DB) (call, error) {
	return func(ctx context.Context) (int64, error) { return 0, db.PingContext(ctx) }, nil
}
