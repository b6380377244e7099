package dbtest_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/dbtest/lapse"
	"github.com/otelpool/otelpool/poolinfo"
)

// program runs every kind of operation, with two failures. spansOf has the expected spans.
func program(ctx context.Context, t *testing.T, s backend, db *sql.DB) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	exec := func(on execer, statement string, args ...any) {
		t.Helper()
		_, err := on.ExecContext(ctx, s.sql(statement), args...)
		must(err)
	}
	must(db.PingContext(ctx))
	exec(db, "DROP TABLE IF EXISTS items")
	exec(db, "CREATE TABLE items ("+s.table+")")
	exec(db, "INSERT INTO items (name) VALUES (?)", "a")
	must(db.QueryRowContext(ctx, "SELECT name FROM items").Scan(new(string)))

	stmt, err := db.PrepareContext(ctx, s.sql("SELECT id FROM items WHERE name = ?"))
	must(err)
	must(stmt.QueryRowContext(ctx, "a").Scan(new(int)))
	must(stmt.Close())

	tx, err := db.BeginTx(ctx, nil)
	must(err)
	exec(tx, "UPDATE items SET note = 'b'")
	must(tx.Commit())
	tx, err = db.BeginTx(ctx, nil)
	must(err)
	must(tx.Rollback())

	if _, err := db.ExecContext(ctx, "INSERT INTO items (name) VALUES ('a')"); err == nil {
		t.Error("a duplicate is accepted")
	}
	if _, err := db.ExecContext(ctx, s.sql("INSERT INTO items (name) VALUES (?)"), "a"); err == nil {
		t.Error("a duplicate is accepted")
	}
	if rows, err := db.QueryContext(ctx, "SELECT name FROM nowhere"); err == nil {
		t.Error("a missing table is accepted", rows.Close())
	}
	exec(db, "DROP TABLE items")
}

// failures are the error types of the program's two failures: a duplicate, and a missing
// table. The codes of MySQL and SQLite need an adapter.
var failures = map[string][2]string{
	"mysql":    {"*mysql.MySQLError", "*mysql.MySQLError"},
	"pgx":      {"23505", "42P01"},
	"postgres": {"23505", "42P01"},
	"sqlite":   {"*sqlite.Error", "*sqlite.Error"},
}

// spansOf returns the expected spans of the program, in the order of their ends.
func spansOf(s backend) []string {
	duplicate, missing := failures[s.driver][0], failures[s.driver][1]
	ops := []string{"connect", "ping", "exec", "exec"}
	// go-sql-driver/mysql declines arguments, so database/sql prepares the statement within
	// the program's operation.
	if s.driver == "mysql" {
		ops = append(ops, "prepare")
	}
	ops = append(
		ops, "exec", "query", "prepare", "query",
		"begin", "exec", "commit", "begin", "rollback",
		"exec!"+duplicate,
	)
	if s.driver == "mysql" {
		ops = append(ops, "prepare")
	}
	return append(ops, "exec!"+duplicate, "query!"+missing, "exec")
}

