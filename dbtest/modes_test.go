package dbtest_test

import "testing"

// modes are the ways in which a driver talks to its server, by DSN parameters.
// In each it has other abilities, or declines other calls.
var modes = []struct {
	subject
	param string
}{
	{mysqlSubject, "interpolateParams=true"},
	{mysqlSubject, "clientFoundRows=true"},
	{mysqlSubject, "compress=true"},
	{pgxSubject, "default_query_exec_mode=exec"},
	{pgxSubject, "default_query_exec_mode=simple_protocol"},
	{pgxSubject, "default_query_exec_mode=describe_exec"},
	{pqSubject, "binary_parameters=yes"},
	{sqliteSubject, "_txlock=immediate"},
}

func TestEveryModeOfADriverAnswersAsBare(t *testing.T) {
	for _, m := range modes {
		t.Run(m.driver+"/"+m.param, func(t *testing.T) {
			dsn := m.dsn(t, m.param)
			same(t, m.subject, dsn, crud, "Open")
			same(t, m.subject, dsn, prepared, "Open")
			same(t, m.subject, dsn, transactions, "Open")
		})
	}
}
