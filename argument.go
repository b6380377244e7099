package otelpool

import (
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/otelpool/otelpool/internal/query"
	"github.com/otelpool/otelpool/internal/telemetry"
)

// setArguments puts the arguments of a statement on its span, with WithQueryParameters.
func (p *pool) setArguments(call *telemetry.Call, args []driver.NamedValue) {
	if !p.cfg.arguments || !call.WantsAttributes() {
		return
	}
	attrs := make([]attribute.KeyValue, len(args))
	for i, arg := range args {
		key := arg.Name
		if key == "" {
			key = strconv.Itoa(arg.Ordinal - 1)
		}
		attrs[i] = attribute.String("db.query.parameter."+key, query.Cut(argumentText(arg.Value), p.cfg.query.MaxText))
	}
	call.SetAttributes(attrs...)
}

// argumentText is the text of an argument. Of a type that only the driver knows it is the name of
// the type: the type may have methods, which are not ours to call.
func argumentText(v driver.Value) string {
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

// affectedRows returns the number of rows that an exec has changed, if the driver knows. It calls
// the driver as the program would, on the same goroutine.
func affectedRows(res driver.Result) (n int64, ok bool) {
	defer func() { _ = recover() }() // a program that does not call RowsAffected would never know
	n, err := res.RowsAffected()
	return n, err == nil && n >= 0
}
