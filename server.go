package otelpool

import (
	"cmp"
	"context"
	"database/sql/driver"
	"math"
	"sync"
	"time"

	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
	"go.opentelemetry.io/otel/attribute"
)

// serverQueryTimeout is how long the query of [WithServerQuery] may take. A driver may close the
// connection of a query that took longer.
const serverQueryTimeout = time.Second

// maxVersions bounds for how many versions of the server its answer is kept, and answerAge for how
// long: another server of the same version may answer otherwise.
const (
	maxVersions = 16
	answerAge   = time.Minute
)

// servers is what is known of the servers that the pool has reached.
type servers struct {
	mu      sync.Mutex // guards what follows
	last    poolinfo.Server
	answers map[string]answer // by the version that was known before
}

// answer is the answer of a server to the query.
type answer struct {
	poolinfo.Server
	at time.Duration // when it was queried
}

// probe learns what it can of the server at the other end of a new connection, with a query if that
// is allowed and due. It reports false if the connection was lost by the query.
func (all *servers) probe(ctx context.Context, a *adapter, inner driver.Conn, mayQuery bool, now time.Duration) (s poolinfo.Server, alive bool) {
	s = a.server(inner)
	alive = true
	if mayQuery && a.QueryServer != nil && all.claim(s.Version, now) {
		queryCtx, cancel := context.WithTimeout(ctx, serverQueryTimeout)
		more := a.queryServer(queryCtx, inner)
		timedOut := queryCtx.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil: // the caller canceled
			all.unclaim(s.Version)
		case timedOut: // a driver closes a connection that it stops to wait for
			alive = false
			all.stop(s.Version)
		default:
			all.setAnswer(s.Version, more, now)
		}
	}
	s = all.complete(s)
	all.setLast(s)
	return s, alive
}

// claim reports whether a server of the version is to be queried now; no other dial queries it
// then.
func (all *servers) claim(version string, now time.Duration) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	known, ok := all.answers[version]
	if ok && now-known.at < answerAge || !ok && len(all.answers) >= maxVersions {
		return false
	}
	if all.answers == nil {
		all.answers = map[string]answer{}
	}
	known.at = now // what is known stays until there is an answer
	all.answers[version] = known
	return true
}

func (all *servers) setAnswer(version string, one poolinfo.Server, now time.Duration) {
	all.mu.Lock()
	all.answers[version] = answer{one, now}
	all.mu.Unlock()
}

// stop keeps servers of the version from being queried again.
func (all *servers) stop(version string) {
	all.mu.Lock()
	all.answers[version] = answer{all.answers[version].Server, math.MaxInt64}
	all.mu.Unlock()
}

func (all *servers) unclaim(version string) {
	all.mu.Lock()
	delete(all.answers, version)
	all.mu.Unlock()
}

func (all *servers) setLast(one poolinfo.Server) {
	all.mu.Lock()
	all.last = one
	all.mu.Unlock()
}

// latest returns the server that the last connection has reached.
func (all *servers) latest() poolinfo.Server {
	all.mu.Lock()
	last := all.last
	all.mu.Unlock()
	return all.complete(last)
}

// complete adds the answer of a server of the same version.
func (all *servers) complete(one poolinfo.Server) poolinfo.Server {
	all.mu.Lock()
	answer := all.answers[one.Version].Server
	all.mu.Unlock()
	return poolinfo.Server{
		System:      cmp.Or(answer.System, one.System),
		Version:     cmp.Or(answer.Version, one.Version),
		Address:     one.Address,
		Port:        one.Port,
		IdleTimeout: cmp.Or(one.IdleTimeout, answer.IdleTimeout),
	}
}

// serverAttributes are the attributes of a server that is not the one of the target, nil if it is.
func serverAttributes(t poolinfo.Target, s poolinfo.Server) []attribute.KeyValue {
	if s.Address == "" || s.Address == t.Address && s.Port == t.Port {
		return nil
	}
	return telemetry.AddressAttributes(s.Address, s.Port)
}
