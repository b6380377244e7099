package benchmarks

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"testing"
)

// A Bench is one peer doing one operation in one mode.
type Bench struct {
	Op   Op
	Mode Mode
	Peer Peer
}

// A session is a pool of a peer, warm, and the operation over it.
type session struct {
	db        *sql.DB
	providers providers
	call      call
}

// open makes the pool and opens more connections than will be in use at once:
// no operation then waits for a connection, dials one, or takes the last.
func (b Bench) open() (*session, error) {
	return b.openWith(b.Mode.providers())
}

func (b Bench) openWith(p providers) (*session, error) {
	db, err := b.Peer.open(p)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", b.Peer.Name, err)
	}
	limit := 2*runtime.GOMAXPROCS(0) + 2
	db.SetMaxOpenConns(limit)
	db.SetMaxIdleConns(limit)
	s := &session{db: db, providers: p}
	if err := s.warm(runtime.GOMAXPROCS(0) + 1); err != nil {
		return nil, err
	}
	if !b.Peer.floor {
		s.call, err = b.Op.plain(db)
		return s, err
	}
	f, err := newFloor(p)
	if err != nil {
		return nil, err
	}
	s.call, err = b.Op.told(db, f)
	return s, err
}

func (s *session) warm(conns int) error {
	held := make([]*sql.Conn, conns)
	for i := range held {
		c, err := s.db.Conn(context.Background())
		if err != nil {
			return err
		}
		held[i] = c
	}
	for _, c := range held {
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Run does the operation tb.N times, in turn or on all processors at once.
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
