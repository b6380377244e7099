package faults_test

import "fmt"

// arrives is why a connection that the other side closed can fail in several ways. The
// driver may find it closed by a check, on a write, or while it waits for the answer, and
// the system may report an end of file or a reset. A driver whose write fails does not
// read the server's last message.
const arrives = "the moment at which a close arrives varies"

// lostIdle returns the outcomes for an idle connection that is broken when the first of
// two queries gets it. The classes differ: the driver has no message from MariaDB.
func lostIdle(mariadb, postgresql string) outcomes {
	// Found before anything was sent: the caller gets no error.
	found := func(class string) string {
		return fmt.Sprintf(`
query: ok
the next: ok
retried bad_connection %[1]s
closed bad %[1]s bad_connection
`, class)
	}
	// Found by the query, of which the server got nothing.
	unsent := func(class string) string {
		return fmt.Sprintf(`
query: ok
the next: ok
failed query bad_connection %[1]s
retried bad_connection %[1]s
closed bad %[1]s bad_connection
`, class)
	}
	// Found by the query, which the server may have run.
	sent := func(err, typ, class string) string {
		return fmt.Sprintf(`
query: %s
the next: ok
failed query %s %[3]s
closed bad %[3]s %[2]s
`, err, typ, class)
	}
	return outcomes{
		"mysql": {found(mariadb), unsent(mariadb), sent("mysql.ErrInvalidConn", "*errors.errorString", mariadb)},
		// pgx pings the connection before its second use.
		"pgx": {found(postgresql)},
		// lib/pq handles a FATAL error of the server as no answer.
		"postgres": {
			unsent(postgresql), sent("*net.OpError ECONNRESET", "*net.OpError", postgresql),
			unsent(unread(postgresql)), sent("*net.OpError ECONNRESET", "*net.OpError", unread(postgresql)),
		},
	}
}

// unread returns the class of a connection whose last message was not read. An idle
// timeout is known without it.
func unread(class string) string {
	if class == "server_idle_timeout" {
		return class
	}
	return "network"
}

// lostHeld returns the outcomes for a sql.Conn that is broken when the first of two
// queries uses it, and for a query on the pool afterwards. code is PostgreSQL's.
func lostHeld(mariadb, postgresql, code string) outcomes {
	// With driver.ErrBadConn, database/sql releases the connection at once.
	bad := func(class string) string {
		return fmt.Sprintf(`
query: driver.ErrBadConn
the next: sql.ErrConnDone
the pool: ok
failed query bad_connection %[1]s
closed bad %[1]s bad_connection
`, class)
	}
	// Otherwise it is kept and fails again. The close has the class of the error that reports
	// more than "bad connection".
	kept := func(err, typ, class string) string {
		last := typ
		if class == "network" {
			last = "bad_connection"
		}
		return fmt.Sprintf(`
query: %s
the next: driver.ErrBadConn
the pool: ok
failed query %s %[3]s
failed query bad_connection %[3]s
closed bad %[3]s %[4]s
`, err, typ, class, last)
	}
	return outcomes{
		"mysql": {bad(mariadb), kept("mysql.ErrInvalidConn", "*errors.errorString", mariadb)},
		"pgx":   {kept("*pgconn.PgError "+code, code, postgresql)},
		"postgres": {
			bad(postgresql), kept("*net.OpError ECONNRESET", "*net.OpError", postgresql),
			bad(unread(postgresql)), kept("*net.OpError ECONNRESET", "*net.OpError", unread(postgresql)),
		},
	}
}

// lostInTransaction returns the outcomes for a transaction whose connection is broken at
// its first statement, for its commit, and for a query on the pool afterwards.
func lostInTransaction(mariadb, postgresql, code string) outcomes {
	o := outcomes{
		"pgx": {fmt.Sprintf(`
exec: *pgconn.PgError %[2]s
commit: *pgconn.connLockError
the pool: ok
failed commit *pgconn.connLockError %[1]s
failed exec %[2]s %[1]s
retried bad_connection %[1]s
closed bad %[1]s %[2]s
`, postgresql, code)},
	}
	for _, e := range []struct{ err, typ string }{
		{"driver.ErrBadConn", "bad_connection"},
		{"mysql.ErrInvalidConn", "*errors.errorString"},
	} {
		o["mysql"] = append(o["mysql"], fmt.Sprintf(`
exec: %s
commit: mysql.ErrInvalidConn
the pool: ok
failed commit *errors.errorString %[3]s
failed exec %[2]s %[3]s
closed bad %[3]s *errors.errorString
`, e.err, e.typ, mariadb))
	}
	for _, e := range []struct{ err, typ, class string }{
		{"driver.ErrBadConn", "bad_connection", postgresql},
		{"*net.OpError ECONNRESET", "*net.OpError", postgresql},
		{"driver.ErrBadConn", "bad_connection", unread(postgresql)},
	} {
		o["postgres"] = append(o["postgres"], fmt.Sprintf(`
exec: %s
commit: driver.ErrBadConn
the pool: ok
failed commit bad_connection %[3]s
failed exec %[2]s %[3]s
closed bad %[3]s %[2]s
`, e.err, e.typ, e.class))
	}
	return o
}
