package otelpool

import (
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/otelpool/otelpool/internal/query"
)

// noteArgs notes the arguments of a statement, with WithQueryParameters.
func (c *conn) noteArgs(k *call, args []driver.NamedValue) {
	if !c.pool.cfg.arguments || !k.wantsNotes() {
		return
	}
	attrs := make([]attribute.KeyValue, len(args))
	for i, arg := range args {
		key := arg.Name
		if key == "" {
			key = strconv.Itoa(arg.Ordinal - 1)
		}
		attrs[i] = attribute.String("db.query.parameter."+key, query.Cut(spell(arg.Value), c.pool.cfg.query.MaxText))
	}
	k.note(attrs...)
}

// spell writes an argument. A type that only the driver knows is told by its name:
// it may have methods, which are not ours to call.
func spell(v driver.Value) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		return strings.ToValidUTF8(v, "\uFFFD")
	case []byte:
		return strings.ToValidUTF8(string(v), "\uFFFD")
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case int64, float64, bool:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%T", v)
}

// noteAffected notes how many rows an exec has changed, if the driver knows. It
// asks as the program would, on the same goroutine, and only for a span that is
// recorded, or may be: see Hooks.Keep.
func (c *conn) noteAffected(k *call, res driver.Result, err error) {
	if err != nil || res == nil || !k.wantsNotes() {
		return
	}
	defer func() { _ = recover() }() // a program that does not ask would never know
	if n, err := res.RowsAffected(); err == nil && n >= 0 {
		e := c.events()
		e.affected[0] = keyAffected.Int64(n)
		k.note(e.affected[:]...)
	}
}
