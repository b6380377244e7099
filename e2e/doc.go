// Package e2e holds the end-to-end tests: from database/sql through otelpool and the
// OpenTelemetry SDK to real backends.
package e2e
