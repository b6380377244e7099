// Package libraries holds what other libraries ask of a *sql.DB against
// [otelpool.DB]: sqlc's DBTX, squirrel's runners, goqu's SQLDatabase, gorm's
// ConnPool and TxBeginner, and those interfaces of sqlx that do not name sqlx's
// own types. Each is the interface of the real library, and each library then
// works on SQLite: the pool must have timed the acquires that it made, once each,
// and no others. They are a module of their own because otelpool itself requires
// none of these libraries.
//
// What is not a test here is what the tests share. Those of gorm are in a package
// of their own: its dialect brings a driver that takes the name "sqlite", as does
// modernc.org/sqlite, which the others use.
//
// Package items is the work of sqlc v1.31.1, from sqlc.yaml, schema.sql and
// query.sql. To make it again, in this folder:
//
//	CGO_ENABLED=0 go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate
//
// sqlc is not one of the tools, nor run by go generate: it brings the parsers of
// three databases, for files that change when one of those three does.
package libraries
