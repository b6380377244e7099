package otelpool

import (
	"context"
	"database/sql"
	"sync/atomic"
	"time"
)

// DB is a *sql.DB that times every acquire exactly. database/sql waits for a
// connection before it calls a driver, so that a driver cannot see who waits, nor
// who gave up. A DB is asked first, and knows both: with it the metrics
// db.client.connection.pending_requests and .timeouts exist, and
// otelpool.connection.waited, .oldest_wait and .cancels.
//
// It has the methods of *sql.DB, and their results. What differs is the error of
// a call that got no connection: it is an [*AcquireError], which tells what the
// pool looked like, and unwraps to the error that *sql.DB would have returned.
//
// Not timed by a DB: a statement that was prepared through it. It acquires a
// connection each time it runs, and waits as one of a plain *sql.DB. A
// transaction and a *sql.Conn acquire once, when they begin.
//
// A DB allocates once for a call. It may be used from any goroutine, and beside
// the *sql.DB that it was made from.
type DB struct {
	*sql.DB
	pool *connector
}

// NewDB returns db with exact clocks, and does what [Watch] does. The two are one
// pool: a Close of either closes it. The error says that db is nil, does not go
// through otelpool, or that its connector belongs to another DB.
func NewDB(db *sql.DB) (*DB, error) {
	c, err := watch(db)
	if err != nil {
		return nil, err
	}
	c.exact.Store(true)
	return &DB{DB: db, pool: c}, nil
}

// ExecContext is [sql.DB.ExecContext].
func (d *DB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	a := d.ask(ctx)
	defer a.leave()
	res, err := d.DB.ExecContext(a, query, args...)
	return res, a.done(err)
}

// Exec is [sql.DB.Exec].
func (d *DB) Exec(query string, args ...any) (sql.Result, error) {
	return d.ExecContext(context.Background(), query, args...)
}

// QueryContext is [sql.DB.QueryContext].
func (d *DB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	a := d.ask(ctx)
	defer a.leave()
	rows, err := d.DB.QueryContext(a, query, args...) //nolint:sqlclosecheck // the caller's to close
	return rows, a.keep(err)
}

// Query is [sql.DB.Query].
func (d *DB) Query(query string, args ...any) (*sql.Rows, error) {
	return d.QueryContext(context.Background(), query, args...)
}

// QueryRowContext is [sql.DB.QueryRowContext].
func (d *DB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row := d.queryRow(ctx, query, args)
	return &row
}

// queryRow returns the row itself, so that QueryRowContext is inlined, as that of
// *sql.DB is, and the row stays on the stack of the caller.
func (d *DB) queryRow(ctx context.Context, query string, args []any) sql.Row {
	a := d.ask(ctx)
	defer a.leave()
	row := d.DB.QueryRowContext(a, query, args...)
	_ = a.done(row.Err())
	if a.failure != nil {
		row = d.failedRow(ctx, a.failure)
	}
	return *row
}

// QueryRow is [sql.DB.QueryRow].
func (d *DB) QueryRow(query string, args ...any) *sql.Row {
	return d.QueryRowContext(context.Background(), query, args...)
}

// PrepareContext is [sql.DB.PrepareContext].
func (d *DB) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	a := d.ask(ctx)
	defer a.leave()
	stmt, err := d.DB.PrepareContext(a, query) //nolint:sqlclosecheck // the caller's to close
	return stmt, a.done(err)
}

// Prepare is [sql.DB.Prepare].
func (d *DB) Prepare(query string) (*sql.Stmt, error) {
	return d.PrepareContext(context.Background(), query)
}

// BeginTx is [sql.DB.BeginTx].
func (d *DB) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	a := d.ask(ctx)
	defer a.leave()
	tx, err := d.DB.BeginTx(a, opts)
	return tx, a.keep(err)
}

// Begin is [sql.DB.Begin].
func (d *DB) Begin() (*sql.Tx, error) {
	return d.BeginTx(context.Background(), nil)
}

