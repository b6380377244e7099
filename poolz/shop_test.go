package poolz

import (
	"context"
	"runtime"
	"time"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/poolinfo"
)

// The program whose pools the tests show.
//
// Its line numbers are in the golden files, so new code goes to the end.

type notifications struct{}

//go:noinline
func (notifications) stream() poolinfo.CallSite {
	return notifications{}.lastEvent()
}

//go:noinline
func (notifications) lastEvent() poolinfo.CallSite {
	return callerStack(2)
}

//go:noinline
func checkout() poolinfo.CallSite {
	return callerStack(1)
}

//go:noinline
func listOrders() poolinfo.CallSite {
	return callerStack(1)
}

type repositoryOfEverythingThatWasEverBoughtInAnyOfOurShops[Key, Value any] struct{}

//go:noinline
func (repositoryOfEverythingThatWasEverBoughtInAnyOfOurShops[K, V]) findAllByCustomerAndPeriodOrderedByDate() poolinfo.CallSite {
	return callerStack(1)
}

// callerStack is the stack of its caller, of n frames.
//
//go:noinline
func callerStack(n int) poolinfo.CallSite {
	var s poolinfo.CallSite
	runtime.Callers(2, s[:n])
	return s
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
