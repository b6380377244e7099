package otelmysql

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/otelpool/otelpool"
)

// The values of db.system.name.
const (
	systemMySQL   = "mysql"
	systemMariaDB = "mariadb"
)

// question changes nothing in the session. wait_timeout is the one that counts: the
// server puts interactive_timeout into it for clients that say that they are
// interactive, and the driver never does.
const question = "SELECT VERSION(), @@SESSION.wait_timeout"

// asked is s with what the server answers, or s if it does not. The driver closes a
// connection whose call runs out of time; otelpool then dials another.
func asked(ctx context.Context, c driver.Conn, s otelpool.Server) otelpool.Server {
	q, ok := c.(driver.QueryerContext)
	if !ok {
		return s
	}
	rows, err := q.QueryContext(ctx, question, nil)
	if err != nil {
		return s
	}
	defer func() { _ = rows.Close() }() // what follows finds out
	answer := make([]driver.Value, len(rows.Columns()))
	if rows.Next(answer) != nil || len(answer) != 2 {
		return s
	}
	s.Version = text(answer[0])
	s.System = systemMySQL
	if strings.Contains(strings.ToLower(s.Version), systemMariaDB) {
		s.System = systemMariaDB
	}
	s.IdleTimeout = seconds(text(answer[1]))
	return s
}

// text is a value of a result, which the driver gives as what it parsed, or as bytes
// that are its own until the rows move.
func text(v driver.Value) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}

// idleTimeout is the wait_timeout that the driver sets after each dial, 0 if that is
// none, more than one, or an expression.
func idleTimeout(params map[string]string) time.Duration {
	var d time.Duration
	found := 0
	for name, value := range params {
		switch strings.ToLower(name) {
		case "wait_timeout", "@@wait_timeout", "@@session.wait_timeout", "session wait_timeout":
			d = seconds(value)
			found++
		}
	}
	if found != 1 {
		return 0
	}
	return d
}

// seconds reads a number of seconds, 0 if s is none, or more than the server takes.
func seconds(s string) time.Duration {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxWaitTimeout {
		return 0
	}
	return time.Duration(n) * time.Second
}

// maxWaitTimeout is a year. The server lowers what is above it.
const maxWaitTimeout = 365 * 24 * 60 * 60
