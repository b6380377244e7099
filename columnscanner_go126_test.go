//go:build !go1.27

package otelpool_test

import "github.com/otelpool/otelpool/internal/fakedb"

// Before Go 1.27 there is no driver.RowsColumnScanner.
var classifiedSince127 map[string][]treatment

const allRowsHere = fakedb.AllRows
