package otelpool_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

const (
	querySummary = attribute.Key("db.query.summary")
	queryText    = attribute.Key("db.query.text")
)

const (
	insertJane = "INSERT INTO users (name) VALUES ('jane') -- the boss"
	selectName = "SELECT name FROM users WHERE id = ?"
)

// execSpan runs one statement and returns its span, which is the last.
func execSpan(t *testing.T, db *sql.DB, seen *telemetry, text string, args ...any) sdktrace.ReadOnlySpan {
	t.Helper()
	_, err := db.Exec(text, args...)
	noError(t, err)
	spans := seen.ended()
	return spans[len(spans)-1]
}

func TestStatement_SpanIsNamedByItsSummary(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		_, err := db.Exec(insertJane)
		noError(t, err)
		noError(t, db.QueryRow(selectName, 1).Scan(new(int)))
		s, err := db.Prepare("DELETE FROM users WHERE id IN (1, 2)")
		noError(t, err)
		_, err = s.Exec()
		noError(t, err)
		noError(t, s.Close())
		_, err = db.Exec("nonsense 'jane'")
		noError(t, err)

		var got []string
		for _, s := range seen.ended() {
			a := attributes(s.Attributes())
			got = append(got, fmt.Sprint(s.Name(), " | ", a[querySummary], " | ", a[queryText]))
		}
		want := []string{
			"connect | <nil> | <nil>",
			"INSERT users | INSERT users | INSERT INTO users (name) VALUES (?)",
			"SELECT users | SELECT users | SELECT name FROM users WHERE id = ?",
			"prepare | DELETE users | DELETE FROM users WHERE id IN (?, ?)",
			"DELETE users | DELETE users | DELETE FROM users WHERE id IN (?, ?)",
			"exec | <nil> | nonsense ?",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
		seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{
			"exec INSERT users": {1, 0}, "query SELECT users": {1, 0}, "prepare DELETE users": {1, 0}, "exec DELETE users": {1, 0}, "exec": {1, 0},
		}, operation, querySummary)
	})
}

func TestStatement_FailureHasItsSummary(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		fake.Fail(fakedb.Exec, 1, context.DeadlineExceeded)
		_, _ = db.Exec(insertJane)
		fake.Fail(fakedb.Begin, 1, context.DeadlineExceeded)
		_, _ = db.Begin()
		seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{
			"exec INSERT users deadline_exceeded": {1, 0}, "begin  deadline_exceeded": {1, 0},
		}, operation, querySummary, errorType)
	})
}

func TestQueryText_FollowsTheOptions(t *testing.T) {
	const long = "SELECT 'é', name FROM users WHERE id IN (1, 2, 3)"
	for _, test := range []struct {
		name string
		opt  otelpool.Option
		want any
	}{
		{"default", nil, "SELECT ?, name FROM users WHERE id IN (?, ?, ?)"},
		{"sanitized", otelpool.WithQueryText(otelpool.QueryTextSanitized), "SELECT ?, name FROM users WHERE id IN (?, ?, ?)"},
		{"collapsed", otelpool.WithQueryText(otelpool.QueryTextCollapsed), "SELECT ?, name FROM users WHERE id IN (?)"},
		{"raw", otelpool.WithQueryText(otelpool.QueryTextRaw), long},
		{"off", otelpool.WithQueryText(otelpool.QueryTextOff), nil},
		{"a value above the constants", otelpool.WithQueryText(otelpool.QueryTextOff + 1), nil},
		{"a value below the constants", otelpool.WithQueryText(otelpool.QueryText(-1)), nil},
		{"a limit of 10 bytes", otelpool.WithQueryTextLimit(10), "SELECT ?, "},
		{"a limit of zero", otelpool.WithQueryTextLimit(0), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
				s := execSpan(t, db, seen, long)
				if got := attributes(s.Attributes())[queryText]; got != test.want || s.Name() != "SELECT users" {
					t.Errorf("%s: got %v, want %v", s.Name(), got, test.want)
				}
			}, test.opt)
		})
	}
}

