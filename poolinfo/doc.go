// Package poolinfo holds the values in which otelpool describes a connection pool:
// a [Snapshot] of it, the [Report] of a problem, a [ClosedConn].
//
// They are plain values. Nothing here reads a clock, takes a lock or changes after it
// was returned, and the package imports only the standard library and the span context
// of OpenTelemetry. A program that receives reports or shows snapshots needs no more
// than this package.
//
// [State], [Phase], [Source] and [Reason] are small numbers whose String is the value
// of the attribute of the same name; the zero value is "not known" and has no text. All are
// written to JSON as text, and are not meant to be read back.
// [Class], [Verdict], [ReportKind] and [Cause] are their own text.
package poolinfo
