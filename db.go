package otelpool

import (
	"context"
	"database/sql"
	"time"
)

// DB is a *sql.DB that times every acquire exactly. database/sql waits for a connection before it
// calls a driver, so a driver cannot see who waits, nor who got no connection. A DB is called
// first, and sees both: with it the metrics db.client.connection.pending_requests and .timeouts
// exist, and otelpool.connection.waited, .oldest_wait and .cancels.
//
// It has the methods of *sql.DB, and their results. What differs is the error of a call that got no
// connection: it is an [*AcquireError], which describes the pool at that moment, and unwraps to the
// error that *sql.DB would have returned.
//
// Not timed by a DB: a statement that was prepared through it. It acquires a connection each time
// it runs, and waits as one of a plain *sql.DB. A transaction and a *sql.Conn acquire once, when
// they begin.
//
// A DB allocates once for a call. It may be used from any goroutine, and beside the *sql.DB that it
// was made from.
type DB struct {
	*sql.DB
	pool *pool
}

// NewDB returns db with exact clocks, and does what [Watch] does. The two are one pool: a Close of
// either closes it. The error says that db is nil, does not go through otelpool, or that its
// connector belongs to another DB.
func NewDB(db *sql.DB) (*DB, error) {
	p, err := watch(db)
	if err != nil {
		return nil, err
	}
	p.hasDB.Store(true)
	return &DB{DB: db, pool: p}, nil
}

// ExecContext is [sql.DB.ExecContext].
func (d *DB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	a := d.pool.beginAcquire(ctx)
	defer a.finishPanicked()
	res, err := d.DB.ExecContext(a, query, args...)
	return res, a.finish(err)
}

// Exec is [sql.DB.Exec].
func (d *DB) Exec(query string, args ...any) (sql.Result, error) {
	return d.ExecContext(context.Background(), query, args...)
}

// QueryContext is [sql.DB.QueryContext].
func (d *DB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	a := d.pool.beginAcquire(ctx)
	defer a.finishPanicked()
	rows, err := d.DB.QueryContext(a, query, args...) //nolint:sqlclosecheck // the caller's to close
	return rows, a.finishKeeping(err)
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

// queryRow returns the row itself, so that QueryRowContext is inlined, as that of *sql.DB is, and
// the row stays on the stack of the caller.
func (d *DB) queryRow(ctx context.Context, query string, args []any) sql.Row {
	a := d.pool.beginAcquire(ctx)
	defer a.finishPanicked()
	row := d.DB.QueryRowContext(a, query, args...)
	_ = a.finish(row.Err())
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
	a := d.pool.beginAcquire(ctx)
	defer a.finishPanicked()
	stmt, err := d.DB.PrepareContext(a, query) //nolint:sqlclosecheck // the caller's to close
	return stmt, a.finish(err)
}

// Prepare is [sql.DB.Prepare].
func (d *DB) Prepare(query string) (*sql.Stmt, error) {
	return d.PrepareContext(context.Background(), query)
}

// BeginTx is [sql.DB.BeginTx].
func (d *DB) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	a := d.pool.beginAcquire(ctx)
	defer a.finishPanicked()
	tx, err := d.DB.BeginTx(a, opts)
	return tx, a.finishKeeping(err)
}

// Begin is [sql.DB.Begin].
func (d *DB) Begin() (*sql.Tx, error) {
	return d.BeginTx(context.Background(), nil)
}

// Conn is [sql.DB.Conn]. The connection counts as held from the moment that it is returned.
func (d *DB) Conn(ctx context.Context) (*sql.Conn, error) {
	a := d.pool.beginAcquire(ctx)
	defer a.finishPanicked()
	c, err := d.DB.Conn(a)
	if err == nil && a.state.Load() != acquireConnected {
		// It was opened in the background, and no driver call follows now.
		_ = c.Raw(func(driverConn any) error {
			if cn := connOf(driverConn); cn != nil {
				cn.use(a)
			}
			return nil
		})
	}
	return c, a.finishKeeping(err)
}

// PingContext is [sql.DB.PingContext].
func (d *DB) PingContext(ctx context.Context) error {
	a := d.pool.beginAcquire(ctx)
	defer a.finishPanicked()
	return a.finish(d.DB.PingContext(a))
}

// Ping is [sql.DB.Ping].
func (d *DB) Ping() error {
	return d.PingContext(context.Background())
}

// GetDBConn returns the *sql.DB. It is the method by which gorm finds the one below a connection
// pool of another type, as its DB.DB, Connection and prepared statements need it; the error is
// always nil.
func (d *DB) GetDBConn() (*sql.DB, error) { return d.DB, nil }

// SetMaxIdleConns is [sql.DB.SetMaxIdleConns]. Called through a DB it makes
// db.client.connection.idle.max known, which a *sql.DB does not publish.
func (d *DB) SetMaxIdleConns(n int) {
	d.DB.SetMaxIdleConns(n)
	d.pool.limits.maxIdle.set(int64(n))
}

// SetMaxOpenConns is [sql.DB.SetMaxOpenConns]. A pool learns of it at once if it is called through
// a DB.
func (d *DB) SetMaxOpenConns(n int) {
	d.DB.SetMaxOpenConns(n)
	d.pool.waits.readLimit()
	d.pool.limits.maxIdle.lower(n)
}

// SetConnMaxLifetime is [sql.DB.SetConnMaxLifetime]. Called through a DB it is known to [Inspect],
// which a *sql.DB does not publish.
func (d *DB) SetConnMaxLifetime(t time.Duration) {
	d.DB.SetConnMaxLifetime(t)
	d.pool.limits.maxLifetime.set(int64(t))
}

// SetConnMaxIdleTime is [sql.DB.SetConnMaxIdleTime], and known as the one above.
func (d *DB) SetConnMaxIdleTime(t time.Duration) {
	d.DB.SetConnMaxIdleTime(t)
	d.pool.limits.maxIdleTime.set(int64(t))
}

// failedRow returns a row whose error is err. Only database/sql can make one, and it does of the
// error of a context that has ended, before it looks at its connections. A DB that is closed does
// not look at the context, so that row is one of a DB which has nothing but this error.
func (d *DB) failedRow(ctx context.Context, err *AcquireError) *sql.Row {
	row := d.DB.QueryRowContext(failedContext{ctx, err}, "")
	if row.Err() != error(err) { //nolint:errorlint // is it that one?
		closed := sql.OpenDB(failing{err})
		defer closed.Close()
		row = closed.QueryRow("")
	}
	return row
}

// failedContext is a context that has ended with an error.
type failedContext struct {
	context.Context //nolint:containedctx // it is one

	err error
}

func (f failedContext) Done() <-chan struct{} { return closedChan }

func (f failedContext) Err() error { return f.err }

var closedChan = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