func TestWithQueryTextLimit_NegativeIsNoLimit(t *testing.T) {
	long := "SELECT a FROM users WHERE id IN (?" + strings.Repeat(", ?", 2000) + ")"
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		s := execSpan(t, db, seen, long)
		if got := attributes(s.Attributes())[queryText]; got != long {
			t.Errorf("got %.100v, want all of %d bytes", got, len(long))
		}
	}, otelpool.WithQueryTextLimit(-1))
}

func TestWithQueryTextLimit_ZeroRecordsNoArguments(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		ctx, caller := seen.caller()
		_, err := db.ExecContext(ctx, "DELETE FROM users WHERE id = ?", "secret")
		noError(t, err)
		caller.End()
		for _, s := range seen.ended() {
			for _, a := range s.Attributes() {
				if strings.Contains(a.Value.String(), "secret") {
					t.Errorf("%s has %s %s", s.Name(), a.Key, a.Value.String())
				}
			}
		}
	}, otelpool.WithQueryTextLimit(0), otelpool.WithQueryParameters())
}

func TestWithoutQuerySummaryMetric_OmitsTheSummary(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		if s := execSpan(t, db, seen, insertJane); s.Name() != "INSERT users" {
			t.Errorf("got span %s", s.Name())
		}
		noError(t, db.QueryRow(selectName, 1).Scan(new(int)))
		seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{"exec": {1, 0}, "query": {1, 0}}, operation, querySummary)
		if got := seen.rows(t); !maps.Equal(got, map[string]hist{"": {1, 1}}) {
			t.Errorf("got rows %v", got)
		}
	}, otelpool.WithoutQuerySummaryMetric())
}

func TestStatement_SummariesInMetricsAreBounded(t *testing.T) {
	const texts = 1500
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		for i := range texts {
			execSpan(t, db, seen, fmt.Sprintf("SELECT a FROM t%d", i))
		}
		got := seen.histogram(t, "db.client.operation.duration", querySummary)
		if want := 200; len(got) != want {
			t.Errorf("%d summaries, want %d", len(got), want)
		}
		if rest := got[""]; rest.count != texts-199 {
			t.Errorf("%d are recorded without a summary, want %d", rest.count, texts-199)
		}
	})
}

func TestStatement_PreparedOneIsParsedOnce(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		s, err := db.Prepare(insertJane)
		noError(t, err)
		defer s.Close()
		for i := range 2000 { // evict insertJane from the cache of texts
			execSpan(t, db, seen, fmt.Sprintf("SELECT a FROM t%d", i))
		}
		_, err = s.Exec()
		noError(t, err)
		spans := seen.ended()
		if last := spans[len(spans)-1]; last.Name() != "INSERT users" {
			t.Errorf("got span %s", last.Name())
		}
	})
}

// rows returns the points of returned_rows by summary: the number of result sets, and the sum
// of their rows.
func (s *telemetry) rows(t testing.TB) map[string]hist {
	t.Helper()
	got := map[string]hist{}
	data, _ := s.metric(t, "db.client.response.returned_rows").(metricdata.Histogram[int64])
	for _, p := range data.DataPoints {
		got[attributeValues(p.Attributes, []attribute.Key{querySummary})] = hist{p.Count, time.Duration(p.Sum)}
	}
	return got
}

