package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

// recorder is a handler that keeps the records, and for each the span in its context.
type recorder struct {
	mu      sync.Mutex // guards records
	records []slog.Record
	spans   []trace.SpanContext
}

func (h *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (h *recorder) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *recorder) WithGroup(string) slog.Handler            { return h }

func (h *recorder) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.records = append(h.records, r)
	h.spans = append(h.spans, trace.SpanContextFromContext(ctx))
	return nil
}

// lines returns the texts of the records, without what varies from run to run.
func (h *recorder) lines() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.records {
		line := fmt.Sprintf("%s %s", r.Level, r.Message)
		for a := range r.Attrs {
			line += "\n" + a.Key + "=" + a.Value.String()
		}
		all = append(all, varying.ReplaceAllString(line, "$1..."))
	}
	return all
}

var varying = regexp.MustCompile(`(_id=|file\.path=|line\.number=|\.go:|function\.name=.*/)[^ ,\n]*`)

// logged runs a test in virtual time on a DB of one connection, and returns the handler
// of its log.
func logged(t *testing.T, test func(*testing.T, *otelpool.DB, *telemetry)) *recorder {
	t.Helper()
	h := &recorder{}
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		test(t, db, seen)
	}, otelpool.WithLogger(slog.New(h)))
	return h
}

func TestWithLogger_LogsALeakInTheSpanOfItsHolder(t *testing.T) {
	var holder trace.SpanContext
	h := logged(t, func(t *testing.T, db *otelpool.DB, seen *telemetry) {
		ctx, span := seen.caller()
		defer span.End()
		holder = span.SpanContext()
		tx, err := db.BeginTx(ctx, nil)
		noError(t, err)
		_, err = tx.ExecContext(ctx, "UPDATE orders SET price = 17")
		noError(t, err)
		wait(45 * time.Second)
		noError(t, tx.Rollback())
		wait(0)
	})
	wantLines(t, h.lines(),
		`WARN pool shop: connection 1 may be leaked: held for 30s (transaction idle for 30s) at log_test.go:... from log_test.go:... from db_test.go:..., last UPDATE orders
otelpool.report=leak_suspected
db.client.connection.pool.name=shop
db.system.name=other_sql
otelpool.connection.id=1
otelpool.held=30
otelpool.idle=30
otelpool.phase=tx
db.query.summary=UPDATE orders
code.function.name=github.com/otelpool/...
code.file.path=...
code.line.number=...
trace_id=...
span_id=...`,
		`INFO pool shop: suspected leak resolved: connection 1 returned after 45s at log_test.go:... from log_test.go:... from db_test.go:...
otelpool.report=leak_resolved
db.client.connection.pool.name=shop
db.system.name=other_sql
otelpool.connection.id=1
otelpool.held=45
code.function.name=github.com/otelpool/...
code.file.path=...
code.line.number=...
trace_id=...
span_id=...`)
	for i, got := range h.spans {
		if got.SpanID() != holder.SpanID() || got.TraceID() != holder.TraceID() {
			t.Errorf("record %d is in span %v, want the span of the holder, %v", i, got, holder)
		}
	}
}

func TestWithLogger_LogsAnExhaustionWithTheLongestHolder(t *testing.T) {
	h := logged(t, func(t *testing.T, db *otelpool.DB, _ *telemetry) {
		hold(t, db, t.Context(), 4500*ms)
		goPing(t, db, 0)
		wait(10 * time.Second)
	})
	wantLines(t, h.lines(),
		`WARN pool shop is exhausted: 1/1 held, 0 idle, 0 dialing, 1 waiting, the first for 1s; connections are held by code that is not using them: `+
			`1 held, longest 1s (idle for 1s) at db_test.go:... from log_test.go:... from log_test.go:...
otelpool.report=exhausted
db.client.connection.pool.name=shop
db.system.name=other_sql
otelpool.pool.max=1
otelpool.pool.held=1
otelpool.pool.idle=0
otelpool.pool.dialing=0
otelpool.pool.waiting=1
otelpool.oldest_wait=1
otelpool.verdict=idle_in_code
otelpool.exhaustion.length=1
otelpool.exhaustion.waited=1
otelpool.exhaustion.failed=0
otelpool.connection.id=1
otelpool.held=1
otelpool.idle=1
otelpool.phase=pinned
code.function.name=github.com/otelpool/...
code.file.path=...
code.line.number=...`,
		`INFO pool shop recovered after 4s; 1 caller waited
otelpool.report=recovered
db.client.connection.pool.name=shop
db.system.name=other_sql
otelpool.pool.max=1
otelpool.pool.held=0
otelpool.pool.idle=1
otelpool.pool.dialing=0
otelpool.pool.waiting=0
otelpool.oldest_wait=0
otelpool.exhaustion.length=4
otelpool.exhaustion.waited=1
otelpool.exhaustion.failed=0`)
}

