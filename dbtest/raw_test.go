package dbtest_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"
	"modernc.org/sqlite"

	"github.com/otelpool/otelpool"
)

// raw calls f with the driver's own connection, as a program that uses otelpool does. On a
// bare driver Unwrap changes nothing.
func raw(t *testing.T, db *sql.DB, f func(driverConn any) error) error {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
			t.Error(err)
		}
	}()
	return conn.Raw(func(driverConn any) error { return f(otelpool.Unwrap(driverConn)) })
}

func TestUnwrap_ReturnsTheConnectionOfTheDriver(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			tr.record("the type", raw(t, db, func(c any) error {
				tr.record("it is", fmt.Sprintf("%T", c))
				return nil
			}))
			own := errors.New("the program's own")
			tr.record("its error", raw(t, db, func(any) error { return own }) == own) //nolint:errorlint // identity is what is tested
			tr.stats("after an error", db)
			tr.record("bad", raw(t, db, func(any) error { return driver.ErrBadConn }))
			tr.stats("after a bad connection", db)
			func() {
				defer func() { tr.record("panicked", fmt.Sprint(recover())) }()
				_ = raw(t, db, func(any) error { panic("in Raw") })
			}()
			tr.stats("after a panic", db)
		})
	})
}

func TestUnwrap_PgxCopies(t *testing.T) {
	s := pgxBackend
	same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
		defer table(t, db, tr, "copied")()
		ctx := t.Context()
		copied := func(rows [][]any) error {
			return raw(t, db, func(c any) error {
				n, err := c.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"name", "price"}, pgx.CopyFromRows(rows))
				tr.record("copied", n)
				return err
			})
		}
		tr.record("copy", copied([][]any{{"a", 1}, {"b", 2}, {"c", nil}}))
		tr.record("copy a duplicate", copied([][]any{{"d", 1}, {"a", 2}}))
		tr.record("batch", raw(t, db, func(c any) error {
			b := &pgx.Batch{}
			b.Queue("SELECT COUNT(*) FROM copied")
			b.Queue("UPDATE copied SET note = 'x'")
			return c.(*stdlib.Conn).Conn().SendBatch(ctx, b).Close()
		}))
		tr.query(ctx, "all rows", db, "SELECT * FROM copied ORDER BY id")
	})
}

func TestPq_CopiesInATransaction(t *testing.T) {
	s := pqBackend
	same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
		defer table(t, db, tr, "copied")()
		ctx := t.Context()
		copied := func(names ...string) {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			stmt, err := tx.PrepareContext(ctx, pq.CopyIn("copied", "name", "price")) //nolint:staticcheck // programs still use it
			tr.record("prepare", err)
			if err != nil {
				t.Fatal(err)
			}
			for i, name := range names {
				_, err := stmt.ExecContext(ctx, name, i)
				tr.record("a row", err)
			}
			r, err := stmt.ExecContext(ctx)
			tr.result("flush", r, err)
			tr.record("close", stmt.Close())
			tr.record("commit", tx.Commit())
		}
		copied("a", "b", "c")
		copied("d", "a")
		_, err := db.PrepareContext(ctx, "COPY copied (name) FROM STDIN")
		tr.record("without a transaction", err)
		tr.query(ctx, "all rows", db, "SELECT * FROM copied ORDER BY id")
	})
}

func TestUnwrap_PqNoticesArrive(t *testing.T) {
	s := pqBackend
	same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
		ctx := t.Context()
		conn, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		tr.record("set the handler", conn.Raw(func(c any) error {
			pq.SetNoticeHandler(otelpool.Unwrap(c).(driver.Conn), func(e *pq.Error) { tr.record("notice", e) })
			return nil
		}))
		tr.exec(ctx, "raise", conn, "DO $$ BEGIN RAISE NOTICE 'notice'; END $$")
		tr.record("close", conn.Close())
	})
}

func TestOpenDB_WrapsAConnectorOfPqWithANoticeHandler(t *testing.T) {
	s := pqBackend
	var received []string
	s.connect = func(dsn string) (driver.Connector, error) {
		c, err := pq.NewConnector(dsn)
		if err != nil {
			return nil, err
		}
		return pq.ConnectorWithNoticeHandler(c, func(e *pq.Error) { received = append(received, e.Message) }), nil
	}
	same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
		tr.exec(t.Context(), "raise", db, "DO $$ BEGIN RAISE NOTICE 'notice'; END $$")
	}, "OpenDB", "NewConnector")
	if len(received) != 2 {
		t.Errorf("received %q, want one notice of each wrapped pool", received)
	}
}

