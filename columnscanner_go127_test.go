//go:build go1.27

package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/otelpool/otelpool/internal/fakedb"
)

var classifiedSince127 = map[string][]treatment{
	"RowsColumnScanner": {{
		on: onRows, offered: exactly, bits: int(fakedb.RowsColumnScanner), has: has[driver.RowsColumnScanner],
		reason: "with it database/sql never calls Next",
	}},
}

const allRowsHere = fakedb.AllRows | fakedb.RowsColumnScanner

// scanScript scans into variables of many types. A driver with RowsColumnScanner does that
// itself.
var scanScript = script{
	name: "a driver with RowsColumnScanner",
	do: func(r *run) {
		r.query(r.db, "select two")
		r.query(r.db, "select sets")
		r.query(prepared{must(r.db.PrepareContext(r.ctx, "select sets"))}, "select sets")
		r.query(r.db, "select broken")
		r.query(r.db, "select none")
		var (
			id    int
			small int8
			text  sql.NullString
			raw   sql.RawBytes
			at    time.Time
		)
		r.record("query row", r.db.QueryRowContext(r.ctx, "select two").Scan(&id, &text), id, text)
		r.record("no row", r.db.QueryRowContext(r.ctx, "select none").Scan(&id))
		r.record("too few variables", r.db.QueryRowContext(r.ctx, "select two").Scan(&id))
		rows := must(r.db.QueryContext(r.ctx, "select two"))
		r.record("scan before next", rows.Scan(&id, &text))
		r.record("first", rows.Next(), rows.Scan(&small, &raw), small, string(raw))
		r.record("second", rows.Next(), rows.Scan(&small, &at), rows.Scan(nil, &text), rows.Scan(&id, &text), id, text)
		for _, err := range []error{errBroken, driver.ErrBadConn} {
			r.fails(1, err, fakedb.Next)
			r.record("fails", rows.Next(), rows.Scan(&id, &text), rows.Err(), rows.Close())
			rows = must(r.db.QueryContext(r.ctx, "select sets"))
			r.record("first", rows.Next(), rows.NextResultSet(), rows.Next(), rows.NextResultSet())
		}
		r.record("close", rows.Close())
		r.cursor()
		r.fake.On(fakedb.Next, func(context.Context, string) error { panic(errBroken) })
		rows = must(r.db.Query("select two"))
		r.record("panic", panicked(func() { rows.Next() }))
		r.fake.On(fakedb.Next, nil)
	},
}

func TestRows_ScanColumnIsCalledOnlyIfTheDriverHasIt(t *testing.T) {
	for rows := range allRowsHere + 1 {
		for _, sh := range []shape{{0, 0, rows}, {everything.conn, everything.stmt, rows}} {
			scanScript.compare(t, context.Background(), sh, bare, wrapped)
			log := driverLog(scanScript.run(t, context.Background(), sh, wrapped))
			scans := rows&fakedb.RowsColumnScanner != 0
			for method, want := range map[string]bool{".NextRow(": scans, ".ScanColumn(": scans, ".Next(": !scans} {
				if got := strings.Contains(log, method); got != want {
					t.Fatalf("%v: %s reached the driver: %t, want %t", sh, method, got, want)
				}
			}
		}
	}
}

func TestTransparency_ScriptsOverADriverThatScans(t *testing.T) {
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, sh := range pathShapes {
				sh.rows |= fakedb.RowsColumnScanner
				s.compare(t, context.Background(), sh, bare, wrapped)
				s.compare(t, context.Background(), sh, bare, connectorEntryPoints...)
			}
		})
	}
}

// driverLog returns all calls that reached the driver, a line each.
func driverLog(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		for _, line := range s.driver {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func TestRows_ScannedByTheDriverAreCounted(t *testing.T) {
	cfg := full
	cfg.Rows |= fakedb.RowsColumnScanner
	cfg.Answers = map[string]fakedb.Answer{selectName: {Rows: 5}}
	bubble(t, cfg, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		rows, err := db.Query(selectName, 1)
		noError(t, err)
		for rows.Next() {
		}
		noError(t, rows.Close())
		if got, want := seen.rows(t), (map[string]hist{"SELECT users": {1, 5}}); !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
