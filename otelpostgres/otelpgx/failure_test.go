package otelpgx

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/otelpool/otelpool/poolinfo"
)

// locked imitates the error of pgx for a connection that is in use.
type locked struct{ status string }

func (e locked) Error() string { return e.status }

func (locked) SafeToRetry() bool { return true }

func (locked) Unwrap() error { return nil }

func TestClassify_ReturnsTheClassOfErrorsOfPgx(t *testing.T) {
	for err, want := range map[error]poolinfo.Class{
		pgconn.ErrConnClosed:                                             poolinfo.ClassBadConnection,
		fmt.Errorf("x: %w", pgconn.ErrConnClosed):                        poolinfo.ClassBadConnection,
		pgx.ErrTxCommitRollback:                                          poolinfo.ClassFailedTransaction,
		pgconn.ErrReadOnlyConnection:                                     poolinfo.ClassReadOnly,
		pgconn.ErrStandbyConnection:                                      poolinfo.ClassReadOnly,
		locked{"conn busy"}:                                              poolinfo.ClassBusyConnection,
		errors.New("server refused TLS connection"):                      poolinfo.ClassTLS,
		fmt.Errorf("x: %w", errors.New("server refused TLS connection")): poolinfo.ClassTLS,
		errors.Join(errOther, fmt.Errorf("x: %w", errors.New("server refused TLS connection"))): poolinfo.ClassTLS,

		// The root package classifies these, or nothing does.
		&pgconn.PgError{Code: "53300"}: "",
		errors.Join(errors.New("server refused TLS connection"), &pgconn.PgError{Code: "28P01"}): "",
		(*pgconn.PgError)(nil):              "",
		driver.ErrBadConn:                   "",
		io.EOF:                              "",
		context.DeadlineExceeded:            "",
		locked{"conn uninitialized"}:        "",
		fmt.Errorf("conn busy: %w", io.EOF): "",
	} {
		if got := classify(err); got != (poolinfo.ErrorInfo{Class: want}) {
			t.Errorf("%T: %+v, want class %q", err, got, want)
		}
	}
	if got := classify(nil); got != (poolinfo.ErrorInfo{}) {
		t.Errorf("nil: %+v", got)
	}
}

func TestClassify_KnowsTheErrorOfPgxForABusyConnection(t *testing.T) {
	a := &adapter{}
	c := dialed(t, a, Connector(*backend{play: waitForTerminate}.config(t, "host=db")), func(error) {})
	pg := c.Conn().PgConn()
	ctx, cancel := context.WithCancel(t.Context())
	unread := pg.Exec(ctx, "x") // keeps the connection in use
	_, err := pg.Prepare(t.Context(), "", "y", nil)
	if got, want := classify(err), (poolinfo.ErrorInfo{Class: poolinfo.ClassBusyConnection}); got != want {
		t.Errorf("%v: %+v, want %+v", err, got, want)
	}
	cancel()
	_ = unread.Close() // fails, and closes the connection
	_, err = pg.Prepare(t.Context(), "", "y", nil)
	if got, want := classify(err), (poolinfo.ErrorInfo{Class: poolinfo.ClassBadConnection}); got != want {
		t.Errorf("%v: %+v, want %+v", err, got, want)
	}
}
