package otelpool

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
)

// OpenDB is [sql.OpenDB] with telemetry. The *sql.DB that it returns is the
// standard one, and known to the pool. A nil c makes a DB whose operations fail
// with an error that says so.
func OpenDB(c driver.Connector, opts ...Option) *sql.DB {
	return openDB(newConnector(c, opts))
}

func openDB(c driver.Connector) *sql.DB {
	db := sql.OpenDB(c)
	c.(*connector).db.Store(db)
	return db
}

// NewConnector returns c with telemetry, for those who call sql.OpenDB
// themselves. One connector is one pool: given to two DBs, the numbers are
// those of both together, but what is read of a DB (its limit, which limit closed
// a connection, the waits of plain calls) is that of the one that is watched. A
// nil c makes a connector that fails with an error that says so.
//
// The DB is not known to the pool until it is given to [Watch].
func NewConnector(c driver.Connector, opts ...Option) driver.Connector {
	return newConnector(c, opts)
}

// Watch tells the pool which DB it belongs to, so that the DB's limit can be
// told, and which limit closed a connection. A DB from [Open] or [OpenDB] is
// known already; for one from sql.Open or sql.OpenDB over [Register],
// [NewDriver] or [NewConnector], call Watch once, right after. It reads
// db.Stats at each collection of metrics, and at the next acquire after a limit
// closed a connection.
//
// The error says that db is nil, does not go through otelpool, or that its
// connector already belongs to another DB. Nothing is lost then: all that does
// not depend on the DB is told as before.
func Watch(db *sql.DB) error {
	_, err := watch(db)
	return err
}

func watch(db *sql.DB) (*connector, error) {
	c, err := connectorOf(db)
	if err != nil {
		return nil, err
	}
	if !c.watch(db) {
		return nil, errors.New("otelpool: the connector of this *sql.DB is already watched as that of another")
	}
	return c, nil
}

// connectorOf finds the pool of a DB.
func connectorOf(db *sql.DB) (*connector, error) {
	if db == nil {
		return nil, errors.New("otelpool: the *sql.DB is nil")
	}
	top := db.Driver()
	d := top
	for range maxUnwrap {
		if s, ok := d.(*sqlDriver); ok && s.pool != nil {
			return s.pool, nil
		}
		w, ok := d.(interface{ Unwrap() driver.Driver })
		if !ok {
			break
		}
		d = w.Unwrap()
	}
	return nil, fmt.Errorf("otelpool: this *sql.DB was not opened through otelpool: its driver is a %T", top)
}

// connector is one pool: it dials, and it holds all that the pool's connections
// share.
type connector struct {
	in      driver.Connector
	drv     *sqlDriver
	cfg     config
	name    string
	adapter *adapter
	target  Target
	of      atomic.Pointer[string] // db.system.name, as far as it is known by now

	ledger       *ledger.Ledger
	ins          *instruments
	registration metric.Registration // ends the observation; nil if it was refused

	db    atomic.Pointer[sql.DB] // nil until known
	ended atomic.Bool            // Close was called

	servers   servers
	reasons   reasons
	deaths    deaths
	losses    losses
	inference inference

	exact   atomic.Bool // there is a DB, whose calls have clocks of their own
	maxIdle maxIdle
	dials   dials // in the background

	sweeper sweeper
	// Calls of a DB that got nothing, and those of them whose time was over while the
	// pool had nothing for them; whether the last of these waited for a dial.
	failed, starved atomic.Int64
	starvedDialing  atomic.Bool
	// The longest waits that are over since the last sweep: of those, and of plain
	// acquires that were too long.
	starvedFor, lateWait atomic.Int64

	maxLifetime, maxIdleTime setting

	retriesMu sync.Mutex       // guards retries
	retries   map[string]int64 // masked retries by error.type
}

var (
	_ driver.Connector = (*connector)(nil)
	_ io.Closer        = (*connector)(nil)
)

func newConnector(in driver.Connector, opts []Option) *connector {
	if in == nil {
		in = failing{errors.New("otelpool: the connector is nil")}
	}
	c := &connector{
		in:      in,
		cfg:     newConfig(opts),
		ledger:  ledger.NewLedger(),
		retries: map[string]int64{},
	}
	below := in.Driver()
	c.adapter = &adapter{Adapter: c.cfg.adapter}
	c.target = c.adapter.target(in)
	if c.target.System == "" {
		c.target.System = systemOf(below).Value.AsString()
	}
	c.of.Store(&c.target.System)
	c.drv = newSQLDriver(below, opts)
	c.drv.pool = c
	c.sweeper.wakes = make(chan struct{}, 1)
	c.sweeper.interval = min(sweepInterval, orNever(c.cfg.leakThreshold), orNever(c.cfg.exhaustionThreshold))
	c.sweeper.history.samples.size = maxSamples
	c.sweeper.reports.size = maxReports
	c.deaths.size = maxDeaths
	c.name = poolNames.claim(c, cmp.Or(c.cfg.poolName, c.target.PoolName), c.target.System)
	var err error
	c.ins, c.registration, err = newInstruments(c.cfg, c.target, c.name, c.observe)
	report(err)
	return c
}

func (c *connector) system() string { return *c.of.Load() }

// Driver returns a driver that makes pools like this one, so that what wraps or
// registers DB.Driver() keeps the telemetry. Its Unwrap gives the driver below.
func (c *connector) Driver() driver.Driver { return c.drv }

