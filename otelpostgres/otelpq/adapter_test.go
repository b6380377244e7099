package otelpq

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/lib/pq"

	"github.com/otelpool/otelpool/internal/target"
	"github.com/otelpool/otelpool/otelpostgres/internal/setting"
	"github.com/otelpool/otelpool/poolinfo"
)

// dsns are data sources with their targets. Every secret, and every text that may be taken
// for one, contains the letters qqq.
var dsns = []struct {
	dsn  string
	want poolinfo.Target
}{
	{"host=db dbname=shop", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"", poolinfo.Target{System: "postgresql", Address: "localhost", PoolName: "localhost:5432"}},
	{"postgresql://db:5433/shop?sslmode=disable", poolinfo.Target{System: "postgresql", Address: "db", Port: 5433, Namespace: "shop", PoolName: "db:5433/shop"}},
	{"postgres://[::1]:5433/shop", poolinfo.Target{System: "postgresql", Address: "::1", Port: 5433, Namespace: "shop", PoolName: "[::1]:5433/shop"}},
	{"host=/var/run/postgresql dbname=shop", poolinfo.Target{
		System: "postgresql", Address: "/var/run/postgresql/.s.PGSQL.5432", Namespace: "shop", PoolName: "/var/run/postgresql/.s.PGSQL.5432/shop",
	}},
	{"host=@pg port=5433 dbname=shop", poolinfo.Target{
		System: "postgresql", Address: "@pg/.s.PGSQL.5433", Namespace: "shop", PoolName: "@pg/.s.PGSQL.5433/shop",
	}},
	{"host=a,b dbname=shop", poolinfo.Target{System: "postgresql", Namespace: "shop", PoolName: "a:5432,b:5432/shop"}},
	{"host=a,/tmp port=1,2 dbname=shop", poolinfo.Target{System: "postgresql", Namespace: "shop", PoolName: "a:1,/tmp/.s.PGSQL.2/shop"}},
	{"host=db hostaddr=10.0.0.7 dbname=shop", poolinfo.Target{System: "postgresql", Address: "10.0.0.7", Namespace: "shop", PoolName: "10.0.0.7:5432/shop"}},
	{"x", poolinfo.Target{System: "postgresql"}},

	{"postgres://qqqu:qqqp@db/shop", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"postgres://qqqu:qqq%40%2F%3A%3F%25qqq@db/shop", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"postgres://qqqu:qqq@qqq@db/shop", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"host=db user=qqqu password='qqq @:/%?\\' qqq' dbname=shop", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"host=db dbname=shop search_path=qqqv application_name=qqqv options='-c x=qqqv'", poolinfo.Target{
		System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop",
	}},
	{"postgres://db/shop?password=qqqp&user=qqqu&x=qqqv", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"host=qqqu:qqqp@db dbname=shop", poolinfo.Target{System: "postgresql", Namespace: "shop"}},
	{"host=db,qqq@b dbname=shop", poolinfo.Target{System: "postgresql", Namespace: "shop"}},
	{"postgres://u:12/qqq@db/shop", poolinfo.Target{System: "postgresql"}},
}

