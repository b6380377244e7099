// Package driverinfo is what is known of each driver, as a table. No driver is imported.
package driverinfo

import (
	"database/sql/driver"
	"reflect"
	"strings"
)

// maxUnwrap is how many wrappers are looked through. It ends the search in one that unwraps
// to itself.
const maxUnwrap = 32

// driverSystems is db.system.name, as in the semantic conventions 1.43, by the package that
// the driver's type is declared in. What is not listed is other_sql.
var driverSystems = map[string]string{
	"github.com/ClickHouse/clickhouse-go":    "clickhouse",
	"github.com/denisenkom/go-mssqldb":       "microsoft.sql_server",
	"github.com/glebarez/go-sqlite":          "sqlite",
	"github.com/go-sql-driver/mysql":         "mysql",
	"github.com/godror/godror":               "oracle.db",
	"github.com/googleapis/go-sql-spanner":   "gcp.spanner",
	"github.com/jackc/pgx":                   "postgresql",
	"github.com/lib/pq":                      "postgresql",
	"github.com/mattn/go-sqlite3":            "sqlite",
	"github.com/microsoft/go-mssqldb":        "microsoft.sql_server",
	"github.com/nakagami/firebirdsql":        "firebirdsql",
	"github.com/ncruces/go-sqlite3":          "sqlite",
	"github.com/SAP/go-hdb":                  "sap.hana",
	"github.com/sijms/go-ora":                "oracle.db",
	"github.com/trinodb/trino-go-client":     "trino",
	"github.com/tursodatabase/libsql-client": "sqlite",
	"github.com/zombiezen/go-sqlite":         "sqlite",
	"modernc.org/sqlite":                     "sqlite",
}

// SystemOf returns db.system.name for a driver, looking through wrappers that
// have an Unwrap method.
func SystemOf(d driver.Driver) string {
	for range maxUnwrap {
		if d == nil {
			break
		}
		if s, ok := driverSystems[rootPackage(d)]; ok {
			return s
		}
		w, ok := d.(interface{ Unwrap() driver.Driver })
		if !ok {
			break
		}
		d = w.Unwrap()
	}
	return "other_sql"
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
