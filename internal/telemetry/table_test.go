package telemetry

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/otelpool/otelpool/internal/errclass"
	"github.com/otelpool/otelpool/poolinfo"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

var update = flag.Bool("update", false, "regenerate docs/metrics.md from the table of instruments")

// TestTable_IsTheMetricsPage compares docs/metrics.md with the table. Run it with -update after
// a change of the table.
func TestTable_IsTheMetricsPage(t *testing.T) {
	const file = "../../docs/metrics.md"
	want := metricsPage()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s differs from the table; run: go test ./internal/telemetry -run %s -update", file, t.Name())
	}
}

func metricsPage() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("<!-- Made from internal/telemetry/table.go by: go test ./internal/telemetry -run TestTable_IsTheMetricsPage -update -->")
	p("")
	p("# Metrics")
	p("")
	p("Instrumentation scope `%s`, schema %s. Names and units of `db.client.*` are those of the", "github.com/otelpool/otelpool", semconv.SchemaURL)
	p("OpenTelemetry semantic conventions (package `semconv/v1.43.0/dbconv`); the conventions call `db.client.operation.duration`")
	p("stable and `db.client.connection.*` in development. Metrics that they lack have the prefix `otelpool.`.")
	p("")
	p("Every metric carries `%s`, the name of the pool, and the attributes given with", semconv.DBClientConnectionPoolNameKey)
	p("`WithAttributes`. Times are in seconds, on the monotonic clock.")
	p("")
	p("| metric | kind | unit | attributes |")
	p("| --- | --- | --- | --- |")
	for _, d := range table {
		p("| [`%s`](#%s) | %s | `%s` | %s |", d.name, anchor(d.name), d.kind, d.unit, attrList(d.attrs))
	}
	for _, d := range table {
		p("")
		p("## `%s`", d.name)
		p("")
		p("%s", d.description)
		p("")
		p("%s", d.when)
		if d.buckets != nil {
			p("")
			p("Buckets: %s.", strings.Trim(strings.ReplaceAll(fmt.Sprint(d.buckets), " ", ", "), "[]"))
		}
	}
	p("")
	p("## Attributes")
	p("")
	p("| attribute | values |")
	p("| --- | --- |")
	p("| `%s` | `WithPoolName`, else the name that the adapter derives from the target, else the database system; unique among the open pools of the process (`-2`, `-3` is appended) |", semconv.DBClientConnectionPoolNameKey)
	p("| `%s` | from the server or the target, if an adapter knows (see `WithAdapter`), else by the driver's type; `%s` for an unknown driver |", semconv.DBSystemNameKey, semconv.DBSystemNameOtherSQL.Value.AsString())
	p("| `%s`, `%s`, `%s` | what the pool connects to, if an adapter knows; the port only if it is not the default one. With several servers there is no address, and spans have that of their connection's server |", semconv.ServerAddressKey, semconv.ServerPortKey, semconv.DBNamespaceKey)
	p("| `%s` | `used`, `idle`, and `dialing`, which the conventions do not have |", semconv.DBClientConnectionStateKey)
	var ops []string
	for o := range numOps {
		if o.isOperation() {
			ops = append(ops, o.String())
		}
	}
	p("| `%s` | %s |", keyOperation, codeList(ops))
	p("| `%s` | %s |", keyPhase, codeList(namesUpTo(poolinfo.PhasePinned)))
	p("| `%s` | %s |", keySource, codeList(namesUpTo(poolinfo.SourceOpener)))
	p("| `%s` | %s |", keyReason, codeList(namesUpTo(poolinfo.ReasonUnknown)))
	p("| `%s` | absent on success; the code of the server, if an adapter knows it or the error has a method `SQLState() string`; else one of %s; else the result of its method `ErrorType() string`, if that is a name; else the Go type of the error, without wrappers of `fmt.Errorf`. A pool records %d different ones, each counted once for each class, then `%s` |",
		semconv.ErrorTypeKey, codeList([]string{errclass.TypeCanceled, errclass.TypeDeadline, errclass.TypeBadConn, errclass.TypeClosed, string(errclass.ErrPanicked), string(errclass.ErrNotRun)}), maxErrorTypes, errclass.TypeOther)
	p("| `%s` | wherever `%s` is, and on connections that were closed as `bad`: one of the [classes](#classes) |", keyClass, semconv.ErrorTypeKey)
	p("")
	p("`canceled` is a call that its caller canceled: its span has no error status, and an alert on database errors should exclude it.")
	p("`panic` is a panic of the driver, which reaches the program. `not_executed` is a call that the driver declined with `ErrSkip` and whose")
	p("statement then did not run, because the arguments did not fit it. `pool_closed` is a caller of `otelpool.DB` that waited when the pool was closed.")
	p("")
	p("## Classes")
	p("")
	p("The kind of failure, by code and by type, and by text only where a driver has nothing else; its adapter lists those texts. The list of classes is")
	p("closed. The adapter of the driver decides first (`otelmysql`, `otelpostgres`), then the SQLSTATE, then the types of the standard library.")
	p("")
	p("| class | meaning, where \"it\" is the connection |")
	p("| --- | --- |")
	for _, c := range poolinfo.Classes() {
		p("| `%s` | %s |", c, c.Description())
	}
	p("")
	p("The class follows from `error.type`, except:")
	p("")
	p("- A statement that the server stopped, and a socket that timed out, after the caller's context had ended, are `canceled` or `deadline`.")
	p("- A dial that timed out before its caller's deadline is `dial_timeout`.")
	p("- If a driver reports only that a connection is bad or cut, the class is that of what else it reported, such as to its logger; else")
	p("  `server_idle_timeout`, if the server's limit for idle connections is known and the connection was not used for as long, less half a second;")
	p("  else `canceled` or `deadline`, if the caller's context had ended. An earlier failure, such as `killed`, gives its class to those that")
	p("  follow from it, until a call succeeds.")
	p("")
	p("PostgreSQL reports the same code, 57P01, when it stops and when an administrator ends a connection: both are `killed`. It has one code,")
	p("57014, for a statement that took too long and for one that was canceled at the server: both are `statement_timeout`.")
	p("")
	p("## How exact the inferred waits are")
	p("")
	p("A call of `otelpool.DB` carries a clock, and its wait is exact. For the plain `*sql.DB`, and for prepared statements, the wait is")
	p("inferred: `DBStats.WaitDuration` grows by it just before the connection is reset. So it is read when a connection is released for which")
	p("a caller may be waiting, and when that connection is acquired again. While a connection is idle nobody waits, and nothing is read.")
	p("")
	p("[A test](../wait_test.go) compares the two on the same acquires, of 64 goroutines on 8 connections, and fails beyond the bounds, in virtual")
	p("time and, in slow motion, on a real clock. The worst of three runs on a real clock, on a machine of two cores:")
	p("")
	p("| | p50 | p90 | p95 | p99 | sum | bound in the test |")
	p("| --- | --- | --- | --- | --- | --- | --- |")
	p("| no acquire times out | 0.5 %% | 0.4 %% | 0.5 %% | 0.3 %% | 0.1 %% | 5 %% each |")
	p("| half of all acquires time out | 1.4 %% | 3.0 %% | 2.4 %% | 16 %% | 3.9 %% | p50 10 %% |")
	p("| a connection is idle | 0 | 0 | 0 | 0 | 0 | no wait above 1 ms |")
	p("")
	p("Where the error comes from: waits that end at the same moment are read as one sum, and one caller may get another's part. The sum is")
	p("right unless callers time out: their waits are in `WaitDuration` too, and make another caller's look longer. A wait is never")
	p("recorded as longer than the caller's own span has lasted, if the SDK records that span; the runs of the table had no such span.")
	p("Time on connections that turned out bad before is not in an inferred wait.")
	p("")
	p("The table is for statements of 4 ms on a machine that does nothing else. If a woken waiter must wait for a processor, more callers time")
	p("out before it reads the sum: with half of them timing out after 18 ms, on two overloaded processors, p50 was 25 %% too long and p99")
	p("five times its true value. Without timeouts there was no difference. The slower the statements, the smaller the error.")
	p("")
	p("## What cannot be seen")
	p("")
	p("- A caller of the plain `*sql.DB` that waits now, or got no connection: database/sql waits before it calls a driver. `otelpool.DB` sees both.")
	p("- A connection that was opened in the background, handed to a `sql.Conn` and not used yet is recorded as `idle`.")
	p("- Calls on the driver's own connection inside `sql.Conn.Raw` are time `pinned`, and not operations.")
	p("- Reading rows is time in phase `rows`, and has no duration of its own.")
	return b.String()
}

