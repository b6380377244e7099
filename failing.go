package otelpool

import (
	"context"
	"database/sql/driver"
)

// failing is a connector that has nothing but an error.
type failing struct{ err error }

func (f failing) Connect(context.Context) (driver.Conn, error) { return nil, f.err }

func (f failing) Driver() driver.Driver { return nil }