func TestRows_AreRecordedWhenTheyAreClosed(t *testing.T) {
	cfg := full
	set := fakedb.Set{Columns: []fakedb.Column{{Name: "n"}}}
	cfg.Answers = map[string]fakedb.Answer{
		"SELECT many":            {Rows: 100},
		"SELECT FROM a; SELECT ": {Sets: []fakedb.Set{set, {Columns: set.Columns}}},
	}
	bubble(t, cfg, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		fake.On(fakedb.Next, fakedb.Sleep(ms))
		ctx, caller := seen.caller()
		count := func(ctx context.Context, on handle, text string, upTo int) {
			rows, err := on.QueryContext(ctx, text)
			noError(t, err)
			for n := 0; n < upTo && rows.Next(); n++ {
			}
			noError(t, rows.Close())
			noError(t, rows.Close())
		}
		count(ctx, db, "SELECT many", 7)
		count(ctx, db, "SELECT many", 1000)
		count(t.Context(), db, "SELECT a FROM none", 0)
		tx, err := db.BeginTx(t.Context(), nil)
		noError(t, err)
		count(ctx, tx, selectName, 1000) // the query has the caller's span, the transaction has not
		noError(t, tx.Commit())
		caller.End()

		if got, want := seen.rows(t), (map[string]hist{"SELECT": {2, 107}, "SELECT none": {1, 0}, "SELECT users": {1, 1}}); !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		var got []string
		for _, e := range callerEvents(seen) {
			if e.Name == "otelpool.rows.closed" {
				a := attributes(e.Attributes)
				got = append(got, fmt.Sprint(a["db.response.returned_rows"], " in ", a["otelpool.rows.open_time"]))
			}
		}
		if want := []string{"7 in 0.007", "100 in 0.101", "1 in 0.002"}; !slices.Equal(got, want) {
			t.Errorf("got events %v, want %v", got, want)
		}
	})
}

func TestRows_FailedReadHasItsErrorType(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		ctx, caller := seen.caller()
		fake.Fail(fakedb.Next, 1, context.DeadlineExceeded)
		if err := db.QueryRowContext(ctx, selectName, 1).Scan(new(int)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		caller.End()
		data, _ := seen.metric(t, "db.client.response.returned_rows").(metricdata.Histogram[int64])
		if len(data.DataPoints) != 1 || attributeValues(data.DataPoints[0].Attributes, []attribute.Key{querySummary, errorType}) != "SELECT users deadline_exceeded" {
			t.Errorf("got %+v", data.DataPoints)
		}
		for _, e := range callerEvents(seen) {
			if got := attributes(e.Attributes)[errorType]; e.Name == "otelpool.rows.closed" && got != "deadline_exceeded" {
				t.Errorf("the event has error.type %v", got)
			}
		}
	})
}

// A span keeps its last 128 events, so events of result sets are limited.
func TestRows_EventsAreTheFirstOfAHoldAndEachFailure(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		for range 2 {
			ctx, caller := seen.caller()
			c, err := db.Conn(ctx)
			noError(t, err)
			for i := range 200 {
				if i%50 == 49 {
					fake.Fail(fakedb.Next, 1, errBroken)
				}
				_ = c.QueryRowContext(ctx, selectName, 1).Scan(new(any))
			}
			noError(t, c.Close())
			caller.End()
		}
		var got []string
		for _, e := range callerEvents(seen) {
			if e.Name == "otelpool.rows.closed" {
				got = append(got, fmt.Sprint(attributes(e.Attributes)[errorType]))
			}
		}
		want := append(slices.Repeat([]string{"<nil>"}, 32), slices.Repeat([]string{"*errors.errorString"}, 4)...)
		if want = slices.Concat(want, want); !slices.Equal(got, want) {
			t.Errorf("got events %v, want %v", got, want)
		}
	})
}

func TestStatement_LongTextHasASummary(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		for _, size := range []int{1 << 10, 100 << 10, 200 << 10} {
			s := execSpan(t, db, seen, "INSERT INTO t VALUES ('"+strings.Repeat("secret ", size/7)+"')")
			a := attributes(s.Attributes())
			text, _ := a[queryText].(string)
			want := ""
			if size < 64<<10 {
				want = "INSERT INTO t VALUES (?)"
			}
			if s.Name() != "INSERT t" || text != want {
				t.Errorf("%d bytes: got %s, %q, want %q", size, s.Name(), text, want)
			}
		}
	})
}

func callerEvents(seen *telemetry) (events []sdktrace.Event) {
	for _, s := range seen.spans.Ended() {
		if s.Name() == "caller" {
			events = append(events, s.Events()...)
		}
	}
	return events
}

