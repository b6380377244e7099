package benchmarks

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"runtime"
	"testing"
)

// A Bench measures one peer with one operation in one mode.
type Bench struct {
	Op   Op
	Mode Mode
	Peer Peer
}

// A session is a pool of a peer and an operation on it.
type session struct {
	db        *sql.DB
	providers providers
	call      call
}

// open makes the pool and opens more connections than will be in use at once, so that
// no operation waits, dials, or acquires the last connection.
func (b Bench) open() (*session, error) {
	return b.openWith(b.Mode.providers())
}

func (b Bench) openWith(p providers) (*session, error) {
	s, err := b.Peer.session(nopConnector{}, p, 2*runtime.GOMAXPROCS(0)+2)
	if err != nil {
		return nil, err
	}
	release, err := s.hold(runtime.GOMAXPROCS(0) + 1)
	if err != nil {
		return nil, err
	}
	if err := release(); err != nil {
		return nil, err
	}
	s.call, err = b.Peer.do(b.Op, s.db, p)
	return s, err
}

// session makes a pool of at most limit connections, without an operation.
func (p Peer) session(c driver.Connector, from providers, limit int) (*session, error) {
	db, err := p.open(c, from)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p.Name, err)
	}
	db.SetMaxOpenConns(limit)
	db.SetMaxIdleConns(limit)
	return &session{db: db, providers: from}, nil
}

// hold acquires conns connections at once. release returns them.
func (s *session) hold(conns int) (release func() error, err error) {
	held := make([]*sql.Conn, conns)
	for i := range held {
		if held[i], err = s.db.Conn(context.Background()); err != nil {
			return nil, err
		}
	}
	return func() error {
		for _, c := range held {
			if err := c.Close(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// Run runs the operation tb.N times, in one goroutine or in parallel.
func (b Bench) Run(tb *testing.B, parallel bool) {
	tb.ReportAllocs()
	s, err := b.open()
	if err != nil {
		tb.Fatal(err)
	}
	defer s.db.Close()
	if !parallel {
		c := newCaller(s.providers)
		defer c.end()
		for tb.Loop() {
			if _, err := s.call(c.context()); err != nil {
				tb.Fatal(err)
			}
		}
		return
	}
	tb.ResetTimer()
	tb.RunParallel(func(pb *testing.PB) {
		c := newCaller(s.providers)
		defer c.end()
		for pb.Next() {
			if _, err := s.call(c.context()); err != nil {
				tb.Error(err)
				return
			}
		}
	})
}
