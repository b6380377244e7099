package otelpool

import (
	"database/sql/driver"
	"reflect"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// systems tells db.system.name by the package that the driver's type is declared
// in. What is not listed is other_sql.
var systems = map[string]attribute.KeyValue{
	"github.com/ClickHouse/clickhouse-go":    semconv.DBSystemNameClickHouse,
	"github.com/denisenkom/go-mssqldb":       semconv.DBSystemNameMicrosoftSQLServer,
	"github.com/glebarez/go-sqlite":          semconv.DBSystemNameSQLite,
	"github.com/go-sql-driver/mysql":         semconv.DBSystemNameMySQL,
	"github.com/godror/godror":               semconv.DBSystemNameOracleDB,
	"github.com/googleapis/go-sql-spanner":   semconv.DBSystemNameGCPSpanner,
	"github.com/jackc/pgx":                   semconv.DBSystemNamePostgreSQL,
	"github.com/lib/pq":                      semconv.DBSystemNamePostgreSQL,
	"github.com/mattn/go-sqlite3":            semconv.DBSystemNameSQLite,
	"github.com/microsoft/go-mssqldb":        semconv.DBSystemNameMicrosoftSQLServer,
	"github.com/nakagami/firebirdsql":        semconv.DBSystemNameFirebirdSQL,
	"github.com/ncruces/go-sqlite3":          semconv.DBSystemNameSQLite,
	"github.com/SAP/go-hdb":                  semconv.DBSystemNameSAPHANA,
	"github.com/sijms/go-ora":                semconv.DBSystemNameOracleDB,
	"github.com/trinodb/trino-go-client":     semconv.DBSystemNameTrino,
	"github.com/tursodatabase/libsql-client": semconv.DBSystemNameSQLite,
	"github.com/zombiezen/go-sqlite":         semconv.DBSystemNameSQLite,
	"modernc.org/sqlite":                     semconv.DBSystemNameSQLite,
}

// systemOf returns db.system.name for a driver, looking through wrappers that
// have an Unwrap method.
func systemOf(d driver.Driver) attribute.KeyValue {
	for range maxUnwrap {
		if d == nil {
			break
		}
		if s, ok := systems[rootPackage(d)]; ok {
			return s
		}
		w, ok := d.(interface{ Unwrap() driver.Driver })
		if !ok {
			break
		}
		d = w.Unwrap()
	}
	return semconv.DBSystemNameOtherSQL
}

// rootPackage returns the repository of the package that declares the type of v.
func rootPackage(v any) string {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return repository(t.PkgPath())
}

// repository cuts a package path down to what the table above lists: no vendor
// folder, no major version, no package below the repository.
func repository(path string) string {
	if i := strings.LastIndex(path, "/vendor/"); i >= 0 {
		path = path[i+len("/vendor/"):]
	}
	parts := strings.Split(path, "/")
	n := 2
	if parts[0] == "github.com" {
		n = 3
	}
	return strings.Join(parts[:min(n, len(parts))], "/")
}