// clearEnvironment unsets the variables that pq reads.
func clearEnvironment(tb testing.TB) {
	tb.Helper()
	for _, name := range []string{
		"PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGOPTIONS", "PGSERVICE", "PGSSLMODE", "PGTARGETSESSIONATTRS",
	} {
		tb.Setenv(name, "") // restores it at the end
		if err := os.Unsetenv(name); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestTarget_IsReadFromTheDataSource(t *testing.T) {
	clearEnvironment(t)
	a := &adapter{}
	for _, tc := range dsns {
		t.Run(tc.dsn, func(t *testing.T) {
			c, err := a.connector(&pq.Driver{}, tc.dsn)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.target(c); got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
			cfg, err := pq.NewConfig(tc.dsn)
			if err != nil {
				return
			}
			c, err = configured(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.target(c); got != tc.want {
				t.Errorf("configuration: got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
	// A configuration that a program builds itself.
	c, err := configured(pq.Config{Hostaddr: netip.MustParseAddr("::1"), Port: 5432, Database: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := a.target(c), (poolinfo.Target{System: "postgresql", Address: "::1", Namespace: "shop", PoolName: "[::1]:5432/shop"}); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestOpen_ReportsABadDataSourceAtTheFirstUse(t *testing.T) {
	clearEnvironment(t)
	for _, dsn := range []string{"qqq", "postgres://u:qqq@h:x/", "host=db sslmode=x", "host=a,b port=1,2,3"} {
		_, want := pq.Driver{}.Open(dsn)
		a := &adapter{}
		c, err := a.connector(pq.Driver{}, dsn)
		if err != nil {
			t.Fatal(err)
		}
		_, got := a.connect(t.Context(), c, func(error) {})
		if want == nil || got == nil || reflect.TypeOf(got) != reflect.TypeOf(want) || got.Error() != want.Error() {
			t.Errorf("%q: %#v, want %#v", dsn, got, want)
		}
		db, err := Open(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if got := db.PingContext(t.Context()); got == nil || got.Error() != want.Error() {
			t.Errorf("%q: %v, want %v", dsn, got, want)
		}
		_ = db.Close()
	}
}

func TestAdapter_IgnoresOtherDrivers(t *testing.T) {
	a := &adapter{}
	if c, err := a.connector(other{}, "host=db"); c != nil || err != nil {
		t.Errorf("connector: %v, %v", c, err)
	}
	if got, want := a.target(other{}), (poolinfo.Target{}); got != want {
		t.Errorf("target: %+v, want %+v", got, want)
	}
	if _, err := a.connect(t.Context(), other{}, nil); !errors.Is(err, errOther) {
		t.Errorf("connect: %v, want %v", err, errOther)
	}
	if got := a.server(nil); got != (poolinfo.Server{}) {
		t.Errorf("server: %+v", got)
	}
	if got := queryServer(t.Context(), nil); got != (poolinfo.Server{}) {
		t.Errorf("queryServer: %+v", got)
	}
}

var errOther = errors.New("another driver")

// other is a driver that is not pq's, and its connector.
type other struct{}

func (other) Open(string) (driver.Conn, error) { return nil, errOther }

func (other) Connect(context.Context) (driver.Conn, error) { return nil, errOther }

func (o other) Driver() driver.Driver { return o }

// backend starts a PostgreSQL server that accepts every login and then calls play. It
// returns its port.
func backend(t *testing.T, play func(b *pgproto3.Backend)) int {
	t.Helper()
	clearEnvironment(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var playing sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		playing.Wait()
	})
	playing.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			playing.Go(func() { serve(c, play) })
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}

func serve(c net.Conn, play func(b *pgproto3.Backend)) {
	defer c.Close()
	b := pgproto3.NewBackend(c, c)
	m, err := b.ReceiveStartupMessage()
	if _, cancel := m.(*pgproto3.CancelRequest); cancel || err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "15.18"})
	b.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() == nil {
		play(b)
	}
}

// waitForTerminate never answers.
func waitForTerminate(b *pgproto3.Backend) {
	for {
		m, err := b.Receive()
		if _, terminated := m.(*pgproto3.Terminate); terminated || err != nil {
			return
		}
	}
}

// dialed connects through an adapter, by a data source name and by a configuration.
func dialed(t *testing.T, a *adapter, dsn string, onNotice func(error)) map[string]driver.Conn {
	t.Helper()
	cfg, err := pq.NewConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	byConfig, err := configured(cfg)
	if err != nil {
		t.Fatal(err)
	}
	conns := map[string]driver.Conn{}
	for name, c := range map[string]driver.Connector{"config": byConfig, "name": dataSource(&pq.Driver{}, dsn)} {
		dc, err := a.connect(t.Context(), c, onNotice)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = dc.Close() }) // often for a second time
		conns[name] = dc
	}
	return conns
}

func TestServer_ReturnsTheHostOfTheConnection(t *testing.T) {
	port := backend(t, waitForTerminate)
	free := backend(t, waitForTerminate)
	for _, tc := range []struct {
		dsn  string
		want poolinfo.Server
	}{
		{"host=127.0.0.1 port=" + strconv.Itoa(port), poolinfo.Server{}},
		{"host=localhost,127.0.0.1 port=" + strconv.Itoa(port), poolinfo.Server{Address: "localhost", Port: port}},
		{"host=/nonexistent,127.0.0.1 port=" + strconv.Itoa(port), poolinfo.Server{Address: "127.0.0.1", Port: port}},
		{"host=127.0.0.1,127.0.0.1 port=" + strconv.Itoa(free) + "," + strconv.Itoa(port), poolinfo.Server{Address: "127.0.0.1", Port: free}},
		{"host=127.0.0.1 idle_session_timeout=2s port=" + strconv.Itoa(port), poolinfo.Server{IdleTimeout: 2 * time.Second}},
		{"host=127.0.0.1 options='-c idle_session_timeout=3s' port=" + strconv.Itoa(port), poolinfo.Server{IdleTimeout: 3 * time.Second}},
	} {
		a := &adapter{}
		for by, c := range dialed(t, a, tc.dsn+" sslmode=disable", func(error) {}) {
			if got := a.server(c); got != tc.want {
				t.Errorf("%s, by %s: got %+v, want %+v", tc.dsn, by, got, tc.want)
			}
			if got := a.server(c); got != (poolinfo.Server{}) {
				t.Errorf("%s, by %s, a second time: %+v", tc.dsn, by, got)
			}
		}
	}
}

func TestServer_QueriesWithOneMessage(t *testing.T) {
	port := backend(t, func(b *pgproto3.Backend) {
		m, err := b.Receive()
		if q, ok := m.(*pgproto3.Query); err != nil || !ok || q.String != setting.ServerQuery {
			t.Errorf("the server was sent %#v, %v", m, err)
			return
		}
		b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
			{Name: []byte("a"), DataTypeOID: 25}, {Name: []byte("b"), DataTypeOID: 25},
		}})
		b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("15.18"), []byte("90s")}})
		b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if err := b.Flush(); err != nil {
			t.Error(err)
		}
		waitForTerminate(b)
	})
	a := &adapter{}
	for by, c := range dialed(t, a, "host=127.0.0.1 sslmode=disable port="+strconv.Itoa(port), func(error) {}) {
		if got, want := queryServer(t.Context(), c), (poolinfo.Server{Version: "15.18", IdleTimeout: 90 * time.Second}); got != want {
			t.Errorf("by %s: got %+v, want %+v", by, got, want)
		}
	}
}

// describe formats an error with all its fields.
func describe(err error) string { return fmt.Sprintf("%#v", err) }

func TestConnect_ReportsWhyAConnectionEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		play func(b *pgproto3.Backend)
		want error
	}{
		{"a fatal error", func(b *pgproto3.Backend) {
			if _, err := b.Receive(); err == nil {
				b.Send(&pgproto3.ErrorResponse{
					Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P05", Message: "secret", Detail: "secret", Hint: "secret",
				})
				_ = b.Flush() // a failure fails the test
			}
		}, &pq.Error{Severity: "FATAL", Code: "57P05"}},
		{"end of file", func(b *pgproto3.Backend) { _, _ = b.Receive() }, io.EOF},
		{"an error that is not fatal", func(b *pgproto3.Backend) {
			if _, err := b.Receive(); err == nil {
				b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "42601", Message: "secret"})
				b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
				_ = b.Flush() // a failure fails the test
				waitForTerminate(b)
			}
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			port := backend(t, tc.play)
			var got []string
			conns := dialed(t, &adapter{}, "host=127.0.0.1 sslmode=disable port="+strconv.Itoa(port), func(err error) {
				got = append(got, describe(err))
			})
			for by, c := range conns {
				got = nil
				if err := c.(driver.Pinger).Ping(t.Context()); !errors.Is(err, driver.ErrBadConn) {
					t.Errorf("by %s: ping: %v", by, err)
				}
				_ = c.Close()
				var want []string
				if tc.want != nil {
					want = append(want, describe(tc.want))
				}
				if !slices.Equal(got, want) {
					t.Errorf("by %s: notices %s, want %s", by, got, want)
				}
			}
		})
	}
}

