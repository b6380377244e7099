package otelpgx

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/stdlib"

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
	{"postgres://db/shop", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"postgresql://db:5433/shop?sslmode=disable", poolinfo.Target{System: "postgresql", Address: "db", Port: 5433, Namespace: "shop", PoolName: "db:5433/shop"}},
	{"postgres://[::1]:5433/shop", poolinfo.Target{System: "postgresql", Address: "::1", Port: 5433, Namespace: "shop", PoolName: "[::1]:5433/shop"}},
	{"host=db", poolinfo.Target{System: "postgresql", Address: "db", PoolName: "db:5432"}},
	{"host=/var/run/postgresql dbname=shop", poolinfo.Target{
		System: "postgresql", Address: "/var/run/postgresql/.s.PGSQL.5432", Namespace: "shop", PoolName: "/var/run/postgresql/.s.PGSQL.5432/shop",
	}},
	{"postgres://%2Ftmp:5433/shop", poolinfo.Target{System: "postgresql", Address: "/tmp/.s.PGSQL.5433", Namespace: "shop", PoolName: "/tmp/.s.PGSQL.5433/shop"}},
	{"host=a,b dbname=shop", poolinfo.Target{System: "postgresql", Namespace: "shop", PoolName: "a:5432,b:5432/shop"}},
	{"postgres://a:1,b:2,a:1/shop", poolinfo.Target{System: "postgresql", Namespace: "shop", PoolName: "a:1,b:2/shop"}},
	{"host=a,/tmp port=1,2 dbname=shop", poolinfo.Target{System: "postgresql", Namespace: "shop", PoolName: "a:1,/tmp/.s.PGSQL.2/shop"}},
	{"host=a,a port=1 dbname=shop", poolinfo.Target{System: "postgresql", Address: "a", Port: 1, Namespace: "shop", PoolName: "a:1/shop"}},
	{"host=db dbname='my shop'", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "my shop", PoolName: "db:5432/my shop"}},
	{"registeredConnConfig0", poolinfo.Target{System: "postgresql"}},

	{"postgres://qqqu:qqqp@db/shop", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"postgres://qqqu:qqq%40%2F%3A%3F%25qqq@db/shop", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"postgres://qqqü:qqqß漢字@db/shop", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"postgres://qqqu:qqq@qqq@db/shop", poolinfo.Target{System: "postgresql", Namespace: "shop"}},
	{"postgres://qqqu:p@qqq@db:1,b:2/shop", poolinfo.Target{System: "postgresql", Namespace: "shop"}},
	{"postgres://u:12/qqq@db/shop", poolinfo.Target{System: "postgresql"}},
	{"postgres://u:12?qqq@db/shop", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"host=db user=qqqu password='qqq @:/%?\\' qqq' dbname=shop", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"host=db dbname=shop search_path=qqqv application_name=qqqv options='-c x=qqqv'", poolinfo.Target{
		System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop",
	}},
	{"postgres://db/shop?password=qqqp&user=qqqu&x=qqqv", poolinfo.Target{System: "postgresql", Address: "db", Namespace: "shop", PoolName: "db:5432/shop"}},
	{"host=qqqu:qqqp@db dbname=shop", poolinfo.Target{System: "postgresql", Namespace: "shop"}},
	{"host=db dbname=postgres://qqqu:qqqp@db/shop", poolinfo.Target{System: "postgresql"}},
}