func TestSpans_EachOperationHasOne(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		tel := newTelemetry()
		db := s.wrapped(t, s.dsn(t), tel, otelpool.WithHoldSpanThreshold(-1), otelpool.WithPoolName("items"))
		ctx, caller := tel.caller(t.Context())
		program(ctx, t, s, db)
		caller.End()

		want := spansOf(s)
		if got := tel.operations(); !slices.Equal(got, want) {
			t.Errorf("spans\n got %v\nwant %v", got, want)
		}

		spans := map[trace.SpanID]string{caller.SpanContext().SpanID(): "caller"}
		for _, span := range tel.spans.Started() {
			spans[span.SpanContext().SpanID()] = span.Name()
		}
		counts := map[string]float64{}
		for _, span := range tel.ended() {
			op := span.Name()
			if op != "connect" {
				counts[op]++
			}
			if span.SpanKind() != trace.SpanKindClient || spanAttr(span, "db.system.name") != s.system ||
				spanAttr(span, "db.client.connection.pool.name") != "items" {
				t.Errorf("span %s is of kind %v, with %v", span.Name(), span.SpanKind(), span.Attributes())
			}
			parent := spans[span.Parent().SpanID()]
			if parent != "caller" && (op != "prepare" || parent != "exec") {
				t.Errorf("span %s is below %q", span.Name(), parent)
			}
			typ, code := spanAttr(span, "error.type"), spanAttr(span, "db.response.status_code")
			status := codes.Unset
			if typ != "" {
				status = codes.Error
			}
			if span.Status().Code != status || span.Status().Description != "" {
				t.Errorf("span %s with error.type %q has status %v", span.Name(), typ, span.Status())
			}
			if s.system == "postgresql" && code != typ || s.system != "postgresql" && code != "" {
				t.Errorf("span %s with error.type %q has code %q", span.Name(), typ, code)
			}
		}

		durations := tel.metrics(t)["db.client.operation.duration"]
		if got := by(durations, "otelpool.operation"); !maps.Equal(got, counts) {
			t.Errorf("durations\n got %v\nwant %v", got, counts)
		}
		failed := map[string]float64{}
		for _, op := range want {
			_, typ, _ := strings.Cut(op, "!")
			failed[typ]++
		}
		failed[""]-- // connect has its own metric
		if got := by(durations, "error.type"); !maps.Equal(got, failed) {
			t.Errorf("durations by error\n got %v\nwant %v", got, failed)
		}
		tel.balance(t, db)
	})
}

func TestEvents_EachAcquireAndReleaseIsOnTheCallersSpan(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		tel := newTelemetry()
		db := s.wrapped(t, s.dsn(t), tel)
		ctx, caller := tel.caller(t.Context())
		program(ctx, t, s, db)
		caller.End()
		acquires := sum(inspect(t, db).Acquired)
		want := map[string]int64{
			"otelpool.connection.acquired": acquires, "otelpool.connection.released": acquires,
			"otelpool.rows.closed": int64(by(tel.metrics(t)["db.client.response.returned_rows"], "")[""]),
		}
		got := map[string]int64{}
		for _, span := range tel.spans.Ended() {
			for _, e := range span.Events() {
				got[e.Name]++
				if span.Name() != "caller" {
					t.Errorf("event %s on span %s", e.Name, span.Name())
				}
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("events\n got %v\nwant %v", got, want)
		}
	})
}

func TestMetrics_HaveTheDefinedAttributes(t *testing.T) {
	const (
		name   = attribute.Key("db.client.connection.pool.name")
		system = attribute.Key("db.system.name")
		sums   = attribute.Key("db.query.summary")
		op     = attribute.Key("otelpool.operation")
		typ    = attribute.Key("error.type")
		class  = attribute.Key("otelpool.class")
	)
	want := map[string][]string{
		"db.client.operation.duration":     {fmt.Sprint(name, system, op), fmt.Sprint(name, sums, system, op), fmt.Sprint(name, sums, system, typ, class, op)},
		"db.client.response.returned_rows": {fmt.Sprint(name, sums, system)},
		"db.client.connection.wait_time":   {fmt.Sprint(name)},
		"db.client.connection.use_time":    {fmt.Sprint(name)},
		"otelpool.connection.acquired":     {fmt.Sprint(name, "otelpool.source")},
		"otelpool.connection.closed":       {fmt.Sprint(name, class, "otelpool.reason")},
		"db.client.connection.count":       {fmt.Sprint(name, "db.client.connection.state")},
		"otelpool.connection.held":         {fmt.Sprint(name, "otelpool.phase")},
		"db.client.connection.max":         {fmt.Sprint(name)},
		"otelpool.connection.peak":         {fmt.Sprint(name)},
		"otelpool.connection.retries":      {fmt.Sprint(name, typ, class)},
	}
	each(t, served, func(t *testing.T, s backend) {
		admin := s.bare(t, s.dsn(t))
		tel := newTelemetry()
		db := s.wrapped(t, s.dsn(t), tel)
		db.SetMaxOpenConns(5)
		program(t.Context(), t, s, db)
		err := raw(t, db, func(any) error { return sql.ErrNoRows })
		if err == nil {
			t.Error("Raw does not return the error")
		}
		// A killed connection, for a retry. If the close arrives after the next statement
		// was sent, the caller gets the error, and the loop tries again.
		until(t, "a lost connection is replaced without an error", func() bool {
			losses[0].lose(t, admin, s, db)
			_, _ = db.ExecContext(t.Context(), "SELECT 1")
			return s.driver == "postgres" || sum(inspect(t, db).Retries) > 0
		})
		got := map[string][]string{}
		for metric, points := range tel.metrics(t) {
			for _, p := range points {
				var keys []any
				for _, a := range p.attrs.ToSlice() {
					keys = append(keys, a.Key)
				}
				if k := fmt.Sprint(keys...); !slices.Contains(got[metric], k) {
					got[metric] = append(got[metric], k)
				}
			}
		}
		for metric, keys := range want {
			if s.driver == "postgres" && metric == "otelpool.connection.retries" {
				continue // lib/pq detects the loss with a statement that is not retried
			}
			g := got[metric]
			slices.Sort(g)
			slices.Sort(keys)
			if !slices.Equal(g, keys) {
				t.Errorf("%s\n got %v\nwant %v", metric, g, keys)
			}
		}
	})
}

