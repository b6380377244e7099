package gorm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/libraries"
)

// A type cannot be both a TxBeginner and a ConnPoolBeginner: their BeginTx return
// different types. gorm uses the second only without the first.
var (
	_ gorm.ConnPool   = (*otelpool.DB)(nil)
	_ gorm.TxBeginner = (*otelpool.DB)(nil)

	_ gorm.GetDBConnector = (*otelpool.DB)(nil)
)

type item struct {
	ID   int64
	Name string
}

// add and wantItems are the program under test.
func add(db *gorm.DB, name string) error { return db.Create(&item{Name: name}).Error }

func wantItems(db *gorm.DB, want ...string) error {
	var items []item
	if err := db.Order("id").Find(&items).Error; err != nil {
		return err
	}
	var got []string
	for _, i := range items {
		got = append(got, i.Name)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("read %q, want %q", got, want)
	}
	return nil
}

// config discards gorm's log: failures are expected here.
func config() *gorm.Config { return &gorm.Config{Logger: logger.Discard} }

func TestGorm_EveryCallIsMeasuredOnce(t *testing.T) {
	p := libraries.Open(t)
	var db *gorm.DB
	create := func(ctx context.Context) error { return add(db.WithContext(ctx), "a") }
	createWithoutTransaction := func(ctx context.Context) error {
		return add(db.Session(&gorm.Session{Context: ctx, SkipDefaultTransaction: true}), "b")
	}
	find := func(ctx context.Context) error { return wantItems(db.WithContext(ctx), "a", "b") }
	row := func(ctx context.Context) error {
		var name string
		return db.WithContext(ctx).Raw("SELECT name FROM items LIMIT 1").Row().Scan(&name)
	}
	rows := func(ctx context.Context) error {
		r, err := db.WithContext(ctx).Model(&item{}).Rows()
		if err != nil {
			return err
		}
		return r.Close()
	}
	transaction := func(ctx context.Context) error {
		return db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			if err := add(tx, "c"); err != nil {
				return err
			}
			// A savepoint that is rolled back.
			rolledBack := errors.New("rolled back")
			if err := tx.Transaction(func(tx *gorm.DB) error { return errors.Join(add(tx, "d"), rolledBack) }); !errors.Is(err, rolledBack) {
				return err
			}
			return wantItems(tx, "a", "b", "c")
		})
	}

	p.Play(t,
		// The dialect queries the version of SQLite, and gorm pings.
		libraries.Step{Name: "open", Acquires: 2, Do: func(context.Context) (err error) {
			db, err = gorm.Open(sqlite.Dialector{Conn: p.DB}, config())
			return err
		}},
		// gorm checks whether the table exists, and creates it.
		libraries.Step{Name: "migrate", Acquires: 2, Do: func(ctx context.Context) error {
			return db.WithContext(ctx).AutoMigrate(&item{})
		}},
		libraries.Step{Name: "create", Acquires: 1, Do: create},
		libraries.Step{Name: "create without a transaction", Acquires: 1, Do: createWithoutTransaction},
		libraries.Step{Name: "find", Acquires: 1, Do: find},
		libraries.Step{Name: "row", Acquires: 1, Do: row},
		libraries.Step{Name: "rows", Acquires: 1, Do: rows},
		libraries.Step{Name: "transaction", Acquires: 1, Do: transaction},
	)
	p.Refuse(t,
		libraries.Step{Name: "create", Do: create},
		libraries.Step{Name: "create without a transaction", Do: createWithoutTransaction},
		libraries.Step{Name: "find", Do: find},
		libraries.Step{Name: "row", Do: row},
		libraries.Step{Name: "rows", Do: rows},
		libraries.Step{Name: "transaction", Do: transaction},
	)
}

func TestGorm_AcceptsADBAsConnPool(t *testing.T) {
	p := libraries.Open(t)
	c := config()
	c.ConnPool = p.DB
	p.Play(t, libraries.Step{Name: "open", Acquires: 1, Do: func(context.Context) error {
		_, err := gorm.Open(nil, c)
		return err
	}})
}

func TestGorm_PreparedStatementsAreMeasuredWhenPreparedAndRun(t *testing.T) {
	p := libraries.Open(t)
	db, err := gorm.Open(sqlite.Dialector{Conn: p.DB}, config())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.AutoMigrate(&item{}); err != nil {
		t.Fatal(err)
	}
	prepared := db.Session(&gorm.Session{PrepareStmt: true})
	find := func(ctx context.Context) error { return wantItems(prepared.WithContext(ctx)) }

	p.Refuse(t, libraries.Step{Name: "prepare", Do: find})
	p.Play(t,
		libraries.Step{Name: "first find", Acquires: 2, Do: find},
		libraries.Step{Name: "second find", Acquires: 1, Do: find},
	)
}

// gorm needs a *sql.DB to hold a connection, and to ping for Config.PrepareStmt.
func TestGorm_FindsTheSQLDBOfADB(t *testing.T) {
	p := libraries.Open(t)
	db, err := gorm.Open(sqlite.Dialector{Conn: p.DB}, config())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := db.DB(); got != p.DB.DB || err != nil {
		t.Errorf("DB() = %p, %v, want %p", got, err, p.DB.DB)
	}
	p.Play(t,
		libraries.Step{Name: "connection", Acquires: 1, Do: func(ctx context.Context) error {
			return db.WithContext(ctx).Connection(func(tx *gorm.DB) error { return tx.Exec("SELECT 1").Error })
		}},
		libraries.Step{Name: "open with PrepareStmt", Acquires: 2, Do: func(context.Context) error {
			c := config()
			c.PrepareStmt = true
			_, err := gorm.Open(sqlite.Dialector{Conn: p.DB}, c)
			return err
		}},
	)
}
