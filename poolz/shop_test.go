package poolz

import (
	"context"
	"reflect"
	"runtime"
	"time"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/ledger"
)

// The program whose pools the tests show. Its lines are in the golden files, so what
// is added goes to the end.

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

// asked is the stack of its caller, of n frames.
//
//go:noinline
func callerStack(n int) ledger.Stack {
	var s ledger.Stack
	runtime.Callers(2, s[:n])
	return s
}

// with gives a holder, a waiter or a site its stack, which only otelpool can note.
func withStack[T any](v T, s ledger.Stack) T {
	f := reflect.ValueOf(&v).Elem().FieldByName("stack")
	*(*ledger.Stack)(f.Addr().UnsafePointer()) = s
	return v
}

// keep is a handler that has a connection for as long as it is told.
func (notifications) keep(ctx context.Context, db *otelpool.DB, d time.Duration) error {
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	time.Sleep(d)
	return nil
}

// sell is one that gives it back at once.
func sell(ctx context.Context, db *otelpool.DB, d time.Duration) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	time.Sleep(d)
	return tx.Commit()
}
