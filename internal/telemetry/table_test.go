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

var update = flag.Bool("update", false, "write docs/metrics.md anew from the table of instruments")

// TestTable_IsTheMetricsPage keeps docs/metrics.md equal to the code. Run it with -update
// after a change of the table.
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
		t.Errorf("%s is not what the table says; run: go test ./internal/telemetry -run %s -update", file, t.Name())
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
	p("stable and `db.client.connection.*` in development. What they lack is under `otelpool.` and ours to keep.")
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
	p("| `%s` | `WithPoolName`, else what the adapter makes of the target, else the database system; unique among the open pools of the process (`-2`, `-3` is added) |", semconv.DBClientConnectionPoolNameKey)
	p("| `%s` | what the server reports to be, or the adapter of the driver (see `WithAdapter`), else by the driver's type; `%s` for a driver that is not known |", semconv.DBSystemNameKey, semconv.DBSystemNameOtherSQL.Value.AsString())
	p("| `%s`, `%s`, `%s` | what the pool connects to, if an adapter knows; the port only if it is not the default one. Of several servers there is no address: spans have the one that was reached |", semconv.ServerAddressKey, semconv.ServerPortKey, semconv.DBNamespaceKey)
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
	p("`canceled` is a caller that canceled: its span has no error status, and a rule about database errors should leave it out.")
	p("`panic` is a panic of the driver, which passes through. `not_executed` is a call that the driver declined with `ErrSkip` and whose")
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
	p("- A dial that ran out of time while its caller had some left is `dial_timeout`.")
	p("- A driver that reports only that a connection is bad or cut gets a class from what it reported besides, such as to its logger; else")
	p("  `server_idle_timeout`, if nothing had been done with the connection for as long as the server allows, less half a second, and that is known;")
	p("  else `canceled` or `deadline`, if the caller's context had ended. A failure before it, such as `killed`, is the class of what follows from it,")
	p("  until a call succeeds.")
	p("")
	p("PostgreSQL reports the same code, 57P01, when it stops and when an administrator ends a connection: both are `killed`. It has one code,")
	p("57014, for a statement that took too long and for one that was canceled at the server: both are `statement_timeout`.")
	p("")
	p("## How exact the inferred waits are")
	p("")
	p("A call of `otelpool.DB` carries a clock, and its wait is exact. For the plain `*sql.DB`, and for prepared statements, the wait is")
	p("inferred: `DBStats.WaitDuration` grows by it just before the connection is reset, so it is read when a connection is released that")
	p("a caller may be waiting for, and when the same connection is acquired again. While a connection is idle nobody waits, and nothing is read.")
	p("")
	p("[A test](../wait_test.go) compares the two on the same acquires, of 64 goroutines on 8 connections, and fails beyond the bounds, in virtual")
	p("time and, in slow motion, on a real clock. The worst of three runs on a real clock, on a machine of two cores:")
	p("")
	p("| | p50 | p90 | p95 | p99 | sum | bound in the test |")
	p("| --- | --- | --- | --- | --- | --- | --- |")
	p("| nobody gives up | 0.5 %% | 0.4 %% | 0.5 %% | 0.3 %% | 0.1 %% | 5 %% each |")
	p("| half of all acquires time out | 1.4 %% | 3.0 %% | 2.4 %% | 16 %% | 3.9 %% | p50 10 %% |")
	p("| a connection is idle | 0 | 0 | 0 | 0 | 0 | no wait above 1 ms |")
	p("")
	p("Where the error comes from: waits that end at the same moment are one sum, and one caller may get the other's part. The sum stays")
	p("right, unless callers give up: the wait of one that does is in `WaitDuration` too, and makes that of another look longer. A wait is never")
	p("recorded as longer than the caller's own span has lasted, if the SDK records that span; in the table there was none.")
	p("Time on connections that were found bad before is not in an inferred wait.")
	p("")
	p("The table is of statements of 4 ms and a machine with nothing else to do. Where a waiter that is woken has to wait for a processor too, more")
	p("callers give up before it reads the sum: with half of them timing out after 18 ms, on two processors that were more than busy, p50 was")
	p("25 %% too long and p99 as five times what it was. Without time-outs it made no difference. The slower the statements, the less it is.")
	p("")
	p("## What cannot be seen")
	p("")
	p("- A caller of the plain `*sql.DB` that waits now, or got no connection: database/sql waits before it calls a driver. `otelpool.DB` sees both.")
	p("- A connection that was opened in the background, handed to a `sql.Conn` and not used yet is recorded as `idle`.")
	p("- What is done with the driver's own connection inside `sql.Conn.Raw` is time `pinned`, and no operation.")
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

// TestTable_EveryRowIsComplete finds a metric that was added to the list and not to the
// table, or half.
func TestTable_EveryRowIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for id, d := range table {
		if d.name == "" || d.kind == "" || d.unit == "" || d.description == "" || d.when == "" {
			t.Errorf("row %d is incomplete: %+v", id, d)
		}
		if seen[d.name] {
			t.Errorf("%s is there twice", d.name)
		}
		seen[d.name] = true
		if own, conv := strings.HasPrefix(d.name, "otelpool."), strings.HasPrefix(d.name, "db.client."); own == conv {
			t.Errorf("%s is neither ours nor the conventions'", d.name)
		}
		if (d.kind == kindHistogram) != (d.buckets != nil) || !slices.IsSorted(d.buckets) {
			t.Errorf("%s is a %s with buckets %v", d.name, d.kind, d.buckets)
		}
	}
}
