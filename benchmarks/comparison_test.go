package benchmarks

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"flag"
	"fmt"
	"os"
	command "os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
)

var updatePages = flag.Bool("update", false, "write the tables of docs/peers.md and of the README anew")

// A question is what a row of the comparison asks of a peer. The answer is found by
// running a program over it. That of dd-trace-go is written down here: it brings a
// tracer and 65 modules that nobody else here needs, and was looked at apart.
type question struct {
	text    string
	inShort string // in the table of the README, if it is there
	answer  func(t *testing.T, w *watched) string
	datadog string
	// short is the answer as the README has it; nil for inShort.
	short func(answer string) string
}

// The data of the program, which telemetry should know nothing of.
const (
	secretLiteral  = "tulipbulb"
	secretArgument = "hyacinth"
	secretText     = "Duplicate entry 'crocus'"
)

// operations are the questions about single statements.
var operations = []question{
	{text: "spans of a query whose rows are read, on an open connection", answer: func(t *testing.T, w *watched) string {
		w.run(t)
		return list(w.made(anySpan), "none")
	}, datadog: "`Query`"},
	{text: "spans of a transaction with one exec", answer: func(t *testing.T, w *watched) string {
		w.open(t)
		ctx, end := w.caller(t)
		tx := must(w.BeginTx(ctx, nil))(t)
		must(tx.ExecContext(ctx, update, 1))(t)
		ok(t, tx.Commit())
		end()
		return list(w.made(anySpan), "none")
	}, datadog: "`Begin`, `Exec`, `Commit`"},
	{text: "attributes of the span of a query", answer: func(t *testing.T, w *watched) string {
		w.run(t)
		return list(w.attributesOf(func(s sdktrace.ReadOnlySpan) bool {
			return s.Name() == "SELECT users" || strings.HasSuffix(strings.ToLower(s.Name()), "query")
		}), "none")
	}, datadog: "`component`, `db.system`, `resource.name` (the text), `service.name`, `span.kind`, `span.type`, `sql.query_type`; with a data source name `db.name`, `db.user`, `out.host`, `out.port`"},
	{text: "a literal in the text of a statement", inShort: "literals of statements leave the process", answer: func(t *testing.T, w *watched) string {
		w.run(t)
		return w.saysWhere(t, secretLiteral)
	}, datadog: "on spans; its agent takes it out"},
	{text: "an argument of a statement", answer: func(t *testing.T, w *watched) string {
		w.run(t)
		return w.saysWhere(t, secretArgument)
	}, datadog: "not told"},
	{text: "the text of an error of the database", inShort: "texts of errors leave the process", answer: func(t *testing.T, w *watched) string {
		w.open(t)
		w.fake.Fail(fakedb.Exec, 1, errors.New(secretText))
		_, err := w.ExecContext(t.Context(), update, 1)
		if err == nil || err.Error() != secretText {
			t.Fatal(err)
		}
		return w.saysWhere(t, secretText)
	}, datadog: "on spans"},
	{text: "an exec that the driver declines to run unprepared (`ErrSkip`)", answer: func(t *testing.T, w *watched) string {
		w.open(t)
		w.fake.Fail(fakedb.Exec, 1, driver.ErrSkip)
		ctx, end := w.caller(t)
		must(w.ExecContext(ctx, update, 1))(t)
		end()
		return list(w.made(anySpan), "no spans")
	}, datadog: "`Prepare`, `Exec`, `Close`"},
	{text: "an exec that database/sql repeats twice, after two dead connections", inShort: "calls that database/sql has repeated", answer: func(t *testing.T, w *watched) string {
		w.open(t)
		before := w.numbers(t)
		w.fake.Fail(fakedb.Exec, 2, driver.ErrBadConn)
		ctx, end := w.caller(t)
		must(w.ExecContext(ctx, update, 1))(t)
		end()
		names := grown(before, w.numbers(t), func(n number, by float64) bool { return strings.HasSuffix(n.metric, ".retries") && by == 2 })
		return list(append(names, prefixed("span ", w.made(anySpan))...), "not told")
	}, datadog: "span `Exec` (failed), span `Connect`, span `Exec` (failed), span `Connect`, span `Exec`"},
	{text: "rows that a query has returned", answer: func(t *testing.T, w *watched) string {
		w.open(t)
		before := w.numbers(t)
		w.query(t)
		return list(grown(before, w.numbers(t), func(n number, _ float64) bool { return strings.HasSuffix(n.metric, "rows") && n.part == "sum" }), "not told")
	}, datadog: "not told"},
	{text: "rows that an exec has changed", answer: func(t *testing.T, w *watched) string {
		w.open(t)
		must(w.ExecContext(t.Context(), update, 1))(t)
		return list(w.attributesOf(anySpan, "rows_affected"), "not told")
	}, datadog: "not told"},
}

