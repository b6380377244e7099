package poolz

import (
	"context"
	"reflect"
	"runtime"
	"time"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/ledger"
)

// The program whose pools the tests show. Its line numbers are in the golden files, so
// new code goes to the end.

type notifications struct{}

//go:noinline
func (notifications) stream() ledger.Stack {
	return notifications{}.lastEvent()
}

//go:noinline
func (notifications) lastEvent() ledger.Stack {
	return callerStack(2)
}

//go:noinline
func checkout() ledger.Stack {
	return callerStack(1)
}

//go:noinline
func listOrders() ledger.Stack {
	return callerStack(1)
}

type repositoryOfEverythingThatWasEverBoughtInAnyOfOurShops[Key, Value any] struct{}

//go:noinline
func (repositoryOfEverythingThatWasEverBoughtInAnyOfOurShops[K, V]) findAllByCustomerAndPeriodOrderedByDate() ledger.Stack {
	return callerStack(1)
}

// callerStack is the stack of its caller, of n frames.
//
//go:noinline
func callerStack(n int) ledger.Stack {
	var s ledger.Stack
	runtime.Callers(2, s[:n])
	return s
}

// withStack sets the stack of a holder, a waiter or a site, which only otelpool records.
func withStack[T any](v T, s ledger.Stack) T {
	f := reflect.ValueOf(&v).Elem().FieldByName("stack")
	*(*ledger.Stack)(f.Addr().UnsafePointer()) = s
	return v
}

// keep is a handler that holds a connection for d.
func (notifications) keep(ctx context.Context, db *otelpool.DB, d time.Duration) error {
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	time.Sleep(d)
	return nil
}

// sell is a handler that holds a connection for d in a transaction.
func sell(ctx context.Context, db *otelpool.DB, d time.Duration) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	time.Sleep(d)
	return tx.Commit()
}