// clearEnvironment unsets the variables that pgx reads.
func clearEnvironment(tb testing.TB) {
	tb.Helper()
	for _, name := range []string{
		"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGOPTIONS", "PGSERVICE", "PGSSLMODE", "PGTARGETSESSIONATTRS",
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
			c, err := a.connector(stdlib.GetDefaultDriver(), tc.dsn)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.target(c); got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
			cfg, err := pgx.ParseConfig(tc.dsn)
			if err != nil {
				return // a name registered with the driver
			}
			if got := a.target(Connector(*cfg)); got != tc.want {
				t.Errorf("configuration: got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestOpen_ReportsABadDataSourceAtTheFirstUse(t *testing.T) {
	clearEnvironment(t)
	for _, dsn := range []string{"qqq", "postgres://u:qqq@h:x/", "host=db sslmode=x", "host=a,b port=1,2,3"} {
		bare, err := stdlib.GetDefaultDriver().(*stdlib.Driver).OpenConnector(dsn)
		if err != nil {
			t.Fatal(err)
		}
		_, want := bare.Connect(t.Context())
		a := &adapter{}
		c, err := a.connector(stdlib.GetDefaultDriver(), dsn)
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
	if _, err := OpenDB(nil); !errors.Is(err, errNilConfig) {
		t.Errorf("OpenDB(nil): %v", err)
	}
	if _, err := NewConnector(nil); !errors.Is(err, errNilConfig) {
		t.Errorf("NewConnector(nil): %v", err)
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

// other is a driver that is not pgx's, and its connector.
type other struct{}

func (other) Open(string) (driver.Conn, error) { return nil, errOther }

func (other) Connect(context.Context) (driver.Conn, error) { return nil, errOther }

func (o other) Driver() driver.Driver { return o }

// backend is a PostgreSQL server that accepts every login and then calls play.
type backend struct {
	version string
	play    func(t *testing.T, c net.Conn, b *pgproto3.Backend)
}

// config is a configuration that connects to the server, whatever its host is.
func (s backend) config(t *testing.T, dsn string) *pgx.ConnConfig {
	t.Helper()
	clearEnvironment(t)
	cfg, err := pgx.ParseConfig(dsn + " sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go s.serve(t, server)
		return client, nil
	}
	cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	return cfg
}

// waitForTerminate never answers.
func waitForTerminate(_ *testing.T, _ net.Conn, b *pgproto3.Backend) {
	for {
		m, err := b.Receive()
		if _, terminated := m.(*pgproto3.Terminate); terminated || err != nil {
			return
		}
	}
}

func (s backend) serve(t *testing.T, c net.Conn) {
	defer c.Close()
	b := pgproto3.NewBackend(c, c)
	m, err := b.ReceiveStartupMessage()
	if _, cancel := m.(*pgproto3.CancelRequest); cancel || err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: s.version})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() != nil {
		return
	}
	if s.play != nil {
		s.play(t, c, b)
	}
}

// dialed connects through an adapter.
func dialed(t *testing.T, a *adapter, c driver.Connector, onNotice func(error)) *stdlib.Conn {
	t.Helper()
	dc, err := a.connect(t.Context(), c, onNotice)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dc.Close() })
	return dc.(*stdlib.Conn)
}

func TestServer_ReturnsTheHostOfTheConnection(t *testing.T) {
	refuse := func(addresses ...string) func(*pgx.ConnConfig) {
		return func(cfg *pgx.ConnConfig) {
			open := cfg.DialFunc
			cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
				for _, a := range addresses {
					if a == address {
						return nil, errOther
					}
				}
				return open(ctx, network, address)
			}
		}
	}
	resolve := func(names map[string][]string) func(*pgx.ConnConfig) {
		return func(cfg *pgx.ConnConfig) {
			cfg.LookupFunc = func(_ context.Context, host string) ([]string, error) { return names[host], nil }
		}
	}
	for _, tc := range []struct {
		name    string
		dsn     string
		prepare []func(*pgx.ConnConfig)
		want    poolinfo.Server
	}{
		{name: "the only one", dsn: "host=a"},
		{name: "the only one, by its second address", dsn: "host=a", prepare: []func(*pgx.ConnConfig){
			resolve(map[string][]string{"a": {"10.0.0.1", "10.0.0.2"}}), refuse("10.0.0.1:5432"),
		}},
		{name: "the first", dsn: "host=a,b", want: poolinfo.Server{Address: "a"}},
		{name: "the second", dsn: "host=a,b port=5432,5433", prepare: []func(*pgx.ConnConfig){refuse("a:5432")}, want: poolinfo.Server{Address: "b", Port: 5433}},
		{name: "by its name", dsn: "host=a,b", prepare: []func(*pgx.ConnConfig){
			resolve(map[string][]string{"a": {"10.0.0.1"}, "b": {"10.0.0.2", "10.0.0.3"}}), refuse("10.0.0.1:5432", "10.0.0.2:5432"),
		}, want: poolinfo.Server{Address: "b"}},
		{name: "one of two names for it", dsn: "host=a,b", prepare: []func(*pgx.ConnConfig){
			resolve(map[string][]string{"a": {"10.0.0.1"}, "b": {"10.0.0.1"}}),
		}, want: poolinfo.Server{Address: "10.0.0.1"}},
		{name: "two ports of one address", dsn: "host=a,b port=1,2", prepare: []func(*pgx.ConnConfig){
			resolve(map[string][]string{"a": {"10.0.0.1"}, "b": {"10.0.0.1"}}), refuse("10.0.0.1:1"),
		}, want: poolinfo.Server{Address: "b", Port: 2}},
		{name: "a lookup with ports", dsn: "host=a,b", prepare: []func(*pgx.ConnConfig){
			resolve(map[string][]string{"a": {"10.0.0.1:7"}, "b": {"10.0.0.1:8"}}), refuse("10.0.0.1:7"),
		}, want: poolinfo.Server{Address: "b"}},
		{name: "a socket", dsn: "host=a,/tmp", prepare: []func(*pgx.ConnConfig){refuse("a:5432")}, want: poolinfo.Server{Address: "/tmp/.s.PGSQL.5432"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := backend{}.config(t, tc.dsn)
			for _, f := range tc.prepare {
				f(cfg)
			}
			a := &adapter{}
			c := dialed(t, a, Connector(*cfg), func(error) {})
			if got := a.server(c); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			// It is returned once.
			if got := a.server(c); got != (poolinfo.Server{}) {
				t.Errorf("a second time: %+v", got)
			}
		})
	}
}

func TestDial_IgnoresDialsForCancelRequests(t *testing.T) {
	cfg := backend{}.config(t, "host=a,b")
	d := &dial{}
	d.hook(cfg)
	for _, one := range []struct {
		ctx     context.Context
		address string
	}{{d.context(t.Context()), "a:5432"}, {t.Context(), "b:5432"}} {
		c, err := cfg.DialFunc(one.ctx, "tcp", one.address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if d.dialedAddr != "a:5432" {
		t.Errorf("reached %s", d.dialedAddr)
	}
}

func TestServer_ReturnsTheHostThatAHookChose(t *testing.T) {
	cfg := backend{}.config(t, "host=a")
	own := cfg.DialFunc
	a := &adapter{}
	c := dialed(t, a, Connector(*cfg, stdlib.OptionBeforeConnect(func(_ context.Context, cfg *pgx.ConnConfig) error {
		cfg.Host, cfg.Fallbacks = "c", nil
		cfg.DialFunc = own // without our hook
		return nil
	})), func(error) {})
	if got, want := a.server(c), (poolinfo.Server{Address: "c"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestServer_KnowsVersionAndTimeoutWithoutAQuery(t *testing.T) {
	silent := backend{version: "15.18", play: func(t *testing.T, _ net.Conn, b *pgproto3.Backend) {
		if m, err := b.Receive(); err == nil {
			if _, ok := m.(*pgproto3.Terminate); !ok {
				t.Errorf("the server was sent %#v", m)
			}
		}
	}}
	for _, tc := range []struct {
		dsn  string
		want time.Duration
	}{
		{"host=db", 0},
		{"host=db idle_session_timeout=2s", 2 * time.Second},
		{"host=db options='-c idle_session_timeout=3s'", 3 * time.Second},
	} {
		a := &adapter{}
		c := dialed(t, a, Connector(*silent.config(t, tc.dsn)), func(error) {})
		if got, want := a.server(c), (poolinfo.Server{Version: "15.18", IdleTimeout: tc.want}); got != want {
			t.Errorf("%s: got %+v, want %+v", tc.dsn, got, want)
		}
	}
}

func TestServer_QueriesWithOneMessage(t *testing.T) {
	answer := backend{version: "15.18", play: func(t *testing.T, _ net.Conn, b *pgproto3.Backend) {
		m, err := b.Receive()
		if q, ok := m.(*pgproto3.Query); err != nil || !ok || q.String != setting.ServerQuery {
			t.Errorf("the server was sent %#v, %v", m, err)
			return
		}
		b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("a")}, {Name: []byte("b")}}})
		b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("15.18"), []byte("90s")}})
		b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if err := b.Flush(); err != nil {
			t.Error(err)
		}
		_, _ = b.Receive() // the Terminate message
	}}
	a := &adapter{}
	cfg := answer.config(t, "host=db")
	cfg.Tracer = tracer{t}
	c := dialed(t, a, Connector(*cfg), func(error) {})
	if got, want := queryServer(t.Context(), c), (poolinfo.Server{Version: "15.18", IdleTimeout: 90 * time.Second}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// tracer is a tracer of the program. It must not see our query.
type tracer struct{ t *testing.T }

func (r tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.t.Errorf("the program's tracer saw %q", data.SQL)
	return ctx
}

func (tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// describe formats an error with all its fields.
func describe(err error) string { return fmt.Sprintf("%#v", err) }

func TestConnect_ReportsWhyAConnectionEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		play func(t *testing.T, c net.Conn, b *pgproto3.Backend)
		want error
	}{
		{"a fatal error", func(_ *testing.T, _ net.Conn, b *pgproto3.Backend) {
			if _, err := b.Receive(); err == nil {
				b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P05", Message: "secret", Detail: "secret", Hint: "secret"})
				_ = b.Flush() // a failure fails the test
			}
		}, &pgconn.PgError{Severity: "FATAL", Code: "57P05"}},
		{"end of file", func(_ *testing.T, _ net.Conn, b *pgproto3.Backend) {
			_, _ = b.Receive()
		}, io.EOF},
		{"an error that is not fatal", func(_ *testing.T, _ net.Conn, b *pgproto3.Backend) {
			if _, err := b.Receive(); err == nil {
				b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "42601", Message: "secret"})
				b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
				_ = b.Flush() // a failure fails the test
				_, _ = b.Receive()
			}
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			notices := make(chan error, 10)
			a := &adapter{}
			c := dialed(t, a, Connector(*backend{play: tc.play}.config(t, "host=db")), func(err error) { notices <- err })
			if err := c.Ping(t.Context()); !errors.Is(err, driver.ErrBadConn) {
				t.Errorf("ping: %v", err)
			}
			_ = c.Close() // once here and once in the cleanup, as database/sql may
			close(notices)
			var got, want []string
			for err := range notices {
				got = append(got, describe(err))
			}
			if tc.want != nil {
				want = append(want, describe(tc.want))
			}
			if !slices.Equal(got, want) {
				t.Errorf("notices %s, want %s", got, want)
			}
		})
	}
}

