package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"maps"
	"testing"
	"time"

	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

func TestReport_CountsBrokenConnectionsUnlessTheCallerCanceled(t *testing.T) {
	cfg := fakedb.Config{Conn: fakedb.AllConn &^ (fakedb.Execer | fakedb.Queryer)}
	bubble(t, cfg, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		for _, bad := range []error{context.Canceled, context.DeadlineExceeded, io.EOF, stateError("57P01"), driver.ErrBadConn, errors.New("x")} {
			conn, err := db.Conn(t.Context())
			noError(t, err)
			fake.Fail(fakedb.Exec, 1, bad)
			fake.Fail(fakedb.Valid, 1, driver.ErrBadConn)
			_, _ = conn.ExecContext(t.Context(), "x")
			_ = conn.Close()
		}
		conn, err := db.Conn(t.Context())
		noError(t, err)
		_ = conn.Close()
		db.SetMaxIdleConns(-1) // closes a healthy one
		keep, err := db.Conn(t.Context())
		noError(t, err)
		defer keep.Close()
		time.Sleep(10 * time.Second)
		var got []poolinfo.Report
		for _, r := range seen.takeReports() {
			if r.Kind == poolinfo.ReportConnectionsLost {
				got = append(got, r)
			}
		}
		want := map[poolinfo.Class]int64{poolinfo.ClassNetwork: 1, poolinfo.ClassKilled: 1, poolinfo.ClassBadConnection: 2}
		if len(got) != 1 || !maps.Equal(got[0].Lost, want) {
			t.Errorf("got %v, want one report of %v", got, want)
		}
	})
}
