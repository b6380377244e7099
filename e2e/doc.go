// Package e2e holds the tests that go the whole way: from database/sql through
// otelpool and the OpenTelemetry SDK to the backends that people look at, which are
// the real ones.
package e2e
