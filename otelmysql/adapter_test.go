package otelmysql

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"log"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/otelpool/otelpool/poolinfo"
)

// dsns are data source names with their targets. Every secret, and every text that may be
// taken for one, contains the letters qqq.
var dsns = []struct {
	dsn  string
	want poolinfo.Target
}{
	{"/", poolinfo.Target{System: "mysql", Address: "127.0.0.1", PoolName: "127.0.0.1:3306"}},
	{"tcp(db)/shop", poolinfo.Target{System: "mysql", Address: "db", Namespace: "shop", PoolName: "db:3306/shop"}},
	{"tcp(db:3307)/shop", poolinfo.Target{System: "mysql", Address: "db", Port: 3307, Namespace: "shop", PoolName: "db:3307/shop"}},
	{"tcp([::1]:3307)/shop", poolinfo.Target{System: "mysql", Address: "::1", Port: 3307, Namespace: "shop", PoolName: "[::1]:3307/shop"}},
	{"tcp([fe80::1%eth0]:3306)/shop", poolinfo.Target{System: "mysql", Address: "fe80::1%eth0", Namespace: "shop", PoolName: "[fe80::1%eth0]:3306/shop"}},
	{"unix/shop", poolinfo.Target{System: "mysql", Address: "/tmp/mysql.sock", Namespace: "shop", PoolName: "/tmp/mysql.sock/shop"}},
	{"unix(/run/mysqld/mysqld.sock)/shop", poolinfo.Target{
		System: "mysql", Address: "/run/mysqld/mysqld.sock", Namespace: "shop", PoolName: "/run/mysqld/mysqld.sock/shop",
	}},
	{"cloudsql(project:region:shop)/shop", poolinfo.Target{
		System: "mysql", Address: "project:region:shop", Namespace: "shop", PoolName: "project:region:shop/shop",
	}},
	{"tcp(db)/a%2Fb", poolinfo.Target{System: "mysql"}},
	{"tcp(db)/größe", poolinfo.Target{System: "mysql", Address: "db", Namespace: "größe", PoolName: "db:3306/größe"}},

	{"qqqu:qqqp@tcp(db)/shop", poolinfo.Target{System: "mysql", Address: "db", Namespace: "shop", PoolName: "db:3306/shop"}},
	{"qqqu@tcp(db)/shop", poolinfo.Target{System: "mysql", Address: "db", Namespace: "shop", PoolName: "db:3306/shop"}},
	{"qqqu:qqq@qqq:qqq/qqq%qqq?qqq@tcp(db)/shop", poolinfo.Target{System: "mysql", Address: "db", Namespace: "shop", PoolName: "db:3306/shop"}},
	{"qqqü:qqqß漢字@tcp(db)/shop", poolinfo.Target{System: "mysql", Address: "db", Namespace: "shop", PoolName: "db:3306/shop"}},
	{"qqqu:qqqp(tcp)@tcp(db)/shop", poolinfo.Target{System: "mysql", Address: "db", Namespace: "shop", PoolName: "db:3306/shop"}},
	{"qqqu:qqqp@tcp(db)/shop?sql_mode=qqqv&x=qqqv%27&connectionAttributes=qqqk:qqqv", poolinfo.Target{
		System: "mysql", Address: "db", Namespace: "shop", PoolName: "db:3306/shop",
	}},
	{"tcp(qqqu:qqqp)/shop", poolinfo.Target{System: "mysql", Namespace: "shop"}},
	{"qqqu:qqqp(db:3306)/shop", poolinfo.Target{System: "mysql", Address: "db", Namespace: "shop", PoolName: "db:3306/shop"}},
	{"tcp(db)/shop@qqq", poolinfo.Target{System: "mysql"}},
	{"tcp(db)/shop%3Fpassword=qqq", poolinfo.Target{System: "mysql"}},
}

