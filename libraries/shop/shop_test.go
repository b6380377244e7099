// Package shop_test runs a web shop through sqlc, gorm, ent and sqlx on real servers, and
// compares the emitted statements with files in testdata. A file has the summary of each
// statement, and below it the text. After a change of the parser of statements, or an
// update of a library, rewrite these files and read the changes:
//
//	go test ./shop -update
//
// The files are for MariaDB 10.11 and PostgreSQL 15. With other versions, where gorm and
// ent may inspect the tables in another way, the tests are skipped.
package shop_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/dbtest/server"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The data in the statements of the shop and in their arguments. They appear nowhere else.
const (
	secretText   = "tulipbulb"
	secretNumber = "7391555173"
)

// backend is one of the servers.
type backend struct {
	name   string // in the names of the golden files
	driver string
	server *server.Shared
	dsn    func(*server.Instance) string // of the shop's database
	drop   string                        // drops the shop's database
	// version is part of the version of the server that the golden files are for.
	version string
	// secretStatements have data in every notation of the server. refused fails, with
	// the data in its error.
	secretStatements []string
	refused          string
}

var backends = []backend{
	{
		name: "mariadb", driver: "mysql", server: mariaDB,
		dsn: func(in *server.Instance) string {
			return strings.Replace(in.DSN("parseTime=true", "multiStatements=true"), "/app?", "/shop?", 1)
		},
		drop: "DROP DATABASE IF EXISTS shop", version: "10.11.",
		secretStatements: []string{
			`SELECT id FROM users WHERE name = 'tulipbulb' OR name = "tulipbulb" OR name = 'it''s \' tulipbulb' -- tulipbulb`,
			`SELECT id FROM users WHERE id IN (7391555173, -7391555173, 0x7391555173) OR id = x'7391555173' # tulipbulb`,
			`SELECT /* tulipbulb */ N'tulipbulb', _utf8mb4'tulipbulb', 'tulip' 'tulipbulb', 7391555173e0, .7391555173 FROM users`,
			`SELECT id AS "a" FROM users HAVING "a" <> "tulipbulb"`,
			`INSERT INTO users (name, email) VALUES ('tulipbulb', 'tulipbulb 7391555173')`,
			`UPDATE users SET name = CONCAT("tulipbulb", 7391555173) WHERE email LIKE "tulipbulb%"`,
		},
		refused: "INSERT INTO users (name, email) VALUES ('tulipbulb', 'tulipbulb 7391555173')",
	},
	{
		name: "postgresql", driver: "pgx", server: postgreSQL,
		dsn:  func(in *server.Instance) string { return strings.Replace(in.DSN(), "/postgres?", "/shop?", 1) },
		drop: "DROP DATABASE IF EXISTS shop WITH (FORCE)", version: "PostgreSQL 15.",
		secretStatements: []string{
			`SELECT id FROM users WHERE name = 'tulipbulb' OR name = $$tulipbulb$$ OR name = $a$it's $$ tulipbulb$a$ -- tulipbulb`,
			`SELECT id FROM users WHERE id IN (7391555173, -7391555173) OR name = E'it\'s tulipbulb' /* /* tulipbulb */ */`,
			`SELECT U&'tulipbulb', name::varchar(20) = 'tulipbulb', interval '7391555173 s', 7391555173.5e1, '{"a": "tulipbulb"}'::jsonb ->> 'tulipbulb' FROM users`,
			`INSERT INTO users (name, email) VALUES ('tulipbulb', 'tulipbulb 7391555173')`,
			`UPDATE users SET name = 'tulipbulb' || 7391555173 WHERE email LIKE 'tulipbulb%'`,
		},
		refused: "SELECT id FROM users WHERE id = CAST('tulipbulb 7391555173' AS int)",
	},
}

// shop is a database on a server, with what its pool emits.
type shop struct {
	backend
	*otelpool.DB
	spans  *tracetest.SpanRecorder
	traces *trace.TracerProvider
	reader *metric.ManualReader
}

// play runs a program of a library on each server, and then the secretStatements through
// the function that the program returns. One caller's span has the events.
func play(t *testing.T, library string, program func(ctx context.Context, t *testing.T, s *shop) (raw func(string) error)) {
	t.Helper()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			s := open(t, b)
			ctx, caller := s.traces.Tracer("program").Start(t.Context(), "caller")
			s.runSecrets(t, program(ctx, t, s))
			caller.End()
			s.compare(t, fmt.Sprintf("testdata/%s.%s.golden", library, b.name))
			s.wantNoSecrets(t)
		})
	}
}

