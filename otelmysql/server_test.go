package otelmysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/otelpool/otelpool/poolinfo"
)

// server is a connection that answers the query, once, with one row.
type server struct {
	driver.Conn // nil: no other method may be called
	row         []driver.Value
	err         error
	queries     []string
	closed      int
}

func (s *server) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	s.queries = append(s.queries, query)
	if s.err != nil {
		return nil, s.err
	}
	return s, nil
}

func (s *server) Columns() []string { return make([]string, len(s.row)) }

func (s *server) Next(dest []driver.Value) error {
	if len(s.row) == 0 {
		return io.EOF
	}
	copy(dest, s.row)
	return nil
}

// Close overwrites the bytes, as a driver that reuses them may.
func (s *server) Close() error {
	s.closed++
	for _, v := range s.row {
		if b, ok := v.([]byte); ok {
			clear(b)
		}
	}
	return nil
}

func TestServer_SendsNothingUnlessAllowedToQuery(t *testing.T) {
	s := &server{row: []driver.Value{"11.4.2-MariaDB", int64(60)}}
	if got := (&adapter{}).server(s); got != (poolinfo.Server{}) || s.queries != nil {
		t.Errorf("%+v after %q", got, s.queries)
	}
}

func TestServer_ParsesTheAnswerToTheQuery(t *testing.T) {
	for _, tc := range []struct {
		name string
		row  []driver.Value
		err  error
		want poolinfo.Server
	}{
		{"MariaDB", []driver.Value{[]byte("10.11.19-MariaDB-0+deb12u1"), int64(28800)}, nil, poolinfo.Server{
			System: "mariadb", Version: "10.11.19-MariaDB-0+deb12u1", IdleTimeout: 8 * time.Hour,
		}},
		{"MySQL", []driver.Value{[]byte("8.4.6"), []byte("60")}, nil, poolinfo.Server{System: "mysql", Version: "8.4.6", IdleTimeout: time.Minute}},
		{"TiDB", []driver.Value{"8.0.11-TiDB-v8.5.0", "0"}, nil, poolinfo.Server{System: "mysql", Version: "8.0.11-TiDB-v8.5.0"}},
		{"no time-out", []driver.Value{"8.4.6", nil}, nil, poolinfo.Server{System: "mysql", Version: "8.4.6"}},
		{"one column", []driver.Value{"8.4.6"}, nil, poolinfo.Server{}},
		{"no row", nil, nil, poolinfo.Server{}},
		{"an error", nil, errors.New("no"), poolinfo.Server{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &server{row: tc.row, err: tc.err}
			if got := queryServer(t.Context(), s); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if len(s.queries) != 1 {
				t.Errorf("queries: %q", s.queries)
			}
			if want := len(s.queries); tc.err == nil && s.closed != want {
				t.Errorf("the rows were closed %d times", s.closed)
			}
		})
	}
}

func TestServer_ReturnsTheIdleTimeoutOfADialOnce(t *testing.T) {
	a := &adapter{}
	s := &server{}
	a.idleTimeouts.Store(driver.Conn(s), time.Minute)
	for _, want := range []poolinfo.Server{{IdleTimeout: time.Minute}, {}} {
		if got := a.server(s); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}