func TestTarget_IsReadFromTheDataSourceName(t *testing.T) {
	a := &adapter{}
	for _, tc := range dsns {
		t.Run(tc.dsn, func(t *testing.T) {
			c, err := a.connector(&mysql.MySQLDriver{}, tc.dsn)
			if err != nil {
				t.Fatal(err)
			}
			got := a.target(c)
			if got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestTarget_IsTheSameForAConfigurationAndItsName(t *testing.T) {
	for _, tc := range dsns {
		t.Run(tc.dsn, func(t *testing.T) {
			cfg, err := mysql.ParseDSN(tc.dsn)
			if err != nil {
				t.Fatal(err)
			}
			c, err := newConnector(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.target(); got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
	// Configurations that a program builds itself.
	for _, tc := range []struct {
		cfg  *mysql.Config
		want poolinfo.Target
	}{
		{&mysql.Config{}, poolinfo.Target{System: "mysql", Address: "127.0.0.1", PoolName: "127.0.0.1:3306"}},
		{&mysql.Config{Addr: "db", DBName: "shop"}, poolinfo.Target{System: "mysql", Address: "db", Namespace: "shop", PoolName: "db:3306/shop"}},
		{&mysql.Config{Net: "unix"}, poolinfo.Target{System: "mysql", Address: "/tmp/mysql.sock", PoolName: "/tmp/mysql.sock"}},
		{&mysql.Config{Net: "unix", Addr: "@mysql", DBName: "shop"}, poolinfo.Target{System: "mysql", Address: "@mysql", Namespace: "shop", PoolName: "@mysql/shop"}},
		{&mysql.Config{Addr: "qqqu:qqqp@db:3306", DBName: "shop"}, poolinfo.Target{System: "mysql", Namespace: "shop"}},
		{&mysql.Config{Net: "ssh", Addr: "qqqu@db", DBName: "shop"}, poolinfo.Target{System: "mysql", Namespace: "shop"}},
		{&mysql.Config{Net: "tcp6", Addr: "[::1]:3306"}, poolinfo.Target{System: "mysql", Address: "::1", PoolName: "[::1]:3306"}},
	} {
		c, err := newConnector(tc.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.target(); got != tc.want {
			t.Errorf("got  %+v\nwant %+v", got, tc.want)
		}
		if c.cfg.Logger == nil {
			t.Error("no logger, not even the driver's default")
		}
	}
}

func TestOpen_ReturnsTheDriversErrorForABadDataSourceName(t *testing.T) {
	for _, dsn := range []string{"x", "qqq@tcp(db/shop", "u:p@x/shop", "tcp(db)/?timeout=1", "tcp(db)/?tls=nowhere", "tcp(db)/%zz"} {
		_, want := mysql.MySQLDriver{}.OpenConnector(dsn)
		if want == nil {
			t.Fatalf("the driver accepts %q", dsn)
		}
		_, err := Open(dsn)
		if !sameError(err, want) {
			t.Errorf("Open(%q): %#v, want %#v", dsn, err, want)
		}
		c, err := (&adapter{}).connector(mysql.MySQLDriver{}, dsn)
		if c != nil || !sameError(err, want) {
			t.Errorf("connector(%q): %v, %#v, want %#v", dsn, c, err, want)
		}
	}
	cfg := &mysql.Config{Net: "nowhere"}
	_, want := mysql.NewConnector(cfg)
	if _, err := NewConnector(cfg); !sameError(err, want) {
		t.Errorf("NewConnector: %#v, want %#v", err, want)
	}
	if _, err := OpenDB(cfg); !sameError(err, want) {
		t.Errorf("OpenDB: %#v, want %#v", err, want)
	}
	if _, err := OpenDB(nil); err == nil {
		t.Error("a nil configuration has no error")
	}
}

// sameError reports whether two errors have the same type and text.
func sameError(a, b error) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && a.Error() == b.Error()
}

func TestAdapter_IgnoresOtherDrivers(t *testing.T) {
	a := &adapter{}
	if c, err := a.connector(other{}, "tcp(db)/shop"); c != nil || err != nil {
		t.Errorf("connector: %v, %v", c, err)
	}
	if got, want := a.target(other{}), (poolinfo.Target{}); got != want {
		t.Errorf("target: %+v, want %+v", got, want)
	}
	if _, err := a.connect(t.Context(), other{}, nil); !errors.Is(err, errOther) {
		t.Errorf("connect: %v, want %v", err, errOther)
	}
}

var errOther = errors.New("another driver")

// other is a driver that is not go-sql-driver's, and its connector.
type other struct{}

func (other) Open(string) (driver.Conn, error) { return nil, errOther }

func (other) Connect(context.Context) (driver.Conn, error) { return nil, errOther }

func (o other) Driver() driver.Driver { return o }

// failingConfig is a configuration whose dials fail with err.
func failingConfig(err error) *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) { return nil, err }
	return cfg
}

func TestConnect_CallsTheHooksOfTheProgram(t *testing.T) {
	errDial := errors.New("dial")
	cfg := failingConfig(errDial)
	var hosts []string
	err := cfg.Apply(mysql.BeforeConnect(func(_ context.Context, c *mysql.Config) error {
		hosts = append(hosts, c.Addr)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	c, err := newConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if hosts != nil {
		t.Errorf("the hook was called before the first dial, for %q", hosts)
	}
	for range 2 {
		if _, err := c.connect(t.Context(), func(error) {}); !errors.Is(err, errDial) {
			t.Errorf("connect: %v, want %v", err, errDial)
		}
	}
	if want := []string{"127.0.0.1:3306", "127.0.0.1:3306"}; !reflect.DeepEqual(hosts, want) {
		t.Errorf("the hook was called for %q, want %q", hosts, want)
	}
}

func TestConnector_CopiesTheConfiguration(t *testing.T) {
	errDial := errors.New("dial")
	cfg := failingConfig(errDial)
	cfg.Params = map[string]string{"wait_timeout": "30"}
	c, err := newConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Addr, cfg.DialFunc, cfg.Params["wait_timeout"] = "elsewhere", nil, "1"
	if _, err := c.connect(t.Context(), func(error) {}); !errors.Is(err, errDial) {
		t.Errorf("connect: %v, want %v", err, errDial)
	}
	if got := c.target().Address; got != "127.0.0.1" {
		t.Errorf("address %q", got)
	}
	if c.idleTimeout != 30*time.Second {
		t.Errorf("time-out %v", c.idleTimeout)
	}
}

func TestConnector_ResolvesRegisteredNamesWhenItIsMade(t *testing.T) {
	errDial := errors.New("dial")
	const name = "otelmysql-test"
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for what, set := range map[string]func(*mysql.Config){
		"a key":   func(c *mysql.Config) { c.ServerPubKey = name },
		"for TLS": func(c *mysql.Config) { c.TLSConfig = name },
	} {
		mysql.RegisterServerPubKey(name, &key.PublicKey)
		if err := mysql.RegisterTLSConfig(name, &tls.Config{ServerName: "registered"}); err != nil {
			t.Fatal(err)
		}
		cfg := failingConfig(errDial)
		set(cfg)
		c, err := newConnector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		mysql.DeregisterServerPubKey(name)
		mysql.DeregisterTLSConfig(name)
		if _, err := mysql.NewConnector(cfg); err == nil {
			t.Fatalf("%s: the driver still finds it", what)
		}
		if _, err := c.connect(t.Context(), func(error) {}); !errors.Is(err, errDial) {
			t.Errorf("%s: %v, want %v", what, err, errDial)
		}
		if what == "for TLS" && c.cfg.TLS.ServerName != "registered" {
			t.Errorf("TLS for %q", c.cfg.TLS.ServerName)
		}
	}
}

func TestLogger_ForwardsEveryMessage(t *testing.T) {
	script := [][]any{
		{"packets.go:58 ", net.ErrClosed},
		{"connection.go:803 ", "closing bad idle connection: ", errOther},
		{"auth.go:341 ", "unknown auth plugin:", "x"},
		{errors.New("the second")},
		{nil, (*mysql.MySQLError)(nil), 7},
		{},
	}
	var bare, wrapped bytes.Buffer
	want := log.New(&bare, "[mysql] ", 0)
	var notices []error
	got := &logger{inner: log.New(&wrapped, "[mysql] ", 0), onNotice: func(err error) { notices = append(notices, err) }}
	for _, v := range script {
		want.Print(v...)
		got.Print(v...)
	}
	if wrapped.String() != bare.String() {
		t.Errorf("the program's logger got\n%s\nwant\n%s", wrapped.String(), bare.String())
	}
	if !slices.Equal(notices, []error{errOther}) {
		t.Errorf("notices %v, want only %v", notices, errOther)
	}
}

func TestIdleTimeout_ReadsWaitTimeoutFromTheParameters(t *testing.T) {
	for params, want := range map[string]time.Duration{
		"":                               0,
		"wait_timeout=28800":             8 * time.Hour,
		"Wait_Timeout=30":                30 * time.Second,
		"@@wait_timeout=30":              30 * time.Second,
		"@@SESSION.wait_timeout=30":      30 * time.Second,
		"session wait_timeout=30":        30 * time.Second,
		"interactive_timeout=30":         0, // not for this session
		"@@global.wait_timeout=30":       0,
		"wait_timeout=0":                 0,
		"wait_timeout=-1":                0,
		"wait_timeout=1%2B1":             0,
		"wait_timeout=%2730%27":          0,
		"wait_timeout=31536000":          365 * 24 * time.Hour,
		"wait_timeout=31536001":          0,
		"wait_timeout=30&WAIT_TIMEOUT=9": 0, // the order is not defined
	} {
		cfg, err := mysql.ParseDSN("/?" + params)
		if err != nil {
			t.Fatal(err)
		}
		if got := idleTimeout(cfg.Params); got != want {
			t.Errorf("%s: %v, want %v", params, got, want)
		}
	}
}

// FuzzTarget_HasHostAndDatabaseOnly builds the expected target from nothing but the host
// and the database that the driver parses.
func FuzzTarget_HasHostAndDatabaseOnly(f *testing.F) {
	for _, tc := range dsns {
		f.Add(tc.dsn)
	}
	for _, dsn := range []string{
		"root:s3cr3t@tcp(db:3306)/shop?parseTime=true",
		"root:s3@cr3t@/shop", "root:s3/cr3t@tcp(db)/shop", "root:s3:cr3t@unix(/tmp/s)/", "ro@ot:@tcp(db)/x?a=s3cr3t",
	} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		cfg, err := mysql.ParseDSN(dsn)
		if err != nil {
			return
		}
		c, err := newConnector(cfg)
		if err != nil {
			return
		}
		got := c.target()
		want := poolinfo.Target{System: "mysql", Address: got.Address, Port: got.Port}
		host, port, err := net.SplitHostPort(c.cfg.Addr)
		if cfg.Net == "unix" || err != nil {
			host, port = c.cfg.Addr, "0"
		}
		if got.Address != "" && got.Address != host || got.Port != 0 && strconv.Itoa(got.Port) != strings.TrimLeft(port, "+0") {
			t.Errorf("%q: %+v is not at %q", dsn, got, c.cfg.Addr)
		}
		if got.Namespace != "" {
			want.Namespace = cfg.DBName
		}
		if got.Address != "" {
			want.PoolName = c.cfg.Addr
			if n, err := strconv.Atoi(port); err == nil && n > 0 {
				want.PoolName = net.JoinHostPort(host, strconv.Itoa(n))
			}
			if got.Namespace != "" {
				want.PoolName += "/" + cfg.DBName
			}
		}
		if got != want {
			t.Errorf("%q: got %+v, want %+v", dsn, got, want)
		}
		if strings.ContainsAny(got.Address+got.Namespace, "?=&\x00\n") || strings.Contains(got.Namespace, "@") {
			t.Errorf("%q gives %+v", dsn, got)
		}
	})
}
