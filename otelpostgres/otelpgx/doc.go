// Package otelpgx is what otelpool knows of github.com/jackc/pgx/v5/stdlib: where a
// data source leads and which of its hosts was reached, what an error means, and what
// happened to a connection of which pgx only says that it is bad.
//
//	db, err := otelpgx.Open(dsn)
//
// is [otelpool.Open] with all of it. [OpenDB] and [NewConnector] take a
// configuration, [WithAdapter] brings it to the other entrances of otelpool, and
// [Connector] does so for what stdlib's own options change. pgx does what it does
// without: tracers, hooks and dials are those of the configuration, and the network
// connection is not wrapped.
//
// # What is told of the server
//
// db.system.name, server.address, server.port unless it is 5432, db.namespace, and the
// name of the pool are those of the data source. User, password and parameters are never
// told, nor is what does not look like a host or the name of a database. With several
// hosts the one that a connection has reached is told, by the name that the
// configuration has for it.
//
// The version is known without asking. After how long the server ends an idle session is
// known if the data source sets idle_session_timeout, and else with
// [otelpool.WithServerQuery].
//
// # What pgx does not show
//
// A connection that comes back with an open transaction, and one that is used while
// its rows are open, are given up without an error that anybody could see.
package otelpgx