func TestExemplars_ReturnedRowsPointToTheQuery(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		noError(t, db.QueryRow(selectName, 1).Scan(new(int)))
		wantRowsLeadTo(t, seen)
	})
}

// wantRowsLeadTo fails unless the exemplar of returned_rows is the last span.
func wantRowsLeadTo(t *testing.T, seen *telemetry) {
	t.Helper()
	data, _ := seen.metric(t, "db.client.response.returned_rows").(metricdata.Histogram[int64])
	spans := seen.ended()
	query := spans[len(spans)-1].SpanContext().SpanID()
	if len(data.DataPoints) != 1 || len(data.DataPoints[0].Exemplars) != 1 || !slices.Equal(data.DataPoints[0].Exemplars[0].SpanID, query[:]) {
		t.Errorf("got %+v, want an exemplar of %v", data.DataPoints, query)
	}
}

func TestStatement_RowsAffectedAreAnAttribute(t *testing.T) {
	cfg := full
	cfg.Answers = map[string]fakedb.Answer{
		"UPDATE a":  {Result: affected(7)},
		"UPDATE b":  {Result: ids{}}, // RowsAffected fails
		"UPDATE c":  {Result: nil},
		"UPDATE no": {Nothing: true},
	}
	bubble(t, cfg, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		for text, want := range map[string]any{"UPDATE a": int64(7), "UPDATE b": nil, "UPDATE c": int64(1), "UPDATE no": nil} {
			if got := attributes(execSpan(t, db, seen, text).Attributes())["otelpool.rows_affected"]; got != want {
				t.Errorf("%s: got %v, want %v", text, got, want)
			}
		}
	})
}

type affected int64

func (affected) LastInsertId() (int64, error)   { panic("LastInsertId was called") }
func (n affected) RowsAffected() (int64, error) { return int64(n), nil }

func TestWithQueryParameters_RecordsArguments(t *testing.T) {
	for _, opts := range [][]otelpool.Option{nil, {otelpool.WithQueryParameters()}} {
		bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
			at := time.Date(2000, 1, 2, 3, 4, 5, 6, time.UTC)
			args := []any{"jane", int64(7), 1.5, true, nil, []byte("raw"), []byte{0xff}, at, sql.Named("id", "x")}
			s := execSpan(t, db, seen, "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", args...)
			got := map[string]any{}
			for k, v := range attributes(s.Attributes()) {
				if key, ok := strings.CutPrefix(string(k), "db.query.parameter."); ok {
					got[key] = v
				}
			}
			want := map[string]any{}
			if opts != nil {
				want = map[string]any{
					"0": "jane", "1": "7", "2": "1.5", "3": "true", "4": "NULL", "5": "raw", "6": "\uFFFD", "7": "2000-01-02T03:04:05.000000006Z", "id": "x",
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}, opts...)
	}
}

// sent returns the texts of statements that reached the driver.
func sent(fake *fakedb.DB) (texts []string) {
	for _, line := range fake.Log() {
		if _, text, ok := strings.Cut(line, `Context("`); ok {
			text, _, _ = strings.Cut(text, `") `)
			texts = append(texts, text)
		}
	}
	return texts
}

func TestWithSQLCommenter_AddsTheSpanOfTheStatement(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		s := execSpan(t, db, seen, "INSERT INTO t VALUES (1)")
		sc := s.SpanContext()
		want := []string{fmt.Sprintf("INSERT INTO t VALUES (1) /*traceparent='00-%s-%s-01'*/", sc.TraceID(), sc.SpanID())}
		if got := sent(fake); !slices.Equal(got, want) {
			t.Errorf("the driver got %q, want %q", got, want)
		}
		if got := attributes(s.Attributes())[queryText]; got != "INSERT INTO t VALUES (?)" {
			t.Errorf("the span has the text %v", got)
		}
	}, otelpool.WithSQLCommenter(propagation.TraceContext{}))
}