func TestTelemetry_HasNoArgumentAndNoErrorText(t *testing.T) {
	const secret = "tulipbulb7391"
	each(t, backends, func(t *testing.T, s backend) {
		tel := newTelemetry()
		db := s.wrapped(t, s.dsn(t), tel, otelpool.WithHoldSpanThreshold(0))
		ctx, caller := tel.caller(t.Context())
		tr := &transcript{s: s}
		defer table(t, db, tr, "secrets")()

		tr.exec(ctx, "insert", db, "INSERT INTO secrets (name) VALUES (?)", secret)
		tr.exec(ctx, "in the text", db, "INSERT INTO secrets (name) VALUES ('"+secret+"2')")
		tr.exec(ctx, "duplicate", db, "INSERT INTO secrets (name) VALUES (?)", secret)
		tr.exec(ctx, "duplicate in the text", db, "INSERT INTO secrets (name) VALUES ('"+secret+"')")
		tr.query(ctx, "query", db, "SELECT name FROM secrets WHERE name = ?", secret)
		tr.query(ctx, "no number", db, "SELECT CAST('"+secret+"' AS DECIMAL) FROM secrets")
		tr.exec(ctx, "no statement", db, "NONSENSE '"+secret+"'")
		stmt, err := db.PrepareContext(ctx, tr.s.sql("SELECT name FROM secrets WHERE name = ?"))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := stmt.QueryContext(ctx, secret)
		tr.rows("query of a statement", rows, err)
		tr.record("close", stmt.Close())
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		tr.exec(ctx, "in a transaction", tx, "UPDATE secrets SET note = ?", secret)
		tr.record("rollback", tx.Rollback())
		func() {
			defer func() { _ = recover() }()
			_ = raw(t, db, func(any) error { panic(secret) })
		}()
		_ = raw(t, db, func(any) error { return fmt.Errorf("%s: %w", secret, sql.ErrNoRows) })
		caller.End()

		if !strings.Contains(strings.Join(tr.lines, "\n"), secret) {
			t.Error("the program itself never got the secret")
		}
		if text := tel.everything(t); strings.Contains(text, secret) {
			for line := range strings.Lines(text) {
				if strings.Contains(line, secret) {
					t.Errorf("emitted: %s", line)
				}
			}
		}
		if len(tel.ended()) < 10 {
			t.Errorf("only %d spans were emitted", len(tel.ended()))
		}
	})
}