// The pool's questions are about what happens between statements.
var poolQuestions = []question{
	{text: "metrics of the pool, after a query", answer: func(t *testing.T, w *watched) string {
		w.run(t)
		var names []string
		for n := range w.numbers(t) {
			if !slices.Contains(operationMetrics, n.metric) {
				names = append(names, code(n.metric))
			}
		}
		return list(sorted(names), "none")
	}, datadog: "nine numbers for statsd, `wait_duration` as a timing and the rest as gauges: `datadog.tracer.sql.db.connections.` and `max_open`, `open`, `in_use`, `idle`, `waiting`, `wait_duration`, `closed.max_idle_conns`, `closed.max_idle_time`, `closed.max_lifetime`"},
	{text: "attribute that tells one pool's metrics from another's, without being asked", answer: func(t *testing.T, w *watched) string {
		w.run(t)
		var names []string
		for n := range w.numbers(t) {
			for pair := range strings.SplitSeq(n.series, ",") {
				if key, _, _ := strings.Cut(pair, "="); strings.Contains(key, "name") {
					names = append(names, code(key))
				}
			}
		}
		names = slices.DeleteFunc(sorted(names), func(name string) bool { return !strings.Contains(name, "pool") })
		return list(names, "none")
	}, datadog: "`service`, by the driver's name"},
	{text: "how many callers wait now", inShort: "how many callers wait now", answer: func(t *testing.T, w *watched) string {
		release := w.fill(t)
		idle := w.numbers(t)
		done := w.background(t.Context())
		waiting := w.numbers(t)
		release()
		ok(t, <-done)
		after := w.numbers(t)
		return list(grown(idle, waiting, func(n number, by float64) bool { return n.part == "" && by == 1 && after[n] == idle[n] }), "not told")
	}, datadog: "not told; `waiting` is the sum of all waits that have begun"},
	{text: "a caller has waited for 30 ms", inShort: "how long callers waited", answer: func(t *testing.T, w *watched) string {
		release := w.fill(t)
		before := w.numbers(t)
		time.Sleep(7 * time.Millisecond) // so that the wait is not as long as anything else
		done := w.background(t.Context())
		time.Sleep(30 * time.Millisecond)
		release()
		ok(t, <-done)
		return list(append(lengthened(before, w.numbers(t), 30*time.Millisecond), prefixed("span ", w.made(lasted(30*time.Millisecond)))...), "not told")
	}, datadog: "`wait_duration` (sum)"},
	{text: "a caller has waited for 30 ms, and given up", inShort: "waits of callers that got no connection", answer: func(t *testing.T, w *watched) string {
		release := w.fill(t)
		before := w.numbers(t)
		time.Sleep(7 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		err := <-w.background(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		after := w.numbers(t)
		told := grown(before, after, func(n number, by float64) bool { return strings.HasSuffix(n.metric, ".timeouts") && by == 1 })
		told = append(told, lengthened(before, after, 30*time.Millisecond)...)
		told = append(told, prefixed("span ", w.made(lasted(30*time.Millisecond)))...)
		var failed *otelpool.AcquireError
		if errors.As(err, &failed) {
			told = append(told, "the error, with who has the connections")
		}
		release()
		return list(told, "not told")
	}, datadog: "`wait_duration` (sum)"},
	{text: "a transaction has held its connection for 2 s", inShort: "how long connections are held", answer: func(t *testing.T, w *watched) string {
		w.open(t)
		before := w.numbers(t)
		ctx, end := w.caller(t)
		tx := must(w.BeginTx(ctx, nil))(t)
		time.Sleep(2 * time.Second)
		ok(t, tx.Commit())
		end()
		return list(append(lengthened(before, w.numbers(t), 2*time.Second), prefixed("span ", w.made(lasted(2*time.Second)))...), "not told")
	}, datadog: "not told"},
	{text: "a transaction has had its connection for a minute, and done nothing with it", inShort: "connections that were forgotten", answer: func(t *testing.T, w *watched) string {
		w.open(t)
		before := w.numbers(t)
		ctx, end := w.caller(t)
		tx := must(w.BeginTx(ctx, nil))(t)
		time.Sleep(time.Minute)
		told := w.reported(t, before, "leak_suspected", "leaks")
		ok(t, tx.Rollback())
		end()
		return told
	}, datadog: "not told"},
	{text: "no connection has been free for 5 s, and a caller waits", inShort: "that the pool is dry, and why", answer: func(t *testing.T, w *watched) string {
		release := w.fill(t)
		before := w.numbers(t)
		done := w.background(t.Context())
		time.Sleep(5 * time.Second)
		told := w.reported(t, before, "exhausted", "exhaustions")
		release()
		ok(t, <-done)
		return told
	}, datadog: "not told"},
	{text: "reasons for closing a connection that are told apart", inShort: "why connections were closed, of five reasons", answer: closes, datadog: "`lifetime`, `idle time`, `too many idle`", short: func(answer string) string {
		return fmt.Sprint(1 + strings.Count(answer, ","))
	}},
	{text: "a dial that took 1.5 s and failed", inShort: "dials that failed", answer: func(t *testing.T, w *watched) string {
		const long = 1500 * time.Millisecond
		before := w.numbers(t)
		w.fake.On(fakedb.Connect, func(context.Context, string) error {
			time.Sleep(long)
			return errors.New("refused")
		})
		ctx, end := w.caller(t)
		if err := w.PingContext(ctx); err == nil {
			t.Fatal("the dial did not fail")
		}
		end()
		return list(append(lengthened(before, w.numbers(t), long), prefixed("span ", w.made(lasted(long)))...), "not told")
	}, datadog: "span `Connect` (failed)"},
	{text: "the driver's own connection, in `sql.Conn.Raw`", answer: func(t *testing.T, w *watched) string {
		bare := sql.OpenDB(w.fake.Connector())
		defer bare.Close()
		want := typeInRaw(t, bare, func(dc any) any { return dc })
		switch want {
		case typeInRaw(t, w.plain, func(dc any) any { return dc }):
			return "as it is"
		case typeInRaw(t, w.plain, otelpool.Unwrap):
			return "by a function or method"
		}
		return "cannot be had"
	}, datadog: "by a function or method"},
}

// operationMetrics are the peers' own names for the metric of operations.
var operationMetrics = []string{
	operationDuration, "db.client.response.returned_rows", "db.sql.client.calls", "db.sql.client.latency", "go.sql.query_timing",
}

// open opens the connection, and forgets what was told of that.
func (w *watched) open(t *testing.T) {
	t.Helper()
	ok(t, w.plain.Ping())
	w.spans.Reset()
}

// run is a program that asks once, under a span.
func (w *watched) run(t *testing.T) {
	t.Helper()
	w.open(t)
	w.query(t)
}

func (w *watched) query(t *testing.T) {
	t.Helper()
	ctx, end := w.caller(t)
	rows := must(w.QueryContext(ctx, "SELECT id FROM users WHERE name = '"+secretLiteral+"' AND email = ?", secretArgument))(t)
	for rows.Next() {
	}
	ok(t, rows.Err())
	ok(t, rows.Close())
	end()
}

// fill takes the only connection of the pool. It returns what gives it back.
func (w *watched) fill(t *testing.T) (release func()) {
	t.Helper()
	w.plain.SetMaxOpenConns(1)
	c := must(w.Conn(t.Context()))(t)
	w.spans.Reset()
	return func() { ok(t, c.Close()) }
}

// background asks in another goroutine, and returns when that waits.
func (w *watched) background(ctx context.Context) chan error {
	done := make(chan error, 1)
	go func() {
		_, err := w.ExecContext(ctx, update, 1)
		done <- err
	}()
	synctest.Wait()
	return done
}

// attributesOf are the attributes of some spans: all, or those whose key ends in one
// of the endings.
func (w *watched) attributesOf(accept func(sdktrace.ReadOnlySpan) bool, endings ...string) (keys []string) {
	for _, s := range w.spans.Ended() {
		if s.Name() == callerName || !accept(s) {
			continue
		}
		for _, a := range s.Attributes() {
			if len(endings) == 0 || slices.ContainsFunc(endings, func(e string) bool { return strings.HasSuffix(string(a.Key), e) }) {
				keys = append(keys, code(string(a.Key)))
			}
		}
	}
	return sorted(keys)
}

// reported says where otelpool's report of a kind is, and its counter.
func (w *watched) reported(t *testing.T, before map[number]float64, kind, counter string) string {
	t.Helper()
	told := grown(before, w.numbers(t), func(n number, by float64) bool { return strings.HasSuffix(n.metric, "."+counter) && by == 1 })
	if strings.Contains(w.log.String(), "otelpool.report="+kind) {
		told = append(told, "a record in the log")
	}
	return list(told, "not told")
}

// closes makes a pool close connections for every reason, and returns how many
// reasons are told apart.
func closes(t *testing.T, w *watched) string {
	var kinds []string
	for _, reason := range []struct {
		name  string
		close func()
	}{
		{"`lifetime`", func() {
			w.plain.SetConnMaxLifetime(time.Second)
			time.Sleep(2 * time.Second)
			ok(t, w.plain.Ping())
			w.plain.SetConnMaxLifetime(0)
		}},
		{"`idle time`", func() {
			w.plain.SetConnMaxIdleTime(time.Second)
			time.Sleep(5 * time.Second)
			ok(t, w.plain.Ping())
			w.plain.SetConnMaxIdleTime(0)
		}},
		{"`too many idle`", func() {
			one, two := must(w.plain.Conn(t.Context()))(t), must(w.plain.Conn(t.Context()))(t)
			w.plain.SetMaxIdleConns(1)
			ok(t, errors.Join(one.Close(), two.Close()))
		}},
		{"`limit lowered`", func() {
			w.plain.SetMaxIdleConns(2)
			one, two := must(w.plain.Conn(t.Context()))(t), must(w.plain.Conn(t.Context()))(t)
			w.plain.SetMaxOpenConns(1)
			ok(t, errors.Join(one.Close(), two.Close()))
			w.plain.SetMaxOpenConns(0)
		}},
		{"`bad`", func() {
			w.fake.Fail(fakedb.Exec, 1, driver.ErrBadConn)
			must(w.ExecContext(t.Context(), update, 1))(t)
		}},
	} {
		ok(t, w.plain.Ping())
		before, closed := w.numbers(t), w.fake.Closed()
		reason.close()
		synctest.Wait()
		if w.fake.Closed() != closed+1 {
			t.Fatalf("%s: %d connections were closed, want 1", reason.name, w.fake.Closed()-closed)
		}
		if len(grown(before, w.numbers(t), func(n number, by float64) bool { return strings.Contains(n.metric, "closed") && by == 1 })) == 1 {
			kinds = append(kinds, reason.name)
		}
	}
	return list(kinds, "not told")
}

func typeInRaw(t *testing.T, db *sql.DB, look func(any) any) (name string) {
	t.Helper()
	c := must(db.Conn(t.Context()))(t)
	defer c.Close()
	ok(t, c.Raw(func(dc any) error {
		name = fmt.Sprintf("%T", look(dc))
		return nil
	}))
	return name
}

func prefixed(prefix string, names []string) []string {
	for i := range names {
		names[i] = prefix + names[i]
	}
	return names
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

// columns are the peers in the order of the tables.
var columns = []string{Otelpool, OtelpoolDB, XSAM, Nhatthm, Uptrace}

// cells are the answers to a question, that of dd-trace-go at the end.
func (q question) cells(t *testing.T) []string {
	t.Helper()
	var cells []string
	for _, name := range columns {
		var cell string
		t.Run(q.text+"/"+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { cell = q.answer(t, watch(t, peer(t, name), everything)) })
		})
		cells = append(cells, cell)
	}
	if cells[1] == cells[0] {
		cells[1] = "the same"
	}
	return append(cells, q.datadog)
}

// inShort is a cell as the table of the README has it.
func inShort(cell string) string {
	switch {
	case strings.HasPrefix(cell, "not told"):
		return "no"
	case strings.HasSuffix(cell, "(sum)") && !strings.Contains(cell, ","):
		return "in a sum"
	case strings.Count(cell, "span `") == 1+strings.Count(cell, ","):
		return "as spans"
	}
	return "yes"
}

type table struct{ strings.Builder }

func (b *table) row(cells ...string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

func newTable(head ...string) *table {
	b := &table{}
	b.row(head...)
	b.row(slices.Repeat([]string{"---"}, len(head))...)
	return b
}

// TestThePagesTellWhatThePeersTell plays the programs over every peer, and holds the
// tables of docs/peers.md and of the README against what was told. Run it with
// -update after a new version of a peer, and read what has changed.
func TestThePagesTellWhatThePeersTell(t *testing.T) {
	head := []string{"", "otelpool", "otelpool.DB", "XSAM", "nhatthm", "uptrace", "dd-trace-go"}
	readme := newTable("", "otelpool", "XSAM", "nhatthm", "uptrace", "dd-trace-go")
	tables := map[string]*table{}
	for name, questions := range map[string][]question{"operations": operations, "pool": poolQuestions} {
		tables[name] = newTable(head...)
		for _, q := range questions {
			tables[name].row(append([]string{q.text}, q.cells(t)...)...)
		}
	}
	for _, q := range slices.Concat(poolQuestions, operations) {
		if q.inShort == "" {
			continue
		}
		short := q.short
		if short == nil {
			short = inShort
		}
		cells := q.cells(t)
		row := []string{q.inShort, short(cells[0])}
		if exact := short(cells[1]); cells[1] != "the same" && exact != row[1] {
			row[1] = "with `otelpool.DB`"
		}
		for _, c := range cells[2:] {
			row = append(row, short(c))
		}
		readme.row(row...)
	}
	compare(t, "../docs/peers.md", "operations", tables["operations"].String())
	compare(t, "../docs/peers.md", "pool", tables["pool"].String())
	compare(t, "../README.md", "peers", readme.String())
}

// TestThePageTellsWhatThePeersChange does the same with what a program sees.
func TestThePageTellsWhatThePeersChange(t *testing.T) {
	b := newTable("", "otelpool", "XSAM", "nhatthm", "uptrace", "sqlmw", "dd-trace-go")
	for _, s := range sights {
		row := []string{s.name}
		bare := s.look(t, peer(t, Bare))
		for _, name := range []string{Otelpool, XSAM, Nhatthm, Uptrace, Sqlmw} {
			cell := "yes"
			switch s.look(t, peer(t, name)) {
			case bare:
			case "panic":
				cell = "**panics**"
			default:
				cell = "**no**"
			}
			row = append(row, cell)
		}
		b.row(append(row, s.datadog)...)
	}
	compare(t, "../docs/peers.md", "sights", b.String())
}

// releases are when the versions were made that are compared, by the module proxy.
var releases = map[string]string{
	"github.com/XSAM/otelsql v0.44.0":                               "2026-09-06",
	"go.nhat.io/otelsql v0.16.0":                                    "2025-06-30",
	"github.com/uptrace/opentelemetry-go-extra/otelsql v0.3.2":      "2024-09-22",
	"github.com/ngrok/sqlmw v0.0.0-20220520173518-97c9c04efc79":     "2022-05-20",
	"github.com/DataDog/dd-trace-go/contrib/database/sql/v2 v2.9.2": "2026-08-07",
}

// TestThePageTellsWhichVersionsAreCompared asks the go command for the versions of the
// peers, and for what each brings with it.
func TestThePageTellsWhichVersionsAreCompared(t *testing.T) {
	b := newTable("", "version", "of", "conventions", "modules that it needs, but OpenTelemetry's")
	goList := func(args ...string) []string {
		out, err := command.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
		if err != nil {
			t.Fatalf("go list %q: %v", args, err)
		}
		return strings.Fields(string(out))
	}
	seen := map[string]bool{}
	for _, p := range Peers {
		if p.Module == "" {
			continue
		}
		version := goList("-m", "-f", "{{.Version}}", p.Module)[0]
		conventions := "none"
		for _, path := range goList("-f", "{{join .Imports \"\\n\"}}", p.Module) {
			if at, found := strings.CutPrefix(path, "go.opentelemetry.io/otel/semconv/"); found && !strings.Contains(at, "/") {
				conventions = strings.TrimPrefix(at, "v")
			}
		}
		// What the API itself needs is not the peer's choice.
		api := goList("-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "go.opentelemetry.io/otel")
		needs := slices.DeleteFunc(sorted(goList("-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", p.Module)), func(path string) bool {
			return path == p.Module || strings.HasPrefix(path, "go.opentelemetry.io/") || slices.Contains(api, path)
		})
		release := p.Module + " " + version
		seen[release] = true
		b.row(code(p.Module), version, releases[release], conventions, list(needs, "none"))
	}
	const datadog = "github.com/DataDog/dd-trace-go/contrib/database/sql/v2 v2.9.2"
	seen[datadog] = true
	path, version, _ := strings.Cut(datadog, " ")
	b.row(code(path), version, releases[datadog], "its own", "65: the tracer, and what it needs")
	for release := range releases {
		if !seen[release] {
			t.Errorf("%s is not compared any more", release)
		}
	}
	compare(t, "../docs/peers.md", "versions", b.String())
}

// compare holds a table against the part of a page between its marks.
func compare(t *testing.T, file, name, want string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+": made by go test ./benchmarks -run ThePage -update -->\n", "<!-- end of "+name+" -->\n"
	head, rest, found := strings.Cut(string(content), begin)
	got, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table of %s", file, name)
	}
	if *updatePages {
		if err := os.WriteFile(file, []byte(head+begin+want+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if got != want {
		t.Errorf("the table of %s in %s is\n%s\nwant\n%s", name, file, got, want)
	}
}
