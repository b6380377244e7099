// Package otelpgx is otelpool's adapter for github.com/jackc/pgx/v5/stdlib. It reads the
// servers from the data source, records which of them a connection uses, classifies
// errors, and records why a connection broke that pgx reports only as bad.
//
//	db, err := otelpgx.Open(dsn)
//
// is [otelpool.Open] with the adapter. [OpenDB] and [NewConnector] take a configuration,
// [WithAdapter] is the option for otelpool's own functions, and [Connector] makes a
// connector with stdlib's own options. The behaviour of pgx does not change: tracers,
// hooks and dials of the configuration are called as before, and the network connection
// is not wrapped.
//
// # Server attributes
//
// db.system.name, server.address, server.port (unless it is 5432), db.namespace and the
// name of the pool come from the data source. User, password and parameters are never
// emitted, nor is a text that does not look like a host or the name of a database. With
// several hosts, the host that a connection uses is emitted, by its name in the
// configuration.
//
// The version is known without a query. The server's timeout for idle sessions is known
// if the data source sets idle_session_timeout, and otherwise only with
// [otelpool.WithServerQuery].
//
// # What pgx hides
//
// pgx closes a connection that is returned with an open transaction, or is used while its
// rows are open, without an error that the adapter can observe.
package otelpgx
