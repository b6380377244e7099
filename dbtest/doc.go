// Package dbtest runs otelpool over real drivers: go-sql-driver/mysql on
// MariaDB, pgx and lib/pq on PostgreSQL, modernc.org/sqlite on a file. It has
// tests only. They are a module of their own because otelpool itself requires
// no driver but that of its package otelmysql.
//
// Most tests play a script twice, on the bare driver and through otelpool, and
// compare everything that the program got: values, errors and the counters of
// [database/sql.DBStats]. The others look at what was told meanwhile. With
// -transcript the scripts' results on the bare driver are logged.
//
// The servers are private to the test process: see package server, which also
// says what happens where one is not installed.
package dbtest