func TestWithLogger_EveryAttributeIsInDocsReports(t *testing.T) {
	page, err := os.ReadFile("docs/reports.md")
	noError(t, err)
	h := logged(t, func(t *testing.T, db *otelpool.DB, seen *telemetry) {
		ctx, span := seen.caller()
		defer span.End()
		tx, err := db.BeginTx(ctx, nil)
		noError(t, err)
		_, err = tx.ExecContext(ctx, "UPDATE orders SET price = 17")
		noError(t, err)
		goPing(t, db, 0)
		wait(45 * time.Second)
		noError(t, tx.Rollback())
		wait(5 * time.Second)
	})
	seen := map[string]bool{}
	for _, r := range h.records {
		for a := range r.Attrs {
			if !seen[a.Key] && !strings.Contains(string(page), "`"+a.Key+"`") {
				t.Errorf("docs/reports.md does not have %s", a.Key)
			}
			seen[a.Key] = true
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d attributes were logged", len(seen))
	}
}

func TestWithLogger_NilIsTheDefaultLoggerAtTheTimeOfTheReport(t *testing.T) {
	h := &recorder{}
	before := slog.Default()
	defer slog.SetDefault(before)
	got := reportsFrom(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
		slog.SetDefault(slog.New(h))
		holdPlain(t, db, time.Minute)
		wait(30 * time.Second)
	}, otelpool.WithLogger(nil))
	if lines := h.lines(); len(lines) != 1 || len(got) != 1 {
		t.Errorf("logged %q, reported %v", lines, got)
	}
}

// The pool continues after such a panic, and so do later reports.
func TestReport_PanicOfTheLoggerOrTheHookIsReported(t *testing.T) {
	var calls []poolinfo.ReportKind
	errs := handled(func() {
		bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *telemetry) {
			holdPlain(t, db, 40*time.Second)
			wait(time.Minute)
		}, otelpool.WithLogger(slog.New(panicking{})), otelpool.WithReports(func(r poolinfo.Report) {
			calls = append(calls, r.Kind)
			panic("secret")
		}))
	})
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	logger, hook := "otelpool: WithLogger panicked with a string", "otelpool: WithReports panicked with a string"
	wantLines(t, got, logger, hook, logger, hook)
	if want := []poolinfo.ReportKind{poolinfo.ReportLeakSuspected, poolinfo.ReportLeakResolved}; !slices.Equal(calls, want) {
		t.Errorf("got %v, want %v", calls, want)
	}
}

type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool { panic("secret") }

func TestWithReports_FunctionThatBlocksDoesNotBlockThePool(t *testing.T) {
	release := make(chan struct{})
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		release = make(chan struct{})
		db.SetMaxOpenConns(2)
		holdPlain(t, db, 40*time.Second)
		wait(time.Hour) // the hook has not returned
		for range 100 {
			_, err := db.Exec("x")
			noError(t, err)
		}
		seen.wantSums(t, "otelpool.connection.leaks", map[string]int64{"suspected": 1, "resolved": 1}, leakKey)
		close(release)
	}, otelpool.WithReports(func(poolinfo.Report) { <-release }))
}

func TestWithLogger_LogsNoArgumentLiteralOrErrorText(t *testing.T) {
	const secret = "s3cr3t"
	h := &recorder{}
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, _ *telemetry) {
		tx, err := db.BeginTx(t.Context(), nil)
		noError(t, err)
		_, err = tx.ExecContext(t.Context(), "UPDATE orders SET price = '"+secret+"' WHERE id = ?", secret)
		noError(t, err)
		fake.Fail(fakedb.Exec, 1, errors.New(secret))
		_, _ = tx.ExecContext(t.Context(), "UPDATE orders SET price = ?", secret)
		goPing(t, db, 5*time.Second)
		wait(45 * time.Second)
		fake.Fail(fakedb.Commit, 1, fmt.Errorf("%s: %w", secret, driver.ErrBadConn))
		_ = tx.Commit()
		fake.Fail(fakedb.Connect, 1, errors.New(secret))
		goPing(t, db, 0)
		fake.Fail(fakedb.Exec, 5, fmt.Errorf("%s: %w", secret, driver.ErrBadConn))
		for range 5 {
			_, _ = db.ExecContext(t.Context(), "UPDATE orders SET price = ?", secret)
		}
		wait(time.Minute)
	}, otelpool.WithLogger(slog.New(h)))
	var kinds []string
	for _, line := range h.lines() {
		_, rest, _ := strings.Cut(line, "otelpool.report=")
		kind, _, _ := strings.Cut(rest, "\n")
		kinds = append(kinds, kind)
		if strings.Contains(line, secret) {
			t.Errorf("the secret is logged: %s", line)
		}
	}
	wantLines(t, kinds, "exhausted", "leak_suspected", "leak_resolved", "recovered", "connections_lost")
}
