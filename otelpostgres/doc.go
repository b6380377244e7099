// Package otelpostgres only holds two packages: otelpgx is the adapter for pgx's
// database/sql driver, and otelpq the one for lib/pq. They are separate so that a program
// links only the driver that it uses. Their names do not collide with those of the
// drivers' own packages.
package otelpostgres