func TestConnect_ReportsNothingForACallThatTimedOut(t *testing.T) {
	stalled := backend{play: waitForTerminate}
	a := &adapter{}
	c := dialed(t, a, Connector(*stalled.config(t, "host=db")), func(err error) { t.Errorf("notice %v", err) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.Ping(ctx); !errors.Is(err, driver.ErrBadConn) {
		t.Errorf("ping: %v", err)
	}
	<-c.Conn().PgConn().CleanupDone()
}

func TestConnect_ReportsNothingForAFailedDial(t *testing.T) {
	cfg := backend{}.config(t, "host=a")
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		_ = server.Close()
		return client, nil
	}
	a := &adapter{}
	_, err := a.connect(t.Context(), Connector(*cfg), func(err error) { t.Errorf("notice %v", err) })
	var failed *pgconn.ConnectError
	if !errors.As(err, &failed) {
		t.Errorf("connect: %v", err)
	}
}

func TestConnect_CallsTheHooksOfTheConfiguration(t *testing.T) {
	var calls []string
	record := func(s string) { calls = append(calls, s) }
	server := backend{play: func(_ *testing.T, _ net.Conn, b *pgproto3.Backend) {
		if _, err := b.Receive(); err == nil {
			b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P01", Message: "as it was sent"})
			_ = b.Flush() // a failure fails the test
		}
	}}
	cfg := server.config(t, "host=a")
	find, open, build := cfg.LookupFunc, cfg.DialFunc, cfg.BuildFrontend
	cfg.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		record("lookup " + host)
		return find(ctx, host)
	}
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		record("dial " + network + " " + address)
		return open(ctx, network, address)
	}
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		if _, ok := w.(net.Conn); !ok {
			t.Errorf("the writer is a %T", w)
		}
		record("frontend")
		return build(r, w)
	}
	cfg.OnPgError = func(_ *pgconn.PgConn, err *pgconn.PgError) bool {
		record("error " + err.Code + " " + err.Message)
		return false
	}
	a := &adapter{}
	c := dialed(t, a, Connector(*cfg,
		stdlib.OptionBeforeConnect(func(context.Context, *pgx.ConnConfig) error { record("before"); return nil }),
		stdlib.OptionAfterConnect(func(context.Context, *pgx.Conn) error { record("after"); return nil }),
		stdlib.OptionResetSession(func(context.Context, *pgx.Conn) error { record("reset"); return nil }),
		stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { record("should ping"); return false }),
	), func(error) {})
	if _, ok := c.Conn().PgConn().Conn().(interface{ LocalAddr() net.Addr }); !ok {
		t.Error("no network connection")
	}
	if got := reflect.TypeOf(c.Conn().PgConn().Conn()).String(); got != "*net.pipe" {
		t.Errorf("the network connection is a %s", got)
	}
	if err := c.ResetSession(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Ping(t.Context()); !errors.Is(err, driver.ErrBadConn) {
		t.Errorf("ping: %v", err)
	}
	want := []string{"before", "lookup a", "dial tcp a:5432", "frontend", "after", "should ping", "reset", "error 57P01 as it was sent"}
	if !reflect.DeepEqual(calls, want) {
		t.Errorf("got  %q\nwant %q", calls, want)
	}
}

