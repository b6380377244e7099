// Package otelpq is what otelpool knows of github.com/lib/pq: where a data source leads
// and which of its hosts was reached, what an error means, and what happened to a
// connection of which pq only says that it is bad.
//
//	db, err := otelpq.Open(dsn)
//
// is [otelpool.Open] with all of it. [OpenDB] and [NewConnector] take a
// configuration, and [WithAdapter] brings it to the other entrances of otelpool.
//
// # What is told of the server
//
// db.system.name, server.address, server.port unless it is 5432, db.namespace, and the
// name of the pool are those of the data source. User, password and parameters are never
// told, nor is what does not look like a host or the name of a database. With several
// hosts the one that a connection has reached is told.
//
// pq keeps the server's version to itself: it is known with [otelpool.WithServerQuery]
// only. So is after how long the server ends an idle session, unless the data source sets
// idle_session_timeout.
//
// # What pq does not show
//
// pq makes driver.ErrBadConn of an error that ends the session, such as that of a
// server that stops. What is known of it is read from the network: errors of reading and
// writing, and the code of the server's last message if the connection has no TLS. To
// that end the network connection that pq gets is wrapped; pq shows it to nobody.
package otelpq
