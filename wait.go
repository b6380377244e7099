package otelpool

import (
	"database/sql"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/otelpool/otelpool/internal/ledger"
	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// plainWaits infers the waits of a plain *sql.DB. database/sql waits before it calls a driver, and
// adds the wait to DBStats.WaitDuration just before it resets the connection that the caller got.
// So the sum is read when a connection is released, and when the same connection is reset: in
// between it has grown by the wait of the caller who has it now, and of others whose waits ended at
// the same time. What was attributed to one caller is not given to the next.
//
// Where a connection is free nobody waits, and nothing is read. That a connection is not held does
// not mean that it is free: see [ledger.Ledger.MayWait].
//
// DBStats takes the lock of the DB. That is safe in IsValid, ResetSession, Connect and a call of a
// driver: database/sql does not hold that lock there, and nobody who holds it waits for the lock of
// a connection that is in use, which is the one held there. It is not safe under Close: see
// closeReasons.
type plainWaits struct {
	ledger *ledger.Ledger
	db     *atomic.Pointer[sql.DB]

	limit      atomic.Int64 // DBStats.MaxOpenConnections, when last read
	looks      atomic.Int64 // releases at which the limit might have been lowered
	attributed atomic.Int64 // the WaitDuration up to which waits were attributed
}

// waitBaseline is what a connection knows of the waits since it was released, or dialed in the
// background.
type waitBaseline struct {
	known  bool          // it was read whether somebody waits
	queued bool          // somebody may have been waiting
	waited time.Duration // WaitDuration then
	grown  time.Duration // what of its growth is the wait of the next caller, once that is there
}

// maxOpen is the limit of open connections, 0 if there is none, or the DB is not known.
func (w *plainWaits) maxOpen() int {
	if db := w.db.Load(); db != nil {
		return db.Stats().MaxOpenConnections
	}
	return 0
}

// readLimit notes the limit of the pool, and returns it. The program may change it at any time, so
// it is read at each dial and at each collection, and now and then: see mayWait.
func (w *plainWaits) readLimit() int {
	limit := w.maxOpen()
	w.limit.Store(int64(limit))
	return limit
}

// mayWait reports whether somebody may be waiting for the connection that is released. Where no
// connection is free and the limit that is known says nobody, the limit may have been lowered
// meanwhile: it is read anew at the first such releases, and then at each sixteenth.
func (w *plainWaits) mayWait() bool {
	limit := w.limit.Load()
	if w.ledger.MayWait(limit) {
		return true
	}
	if w.ledger.AnyFree() {
		return false
	}
	if n := w.looks.Add(1); n > 16 && n%16 != 0 {
		return false
	}
	w.readLimit()
	now := w.limit.Load()
	return now != limit && w.ledger.MayWait(now)
}

// halfHeld reports whether half of the connections that there may be are held, more more than now.
func (w *plainWaits) halfHeld(more int64) bool {
	limit := w.limit.Load()
	return limit > 0 && 2*(w.ledger.Held()+more) >= limit
}

// attribute attributes the growth from the baseline to the present level to one caller, as far as
// it was not attributed to another.
func (w *plainWaits) attribute(baseline, level time.Duration) time.Duration {
	for {
		before := w.attributed.Load()
		if int64(level) <= before {
			return 0
		}
		if w.attributed.CompareAndSwap(before, int64(level)) {
			return level - max(baseline, time.Duration(before))
		}
	}
}

// set reads what is needed to infer the wait of the next caller, if one may be waiting. It runs
// before the connection is released. hasSpan is whether the holder's span records.
func (b *waitBaseline) set(p *pool, rec *ledger.Conn, hasSpan bool) {
	*b = waitBaseline{}
	db := p.db.Load()
	if db == nil || !hasSpan && !p.telemetry.WantsWaits() {
		return
	}
	b.known = true
	if !p.waits.mayWait() {
		return
	}
	unheld := p.ledger.Unheld()
	s := db.Stats()
	p.waits.limit.Store(int64(s.MaxOpenConnections))
	if s.Idle > 0 || s.OpenConnections < s.MaxOpenConnections {
		p.ledger.AllReplaced()
		if int64(s.Idle) >= unheld {
			p.ledger.NoDoubt()
		}
		return
	}
	b.queued, b.waited = true, s.WaitDuration
	rec.Doubt()
}

// setForOpener does the same for a connection that the opener dialed, for a caller that waits.
func (b *waitBaseline) setForOpener(p *pool, rec *ledger.Conn) {
	rec.Doubt()
	if db := p.db.Load(); db != nil {
		*b = waitBaseline{known: true, queued: true, waited: db.Stats().WaitDuration}
	}
}

// read reads by how much the waits have grown when the next caller has the connection.
func (b *waitBaseline) read(w *plainWaits) {
	b.grow(w, w.db.Load().Stats().WaitDuration)
}

// readOwn does the same for a caller with a clock of its own, which was in the queue for a time:
// that is taken out for the others, and nothing is read.
func (b *waitBaseline) readOwn(w *plainWaits, queued time.Duration) { b.grow(w, b.waited+queued) }

func (b *waitBaseline) grow(w *plainWaits, level time.Duration) {
	b.queued = false
	b.grown = w.attribute(b.waited, level)
}

// infer completes w, of which dialed and reset are known, with the time in the queue. It reports
// false if that cannot be known.
func (b *waitBaseline) infer(p *pool, rec *ledger.Conn, span trace.Span, s poolinfo.Source, now time.Duration, w *telemetry.Wait) bool {
	if p.db.Load() == nil || !b.known && s != poolinfo.SourceNew {
		return false
	}
	queued := b.grown
	if queued > 0 {
		// Nobody waits for longer than the operation has existed that needs the connection. Its
		// span knows since when that is.
		if started, ok := telemetry.StartTime(span); ok {
			queued = max(0, min(queued, p.ledger.Time(now, time.Now()).Sub(started)-w.Reset))
		}
	}
	w.Total = queued + w.Dialed + w.Reset
	if s == poolinfo.SourceOpener {
		w.Dialed = dialedWithin(rec, now-w.Total, now)
	}
	return true
}

// dialedWithin is how much of the time from begin to end the dial took that made the connection.
func dialedWithin(rec *ledger.Conn, begin, end time.Duration) time.Duration {
	from, to := rec.Dialed()
	return max(0, min(to, end)-max(from, begin))
}