func TestFatalError_FindsAFatalMessage(t *testing.T) {
	message := func(fields string) []byte {
		size := len(fields) + 5
		return append([]byte{'E', 0, 0, byte(size >> 8), byte(size)}, fields+"\x00"...)
	}
	fatal := "SFATAL\x00VFATAL\x00C57P01\x00Msecret\x00"
	want := &pq.Error{Severity: "FATAL", Code: "57P01"}
	for name, tc := range map[string]struct {
		data []byte
		want error
	}{
		"a fatal error":           {message(fatal), want},
		"with more after it":      {append(message(fatal), 'Z'), want},
		"with others before it":   {append(append([]byte("T\x00\x00\x00\x06xy"), message("VERROR\x00C57014\x00")...), message(fatal)...), want},
		"with a part before it":   {append([]byte("T\x00\x00\xff\x06xy"), message(fatal)...), nil},
		"in another language":     {message("STÖDLICH\x00VFATAL\x00C57P01\x00"), want},
		"of an old server":        {message("SFATAL\x00C57P01\x00"), want},
		"a panic":                 {message("VPANIC\x00C57P02\x00"), &pq.Error{Severity: "PANIC", Code: "57P02"}},
		"an error":                {message("VERROR\x00C57P01\x00"), nil},
		"no code":                 {message("VFATAL\x00"), nil},
		"an invalid code":         {message("VFATAL\x00Csecret\x00"), nil},
		"nothing":                 {nil, nil},
		"an empty message":        {message(""), nil},
		"a part of it":            {message(fatal)[:20], nil},
		"less than a header":      {message(fatal)[:4], nil},
		"a row":                   {append([]byte{'D'}, message(fatal)[1:]...), nil},
		"an invalid length":       {[]byte{'E', 0, 0, 0, 0, 'V'}, nil},
		"a length that is absurd": {append([]byte{'E', 255, 255, 255, 255}, fatal...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fatalError(tc.data); describe(got) != describe(tc.want) {
				t.Errorf("got %s, want %s", describe(got), describe(tc.want))
			}
		})
	}
}

func TestConnect_ReportsNothingForAFailedDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	clearEnvironment(t)
	c := dataSource(&pq.Driver{}, "host=127.0.0.1 sslmode=disable port="+strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	if _, err := (&adapter{}).connect(t.Context(), c, func(err error) { t.Errorf("notice %v", err) }); err == nil {
		t.Error("connect: no error")
	}
}

func TestDial_BehavesAsTheDialerOfPq(t *testing.T) {
	port := backend(t, waitForTerminate)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	d := &dial{}
	for name, open := range map[string]func() (net.Conn, error){
		"Dial":        func() (net.Conn, error) { return d.Dial("tcp", address) },
		"DialTimeout": func() (net.Conn, error) { return d.DialTimeout("tcp", address, time.Minute) },
		"DialContext": func() (net.Conn, error) { return d.DialContext(t.Context(), "tcp", address) },
	} {
		c, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := c.(*conn); !ok {
			t.Errorf("%s: a %T", name, c)
		}
		_ = c.Close()
	}
	if _, err := d.DialTimeout("tcp", address, -1); !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		t.Errorf("no time: %v", err)
	}
	// A dial that cancels a statement is not wrapped.
	d.end()
	c, err := d.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.(*net.TCPConn); !ok {
		t.Errorf("after the dial: a %T", c)
	}
	_ = c.Close()
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestClassify_ReturnsTheClassOfErrorsOfPq(t *testing.T) {
	for err, want := range map[error]poolinfo.Class{
		pq.ErrSSLNotSupported:                        poolinfo.ClassTLS,
		pq.ErrInFailedTransaction:                    poolinfo.ClassFailedTransaction,
		errors.New(queryInProgress):                  poolinfo.ClassBusyConnection,
		errors.Join(errOther, pq.ErrSSLNotSupported): poolinfo.ClassTLS,

		// The root package classifies these, or nothing does.
		&pq.Error{Code: "53300"}: "",
		(*pq.Error)(nil):         "",
		driver.ErrBadConn:        "",
		io.EOF:                   "",
		errOther:                 "",
	} {
		if got := classify(err); got != (poolinfo.ErrorInfo{Class: want}) {
			t.Errorf("%T: %+v, want class %q", err, got, want)
		}
	}
	if got := classify(nil); got != (poolinfo.ErrorInfo{}) {
		t.Errorf("nil: %+v", got)
	}
}

