// Package dbtest tests otelpool with real drivers: go-sql-driver/mysql on MariaDB, pgx and
// lib/pq on PostgreSQL, modernc.org/sqlite on a file. It has tests only. The module is
// separate because otelpool itself requires no driver except that of package otelmysql.
//
// Most tests run a script twice, on the bare driver and through otelpool, and compare
// everything that the program got: values, errors and the counters of
// [database/sql.DBStats]. The others check the telemetry. With -transcript the results of
// the scripts on the bare driver are logged.
//
// The servers are private to the test process. Package server documents what happens if
// one is not installed.
package dbtest
