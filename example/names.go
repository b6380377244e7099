package main

// The instruments and attributes of otelpool that the tables in the terminal use.
const (
	metricCount      = "db.client.connection.count"
	metricMax        = "db.client.connection.max"
	metricUseTime    = "db.client.connection.use_time"
	metricWaitTime   = "db.client.connection.wait_time"
	metricCreateTime = "db.client.connection.create_time"
	metricPending    = "db.client.connection.pending_requests"
	metricTimeouts   = "db.client.connection.timeouts"
	metricOperation  = "db.client.operation.duration"
	metricHeld       = "otelpool.connection.held"
	metricOldestHold = "otelpool.connection.oldest_hold"
	metricAcquired   = "otelpool.connection.acquired"
	metricClosed     = "otelpool.connection.closed"
	metricRetries    = "otelpool.connection.retries"
	metricPeak       = "otelpool.connection.peak"
	metricCancels    = "otelpool.connection.cancels"
	metricWaited     = "otelpool.connection.waited"
	metricOldestWait = "otelpool.connection.oldest_wait"

	attrPool      = "db.client.connection.pool.name"
	attrState     = "db.client.connection.state"
	attrPhase     = "otelpool.phase"
	attrSource    = "otelpool.source"
	attrReason    = "otelpool.reason"
	attrErrorType = "error.type"

	stateUsed    = "used"
	stateIdle    = "idle"
	stateDialing = "dialing"

	reasonBad = "bad"
)

// poolName is the name of the service's pool in all telemetry.
const poolName = "notifications"
