// Package otelpostgres has nothing but two folders: what otelpool knows of PostgreSQL
// is in otelpgx, for pgx's database/sql driver, and in otelpq, for lib/pq. They are apart
// so that a program is built with the driver that it uses, and not with the other, and
// named so that either can stand beside the driver's own package.
package otelpostgres
