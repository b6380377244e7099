package fakedb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// implements reports whether v implements T.
func implements[T any](v any) bool { _, ok := v.(T); return ok }

func TestConnShape_SelectsExactlyItsInterfaces(t *testing.T) {
	for shape := range AllConn + 1 {
		c, err := New(Config{Conn: shape}).Connector().Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got ConnShape
		for i, ok := range []bool{
			implements[driver.Pinger](c), implements[driver.Execer](c), implements[driver.ExecerContext](c), implements[driver.Queryer](c),
			implements[driver.QueryerContext](c), implements[driver.ConnPrepareContext](c), implements[driver.ConnBeginTx](c),
			implements[driver.SessionResetter](c), implements[driver.Validator](c), implements[driver.NamedValueChecker](c),
		} {
			if ok {
				got |= 1 << i
			}
		}
		if got != shape {
			t.Fatalf("got %v, want %v", got, shape)
		}
	}
}

func TestStmtShape_SelectsExactlyItsInterfaces(t *testing.T) {
	for shape := range AllStmt + 1 {
		c, err := New(Config{Stmt: shape}).Connector().Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Prepare("")
		if err != nil {
			t.Fatal(err)
		}
		var got StmtShape
		for i, ok := range []bool{
			implements[driver.StmtExecContext](s), implements[driver.StmtQueryContext](s),
			implements[driver.NamedValueChecker](s), implements[driver.ColumnConverter](s),
		} {
			if ok {
				got |= 1 << i
			}
		}
		if got != shape {
			t.Fatalf("got %v, want %v", got, shape)
		}
	}
}

func TestRowsShape_SelectsExactlyItsInterfaces(t *testing.T) {
	for shape := range RowsShape(len(rowsShapes) + len(scannerShapes)) {
		c, err := New(Config{Rows: shape, Conn: Queryer}).Connector().Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.(driver.Queryer).Query("", nil)
		if err != nil {
			t.Fatal(err)
		}
		var got RowsShape
		for i, ok := range []bool{
			implements[driver.RowsNextResultSet](r), implements[driver.RowsColumnTypeScanType](r),
			implements[driver.RowsColumnTypeDatabaseTypeName](r), implements[driver.RowsColumnTypeLength](r),
			implements[driver.RowsColumnTypeNullable](r), implements[driver.RowsColumnTypePrecisionScale](r),
			implements[interface{ NextRow() error }](r),
		} {
			if ok {
				got |= 1 << i
			}
		}
		if got != shape {
			t.Fatalf("got %v, want %v", got, shape)
		}
	}
}

func TestConfig_SelectsTheOptionalMethodsOfDriverAndConnector(t *testing.T) {
	for _, want := range []bool{false, true} {
		fake := New(Config{DriverContext: want, Closer: want})
		if got := implements[driver.DriverContext](fake.Driver()); got != want {
			t.Errorf("driver.DriverContext: got %t, want %t", got, want)
		}
		if got := implements[io.Closer](fake.Connector()); got != want {
			t.Errorf("io.Closer: got %t, want %t", got, want)
		}
	}
}

