package otelpool

import "database/sql/driver"

// maxUnwrap is how many wrappers are looked through. It ends the search in one
// that unwraps to itself.
const maxUnwrap = 32

// Unwrap returns the driver's own connection, given what [database/sql.Conn.Raw]
// hands to its function:
//
//	err := conn.Raw(func(dc any) error {
//		pg := otelpool.Unwrap(dc).(*stdlib.Conn).Conn()
//		...
//	})
//
// It looks through other wrappers too, if they have one of the methods
// Unwrap, Raw or WrappedConn that return a driver.Conn. What is not a wrapper is
// returned as it is. What is done with the driver's connection directly is time
// held, but not told as an operation.
func Unwrap(driverConn any) any {
	for range maxUnwrap {
		var below driver.Conn
		switch c := driverConn.(type) {
		case interface{ Unwrap() driver.Conn }:
			below = c.Unwrap()
		case interface{ Raw() driver.Conn }:
			below = c.Raw()
		case interface{ WrappedConn() driver.Conn }:
			below = c.WrappedConn()
		}
		if below == nil {
			return driverConn
		}
		driverConn = below
	}
	return driverConn
}
