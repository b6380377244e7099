// Package otelmysql is what otelpool knows of github.com/go-sql-driver/mysql: where
// a data source name leads, what an error number means, and why the driver gave a
// connection up, which it tells its logger and nobody else.
//
//	db, err := otelmysql.Open(dsn)
//
// is [otelpool.Open] with all of it. [OpenDB] and [NewConnector] take a
// configuration, and [WithAdapter] brings it to the other entrances of otelpool. The
// driver does what it does without: its hooks, its registered dials and its logger
// are called as before.
//
// # What is told of the server
//
// db.system.name, server.address, server.port unless it is 3306, db.namespace, and the
// name of the pool are those of the data source name. User, password and parameters are
// never told, nor is what does not look like a host or the name of a database.
//
// The driver keeps the server's greeting to itself. That the server is a MariaDB, its
// version, and after how long it closes an idle connection are therefore known with
// [otelpool.WithServerQuery] only, except for a wait_timeout that the data source name
// sets in seconds.
//
// # What the driver does not show
//
// With rejectReadOnly the driver makes driver.ErrBadConn of the errors of a server that
// takes no writes. Of an idle connection on which the server has said something it closes,
// the driver does not read what: that it was killed, or idle for too long, is then told by
// how long it was idle only.
package otelmysql
