package benchmarks

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/otelpool/otelpool/internal/fakedb"
)

// A behaviour of a driver is visible to a program. A wrapper changes it by having an
// optional interface that the driver lacks, or by lacking one that it has.
type behaviour struct {
	name    string
	config  fakedb.Config
	datadog string // examined separately, see comparison
	observe func(t *testing.T, w *watched) string
}

// customNumber is a type that no database knows.
type customNumber int

// convertCustom converts a customNumber to a value that the driver accepts.
func convertCustom(nv *driver.NamedValue) error {
	if n, ok := nv.Value.(customNumber); ok {
		nv.Value = fmt.Sprintf("%d converted", n)
		return nil
	}
	return driver.ErrSkip
}

type customConverter struct{}

func (customConverter) ConvertValue(v any) (driver.Value, error) {
	nv := driver.NamedValue{Value: v}
	err := convertCustom(&nv)
	return nv.Value, err
}

var (
	errOfTheDriver = errors.New("of the driver")

	// noInterfaces is a driver without optional interfaces of a connection.
	noInterfaces = fakedb.Config{DriverContext: true}
)

// behaviours are mostly those in which wrappers differ.
var behaviours = []behaviour{
	{"a ping succeeds if the driver cannot ping", noInterfaces, "yes", func(_ *testing.T, w *watched) string {
		return fmt.Sprint(w.plain.Ping())
	}},
	{"a connection converts arguments by its own rules", fakedb.Config{DriverContext: true, Conn: fakedb.AllConn, CheckConn: convertCustom}, "yes", func(t *testing.T, w *watched) string {
		_, err := w.plain.ExecContext(t.Context(), "UPDATE users SET n = ?", customNumber(3))
		return fmt.Sprint(err, w.logged("3 converted"))
	}},
	{"a statement converts arguments by its own rules (`NamedValueChecker`)", fakedb.Config{
		DriverContext: true, Conn: fakedb.AllConn &^ fakedb.NamedValueChecker, Stmt: fakedb.AllStmt, CheckStmt: convertCustom,
	}, "**no**", prepared},
	{"a statement converts arguments by its own rules (`ColumnConverter`)", fakedb.Config{
		DriverContext: true, Conn: fakedb.AllConn &^ fakedb.NamedValueChecker, Stmt: fakedb.AllStmt &^ fakedb.StmtNamedValueChecker,
		Convert: func(int) driver.ValueConverter { return customConverter{} },
	}, "**no**", prepared},
	{"the Go type of a column is known", withColumns, "yes", func(t *testing.T, w *watched) string {
		rows := must(w.plain.QueryContext(t.Context(), "SELECT"))(t)
		defer rows.Close()
		columns := must(rows.ColumnTypes())(t)
		return columns[0].ScanType().String()
	}},
	{"the database's type of a column is known", withColumns, "yes", func(t *testing.T, w *watched) string {
		rows := must(w.plain.QueryContext(t.Context(), "SELECT"))(t)
		defer rows.Close()
		column := must(rows.ColumnTypes())(t)[0]
		length, sure := column.Length()
		nullable, known := column.Nullable()
		return fmt.Sprint(column.DatabaseTypeName(), length, sure, nullable, known)
	}},
	{"a second result set can be read", withColumns, "yes", func(t *testing.T, w *watched) string {
		rows := must(w.plain.QueryContext(t.Context(), "SELECT"))(t)
		defer rows.Close()
		return fmt.Sprint(rows.NextResultSet(), rows.Err())
	}},
	{"a connection that reports itself invalid is closed", everything, "**no**", func(t *testing.T, w *watched) string {
		w.fake.Fail(fakedb.Valid, 1, errOfTheDriver)
		must(w.plain.ExecContext(t.Context(), "UPDATE"))(t)
		return fmt.Sprint(w.fake.Open())
	}},
	{"a connection that cannot be reset is replaced", everything, "yes", func(t *testing.T, w *watched) string {
		ok(t, w.plain.Ping())
		w.fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
		ok(t, w.plain.Ping())
		return fmt.Sprint(w.fake.Opened(), w.fake.Open())
	}},
	{"a transaction whose context ends keeps its connection, if the driver can reset and validate it", everything, "**no**", cancelled},
	{"a transaction whose context ends closes its connection, if the driver cannot reset and validate it", noInterfaces, "yes", cancelled},
	{"a read-only transaction is refused, if the driver does not support it", noInterfaces, "**no**", func(t *testing.T, w *watched) string {
		tx, err := w.plain.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
		if err == nil {
			ok(t, tx.Rollback())
		}
		return fmt.Sprint(err)
	}},
	{"an isolation level reaches the driver", everything, "yes", func(t *testing.T, w *watched) string {
		tx := must(w.plain.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable}))(t)
		ok(t, tx.Rollback())
		return fmt.Sprint(w.logged("isolation 6"))
	}},
	{"statements run unprepared, if the driver can run them only without a context", fakedb.Config{DriverContext: true, Conn: fakedb.Execer | fakedb.Queryer}, "yes", func(t *testing.T, w *watched) string {
		must(w.plain.ExecContext(t.Context(), "UPDATE"))(t)
		return fmt.Sprint(w.fake.Calls(fakedb.Prepare))
	}},
	{"a driver that can only prepare statements works", noInterfaces, "yes", func(t *testing.T, w *watched) string {
		_, err := w.plain.ExecContext(t.Context(), "UPDATE")
		return fmt.Sprint(err)
	}},
	{"an error is the driver's own value", everything, "yes", func(t *testing.T, w *watched) string {
		w.fake.Fail(fakedb.Exec, 1, errOfTheDriver)
		_, err := w.plain.ExecContext(t.Context(), "UPDATE")
		return fmt.Sprint(err == errOfTheDriver) //nolint:errorlint // identity is what is tested
	}},
	{"values of the caller's context reach the driver", everything, "yes", func(t *testing.T, w *watched) string {
		must(w.plain.ExecContext(fakedb.WithValue(t.Context(), "caller"), "UPDATE"))(t)
		return fmt.Sprint(w.logged("value caller"))
	}},
	{"closing the pool closes the connector, once", everything, "**no**", func(t *testing.T, w *watched) string {
		ok(t, w.plain.Close())
		return fmt.Sprint(w.fake.Calls(fakedb.CloseConnector))
	}},
}

