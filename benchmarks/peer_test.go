package benchmarks

import (
	"context"
	"testing"
)

// each runs a test for every peer, operation and mode that is measured.
func each(t *testing.T, test func(*testing.T, Bench)) {
	t.Helper()
	for _, op := range Ops {
		for _, mode := range Modes {
			for _, peer := range Peers {
				if peer.In(mode) {
					t.Run(op.Name+"/"+mode.Name+"/"+peer.Name, func(t *testing.T) {
						test(t, Bench{op, mode, peer})
					})
				}
			}
		}
	}
}

func (b Bench) start(t *testing.T, p providers) *session {
	t.Helper()
	s, err := b.openWith(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestPeers_ReturnTheExpectedResult(t *testing.T) {
	each(t, func(t *testing.T, b Bench) {
		s := b.start(t, b.Mode.providers())
		c := newCaller(s.providers)
		defer c.end()
		for range 2 {
			got, err := s.call(c.context())
			if err != nil {
				t.Fatal(err)
			}
			if got != b.Op.want {
				t.Errorf("the operation returned %d, want %d", got, b.Op.want)
			}
		}
	})
}

func TestPeers_ReleaseTheConnection(t *testing.T) {
	each(t, func(t *testing.T, b Bench) {
		s := b.start(t, b.Mode.providers())
		if _, err := s.call(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n := s.db.Stats().InUse; n != 0 {
			t.Errorf("%d connections are in use", n)
		}
	})
}