func open(t *testing.T, b backend) *shop {
	t.Helper()
	in := b.server.Instance(t)
	admin := must(sql.Open(b.driver, in.DSN()))(t)
	defer admin.Close()
	var version string
	ok(t, admin.QueryRowContext(t.Context(), "SELECT version()").Scan(&version))
	if !strings.Contains(version, b.version) {
		if os.Getenv(server.RequireEnv) != "" {
			t.Fatalf("the golden files are of %s, the server is %s", b.version, version)
		}
		t.Skipf("the golden files are of %s, the server is %s; Debian 12 has it", b.version, version)
	}
	for _, statement := range []string{b.drop, "CREATE DATABASE shop"} {
		must(admin.ExecContext(t.Context(), statement))(t)
	}

	s := &shop{backend: b, spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	s.traces = trace.NewTracerProvider(trace.WithSpanProcessor(s.spans))
	plain := must(otelpool.Open(b.driver, b.dsn(in),
		otelpool.WithTracerProvider(s.traces),
		otelpool.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(s.reader))),
	))(t)
	t.Cleanup(func() { _ = plain.Close() })
	s.DB = must(otelpool.NewDB(plain))(t)
	return s
}

// runSecrets runs the secretStatements.
func (s *shop) runSecrets(t *testing.T, raw func(string) error) {
	t.Helper()
	for _, statement := range s.secretStatements {
		ok(t, raw(statement))
	}
	if err := raw(s.refused); err == nil || !strings.Contains(err.Error(), secretText) {
		t.Errorf("%q returns %v, which does not contain the data", s.refused, err)
	}
}

// compare compares the emitted statements with a file: each one once, in the order in
// which the first of its kind ended.
func (s *shop) compare(t *testing.T, file string) {
	t.Helper()
	var all []string
	for _, span := range s.spans.Ended() {
		switch span.Name() {
		case "caller", "acquire", "hold", "connect", "ping", "prepare", "begin", "commit", "rollback":
			continue
		}
		summary := attr(span, semconv.DBQuerySummaryKey)
		if span.Name() != summary {
			t.Errorf("the span %q has the summary %q", span.Name(), summary)
		}
		entry := summary + "\n" + indented(attr(span, semconv.DBQueryTextKey))
		if !slices.Contains(all, entry) {
			all = append(all, entry)
		}
	}
	got := strings.Join(all, "\n")
	if *update {
		ok(t, os.WriteFile(file, []byte(got), 0o644))
	}
	if want := string(must(os.ReadFile(file))(t)); got != want {
		t.Errorf("%s does not match what is emitted; run: go test ./shop -update\n%s", file, difference(got, want))
	}
}

// indented wraps and indents a text.
func indented(text string) string {
	const indent, width = "    ", 110
	var b strings.Builder
	column := 0
	for word := range strings.SplitSeq(text, " ") {
		switch {
		case column == 0:
			b.WriteString(indent)
		case column+len(word) > width:
			b.WriteString("\n" + indent)
			column = 0
		default:
			b.WriteString(" ")
		}
		b.WriteString(word)
		column += len(word) + 1
	}
	b.WriteString("\n")
	return b.String()
}

// difference returns the first lines in which two texts differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	i := 0
	for i < min(len(g), len(w)) && g[i] == w[i] {
		i++
	}
	around := func(lines []string) string { return strings.Join(lines[min(i, len(lines)):min(i+5, len(lines))], "\n") }
	return fmt.Sprintf("line %d\n got\n%s\nwant\n%s", i+1, around(g), around(w))
}

// wantNoSecrets checks that the data appear nowhere in what was emitted.
func (s *shop) wantNoSecrets(t *testing.T) {
	t.Helper()
	var metrics metricdata.ResourceMetrics
	ok(t, s.reader.Collect(context.Background(), &metrics))
	for _, signals := range []any{tracetest.SpanStubsFromReadOnlySpans(s.spans.Ended()), metrics} {
		text := string(must(json.Marshal(signals))(t))
		for _, known := range []string{"SELECT users", "otelpool.connection.acquired"} {
			if !strings.Contains(text, known) {
				t.Errorf("%T does not contain %s", signals, known)
			}
		}
		for _, secret := range []string{secretText, secretNumber} {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("emitted: %s", text[max(0, at-200):min(len(text), at+200)])
			}
		}
	}
}

func attr(s trace.ReadOnlySpan, key attribute.Key) string {
	for _, a := range s.Attributes() {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// must returns the result of a call, and fails the test on an error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
