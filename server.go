package otelpool

import (
	"cmp"
	"context"
	"database/sql/driver"
	"math"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// serverQueryTimeout is how long the query of [WithServerQuery] may take. A driver
// may close the connection of a query that took longer.
const serverQueryTimeout = time.Second

// maxVersions bounds for how many versions of the server its answer is kept, and
// answerAge for how long: another server of the same version may answer otherwise.
const (
	maxVersions = 16
	answerAge   = time.Minute
)

// servers is what is known of those that the pool has reached.
type servers struct {
	mu    sync.Mutex // guards what follows
	last  Server
	asked map[string]answer // by the version that was known before
}

// answer is what a server has told.
type answer struct {
	Server
	at time.Duration // when it was asked
}

// meet learns what it can of the server at the other end of a new connection. It
// reports false if the connection was lost by asking. It must not be called without
// Adapter.Server.
func (c *connector) meet(ctx context.Context, in driver.Conn, ask bool) (s Server, alive bool) {
	s = c.adapter.server(ctx, in, false)
	alive = true
	if now := c.ledger.Now(); ask && c.servers.claim(s.Version, now) {
		asking, cancel := context.WithTimeout(ctx, serverQueryTimeout)
		more := c.adapter.server(asking, in, true)
		gaveUp := asking.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil: // that one's caller went away
			c.servers.giveUp(s.Version)
		case gaveUp: // a driver closes a connection that it stops to wait for
			alive = false
			c.servers.stop(s.Version)
		default:
			c.servers.learn(s.Version, more, now)
		}
	}
	s = c.servers.complete(s)
	c.servers.met(s)
	return s, alive
}

// claim reports whether a server of the version is to be asked now, which nobody
// else does then.
func (s *servers) claim(version string, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.asked[version]
	if ok && now-known.at < answerAge || !ok && len(s.asked) >= maxVersions {
		return false
	}
	if s.asked == nil {
		s.asked = map[string]answer{}
	}
	known.at = now // what is known holds until there is an answer
	s.asked[version] = known
	return true
}

func (s *servers) learn(version string, one Server, now time.Duration) {
	s.mu.Lock()
	s.asked[version] = answer{one, now}
	s.mu.Unlock()
}

// stop keeps servers of the version from being asked again.
func (s *servers) stop(version string) {
	s.mu.Lock()
	s.asked[version] = answer{s.asked[version].Server, math.MaxInt64}
	s.mu.Unlock()
}

func (s *servers) giveUp(version string) {
	s.mu.Lock()
	delete(s.asked, version)
	s.mu.Unlock()
}

func (s *servers) met(one Server) {
	s.mu.Lock()
	s.last = one
	s.mu.Unlock()
}

// latest returns the server that the last connection has reached.
func (s *servers) latest() Server {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	return s.complete(last)
}

// complete adds what a server of the same version has told.
func (s *servers) complete(one Server) Server {
	s.mu.Lock()
	told := s.asked[one.Version].Server
	s.mu.Unlock()
	return Server{
		System:      cmp.Or(told.System, one.System),
		Version:     cmp.Or(told.Version, one.Version),
		Address:     one.Address,
		Port:        one.Port,
		IdleTimeout: cmp.Or(one.IdleTimeout, told.IdleTimeout),
	}
}

// attributes are those of operations.
func (t Target) attributes() []attribute.KeyValue {
	attrs := addressAttributes(t.Address, t.Port)
	if t.Namespace != "" {
		attrs = append(attrs, semconv.DBNamespace(t.Namespace))
	}
	return attrs
}

// reached returns the attributes of a server that is not the one of the target, nil
// if it is.
func (t Target) reached(s Server) []attribute.KeyValue {
	if s.Address == "" || s.Address == t.Address && s.Port == t.Port {
		return nil
	}
	return addressAttributes(s.Address, s.Port)
}

func addressAttributes(address string, port int) []attribute.KeyValue {
	var attrs []attribute.KeyValue
	if address != "" {
		attrs = append(attrs, semconv.ServerAddress(address))
	}
	if port != 0 {
		attrs = append(attrs, semconv.ServerPort(port))
	}
	return attrs
}

// subject is what is told of operations, which depends on the database system.
type subject struct {
	statements *statements
	none       *statement // of an operation that has no text
}

// subjects are those of one pool, by system. There is one, unless the servers turn
// out to be what the driver was not written for, as MariaDB.
type subjects struct {
	cfg  config
	base []attribute.KeyValue // of every operation, but for the system

	mu    sync.Mutex // guards what follows
	known map[string]*subject
}

// maxSubjects bounds how many systems one pool tells apart.
const maxSubjects = 4

// isOf tells operations as those of a database system from now on. It reports false
// if there were too many of them.
func (in *instruments) isOf(system string) bool {
	all := &in.subjects
	all.mu.Lock()
	defer all.mu.Unlock()
	s := all.known[system]
	if s == nil {
		if len(all.known) >= maxSubjects {
			return false
		}
		statements := newStatements(all.cfg, with(all.base, semconv.DBSystemNameKey.String(system)), system)
		s = &subject{
			statements: statements,
			none:       &statement{start: clientSpan(statements.base), series: statements.nothing},
		}
		if all.known == nil {
			all.known = map[string]*subject{}
		}
		all.known[system] = s
	}
	in.subject.Store(s)
	return true
}

// none is what is told of an operation that has no text.
func (in *instruments) none() *statement { return in.subject.Load().none }