func TestHook_AddsNoHookWhereThereIsNone(t *testing.T) {
	cfg := &pgx.ConnConfig{}
	(&dial{}).hook(cfg)
	if cfg.LookupFunc != nil || cfg.DialFunc != nil || cfg.BuildFrontend != nil || cfg.OnPgError != nil {
		t.Errorf("%+v", cfg)
	}
}

// FuzzTarget_HasHostsAndDatabaseOnly builds the expected target from nothing but the hosts
// and the database that pgx parses.
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
		if strings.Contains(strings.ToLower(dsn), "serv") || strings.Contains(strings.ToLower(dsn), "ssl") {
			return // names a file
		}
		cfg, err := pgx.ParseConfig(dsn)
		if err != nil {
			return
		}
		got := Connector(*cfg).(*connector).target()
		all := hosts(&cfg.Config)
		want := poolinfo.Target{System: "postgresql"}
		if got.Namespace != "" {
			want.Namespace = cfg.Database
		}
		if got.PoolName != "" {
			var names []string
			for _, h := range all {
				names = append(names, h.String())
			}
			want.PoolName = strings.Join(names, ",")
			if got.Namespace != "" {
				want.PoolName += "/" + cfg.Database
			}
			if len(all) == 1 {
				want.Address, want.Port = target.ServerAttributes(all[0], defaultPort)
			}
		}
		if got != want {
			t.Errorf("%q: got %+v, want %+v", dsn, got, want)
		}
		if strings.ContainsAny(got.Address+got.Namespace, "@?=&\x00\n") {
			t.Errorf("%q gives %+v", dsn, got)
		}
	})
}
