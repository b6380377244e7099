package otelpool

import (
	"cmp"
	"context"
	"database/sql/driver"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// serverQueryTimeout is how long the query of [WithServerQuery] may take. A driver
// may close the connection of a query that took longer.
const serverQueryTimeout = time.Second

// maxVersions bounds for how many versions of the server its time-out is kept.
const maxVersions = 16

// servers is what is known of those that the pool has reached.
type servers struct {
	mu    sync.Mutex // guards what follows
	last  Server
	asked map[string]time.Duration // idle time-outs, by the version that was known before
}

// meet learns what it can of the server at the other end of a new connection. It
// must not be called without Adapter.Server.
func (c *connector) meet(ctx context.Context, in driver.Conn) Server {
	s := c.adapter.server(ctx, in, false)
	if c.cfg.askServer && c.servers.claim(s.Version) {
		asking, cancel := context.WithTimeout(ctx, serverQueryTimeout)
		more := c.adapter.server(asking, in, true)
		cancel()
		if ctx.Err() != nil && more.IdleTimeout == 0 {
			c.servers.giveUp(s.Version) // that one's caller went away
		} else {
			c.servers.learn(s.Version, more.IdleTimeout)
		}
		s = Server{
			System:      cmp.Or(more.System, s.System),
			Version:     cmp.Or(more.Version, s.Version),
			Address:     cmp.Or(more.Address, s.Address),
			Port:        cmp.Or(more.Port, s.Port),
			IdleTimeout: cmp.Or(more.IdleTimeout, s.IdleTimeout),
		}
	}
	c.servers.met(s)
	return s
}

// claim reports whether a server of the version is to be asked now, which nobody
// else does then.
func (s *servers) claim(version string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.asked[version]; ok || len(s.asked) >= maxVersions {
		return false
	}
	if s.asked == nil {
		s.asked = map[string]time.Duration{}
	}
	s.asked[version] = 0
	return true
}

func (s *servers) learn(version string, idle time.Duration) {
	s.mu.Lock()
	s.asked[version] = idle
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

// complete adds the idle time-out that another server of the same version has told.
func (s *servers) complete(one Server) Server {
	if one.IdleTimeout == 0 {
		s.mu.Lock()
		one.IdleTimeout = s.asked[one.Version]
		s.mu.Unlock()
	}
	return one
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