var withColumns = func() fakedb.Config {
	c := everything
	set := fakedb.Set{Columns: []fakedb.Column{{Name: "n", DatabaseType: "INT4", ScanType: reflect.TypeFor[int32](), Length: 7, Nullable: true}}}
	c.Answers = map[string]fakedb.Answer{"SELECT": {Sets: []fakedb.Set{set, set}}}
	return c
}()

func prepared(t *testing.T, w *watched) string {
	stmt := must(w.plain.PrepareContext(t.Context(), "UPDATE users SET n = ?"))(t)
	defer stmt.Close()
	_, err := stmt.ExecContext(t.Context(), customNumber(3))
	return fmt.Sprint(err, w.logged("3 converted"))
}

func cancelled(t *testing.T, w *watched) string {
	ctx, cancel := context.WithCancel(t.Context())
	must(w.plain.BeginTx(ctx, nil))(t)
	cancel()
	synctest.Wait()
	return fmt.Sprint(w.fake.Open())
}

// logged reports whether a call of the driver was logged with a text.
func (w *watched) logged(text string) bool {
	return slices.ContainsFunc(w.fake.Log(), func(line string) bool { return strings.Contains(line, text) })
}

// observeThrough returns the behaviour as a program observes it through a peer.
func (s behaviour) observeThrough(t *testing.T, p Peer) (seen string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, p, s.config)
		defer func() {
			if r := recover(); r != nil {
				seen = "panic"
			}
		}()
		seen = s.observe(t, w)
	})
	return seen
}