func TestTelemetry_OfAFailedDialHasNoPartOfTheDSN(t *testing.T) {
	const secret = "tulipbulb7391"
	each(t, served, func(t *testing.T, s backend) {
		dsn := strings.Replace(s.dsn(t), "root@", secret+":"+secret+"@", 1)
		dsn = strings.Replace(dsn, "/postgres?", "/"+secret+"?", 1)
		tel := newTelemetry()
		db := s.wrapped(t, dsn, tel)
		err := db.PingContext(t.Context())
		if err == nil || !strings.Contains(err.Error(), secret) {
			t.Fatalf("the server answers %v, which does not contain the secret", err)
		}
		if got, want := tel.operations(), []string{"connect!" + typeOf(err)}; !slices.Equal(got, want) {
			t.Errorf("spans are %v, want %v", got, want)
		}
		if text := tel.everything(t); strings.Contains(text, secret) {
			t.Errorf("emitted:\n%s", text)
		}
		tel.balance(t, db)
	})
}

func TestSpans_CanceledCallsAreNotErrors(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		admin := s.bare(t, s.dsn(t))
		for _, c := range []struct {
			why    error
			typ    string
			status codes.Code
		}{
			{context.Canceled, "canceled", codes.Unset},
			{context.DeadlineExceeded, "deadline_exceeded", codes.Error},
		} {
			tel := newTelemetry()
			db := s.wrapped(t, s.dsn(t), tel, otelpool.WithHoldSpanThreshold(-1))
			statement, running := s.long(t, admin)
			ctx := lapse.New(t.Context(), c.why)
			go func() {
				running()
				ctx.End()
			}()
			if _, err := db.ExecContext(ctx, statement); err == nil {
				t.Error("the statement ends by itself")
			}
			atRest(t, db)
			want := "exec!" + c.typ
			if s.driver == "postgres" {
				want = "exec!57014" // lib/pq returns the server's error
			}
			spans := tel.ended()
			if got := tel.operations(); !slices.Equal(got, []string{"connect", want}) {
				t.Errorf("spans are %v, want connect and %s", got, want)
			} else if st := spans[1].Status(); st.Code != c.status {
				t.Errorf("after %v the status is %v, want %v", c.why, st.Code, c.status)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestPool_CountsSourcesOfAcquiresAndReasonsOfCloses(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		ctx := t.Context()
		tel := newTelemetry()
		db := s.wrapped(t, s.dsn(t), tel)
		db.SetMaxOpenConns(1)
		use := func() {
			t.Helper()
			if err := db.PingContext(ctx); err != nil {
				t.Fatal(err)
			}
			atRest(t, db)
		}
		acquired, closed := map[string]int64{}, map[string]int64{}
		want := func(step string) {
			t.Helper()
			tel.balance(t, db)
			snap := inspect(t, db)
			if !maps.Equal(byText(snap.Acquired), acquired) || !maps.Equal(byText(snap.Closed), closed) {
				t.Errorf("%s: acquired %v, closed %v; want %v, %v", step, snap.Acquired, snap.Closed, acquired, closed)
			}
		}

		use()
		use()
		acquired["new"], acquired["reused"] = 1, 1
		want("two uses")

		db.SetMaxIdleConns(-1)
		closed["idle_count"] = 1
		want("no idle connections")
		use()
		acquired["new"]++
		closed["idle_count"]++
		want("a use without idle connections")

		// If the connection that a caller waits for is bad, database/sql's opener dials a
		// new one.
		db.SetMaxIdleConns(1)
		conn, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		waited := make(chan error)
		go func() { waited <- db.PingContext(ctx) }()
		until(t, "a caller waits", func() bool { return db.Stats().WaitCount == 1 })
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		if err := <-waited; err != nil {
			t.Error(err)
		}
		atRest(t, db)
		acquired["new"]++
		acquired["opener"]++
		closed["bad"]++
		want("a bad connection that a caller waits for")

		db.SetConnMaxLifetime(1)
		use()
		// The idle connection expires before its next use, or is found expired then.
		until(t, "the connections have expired", func() bool { return inspect(t, db).Closed[poolinfo.ReasonLifetime] == 2 })
		acquired["new"]++
		closed["lifetime"] = 2
		want("a lifetime")

		db.SetConnMaxLifetime(0)
		use()
		acquired["new"]++
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		closed["pool_closed"] = 1
		want("a closed pool")
	})
}
