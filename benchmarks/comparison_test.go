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

var updatePages = flag.Bool("update", false, "rewrite the tables of docs/peers.md, docs/migrating.md and the README")

// A comparison is a row of a table. Its cells are found by running a program with each
// peer. Only the cell of dd-trace-go is written here: it needs a tracer and 65 modules
// that nothing else here needs, and was examined separately.
type comparison struct {
	text    string
	label   string // its text in the table of the README, empty if it is not there
	observe func(t *testing.T, w *watched) string
	datadog string
	// shorten makes the cell of the README's table; nil means the function shorten.
	shorten func(cell string) string
}

// The program's data. It must not appear in telemetry.
const (
	secretLiteral  = "tulipbulb"
	secretArgument = "hyacinth"
	secretText     = "Duplicate entry 'crocus'"
)

// operations are the comparisons of single statements.
var operations = []comparison{
	{text: "spans of a query whose rows are read, on an open connection", observe: func(t *testing.T, w *watched) string {
		w.run(t)
		return list(w.made(anySpan), "none")
	}, datadog: "`Query`"},
	{text: "spans of a transaction with one exec", observe: func(t *testing.T, w *watched) string {
		w.open(t)
		ctx, end := w.caller(t)
		tx := must(w.BeginTx(ctx, nil))(t)
		must(tx.ExecContext(ctx, update, 1))(t)
		ok(t, tx.Commit())
		end()
		return list(w.made(anySpan), "none")
	}, datadog: "`Begin`, `Exec`, `Commit`"},
	{text: "attributes of the span of a query", observe: func(t *testing.T, w *watched) string {
		w.run(t)
		return list(w.attributesOf(func(s sdktrace.ReadOnlySpan) bool {
			return s.Name() == "SELECT users" || strings.HasSuffix(strings.ToLower(s.Name()), "query")
		}), "none")
	}, datadog: "`component`, `db.system`, `resource.name` (the text), `service.name`, `span.kind`, `span.type`, `sql.query_type`; with a data source name `db.name`, `db.user`, `out.host`, `out.port`"},
	{text: "a literal in the text of a statement", label: "literals of statements leave the process", observe: func(t *testing.T, w *watched) string {
		w.run(t)
		return w.signalsWith(t, secretLiteral)
	}, datadog: "on spans; its agent removes it"},
	{text: "an argument of a statement", observe: func(t *testing.T, w *watched) string {
		w.run(t)
		return w.signalsWith(t, secretArgument)
	}, datadog: "not reported"},
	{text: "the text of an error of the database", label: "texts of errors leave the process", observe: func(t *testing.T, w *watched) string {
		w.open(t)
		w.fake.Fail(fakedb.Exec, 1, errors.New(secretText))
		_, err := w.ExecContext(t.Context(), update, 1)
		if err == nil || err.Error() != secretText {
			t.Fatal(err)
		}
		return w.signalsWith(t, secretText)
	}, datadog: "on spans"},
	{text: "an exec that the driver declines to run unprepared (`ErrSkip`)", observe: func(t *testing.T, w *watched) string {
		w.open(t)
		w.fake.Fail(fakedb.Exec, 1, driver.ErrSkip)
		ctx, end := w.caller(t)
		must(w.ExecContext(ctx, update, 1))(t)
		end()
		return list(w.made(anySpan), "no spans")
	}, datadog: "`Prepare`, `Exec`, `Close`"},
	{text: "an exec that database/sql retries twice, after two bad connections", label: "calls that database/sql retried", observe: func(t *testing.T, w *watched) string {
		w.open(t)
		before := w.numbers(t)
		w.fake.Fail(fakedb.Exec, 2, driver.ErrBadConn)
		ctx, end := w.caller(t)
		must(w.ExecContext(ctx, update, 1))(t)
		end()
		names := grown(before, w.numbers(t), func(n number, by float64) bool { return strings.HasSuffix(n.metric, ".retries") && by == 2 })
		return list(append(names, prefixed("span ", w.made(anySpan))...), "not reported")
	}, datadog: "span `Exec` (failed), span `Connect`, span `Exec` (failed), span `Connect`, span `Exec`"},
	{text: "number of rows that a query returned", observe: func(t *testing.T, w *watched) string {
		w.open(t)
		before := w.numbers(t)
		w.query(t)
		return list(grown(before, w.numbers(t), func(n number, _ float64) bool { return strings.HasSuffix(n.metric, "rows") && n.part == "sum" }), "not reported")
	}, datadog: "not reported"},
	{text: "number of rows that an exec changed", observe: func(t *testing.T, w *watched) string {
		w.open(t)
		must(w.ExecContext(t.Context(), update, 1))(t)
		return list(w.attributesOf(anySpan, "rows_affected"), "not reported")
	}, datadog: "not reported"},
}