func TestClassify_KnowsTheErrorOfPqForABusyConnection(t *testing.T) {
	port := backend(t, func(b *pgproto3.Backend) {
		if _, err := b.Receive(); err != nil {
			return
		}
		b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("a"), DataTypeOID: 25}}})
		b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("x")}})
		_ = b.Flush() // a failure fails the test
		waitForTerminate(b)
	})
	for by, c := range dialed(t, &adapter{}, "host=127.0.0.1 sslmode=disable port="+strconv.Itoa(port), func(error) {}) {
		q := c.(driver.QueryerContext)
		if _, err := q.QueryContext(t.Context(), "x", nil); err != nil {
			t.Fatal(err)
		}
		_, err := q.QueryContext(t.Context(), "y", nil)
		if got, want := classify(err), (poolinfo.ErrorInfo{Class: poolinfo.ClassBusyConnection}); got != want {
			t.Errorf("by %s: %v: %+v, want %+v", by, err, got, want)
		}
	}
}

// FuzzTarget_HasHostsAndDatabaseOnly builds the expected target from nothing but the hosts
// and the database that pq parses.
func FuzzTarget_HasHostsAndDatabaseOnly(f *testing.F) {
	clearEnvironment(f)
	for _, tc := range dsns {
		f.Add(tc.dsn)
	}
	for _, dsn := range []string{
		"postgres://user:s3cr3t@db:5432/shop?sslmode=disable", "postgres://user:s3@cr3t@db/shop", "postgres://us@er:s3/cr3t@a,b/shop",
		"host=db user=user password='s3 cr3t' dbname=shop", "host=/tmp password=s3cr3t", "postgres:///shop?host=s3cr3t",
	} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		if strings.Contains(strings.ToLower(dsn), "serv") {
			return // names a file
		}
		cfg, err := pq.NewConfig(dsn)
		if err != nil {
			return
		}
		c, err := configured(cfg)
		if err != nil {
			return
		}
		got := c.target()
		all := hosts(cfg)
		want := poolinfo.Target{System: "postgresql"}
		if got.Namespace != "" {
			want.Namespace = cfg.Database
		}
		if got.PoolName != "" {
			var names []string
			seen := map[target.Host]bool{}
			for _, h := range all {
				if !seen[h] {
					names = append(names, h.String())
				}
				seen[h] = true
			}
			want.PoolName = strings.Join(names, ",")
			if got.Namespace != "" {
				want.PoolName += "/" + cfg.Database
			}
			if len(seen) == 1 {
				want.Address, want.Port = target.ServerAttributes(all[0], defaultPort)
			}
		}
		if got != want {
			t.Errorf("%q: got %+v, want %+v", dsn, got, want)
		}
		if strings.ContainsAny(strings.TrimPrefix(got.Address, "@")+got.Namespace, "@?=&\x00\n") {
			t.Errorf("%q gives %+v", dsn, got)
		}
	})
}