func TestWithSQLCommenter_WritesBeforeTheSemicolon(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		for _, text := range []string{"DELETE FROM t; \n", " ;", ""} {
			_, err := db.Exec(text)
			noError(t, err)
		}
		sc := seen.ended()[1].SpanContext()
		want := []string{fmt.Sprintf("DELETE FROM t /*traceparent='00-%s-%s-01'*/; \\n", sc.TraceID(), sc.SpanID()), " ;", ""}
		if got := sent(fake); !slices.Equal(got, want) {
			t.Errorf("the driver got %q, want %q", got, want)
		}
	}, otelpool.WithSQLCommenter(propagation.TraceContext{}))
}

func TestWithSQLCommenter_SkipsPreparedAndCommentedStatements(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		s, err := db.Prepare("INSERT INTO t VALUES (2)")
		noError(t, err)
		_, err = s.Exec()
		noError(t, err)
		noError(t, s.Close())
		execSpan(t, db, seen, "INSERT /* hint */ INTO t VALUES (3)")
		execSpan(t, db, seen, "INSERT INTO t VALUES (4) -- end")
		for _, text := range sent(fake) {
			if strings.Contains(text, "traceparent") {
				t.Errorf("the driver got %q", text)
			}
		}
	}, otelpool.WithSQLCommenter(propagation.TraceContext{}))
}

func TestWithSQLCommenter_EncodesValues(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *telemetry) {
		member, err := baggage.NewMemberRaw("user", "O'Brien */ DROP")
		noError(t, err)
		bag, err := baggage.New(member)
		noError(t, err)
		_, err = db.ExecContext(baggage.ContextWithBaggage(t.Context(), bag), "DELETE FROM t")
		noError(t, err)
		want := []string{`DELETE FROM t /*baggage='user%3DO%27Brien%2520%2A%2F%2520DROP'*/`}
		if got := sent(fake); !slices.Equal(got, want) {
			t.Errorf("the driver got %q, want %q", got, want)
		}
	}, otelpool.WithSQLCommenter(propagation.Baggage{}))
}

func TestHooks_NameAndDescribeStatements(t *testing.T) {
	type key struct{}
	var got []poolinfo.StatementInfo
	hooks := otelpool.Hooks{
		SpanName: func(ctx context.Context, s poolinfo.StatementInfo) string {
			got = append(got, s)
			name, _ := ctx.Value(key{}).(string)
			return name
		},
		Attributes: func(_ context.Context, s poolinfo.StatementInfo) []attribute.KeyValue {
			return []attribute.KeyValue{attribute.Int("length", len(s.Query))}
		},
	}
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		_, err := db.ExecContext(context.WithValue(t.Context(), key{}, "AddUser"), insertJane)
		noError(t, err)
		_, err = db.Exec(insertJane)
		noError(t, err)
		noError(t, db.Ping())
		seen.wantSpans(t, "connect 0s", "AddUser 0s", "INSERT users 0s", "ping 0s")
		for _, s := range seen.ended()[1:3] {
			if n := attributes(s.Attributes())["length"]; n != int64(len(insertJane)) {
				t.Errorf("%s has length %v", s.Name(), n)
			}
		}
		want := poolinfo.StatementInfo{Operation: "exec", Query: insertJane, Summary: "INSERT users", Text: "INSERT INTO users (name) VALUES (?)"}
		if !slices.Equal(got, []poolinfo.StatementInfo{want, want}) {
			t.Errorf("got %+v", got)
		}
	}, otelpool.WithHooks(hooks))
}

