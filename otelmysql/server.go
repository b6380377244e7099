package otelmysql

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// The values of db.system.name.
const (
	systemMySQL   = "mysql"
	systemMariaDB = "mariadb"
)

// serverQuery changes nothing in the session. wait_timeout is the setting that applies:
// the server copies interactive_timeout into it only for interactive clients, and this
// driver never is one.
const serverQuery = "SELECT VERSION(), @@SESSION.wait_timeout"

// queryServer returns the server's answer, empty if there is none. The driver closes a
// connection whose call times out; otelpool then dials another.
func queryServer(ctx context.Context, c driver.Conn) (s poolinfo.Server) {
	q, ok := c.(driver.QueryerContext)
	if !ok {
		return s
	}
	rows, err := q.QueryContext(ctx, serverQuery, nil)
	if err != nil {
		return s
	}
	defer func() { _ = rows.Close() }() // the next call reports the error
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

// text returns a value of a result as a string. The driver gives a parsed value, or bytes
// that are valid only until the rows move.
func text(v driver.Value) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}

// idleTimeout returns the wait_timeout that the driver sets after each dial. It is 0 if
// there is none, more than one, or an expression.
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

// seconds parses a number of seconds. It is 0 if s is not a number, or is more than the
// server allows.
func seconds(s string) time.Duration {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxWaitTimeout {
		return 0
	}
	return time.Duration(n) * time.Second
}

// maxWaitTimeout is a year. The server lowers larger values to it.
const maxWaitTimeout = 365 * 24 * 60 * 60
