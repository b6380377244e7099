package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
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
	db := otelpool.OpenDB(versionConnector{connector})
	defer db.Close()
	conn, err := db.Conn(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	err = conn.Raw(func(dc any) error {
		if own, ok := otelpool.Unwrap(dc).(versionConn); ok {
			fmt.Println("server version", own.ServerVersion())
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// server version 17.2
	// <nil>
}

// versionConn is a driver's connection with a method that database/sql does not call.
type versionConn struct{ driver.Conn }

func (versionConn) ServerVersion() string { return "17.2" }

// versionConnector opens connections of that type.
type versionConnector struct{ driver.Connector }

func (c versionConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return versionConn{conn}, err
}
