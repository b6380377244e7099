package otelpool_test

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
)

// connector is of a fake driver; a program would import a real one.
var connector = fakedb.New(fakedb.Config{}).Connector()

func ExampleOpenDB() {
	db := otelpool.OpenDB(connector, otelpool.WithPoolName("orders"))
	defer db.Close()
	fmt.Println(db.Ping())
	// Output: <nil>
}

func ExampleInspect() {
	db := otelpool.OpenDB(connector, otelpool.WithPoolName("orders"))
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tx.Rollback()

	s, err := otelpool.Inspect(db)
	fmt.Println(s.Pool, "holds", s.Held, "of", s.Open, err)
	for _, c := range s.Conns {
		fmt.Println("connection", c.ID, "is", c.State, "in phase", c.Phase)
	}
	// Output:
	// orders holds 1 of 1 <nil>
	// connection 1 is held in phase tx
}

func ExampleWatch() {
	db := sql.OpenDB(otelpool.NewConnector(connector))
	defer db.Close()
	fmt.Println(otelpool.Watch(db))
	// Output: <nil>
}

func ExampleUnwrap() {
	db := otelpool.OpenDB(connector)
	defer db.Close()
	conn, err := db.Conn(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	_ = conn.Raw(func(dc any) error {
		_, isDriversOwn := otelpool.Unwrap(dc).(interface{ Unwrap() any })
		fmt.Println("a wrapper:", isDriversOwn)
		return nil
	})
	// Output: a wrapper: false
}