// poolComparisons are the comparisons of what happens between statements.
var poolComparisons = []comparison{
	{text: "metrics of the pool, after a query", observe: func(t *testing.T, w *watched) string {
		w.run(t)
		var names []string
		for n := range w.numbers(t) {
			if !slices.Contains(operationMetrics, n.metric) {
				names = append(names, code(n.metric))
			}
		}
		return list(sorted(names), "none")
	}, datadog: "nine numbers for statsd, `wait_duration` as a timing and the rest as gauges: `datadog.tracer.sql.db.connections.` followed by `max_open`, `open`, `in_use`, `idle`, `waiting`, `wait_duration`, `closed.max_idle_conns`, `closed.max_idle_time`, `closed.max_lifetime`"},
	{text: "metric attribute that identifies the pool, by default", observe: func(t *testing.T, w *watched) string {
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
	}, datadog: "`service`, made from the driver's name"},
	{text: "how many callers wait now", label: "how many callers wait now", observe: func(t *testing.T, w *watched) string {
		release := w.fill(t)
		idle := w.numbers(t)
		done := w.background(t.Context())
		waiting := w.numbers(t)
		release()
		ok(t, <-done)
		after := w.numbers(t)
		return list(grown(idle, waiting, func(n number, by float64) bool { return n.part == "" && by == 1 && after[n] == idle[n] }), "not reported")
	}, datadog: "not reported; `waiting` counts all waits that have begun"},
	{text: "a caller has waited for 30 ms", label: "how long callers waited", observe: func(t *testing.T, w *watched) string {
		release := w.fill(t)
		before := w.numbers(t)
		time.Sleep(7 * time.Millisecond) // makes the length of the wait unique
		done := w.background(t.Context())
		time.Sleep(30 * time.Millisecond)
		release()
		ok(t, <-done)
		return list(append(lengthened(before, w.numbers(t), 30*time.Millisecond), prefixed("span ", w.made(lasted(30*time.Millisecond)))...), "not reported")
	}, datadog: "`wait_duration` (sum)"},
	{text: "a caller has waited for 30 ms and given up", label: "waits of callers that got no connection", observe: func(t *testing.T, w *watched) string {
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
		found := grown(before, after, func(n number, by float64) bool { return strings.HasSuffix(n.metric, ".timeouts") && by == 1 })
		found = append(found, lengthened(before, after, 30*time.Millisecond)...)
		found = append(found, prefixed("span ", w.made(lasted(30*time.Millisecond)))...)
		var failed *otelpool.AcquireError
		if errors.As(err, &failed) {
			found = append(found, "the error, with the holders of the connections")
		}
		release()
		return list(found, "not reported")
	}, datadog: "`wait_duration` (sum)"},
	{text: "a transaction has held its connection for 2 s", label: "how long connections are held", observe: func(t *testing.T, w *watched) string {
		w.open(t)
		before := w.numbers(t)
		ctx, end := w.caller(t)
		tx := must(w.BeginTx(ctx, nil))(t)
		time.Sleep(2 * time.Second)
		ok(t, tx.Commit())
		end()
		return list(append(lengthened(before, w.numbers(t), 2*time.Second), prefixed("span ", w.made(lasted(2*time.Second)))...), "not reported")
	}, datadog: "not reported"},
	{text: "a transaction has held its connection for a minute without using it", label: "leaked connections", observe: func(t *testing.T, w *watched) string {
		w.open(t)
		before := w.numbers(t)
		ctx, end := w.caller(t)
		tx := must(w.BeginTx(ctx, nil))(t)
		time.Sleep(time.Minute)
		found := w.reported(t, before, "leak_suspected", "leaks")
		ok(t, tx.Rollback())
		end()
		return found
	}, datadog: "not reported"},
	{text: "no connection has been free for 5 s, and a caller waits", label: "that the pool is exhausted, and why", observe: func(t *testing.T, w *watched) string {
		release := w.fill(t)
		before := w.numbers(t)
		done := w.background(t.Context())
		time.Sleep(5 * time.Second)
		found := w.reported(t, before, "exhausted", "exhaustions")
		release()
		ok(t, <-done)
		return found
	}, datadog: "not reported"},
	{text: "close reasons that are distinguished", label: "close reasons that are distinguished, of five", observe: closes, datadog: "`lifetime`, `idle time`, `too many idle`", shorten: func(answer string) string {
		return fmt.Sprint(1 + strings.Count(answer, ","))
	}},
	{text: "a dial that took 1.5 s and failed", label: "dials that failed", observe: func(t *testing.T, w *watched) string {
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
		return list(append(lengthened(before, w.numbers(t), long), prefixed("span ", w.made(lasted(long)))...), "not reported")
	}, datadog: "span `Connect` (failed)"},
	{text: "the driver's own connection, in `sql.Conn.Raw`", observe: func(t *testing.T, w *watched) string {
		bare := sql.OpenDB(w.fake.Connector())
		defer bare.Close()
		want := typeInRaw(t, bare, func(dc any) any { return dc })
		switch want {
		case typeInRaw(t, w.plain, func(dc any) any { return dc }):
			return "as it is"
		case typeInRaw(t, w.plain, otelpool.Unwrap):
			return "through a function or method"
		}
		return "not available"
	}, datadog: "through a function or method"},
}

