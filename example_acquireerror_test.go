package otelpool_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otelpool/otelpool"
)

// A call of an otelpool.DB that gets no connection reports who holds them.
func ExampleNewDB() {
	db, err := otelpool.NewDB(otelpool.OpenDB(connector, otelpool.WithPoolName("orders"), otelpool.WithLogger(discard)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	tx, err := db.Begin() // is not ended before the next call
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tx.Rollback()

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err = db.ExecContext(ctx, "DELETE FROM carts")
	var failed *otelpool.AcquireError
	if errors.As(err, &failed) {
		fmt.Printf("%s: %s, %d of %d connections are held\n", failed.Pool, failed.Cause, failed.Held, failed.MaxOpen)
		for _, h := range failed.Holders {
			fmt.Printf("connection %d by %s, in phase %s\n", h.ConnID, h.CallSite.Frames()[0].Function, h.Phase)
		}
	}
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// orders: deadline, 1 of 1 connections are held
	// connection 1 by github.com/otelpool/otelpool_test.ExampleNewDB, in phase tx
	// true
}