func TestRaw_MySQLResultsArrive(t *testing.T) {
	s := mysqlBackend
	same(t, s, s.dsn(t, "multiStatements=true"), func(t *testing.T, db *sql.DB, tr *transcript) {
		defer table(t, db, tr, "several")()
		statements := "INSERT INTO several (name) VALUES ('a'), ('b'); UPDATE several SET note = 'x'; INSERT INTO several (name) VALUES ('c')"
		all := func(step string, r driver.Result, err error) {
			if err != nil {
				t.Fatal(err)
			}
			result := r.(mysql.Result)
			tr.record(step, result.AllLastInsertIds(), result.AllRowsAffected())
		}
		tr.record("unwrapped", raw(t, db, func(c any) error {
			r, err := c.(driver.ExecerContext).ExecContext(t.Context(), statements, nil)
			all("results", r, err)
			return nil
		}))
		tr.exec(t.Context(), "delete", db, "DELETE FROM several")

		// Standard interfaces work without Unwrap.
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tr.record("as it is", conn.Raw(func(c any) error {
			r, err := c.(driver.ExecerContext).ExecContext(t.Context(), statements, nil)
			all("results", r, err)
			return nil
		}))
		tr.record("close", conn.Close())
	})
}

func TestMySQL_LoadsDataFromTheProgram(t *testing.T) {
	s := mysqlBackend
	mysql.RegisterReaderHandler("dbtest", func() io.Reader { return strings.NewReader("a\t1\nb\t2\nc\t3\n") })
	defer mysql.DeregisterReaderHandler("dbtest")
	same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
		defer table(t, db, tr, "loaded")()
		tr.exec(t.Context(), "load", db, "LOAD DATA LOCAL INFILE 'Reader::dbtest' INTO TABLE loaded (name, price)")
		tr.exec(t.Context(), "load from nowhere", db, "LOAD DATA LOCAL INFILE 'Reader::nowhere' INTO TABLE loaded (name, price)")
		tr.query(t.Context(), "all rows", db, "SELECT * FROM loaded ORDER BY id")
	})
}

func TestUnwrap_SQLiteBacksUp(t *testing.T) {
	s := sqliteBackend
	same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
		defer table(t, db, tr, "saved")()
		tr.exec(t.Context(), "insert", db, "INSERT INTO saved (name) VALUES ('a'), ('b')")
		to := filepath.Join(t.TempDir(), "backup.db")
		tr.record("back up", raw(t, db, func(c any) error {
			b, err := c.(interface {
				NewBackup(string) (*sqlite.Backup, error)
			}).NewBackup(to)
			if err != nil {
				return err
			}
			more, err := b.Step(-1)
			tr.record("step", more, err)
			return b.Finish()
		}))
		saved := s.bare(t, "file:"+to)
		tr.query(t.Context(), "the backup", saved, "SELECT name FROM saved ORDER BY id")

		tr.record("serialize", raw(t, db, func(c any) error {
			image, err := c.(interface{ Serialize() ([]byte, error) }).Serialize()
			tr.record("image", len(image) > 0)
			return err
		}))
		var commits int
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tr.record("hook", conn.Raw(func(c any) error {
			otelpool.Unwrap(c).(sqlite.HookRegisterer).RegisterCommitHook(func() int32 { commits++; return 0 })
			return nil
		}))
		tr.exec(t.Context(), "insert", conn, "INSERT INTO saved (name) VALUES ('c')")
		tr.record("commits", commits)
		tr.record("close", conn.Close())
	})
}

func TestRaw_MethodsWithoutAContextRun(t *testing.T) {
	each(t, backends, func(t *testing.T, s backend) {
		same(t, s, s.dsn(t), func(t *testing.T, db *sql.DB, tr *transcript) {
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			tr.record("raw", conn.Raw(func(c any) error {
				stmt, err := c.(driver.Conn).Prepare("SELECT 1")
				if err != nil {
					return err
				}
				rows, err := stmt.(driver.StmtQueryContext).QueryContext(context.WithoutCancel(t.Context()), nil)
				if err != nil {
					return err
				}
				values := make([]driver.Value, len(rows.Columns()))
				tr.record("columns", len(values), rows.Next(values), values[0])
				return errors.Join(rows.Close(), stmt.Close())
			}))
			tr.query(t.Context(), "the connection still works", conn, "SELECT 2")
			tr.record("close", conn.Close())
		}, "Open", "OpenDB")
	})
}