func TestHooks_KeepDecidesWhenTheStatementEnds(t *testing.T) {
	keep := func(_ context.Context, _ poolinfo.StatementInfo, o poolinfo.StatementResult) bool {
		time.Sleep(5 * ms) // is not part of the span
		return o.Err != nil || o.Duration >= 10*ms
	}
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		ctx, caller := seen.caller()
		fake.On(fakedb.Exec, fakedb.Sleep(9*ms))
		_, err := db.ExecContext(ctx, insertJane)
		noError(t, err)
		fake.On(fakedb.Exec, fakedb.Sleep(10*ms))
		_, err = db.ExecContext(ctx, insertJane, 5)
		noError(t, err)
		fake.On(fakedb.Exec, nil)
		fake.Fail(fakedb.Exec, 1, errors.New("no"))
		_, _ = db.ExecContext(ctx, selectName)
		caller.End()
		seen.wantSpans(t, "connect 0s", "INSERT users 10ms", "SELECT users 0s Error error.type=*errors.errorString")
		slow := seen.ended()[1]
		if slow.Parent().SpanID() != caller.SpanContext().SpanID() {
			t.Errorf("the parent of the span is %v", slow.Parent())
		}
		got := attributes(slow.Attributes())
		want := map[attribute.Key]any{
			poolName: "shop", system: "other_sql", querySummary: "INSERT users", queryText: "INSERT INTO users (name) VALUES (?)",
			"otelpool.rows_affected": int64(1), "db.query.parameter.0": "5",
		}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{"INSERT users": {2, 19 * ms}, "SELECT users": {1, 0}}, querySummary)
	}, otelpool.WithHooks(otelpool.Hooks{Keep: keep}), otelpool.WithQueryParameters())
}

func TestExemplars_ReturnedRowsPointToAKeptQuery(t *testing.T) {
	keep := func(context.Context, poolinfo.StatementInfo, poolinfo.StatementResult) bool { return true }
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		noError(t, db.QueryRow(selectName, 1).Scan(new(int)))
		wantRowsLeadTo(t, seen)
	}, otelpool.WithHooks(otelpool.Hooks{Keep: keep}))
}

func TestHooks_PanicIsRecoveredAndReported(t *testing.T) {
	hooks := otelpool.Hooks{
		SpanName:   func(context.Context, poolinfo.StatementInfo) string { panic("name") },
		Attributes: func(context.Context, poolinfo.StatementInfo) []attribute.KeyValue { panic("attributes") },
		Keep:       func(context.Context, poolinfo.StatementInfo, poolinfo.StatementResult) bool { panic("keep") },
	}
	got := handled(func() {
		bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
			_, err := db.Exec(insertJane)
			noError(t, err)
			seen.wantSpans(t, "connect 0s", "INSERT users 0s")
		}, otelpool.WithHooks(hooks))
	})
	want := "[otelpool: Hooks.Keep panicked with a string otelpool: Hooks.SpanName panicked with a string otelpool: Hooks.Attributes panicked with a string]"
	if fmt.Sprint(got) != want {
		t.Errorf("reported %v, want %s", got, want)
	}
}

func TestTelemetry_HasNoLiterals(t *testing.T) {
	const secret = "s3cr3t"
	texts := []string{
		"INSERT INTO t VALUES ('" + secret + "')", "SELECT \"" + secret + "\" FROM t", "SELECT 1 /* " + secret + " */", "-- " + secret + "\nSELECT 1",
		"CREATE USER " + secret + " IDENTIFIED BY '" + secret + "'", "SELECT '" + secret, "SELECT $$" + secret + "$$",
	}
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		ctx, caller := seen.caller()
		for _, text := range texts {
			_, _ = db.ExecContext(ctx, text)
			fake.Fail(fakedb.Query, 1, errors.New(text))
			_, _ = db.QueryContext(ctx, text)
			if s, err := db.PrepareContext(ctx, text); err == nil {
				_, _ = s.ExecContext(ctx)
				_ = s.Close()
			}
		}
		caller.End()
		for _, s := range seen.spans.Ended() {
			if all := fmt.Sprint(s.Name(), s.Attributes(), s.Events(), s.Status()); strings.Contains(all, secret) {
				t.Errorf("a span has the secret: %s", all)
			}
		}
		if all := fmt.Sprint(seen.collect(t)); strings.Contains(all, secret) {
			t.Errorf("metrics have the secret: %s", all)
		}
	})
}
