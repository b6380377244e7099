// Package libraries holds what other libraries ask of a *sql.DB against
// [otelpool.DB]: sqlc's DBTX, squirrel's runners, goqu's SQLDatabase, gorm's
// ConnPool and TxBeginner, and those interfaces of sqlx that do not name sqlx's
// own types. Each is the interface of the real library, and each library then
// works on SQLite: the pool must have timed the acquires that it made, once each,
// and no others. They are a module of their own because otelpool itself requires
// none of these libraries.
//
// The README has a line for each library, ent and bun among them, by which it gets its
// pool. These lines are run too, word by word, and make the library wait for its
// connection.
//
// What is not a test here is what the tests share. Those of gorm are in a package
// of their own: its dialect brings a driver that takes the name "sqlite", as does
// modernc.org/sqlite, which the others use.
//
// Folder shop has a web shop that runs through sqlc, gorm, ent and sqlx on a real
// MariaDB and a real PostgreSQL, and shows what is told of the statements that
// these libraries make.
//
// Packages items, mariadb and postgresql are the work of sqlc v1.31.1, from
// sqlc.yaml and the schemas and queries that it names. To make them again, in this
// folder:
//
//	CGO_ENABLED=0 go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate
//
// Package ent and what is below it is the work of ent, from package schema, in the
// version that go.mod has. To make it again:
//
//	GOWORK=off go run -mod=mod entgo.io/ent/cmd/ent generate --feature sql/execquery ./shop/ent/schema
//	find shop/ent -name '*.go' | xargs gofumpt -w
//	GOWORK=off go mod tidy
//
// Neither is one of the tools, nor run by go generate: sqlc brings the parsers of
// three databases, and ent its own command line, for files that change when one of
// those does.
package libraries
