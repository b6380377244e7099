package telemetry

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/poolinfo"
)

// Attributes that the semantic conventions do not have.
const (
	keyOperation   = attribute.Key("otelpool.operation")
	keyPhase       = attribute.Key("otelpool.phase")
	keySource      = attribute.Key("otelpool.source")
	keyReason      = attribute.Key("otelpool.reason")
	keyConnID      = attribute.Key("otelpool.connection.id")
	keyReset       = attribute.Key("otelpool.reset_time")
	keyHeld        = attribute.Key("otelpool.held")
	keyWaitTime    = attribute.Key("otelpool.wait_time")
	keyWaiters     = attribute.Key("otelpool.waiters")
	keyWaited      = attribute.Key("otelpool.waited")
	keyWaitQueued  = attribute.Key("otelpool.wait.queued")
	keyWaitDialed  = attribute.Key("otelpool.wait.dialed")
	keyWaitReset   = attribute.Key("otelpool.wait.reset")
	keyWaitRetried = attribute.Key("otelpool.wait.retried")
	keyOpenTime    = attribute.Key("otelpool.rows.open_time")
	keyAffected    = attribute.Key("otelpool.rows_affected")
	keyVerdict     = attribute.Key("otelpool.verdict")
	keyLeak        = attribute.Key("otelpool.leak")
	keyReport      = attribute.Key("otelpool.report")
	keyIdle        = attribute.Key("otelpool.idle")
	keyOldestWait  = attribute.Key("otelpool.oldest_wait")
	keyClass       = attribute.Key("otelpool.class")
	keyAge         = attribute.Key("otelpool.age")
	keyUses        = attribute.Key("otelpool.uses")
)

// The names of the events on the caller's span, and of the spans of a long acquire and
// a long hold.
const (
	eventAcquired  = "otelpool.connection.acquired"
	eventReleased  = "otelpool.connection.released"
	eventRetried   = "otelpool.connection.retried"
	eventClosed    = "otelpool.connection.closed"
	eventRows      = "otelpool.rows.closed"
	eventLeak      = "otelpool.connection.leak"
	eventExhausted = "otelpool.pool.exhausted"
	spanAcquire    = "acquire"
	spanHold       = "hold"
)

// heldKeys are the attributes of a hold span that say how it was spent.
var heldKeys = [ledger.NumPhases]attribute.Key{
	poolinfo.PhaseExecuting: keyHeld + ".executing",
	poolinfo.PhaseRows:      keyHeld + ".rows",
	poolinfo.PhaseTx:        keyHeld + ".tx",
	poolinfo.PhasePinned:    keyHeld + ".pinned",
}

// connID is the attribute of a connection's number.
func connID(id uint64) attribute.KeyValue {
	return keyConnID.Int64(int64(id)) //nolint:gosec // a count of connections stays far below 2^63
}

// targetAttributes are the attributes of operations on a target.
func targetAttributes(t poolinfo.Target) []attribute.KeyValue {
	attrs := AddressAttributes(t.Address, t.Port)
	if t.Namespace != "" {
		attrs = append(attrs, semconv.DBNamespace(t.Namespace))
	}
	return attrs
}

// AddressAttributes are the attributes of a server's address, as far as it is known.
func AddressAttributes(address string, port int) []attribute.KeyValue {
	var attrs []attribute.KeyValue
	if address != "" {
		attrs = append(attrs, semconv.ServerAddress(address))
	}
	if port != 0 {
		attrs = append(attrs, semconv.ServerPort(port))
	}
	return attrs
}

// with returns a new list: base and more.
func with(base []attribute.KeyValue, more ...attribute.KeyValue) []attribute.KeyValue {
	return append(base[:len(base):len(base)], more...)
}

func recordOptions(attrs []attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

func addOptions(attrs []attribute.KeyValue) []metric.AddOption {
	return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

func observeOptions(attrs []attribute.KeyValue) []metric.ObserveOption {
	return []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

// clientSpan returns the start options of an operation's span.
func clientSpan(attrs []attribute.KeyValue) []trace.SpanStartOption {
	return []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...)}
}
