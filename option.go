package otelpool

import (
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// defaultHoldSpanThreshold is how long a connection must be held to get a hold
// span unless [WithHoldSpanThreshold] says otherwise.
const defaultHoldSpanThreshold = time.Second

// defaultAcquireSpanThreshold is how long an acquire must take to get a span of
// its own unless [WithAcquireSpanThreshold] says otherwise.
const defaultAcquireSpanThreshold = time.Millisecond

// Option changes what otelpool does. All entrances of the package take the same
// options; of two that contradict each other the later wins.
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// config is what the options of one pool add up to. It is built once, when the
// pool is made, and only read afterwards.
type config struct {
	tracerProvider       trace.TracerProvider
	meterProvider        metric.MeterProvider
	poolName             string
	attributes           []attribute.KeyValue
	acquireSpanThreshold time.Duration
	holdSpanThreshold    time.Duration
	callers              bool
}

func newConfig(opts []Option) config {
	c := config{
		acquireSpanThreshold: defaultAcquireSpanThreshold,
		holdSpanThreshold:    defaultHoldSpanThreshold,
		callers:              true,
	}
	for _, o := range opts {
		if o != nil {
			o.apply(&c)
		}
	}
	if c.tracerProvider == nil {
		c.tracerProvider = otel.GetTracerProvider()
	}
	if c.meterProvider == nil {
		c.meterProvider = otel.GetMeterProvider()
	}
	return c
}

// WithTracerProvider makes spans with p. Without it, and with a nil p, the
// global provider is used: the one that is set when the pool is made, or, if
// none is set by then, the one that is set later.
func WithTracerProvider(p trace.TracerProvider) Option {
	return optionFunc(func(c *config) {
		if p != nil {
			c.tracerProvider = p
		}
	})
}

// WithMeterProvider records metrics with p. Without it, and with a nil p, the
// global provider is used, as in [WithTracerProvider].
func WithMeterProvider(p metric.MeterProvider) Option {
	return optionFunc(func(c *config) {
		if p != nil {
			c.meterProvider = p
		}
	})
}

// WithPoolName sets db.client.connection.pool.name, the attribute that tells one
// pool's numbers from another's. The default is the name of the database system.
//
// The name is unique among the pools that are open in the process: where it is
// taken, "-2", "-3" and so on is added to it. A name is free again after
// DB.Close. An empty name is ignored.
func WithPoolName(name string) Option {
	return optionFunc(func(c *config) {
		if name != "" {
			c.poolName = name
		}
	})
}

// WithAttributes adds attributes to every span and every metric of the pool.
// Their values are part of the identity of each time series, so they must not
// vary while the program runs. Used several times, it adds up. An attribute that
// otelpool sets itself cannot be replaced.
func WithAttributes(attrs ...attribute.KeyValue) Option {
	// The caller keeps its slice; ours must not change with it.
	attrs = append([]attribute.KeyValue(nil), attrs...)
	return optionFunc(func(c *config) {
		c.attributes = append(c.attributes, attrs...)
	})
}

// WithHoldSpanThreshold sets how long a connection must have been held for its
// hold to become a span, made when the connection is given back. The default is
// one second. Zero makes a span of every hold, a negative value of none.
func WithHoldSpanThreshold(d time.Duration) Option {
	return optionFunc(func(c *config) { c.holdSpanThreshold = d })
}

// WithAcquireSpanThreshold sets how long a caller must have waited for its
// connection, dialing included, for the acquire to become a span of its own. The
// default is one millisecond. Zero makes a span of every acquire, a negative
// value of none. An acquire that fails is a span however short it was, unless
// the value is negative; only a [DB] knows of those. Under a caller's span that
// was not sampled there is none.
func WithAcquireSpanThreshold(d time.Duration) Option {
	return optionFunc(func(c *config) { c.acquireSpanThreshold = d })
}

// WithoutCallers does not note where connections are asked for. Without it the
// calls of a [DB] note up to eight callers, which takes about 0.3 us, so that an
// [AcquireError] can name the lines of those who hold the connections. Calls that
// give the connection back by themselves, such as Exec and QueryRow, do so only if
// half of the pool is held.
func WithoutCallers() Option {
	return optionFunc(func(c *config) { c.callers = false })
}