// operationMetrics are the peers' names for the metrics of operations.
var operationMetrics = []string{
	operationDuration, "db.client.response.returned_rows", "db.sql.client.calls", "db.sql.client.latency", "go.sql.query_timing",
}

// open opens the connection and resets the spans.
func (w *watched) open(t *testing.T) {
	t.Helper()
	ok(t, w.plain.Ping())
	w.spans.Reset()
}

// run is a program that runs one query under a span.
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

// fill acquires the only connection of the pool.
func (w *watched) fill(t *testing.T) (release func()) {
	t.Helper()
	w.plain.SetMaxOpenConns(1)
	c := must(w.Conn(t.Context()))(t)
	w.spans.Reset()
	return func() { ok(t, c.Close()) }
}

// background runs an exec in another goroutine, and returns when that goroutine waits.
func (w *watched) background(ctx context.Context) chan error {
	done := make(chan error, 1)
	go func() {
		_, err := w.ExecContext(ctx, update, 1)
		done <- err
	}()
	synctest.Wait()
	return done
}

// attributesOf returns the keys of the attributes of some spans: all, or those with one
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

// reported returns where otelpool emits a report of a kind: its counter and its log record.
func (w *watched) reported(t *testing.T, before map[number]float64, kind, counter string) string {
	t.Helper()
	found := grown(before, w.numbers(t), func(n number, by float64) bool { return strings.HasSuffix(n.metric, "."+counter) && by == 1 })
	if strings.Contains(w.log.String(), "otelpool.report="+kind) {
		found = append(found, "a record in the log")
	}
	return list(found, "not reported")
}

// closes makes a pool close connections for every reason, and returns the reasons that
// have a metric of their own.
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
	return list(kinds, "not reported")
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