// Connect dials. It runs on the goroutine of the caller that needs the
// connection, or on database/sql's opener when callers wait for one: that
// connection is nobody's until it is used, and no caller's context is known, so
// its dial is measured but makes no span.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	from, _ := calledFrom(frameConn, frameOpener)
	forCaller := from == frameConn

	k := call{from: ctx, ctx: ctx, span: trace.SpanFromContext(context.Background()), op: opConnect, st: c.ins.none()}
	if forCaller {
		c.ins.begin(&k)
	}
	start := c.ledger.Dialing()
	c.startSweeper()
	var end time.Duration // of the dial
	var rec *ledger.Conn
	err := error(errPanicked)
	f := fault{typ: string(errPanicked), class: ClassOther}
	defer func() {
		if rec == nil {
			end = c.ledger.DialFailed()
			if !forCaller {
				c.dials.fail(err)
			} else if a := c.asking(ctx); a != nil {
				a.dialFailed(end-start, err, f)
			}
		}
		c.ins.finish(&k, end-start, err, f)
	}()
	in, said, err := c.adapter.connect(k.ctx, c.in, c.ledger.Now)
	var server Server
	if err == nil && in != nil && c.adapter.Server != nil {
		end = c.ledger.Now()
		k.over = c.ledger.Time(end, time.Now())
		var alive bool
		if server, alive = c.meet(k.ctx, in, c.cfg.askServer); !alive {
			_ = in.Close()
			if in, said, err = c.adapter.connect(k.ctx, c.in, c.ledger.Now); err == nil && in != nil {
				server, _ = c.meet(k.ctx, in, false)
			} else {
				k.over = time.Time{}
			}
		}
	}
	if err != nil {
		f = c.adapter.dialFault(ctx, err, said)
		if errors.Is(err, driver.ErrBadConn) {
			c.retried(ctx, hop{fault: f})
		}
		return nil, err
	}
	if in == nil {
		return nil, nil // what the driver answered
	}
	var opened time.Duration
	rec, opened = c.ledger.Opened(start)
	if c.adapter.Server == nil {
		end = opened
	}
	cn := newConn(c, in, rec)
	cn.fine, cn.said = opened, said
	c.reach(cn, &k, server)
	c.readLimit()
	if forCaller {
		cn.acquired(ctx, ledger.New, opened, wait{dialed: opened - start})
	} else {
		cn.dialedInBackground()
	}
	return cn.shape(), nil
}

// reach notes which server a connection has reached. If it is another system than it
// was taken for, operations are told as those of that from now on, and if it is
// another server than that of the pool, the spans of the connection say so. The span
// of the dial is still open.
func (c *connector) reach(cn *conn, k *call, s Server) {
	cn.server, cn.elsewhere = s, c.target.reached(s)
	if s.System != "" && s.System != c.system() && c.ins.isOf(s.System) {
		c.of.Store(&s.System)
		k.note(semconv.DBSystemNameKey.String(s.System))
	}
	if cn.elsewhere != nil {
		k.note(cn.elsewhere...)
	}
}

// Close ends the observation of the pool and closes the connector below, if
// that can be closed. database/sql calls it once, from DB.Close. Connections
// that are still held are told as before until they are closed.
func (c *connector) Close() error {
	if c.ended.CompareAndSwap(false, true) {
		s := c.observe()
		c.ins.flush(&s.Snapshot)
		if c.registration != nil {
			report(c.registration.Unregister())
		}
		poolNames.release(c.name)
		c.wake() // for the last time
	}
	if in, ok := c.in.(io.Closer); ok {
		return in.Close()
	}
	return nil
}

// observe reads the pool for a collection.
func (c *connector) observe() observation {
	c.settle()
	o := observation{Snapshot: c.ledger.Snapshot(nil), peak: c.ledger.TakePeak(), max: c.readLimit(), exact: c.exact.Load()}
	c.maxIdle.lower(o.max)
	o.maxIdle, o.maxIdleKnown = c.maxIdle.get()
	return o
}

// retried counts an attempt that failed with driver.ErrBadConn, if database/sql
// makes another. It must run under the call that returns the error.
func (c *connector) retried(ctx context.Context, h hop) {
	if !willRetry() {
		return
	}
	typ := c.ins.retried(ctx, h.fault)
	c.retriesMu.Lock()
	c.retries[typ]++
	c.retriesMu.Unlock()
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		h.tell(span, c.ins.poolName)
	}
	if a := c.asking(ctx); a != nil {
		a.resume(h)
	}
}

func (c *connector) retriesByType() map[string]int64 {
	c.retriesMu.Lock()
	defer c.retriesMu.Unlock()
	return maps.Clone(c.retries)
}

// poolNames keeps the names of open pools apart. It is the one thing that pools
// share: two with the same name would write into the same time series.
var poolNames names

type names struct {
	mu    sync.Mutex // guards taken
	taken map[string]weak.Pointer[connector]
}

// claim returns want, or, if it is empty, fallback, with a number added if that
// is taken.
func (n *names) claim(c *connector, want, fallback string) string {
	if want == "" {
		want = fallback
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.taken == nil {
		n.taken = map[string]weak.Pointer[connector]{}
	}
	name := want
	for i := 2; ; i++ {
		if _, taken := n.taken[name]; !taken {
			break
		}
		name = fmt.Sprintf("%s-%d", want, i)
	}
	n.taken[name] = weak.Make(c)
	return name
}

func (n *names) release(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.taken, name)
}

// open returns the pools that are open, by name. One that was never closed and that
// nobody can reach any more is not among them.
func (n *names) open() []*connector {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*connector
	for _, name := range slices.Sorted(maps.Keys(n.taken)) {
		if c := n.taken[name].Value(); c != nil {
			all = append(all, c)
		}
	}
	return all
}

// failing is a connector that has nothing but an error.
type failing struct{ err error }

func (f failing) Connect(context.Context) (driver.Conn, error) { return nil, f.err }

func (f failing) Driver() driver.Driver { return nil }
