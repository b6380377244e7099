package dbtest_test

import "testing"

// modes are modes of drivers, set by DSN parameters. In each the driver has other
// interfaces, or declines other calls.
var modes = []struct {
	backend
	param string
}{
	{mysqlBackend, "interpolateParams=true"},
	{mysqlBackend, "clientFoundRows=true"},
	{mysqlBackend, "compress=true"},
	{pgxBackend, "default_query_exec_mode=exec"},
	{pgxBackend, "default_query_exec_mode=simple_protocol"},
	{pgxBackend, "default_query_exec_mode=describe_exec"},
	{pqBackend, "binary_parameters=yes"},
	{sqliteBackend, "_txlock=immediate"},
}

func TestOpen_EveryModeOfADriverBehavesAsBare(t *testing.T) {
	for _, m := range modes {
		t.Run(m.driver+"/"+m.param, func(t *testing.T) {
			dsn := m.dsn(t, m.param)
			same(t, m.backend, dsn, crud, "Open")
			same(t, m.backend, dsn, prepared, "Open")
			same(t, m.backend, dsn, transactions, "Open")
		})
	}
}