// cells returns the cells of a row. The last one is that of dd-trace-go.
func (q comparison) cells(t *testing.T) []string {
	t.Helper()
	var cells []string
	for _, name := range columns {
		var cell string
		t.Run(q.text+"/"+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { cell = q.observe(t, watch(t, peer(t, name), everything)) })
		})
		cells = append(cells, cell)
	}
	if cells[1] == cells[0] {
		cells[1] = "the same"
	}
	return append(cells, q.datadog)
}

// shorten returns a cell for the table of the README.
func shorten(cell string) string {
	switch {
	case strings.HasPrefix(cell, "not reported"):
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

// TestPeers_ThePagesListTheirSignals runs the programs with every peer, and compares what
// is emitted with the tables of docs/peers.md and of the README. Run it with -update after
// an update of a peer, and read the changes.
func TestPeers_ThePagesListTheirSignals(t *testing.T) {
	head := []string{"", "otelpool", "otelpool.DB", "XSAM", "nhatthm", "uptrace", "dd-trace-go"}
	readme := newTable("", "otelpool", "XSAM", "nhatthm", "uptrace", "dd-trace-go")
	tables := map[string]*table{}
	for name, comparisons := range map[string][]comparison{"operations": operations, "pool": poolComparisons} {
		tables[name] = newTable(head...)
		for _, q := range comparisons {
			tables[name].row(append([]string{q.text}, q.cells(t)...)...)
		}
	}
	for _, q := range slices.Concat(poolComparisons, operations) {
		if q.label == "" {
			continue
		}
		short := q.shorten
		if short == nil {
			short = shorten
		}
		cells := q.cells(t)
		row := []string{q.label, short(cells[0])}
		if withDB := short(cells[1]); cells[1] != "the same" && withDB != row[1] {
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

// TestPeers_ThePageListsWhatTheyChange compares the behaviours with docs/peers.md.
func TestPeers_ThePageListsWhatTheyChange(t *testing.T) {
	b := newTable("", "otelpool", "XSAM", "nhatthm", "uptrace", "sqlmw", "dd-trace-go")
	for _, s := range behaviours {
		row := []string{s.name}
		bare := s.observeThrough(t, peer(t, Bare))
		for _, name := range []string{Otelpool, XSAM, Nhatthm, Uptrace, Sqlmw} {
			cell := "yes"
			switch s.observeThrough(t, peer(t, name)) {
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
	compare(t, "../docs/peers.md", "behaviours", b.String())
}

// releases are the dates of the compared versions, from the module proxy.
var releases = map[string]string{
	"github.com/XSAM/otelsql v0.44.0":                               "2026-09-06",
	"go.nhat.io/otelsql v0.16.0":                                    "2025-06-30",
	"github.com/uptrace/opentelemetry-go-extra/otelsql v0.3.2":      "2024-09-22",
	"github.com/ngrok/sqlmw v0.0.0-20220520173518-97c9c04efc79":     "2022-05-20",
	"github.com/DataDog/dd-trace-go/contrib/database/sql/v2 v2.9.2": "2026-08-07",
}

// TestPeers_ThePageListsTheirVersions gets the versions of the peers and their
// dependencies from the go command.
func TestPeers_ThePageListsTheirVersions(t *testing.T) {
	b := newTable("", "version", "released", "semantic conventions", "dependencies other than OpenTelemetry")
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
		// The API's own dependencies do not count.
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
	b.row(code(path), version, releases[datadog], "its own", "65: the tracer and its dependencies")
	for release := range releases {
		if !seen[release] {
			t.Errorf("%s is no longer compared", release)
		}
	}
	compare(t, "../docs/peers.md", "versions", b.String())
}

// compare compares a table with the part of a page between its marks.
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
		t.Fatalf("%s has no marks for the table of %s", file, name)
	}
	if *updatePages {
		if err := os.WriteFile(file, []byte(head+begin+want+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if got != want {
		t.Errorf("the table of %s in %s is\n%s\nwant\n%s", name, file, got, want)
	}
}
