package libraries_test

import (
	"context"
	"database/sql"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/Masterminds/squirrel"
	"github.com/doug-martin/goqu/v9"
	"github.com/jmoiron/sqlx"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/libraries"
	"github.com/otelpool/otelpool/libraries/items"
	"github.com/otelpool/otelpool/libraries/shop/ent"
)

// namesFunc reads the names of all items through a library.
type namesFunc func(context.Context) ([]string, error)

// adoptions are the libraries, each with its line of the README and one query. The lines
// are for PostgreSQL; SQLite accepts the SQL that the libraries write for it.
var adoptions = []struct {
	library string
	viaDB   bool // it calls the otelpool.DB
	adopt   func(t *testing.T, db *sql.DB, pool *otelpool.DB) namesFunc
}{
	{library: "database/sql", adopt: func(_ *testing.T, db *sql.DB, _ *otelpool.DB) namesFunc {
		return func(ctx context.Context) ([]string, error) {
			return scan(db.QueryContext(ctx, "SELECT name FROM items"))
		}
	}},
	{library: "database/sql with clocks", viaDB: true, adopt: func(_ *testing.T, _ *sql.DB, pool *otelpool.DB) namesFunc {
		return func(ctx context.Context) ([]string, error) {
			return scan(pool.QueryContext(ctx, "SELECT name FROM items"))
		}
	}},
	{library: "sqlc", viaDB: true, adopt: func(_ *testing.T, _ *sql.DB, pool *otelpool.DB) namesFunc {
		queries := items.New(pool)
		return queries.Names
	}},
	{library: "gorm", viaDB: true, adopt: func(t *testing.T, _ *sql.DB, pool *otelpool.DB) namesFunc {
		g, err := gorm.Open(postgres.New(postgres.Config{Conn: pool}))
		if err != nil {
			t.Fatal(err)
		}
		return func(ctx context.Context) (got []string, err error) {
			return got, g.WithContext(ctx).Table("items").Pluck("name", &got).Error
		}
	}},
	{library: "squirrel", viaDB: true, adopt: func(_ *testing.T, _ *sql.DB, pool *otelpool.DB) namesFunc {
		builder := squirrel.StatementBuilder.RunWith(pool)
		return func(ctx context.Context) ([]string, error) { return read(ctx, builder.Select("name").From("items")) }
	}},
	{library: "goqu", viaDB: true, adopt: func(_ *testing.T, _ *sql.DB, pool *otelpool.DB) namesFunc {
		q := goqu.New("postgres", pool)
		return func(ctx context.Context) (got []string, err error) {
			return got, q.From("items").Select("name").ScanValsContext(ctx, &got)
		}
	}},
	{library: "sqlx", adopt: func(_ *testing.T, db *sql.DB, _ *otelpool.DB) namesFunc {
		x := sqlx.NewDb(db, "pgx")
		return func(ctx context.Context) (got []string, err error) {
			return got, x.SelectContext(ctx, &got, "SELECT name FROM items")
		}
	}},
	{library: "ent", adopt: func(_ *testing.T, db *sql.DB, _ *otelpool.DB) namesFunc {
		client := ent.NewClient(ent.Driver(entsql.OpenDB(dialect.Postgres, db)))
		return func(ctx context.Context) ([]string, error) {
			return scan(client.QueryContext(ctx, "SELECT name FROM items"))
		}
	}},
	{library: "bun", adopt: func(_ *testing.T, db *sql.DB, _ *otelpool.DB) namesFunc {
		b := bun.NewDB(db, pgdialect.New())
		return func(ctx context.Context) (got []string, err error) {
			return got, b.NewSelect().Table("items").Column("name").Scan(ctx, &got)
		}
	}},
}

// scan reads all names of items.
func scan(rows *sql.Rows, err error) (got []string, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		got = append(got, name)
	}
	return got, rows.Err()
}

func TestReadme_LinesMakeEveryLibraryMeasured(t *testing.T) {
	for _, a := range adoptions {
		t.Run(a.library, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := libraries.Open(t)
				p.Play(t, createItems(p), libraries.Step{Name: "insert", Acquires: 1, Do: func(ctx context.Context) error {
					_, err := p.ExecContext(ctx, "INSERT INTO items (name) VALUES ('a')")
					return err
				}})
				names := a.adopt(t, p.DB.DB, p.DB)
				query := libraries.Step{Name: "query", Acquires: 1, Do: func(ctx context.Context) error {
					got, err := names(ctx)
					return wantNames(got, err, "a")
				}}
				p.Play(t, query)
				p.Queue(t, a.viaDB, query)
			})
		})
	}
}

// The README must have the tested lines, word by word.
func TestReadme_HasALineForEveryLibrary(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("adoption_test.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^(\w+(?:, err)? := .*\S) +// (sqlc|gorm|squirrel|goqu|sqlx|ent|bun)\b.*$`).FindAllStringSubmatch(string(readme), -1)
	var got, want []string
	for _, line := range lines {
		got = append(got, line[2])
		if !strings.Contains(string(source), "\t\t"+line[1]+"\n") {
			t.Errorf("the line of %s is not the one that is tested:\n%s", line[2], line[1])
		}
	}
	for _, a := range adoptions {
		if !strings.HasPrefix(a.library, "database/sql") {
			want = append(want, a.library)
		}
	}
	if g, w := strings.Join(got, " "), strings.Join(want, " "); g != w {
		t.Errorf("the README has lines for %s, want %s", g, w)
	}
}
