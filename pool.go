package otelpool

import (
	"cmp"
	"database/sql"
	"database/sql/driver"
	"sync/atomic"
	"time"

	"github.com/otelpool/otelpool/internal/driverinfo"
	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/monitor"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// pool is what the connections of one connector share: it wires the parts.
//
//	conn, stmt, rows, tx   record   moments in the ledger, facts in telemetry
//	acquire, waits         measure  how long a call of a DB, and of a plain *sql.DB, waited
//	reasons                finds    why a connection was closed
//	monitor                reads    the ledger, and makes reports of telemetry
//	Inspect, Pools         read     the ledger and the monitor
//
// The order of locks: while a lock is held, only those below it are taken.
//
//	database/sql.driverConn       held by database/sql while a driver is called
//	closeReasons.mu               held while DBStats is read
//	database/sql.DB.mu            taken by DB.Stats and most other methods
//	monitor.distributions.mu      held while histograms are read
//	ledger.Ledger.mu              held while the connections are read
//	ledger.Conn.mu                one connection at a time
//
// The rest are leaves: while one is held, no lock of this list is taken.
//
//	backgroundDials.mu driverNotice.mu names.mu
//	ledger.doubt.mu ledger.retries.mu ledger.sites.mu ledger.waits.mu
//	driverinfo.Servers.mu monitor.leaks.mu monitor.losses.mu monitor.ring.mu query.Cache.mu
//	telemetry.acquireCounter.mu telemetry.failures.mu telemetry.statements.mu telemetry.systems.mu
//
// No driver, function of the program or instrument is called while one of these is held. The one
// thing that waits for a driver is a second Open of the same data source: see sqlDriver.Open.
//
// database/sql may hold DB.mu while it calls the driver's Conn.Close or Stmt.Close, and its own
// Stmt.Close waits for driverConn while it holds DB.mu. So under these two calls neither
// closeReasons.mu nor DB.mu is taken, except for a connection that was about to be handed out: no
// goroutine waits for its driverConn. See closeReasons.
type pool struct {
	cfg     config
	name    string
	target  poolinfo.Target
	adapter *adapter

	ledger    *ledger.Ledger
	telemetry *telemetry.Telemetry
	monitor   *monitor.Monitor

	waits   plainWaits
	reasons closeReasons
	servers driverinfo.Servers
	dials   backgroundDials
	limits  limits

	db     atomic.Pointer[sql.DB] // nil until it is known
	hasDB  atomic.Bool            // there is a [DB], whose calls have clocks of their own
	closed atomic.Bool            // DB.Close was called
}

// poolNames keeps the names of open pools apart. It is the one thing that pools share: two with the
// same name would write into the same time series.
var poolNames names[pool]

// newPool makes the pool of a connector and its driver. A collection may read it as soon as its
// telemetry is made, and [Pools] may as soon as its name is published, which is the last step.
func newPool(inner driver.Connector, below driver.Driver, cfg config) *pool {
	p := &pool{cfg: cfg, adapter: &adapter{Adapter: cfg.adapter}, ledger: ledger.New()}
	p.waits.ledger, p.waits.db = p.ledger, &p.db
	p.reasons.ledger, p.reasons.db, p.reasons.closed = p.ledger, &p.db, &p.closed
	p.target = p.adapter.target(inner)
	if p.target.System == "" {
		p.target.System = driverinfo.SystemOf(below)
	}
	p.name = poolNames.claim(cmp.Or(cfg.poolName, p.target.PoolName), p.target.System)
	var err error
	p.telemetry, err = newTelemetry(&p.cfg, p.name, p.target, p.ledger, p.observe)
	telemetry.Handle(err)
	p.monitor = monitor.New(monitor.Config{
		PoolName: p.name, Ledger: p.ledger, Telemetry: p.telemetry, DB: p.db.Load, HasDB: p.hasDB.Load,
		CallSites: cfg.callSites, LeakThreshold: cfg.leakThreshold, ExhaustionThreshold: cfg.exhaustionThreshold, OnReport: cfg.reports,
	})
	p.reasons.telemetry, p.reasons.monitor = p.telemetry, p.monitor
	poolNames.publish(p.name, p)
	return p
}

// close ends the observation of the pool. Connections that are still held are recorded until they
// are closed.
func (p *pool) close() {
	if p.closed.CompareAndSwap(false, true) {
		p.monitor.Close() // first: no report of a pool that is closed
		s := p.observe()
		p.telemetry.Close(&s.Snapshot)
		poolNames.release(p.name)
	}
}

// observe reads the pool for a collection.
func (p *pool) observe() telemetry.Observation {
	p.reasons.resolve()
	o := telemetry.Observation{
		Snapshot: p.ledger.Snapshot(nil), Peak: p.ledger.TakePeak(), MaxOpen: p.waits.readLimit(), HasDB: p.hasDB.Load(),
	}
	p.limits.maxIdle.lower(o.MaxOpen)
	o.MaxIdle = p.limits.maxIdle.get()
	return o
}

// capturesCallSite reports whether an acquire of a plain *sql.DB captures its call site. To walk
// through database/sql up to the program takes more than all the rest of an acquire. So it is done
// where the connection is one of the upper half of the pool, and for a while after a connection was
// held for long without a call site: it is there for who runs the pool dry, and costs nothing in a
// pool half of which is free.
func (p *pool) capturesCallSite(now time.Duration) bool {
	return p.cfg.callSites && (p.waits.halfHeld(1) || p.monitor.Capturing(now))
}
