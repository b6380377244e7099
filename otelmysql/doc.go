// Package otelmysql is otelpool's adapter for github.com/go-sql-driver/mysql. It reads
// the server from the data source name, classifies errors by number, and records why the
// driver closed a connection, which the driver reports only to its logger.
//
//	db, err := otelmysql.Open(dsn)
//
// is [otelpool.Open] with the adapter. [OpenDB] and [NewConnector] take a configuration,
// and [WithAdapter] is the option for otelpool's own functions. The driver's behaviour
// does not change: its hooks, registered dials and logger are called as before.
//
// # Server attributes
//
// db.system.name, server.address, server.port (unless it is 3306), db.namespace and the
// name of the pool come from the data source name. User, password and parameters are
// never emitted, nor is a text that does not look like a host or the name of a database.
//
// The driver does not expose the server's greeting. Whether the server is a MariaDB, its
// version and its idle timeout are therefore known only with [otelpool.WithServerQuery].
// The exception is a wait_timeout that the data source name sets in seconds.
//
// # What the driver hides
//
// With rejectReadOnly the driver replaces the errors of a read-only server by
// driver.ErrBadConn. The driver closes an idle connection that has unexpected data to
// read, but does not read that data. Whether such a connection was killed or idle for too
// long is then decided only by how long it was idle.
package otelmysql
