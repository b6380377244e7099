//go:build !go1.27

package otelpool

import "database/sql/driver"

// shapeRows returns r as it is: before Go 1.27 nothing that rows can do changes how they are read.
func shapeRows(r *rows) driver.Rows { return r }
