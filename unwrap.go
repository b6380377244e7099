package otelpool

import "database/sql/driver"

// maxUnwrap is how many wrappers are looked through. It ends the search in one that unwraps to
// itself.
const maxUnwrap = 32

// Unwrap returns the driver's own connection, given what [database/sql.Conn.Raw] hands to its
// function:
//
//	err := conn.Raw(func(dc any) error {
//		pg := otelpool.Unwrap(dc).(*stdlib.Conn).Conn()
//		...
//	})
//
// It looks through other wrappers too, if they have one of the methods Unwrap, Raw or WrappedConn
// that return a driver.Conn. What is not a wrapper is returned as it is. What is done with the
// driver's connection directly is time held, and is not recorded as an operation.
func Unwrap(driverConn any) any {
	for range maxUnwrap {
		below := unwrapOne(driverConn)
		if below == nil {
			break
		}
		driverConn = below
	}
	return driverConn
}

// unwrapOne returns what is below a wrapper, nil if driverConn is none.
func unwrapOne(driverConn any) (below driver.Conn) {
	switch c := driverConn.(type) {
	case interface{ Unwrap() driver.Conn }:
		below = c.Unwrap()
	case interface{ Raw() driver.Conn }:
		below = c.Raw()
	case interface{ WrappedConn() driver.Conn }:
		below = c.WrappedConn()
	}
	return below
}

// connOf returns the connection with telemetry that is driverConn, or is below it, nil if there is
// none.
func connOf(driverConn any) *conn {
	for range maxUnwrap {
		if c, ok := driverConn.(interface{ self() *conn }); ok {
			return c.self()
		}
		below := unwrapOne(driverConn)
		if below == nil {
			break
		}
		driverConn = below
	}
	return nil
}
