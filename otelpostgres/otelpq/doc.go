// Package otelpq is otelpool's adapter for github.com/lib/pq. It reads the servers from
// the data source, records which of them a connection uses, classifies errors, and
// records why a connection broke that pq reports only as bad.
//
//	db, err := otelpq.Open(dsn)
//
// is [otelpool.Open] with the adapter. [OpenDB] and [NewConnector] take a configuration,
// and [WithAdapter] is the option for otelpool's own functions.
//
// # Server attributes
//
// db.system.name, server.address, server.port (unless it is 5432), db.namespace and the
// name of the pool come from the data source. User, password and parameters are never
// emitted, nor is a text that does not look like a host or the name of a database. With
// several hosts, the host that a connection uses is emitted.
//
// pq does not expose the server's version: it is known only with
// [otelpool.WithServerQuery]. So is the server's timeout for idle sessions, unless the
// data source sets idle_session_timeout.
//
// # What pq hides
//
// pq replaces an error that ends the session, such as a shutdown of the server, by
// driver.ErrBadConn. The adapter reads the cause from the network: errors of reads and
// writes, and the code of the server's last message if the connection has no TLS. For
// that it wraps the network connection, which pq does not expose.
package otelpq
