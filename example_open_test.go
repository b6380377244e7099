package otelpool_test

import (
	"database/sql"
	"fmt"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
)

// registerExample registers the fake driver under a name, as the import of a real driver does.
func registerExample(name string) { sql.Register(name, fakedb.New(fakedb.Config{}).Driver()) }

// Open takes the place of sql.Open.
func ExampleOpen() {
	registerExample("exampledb")

	db, err := otelpool.Open("exampledb", "host=db.example", otelpool.WithPoolName("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	fmt.Println(db.Ping())
	// Output: <nil>
}

// Register makes a driver name for code that calls sql.Open itself, such as a library.
func ExampleRegister() {
	registerExample("otherdb")

	name, err := otelpool.Register("otherdb", otelpool.WithPoolName("orders"))
	if err != nil {
		fmt.Println(err)
		return
	}
	db, err := sql.Open(name, "host=db.example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	fmt.Println(db.Ping(), otelpool.Watch(db)) // Watch makes the limits of db known
	// Output: <nil> <nil>
}