// Conn is [sql.DB.Conn]. The connection counts as held from the moment that it is
// returned.
func (d *DB) Conn(ctx context.Context) (*sql.Conn, error) {
	a := d.ask(ctx)
	defer a.leave()
	c, err := d.DB.Conn(a)
	if err == nil && !a.inHand {
		// It was opened in the background, and no driver call follows now.
		_ = c.Raw(func(driverConn any) error {
			if cn := connOf(driverConn); cn != nil {
				cn.used(a)
			}
			return nil
		})
	}
	return c, a.keep(err)
}

// PingContext is [sql.DB.PingContext].
func (d *DB) PingContext(ctx context.Context) error {
	a := d.ask(ctx)
	defer a.leave()
	return a.done(d.DB.PingContext(a))
}

// Ping is [sql.DB.Ping].
func (d *DB) Ping() error {
	return d.PingContext(context.Background())
}

// GetDBConn returns the *sql.DB. It is the method by which gorm finds the one
// below a connection pool of another type, as its DB.DB, Connection and prepared
// statements need it; the error is always nil.
func (d *DB) GetDBConn() (*sql.DB, error) { return d.DB, nil }

// SetMaxIdleConns is [sql.DB.SetMaxIdleConns]. Called through a DB it makes
// db.client.connection.idle.max known, which a *sql.DB does not tell.
func (d *DB) SetMaxIdleConns(n int) {
	d.DB.SetMaxIdleConns(n)
	d.pool.maxIdle.set(int64(n))
}

// SetMaxOpenConns is [sql.DB.SetMaxOpenConns]. A pool learns of it at once if it is
// called through a DB.
func (d *DB) SetMaxOpenConns(n int) {
	d.DB.SetMaxOpenConns(n)
	d.pool.readLimit()
	d.pool.maxIdle.lower(n)
}

// SetConnMaxLifetime is [sql.DB.SetConnMaxLifetime]. Called through a DB it is known to
// [Inspect], which a *sql.DB does not tell.
func (d *DB) SetConnMaxLifetime(t time.Duration) {
	d.DB.SetConnMaxLifetime(t)
	d.pool.maxLifetime.set(int64(t))
}

// SetConnMaxIdleTime is [sql.DB.SetConnMaxIdleTime], and known as the one above.
func (d *DB) SetConnMaxIdleTime(t time.Duration) {
	d.DB.SetConnMaxIdleTime(t)
	d.pool.maxIdleTime.set(int64(t))
}

// setting is a limit of a DB, as far as it was set where it can be seen.
type setting struct{ limit atomic.Int64 } // one more than it; 0 for unknown

func (s *setting) set(n int64) { s.limit.Store(max(n, 0) + 1) }

// get returns the limit, -1 if it is not known.
func (s *setting) get() (n int64, known bool) {
	limit := s.limit.Load()
	return limit - 1, limit > 0
}

// maxIdle is the limit of idle connections.
type maxIdle struct{ setting }

// lower does what database/sql does when the limit of open connections is set: it
// lowers this one to it, and leaves it there when that is raised again.
func (m *maxIdle) lower(maxOpen int) {
	if limit := m.limit.Load(); maxOpen > 0 && limit > int64(maxOpen)+1 {
		m.limit.CompareAndSwap(limit, int64(maxOpen)+1)
	}
}

// failedRow returns a row whose error is err. Only database/sql can make one, and
// it does of the error of a context that has ended, before it looks at its
// connections. A DB that is closed does not look at the context, so that row is
// one of a DB which has nothing but this error.
func (d *DB) failedRow(ctx context.Context, err *AcquireError) *sql.Row {
	row := d.DB.QueryRowContext(gaveUp{ctx, err}, "")
	if row.Err() != error(err) { //nolint:errorlint // is it that one?
		closed := sql.OpenDB(failing{err})
		defer closed.Close()
		row = closed.QueryRow("")
	}
	return row
}

// gaveUp is a context that has ended with an error.
type gaveUp struct {
	context.Context //nolint:containedctx // it is one

	err error
}

func (g gaveUp) Done() <-chan struct{} { return over }

func (g gaveUp) Err() error { return g.err }

var over = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