func TestLog_RecordsEveryCallWithItsOutcome(t *testing.T) {
	broken := errors.New("broken")
	fake := New(Config{
		Conn:   ExecerContext | ConnBeginTx | SessionResetter | Validator,
		Stmt:   StmtNamedValueChecker,
		Closer: true,
	})
	db := sql.OpenDB(fake.Connector())
	ctx := WithValue(t.Context(), "v")
	if _, err := db.ExecContext(ctx, "insert", sql.Named("x", 5)); err != nil {
		t.Fatal(err)
	}
	fake.Fail(Exec, 1, driver.ErrSkip)
	fake.Fail(StmtExec, 1, broken)
	if _, err := db.Exec("update ?", "a"); err != broken { //nolint:errorlint // the driver's own error
		t.Fatal(err)
	}
	fake.Fail(Valid, 1, broken)
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow("select").Scan(&n); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`connector.Connect() ctx(live, value v) -> conn1`,
		`conn1.ExecContext("insert", 1x=int64(5)) ctx(live, value v) -> ok`,
		`conn1.IsValid() -> true`,
		`conn1.ResetSession() ctx(never ends) -> ok`,
		`conn1.ExecContext("update ?", 1="a") ctx(never ends) -> error "driver: skip fast-path; continue as if unimplemented"`,
		`conn1.Prepare("update ?") -> stmt1`,
		`stmt1.NumInput() -> 1`,
		`stmt1.CheckNamedValue(1="a") -> "a", error driver: skip fast-path; continue as if unimplemented`,
		`stmt1.Exec("a") -> error "broken"`,
		`stmt1.Close() -> ok`,
		`conn1.IsValid() -> true`,
		`conn1.ResetSession() ctx(live) -> ok`,
		`conn1.BeginTx(isolation 6, read-only true) ctx(live) -> tx1`,
		`tx1.Commit() -> ok`,
		`conn1.IsValid() -> error "broken"`,
		`conn1.Close() -> ok`,
		`connector.Connect() ctx(never ends) -> conn2`,
		`conn2.Prepare("select") -> stmt2`,
		`stmt2.NumInput() -> 0`,
		`stmt2.Query() -> rows1`,
		`rows1.Columns() -> [n]`,
		`rows1.Next() -> int64(1)`,
		`rows1.Close() -> ok`,
		`stmt2.Close() -> ok`,
		`conn2.IsValid() -> true`,
		`conn2.Close() -> ok`,
		`connector.Close() -> ok`,
	}
	if got := fake.Log(); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := []int{fake.Opened(), fake.Closed(), fake.Open(), fake.Calls(Exec)}; !reflect.DeepEqual(got, []int{2, 2, 0, 2}) {
		t.Errorf("got opened, closed, open, execs %v, want [2 2 0 2]", got)
	}
	if got := fake.Misuse(); got != nil {
		t.Errorf("got misuse %v, want none", got)
	}
}

func TestLatency_IsExactAndEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := New(Config{
			Conn:    AllConn,
			Dial:    time.Second,
			Answers: map[string]Answer{"slow": {Latency: time.Minute}},
		})
		fake.On(Ping, Sleep(2*time.Second))
		db := sql.OpenDB(fake.Connector())
		defer db.Close()
		start := time.Now()
		if err := db.Ping(); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("dial and ping took %v, want 3s", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		if _, err := db.ExecContext(ctx, "slow"); err != context.DeadlineExceeded { //nolint:errorlint // the context's own error
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		if got := time.Since(start); got != 7*time.Second {
			t.Errorf("ended after %v, want 7s", got)
		}
	})
}

func TestOn_LogsAPanicAndPassesItOn(t *testing.T) {
	fake := New(Config{Conn: AllConn})
	fake.On(Ping, func(context.Context, string) error { panic("boom") })
	c, err := fake.Connector().Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("got %v, want boom", got)
			}
		}()
		_ = c.(driver.Pinger).Ping(nil)
	}()
	if got, want := fake.LogFrom(1), []string{"conn1.Ping() -> panic"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMisuse_ReportsOverlappingCallsAndCallsAfterClose(t *testing.T) {
	fake := New(Config{Conn: AllConn, Quiet: true})
	c, err := fake.Connector().Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fake.On(Ping, func(context.Context, string) error { c.(driver.Validator).IsValid(); return nil })
	if err := c.(driver.Pinger).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"conn1.IsValid while another call ran on the connection", "conn1.Close after Close"}
	if got := fake.Misuse(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if fake.Closed() != 1 || fake.Log() != nil {
		t.Errorf("got %d connections closed and the log %q, want 1 and an empty log", fake.Closed(), fake.Log())
	}
}