func anchor(name string) string { return strings.ReplaceAll(name, ".", "") }

func attrList(keys []attribute.Key) string {
	var s []string
	for _, k := range keys {
		s = append(s, string(k))
	}
	return codeList(s)
}

func codeList(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return "`" + strings.Join(s, "`, `") + "`"
}

// namesUpTo returns the names of all values from 1 to last.
func namesUpTo[T interface {
	~uint8
	fmt.Stringer
}](last T) []string {
	var s []string
	for v := T(1); v <= last; v++ {
		s = append(s, v.String())
	}
	return s
}

// TestTable_EveryRowIsComplete finds a metric whose row is missing or incomplete.
func TestTable_EveryRowIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for id, d := range table {
		if d.name == "" || d.kind == "" || d.unit == "" || d.description == "" || d.when == "" {
			t.Errorf("row %d is incomplete: %+v", id, d)
		}
		if seen[d.name] {
			t.Errorf("%s is listed twice", d.name)
		}
		seen[d.name] = true
		if own, conv := strings.HasPrefix(d.name, "otelpool."), strings.HasPrefix(d.name, "db.client."); own == conv {
			t.Errorf("%s has neither the prefix otelpool. nor db.client.", d.name)
		}
		if (d.kind == kindHistogram) != (d.buckets != nil) || !slices.IsSorted(d.buckets) {
			t.Errorf("%s is a %s with buckets %v", d.name, d.kind, d.buckets)
		}
	}
}
