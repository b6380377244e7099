package faults_test

import "fmt"

// arrives is why a connection that the other side has ended can fail in several
// ways. The driver may find the end when it looks, when it writes, or when it waits
// for the answer, and the system may tell it of the end or of a reset. A driver that
// is told when it writes does not read why any more.
const arrives = "the end of a connection arrives in its own time"

// lostIdle is what comes of an idle connection of the pool that is dead when the
// first of two queries gets it. The class is one for MariaDB, which goes without a
// word that the driver would hand on, and one for PostgreSQL.
func lostIdle(mariadb, postgresql string) outcomes {
	// Found before anything was sent: the caller sees nothing.
	found := func(class string) string {
		return fmt.Sprintf(`
query: ok
the next: ok
retried bad_connection %[1]s
closed bad %[1]s bad_connection
`, class)
	}
	// Found by the query, of which the server cannot have seen anything.
	unsent := func(class string) string {
		return fmt.Sprintf(`
query: ok
the next: ok
failed query bad_connection %[1]s
retried bad_connection %[1]s
closed bad %[1]s bad_connection
`, class)
	}
	// Found by the query, which may have been carried out.
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
		// The connection is pinged before it is used for the second time.
		"pgx": {found(postgresql)},
		// Here a FATAL of the server is as good as no answer.
		"postgres": {
			unsent(postgresql), sent("*net.OpError ECONNRESET", "*net.OpError", postgresql),
			unsent(unread(postgresql)), sent("*net.OpError ECONNRESET", "*net.OpError", unread(postgresql)),
		},
	}
}

// unread is the class of a connection whose last words were not read. That it was
// idle for too long is known without them.
func unread(class string) string {
	if class == "server_idle_timeout" {
		return class
	}
	return "network"
}

// lostHeld is what comes of a sql.Conn that is dead when the first of two queries
// uses it, and of a query on the pool after it. PostgreSQL has a code for it.
func lostHeld(mariadb, postgresql, code string) outcomes {
	// The connection is given back at once, as driver.ErrBadConn is database/sql's to
	// see.
	bad := func(class string) string {
		return fmt.Sprintf(`
query: driver.ErrBadConn
the next: sql.ErrConnDone
the pool: ok
failed query bad_connection %[1]s
closed bad %[1]s bad_connection
`, class)
	}
	// It is not, and fails once more. What said more than that the connection is no
	// more is what it died of.
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

// lostInTransaction is what comes of a transaction whose connection is dead when it
// runs its first statement, of its commit, and of a query on the pool after it.
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
