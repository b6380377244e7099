package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

const (
	address   = attribute.Key("server.address")
	port      = attribute.Key("server.port")
	namespace = attribute.Key("db.namespace")
)

// bubbleWithDriver runs a test in virtual time, on a pool whose connector comes from a
// wrapped driver and a data source name.
func bubbleWithDriver(t *testing.T, cfg fakedb.Config, test func(*testing.T, *sql.DB, *fakedb.DB, *telemetry), opts ...otelpool.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		seen := observe()
		fake := fakedb.New(cfg)
		c, err := otelpool.NewDriver(fake.Driver(), seen.options(opts...)...).(driver.DriverContext).OpenConnector("dsn")
		noError(t, err)
		db := sql.OpenDB(c)
		defer db.Close()
		test(t, db, fake, seen)
	})
}

func TestAdapter_CallsEachFunctionAtItsTime(t *testing.T) {
	for _, test := range []struct {
		name string
		opts []otelpool.Option
		want []string
	}{
		{"without WithServerQuery", nil, []string{
			"connector dsn", "target", // the pool is made
			"connect", "server 1", // a ping
			"connect", "server 1", // a second connection
			"classify refused",            // an exec on the first connection
			"connect", "classify refused", // a dial that fails
		}},
		{"with WithServerQuery", []otelpool.Option{otelpool.WithServerQuery()}, []string{
			"connector dsn", "target",
			"connect", "server 1", "query server 1",
			"connect", "server 1",
			"classify refused",
			"connect", "classify refused",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var calls []string
			version := "1"
			record := func(format string, args ...any) { calls = append(calls, fmt.Sprintf(format, args...)) }
			adapter := otelpool.Adapter{
				Connector: func(d driver.Driver, dsn string) (driver.Connector, error) {
					record("connector %s", dsn)
					return dialer{d}, nil
				},
				Target: func(c driver.Connector) poolinfo.Target {
					record("target")
					if _, ok := c.(dialer); !ok {
						t.Errorf("Target was called with a %T", c)
					}
					return poolinfo.Target{}
				},
				Connect: func(ctx context.Context, c driver.Connector, _ func(error)) (driver.Conn, error) {
					record("connect")
					return c.Connect(ctx)
				},
				Server: func(c driver.Conn) poolinfo.Server {
					record("server %s", version)
					if _, ok := c.(driver.Validator); !ok {
						t.Errorf("Server was called with a %T", c)
					}
					return poolinfo.Server{Version: version}
				},
				QueryServer: func(ctx context.Context, c driver.Conn) poolinfo.Server {
					record("query server %s", version)
					if _, limited := ctx.Deadline(); !limited {
						t.Error("the query has no deadline")
					}
					if _, ok := c.(driver.Validator); !ok {
						t.Errorf("QueryServer was called with a %T", c)
					}
					return poolinfo.Server{Version: version}
				},
				Classify: func(err error) poolinfo.ErrorInfo {
					record("classify %v", err)
					return poolinfo.ErrorInfo{}
				},
			}
			bubbleWithDriver(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *telemetry) {
				noError(t, db.Ping())
				noError(t, db.Ping())
				conns := holdAll(t, db, 2)
				fake.Fail(fakedb.Exec, 1, errors.New("refused"))
				_, _ = conns[0].ExecContext(t.Context(), "x")
				fake.Fail(fakedb.Connect, 1, errors.New("refused"))
				_, _ = db.Conn(t.Context())
				if !slices.Equal(calls, test.want) {
					t.Errorf("got\n%q\nwant\n%q", calls, test.want)
				}

				// A new version is queried once, a known version is not.
				calls, version = nil, "2"
				conns = append(conns, holdAll(t, db, 2)...)
				version = "1"
				conns = append(conns, holdAll(t, db, 1)...)
				want := []string{"connect", "server 2", "query server 2", "connect", "server 2", "connect", "server 1"}
				if test.opts == nil {
					want = slices.DeleteFunc(want, func(c string) bool { return c == "query server 2" })
				}
				if !slices.Equal(calls, want) {
					t.Errorf("got\n%q\nwant\n%q", calls, want)
				}
				giveBack(t, conns)
			}, append(test.opts, otelpool.WithAdapter(adapter))...)
		})
	}
}

// dialer is the connector that an adapter makes.
type dialer struct{ d driver.Driver }

func (d dialer) Connect(context.Context) (driver.Conn, error) { return d.d.Open("dialer") }
func (d dialer) Driver() driver.Driver                        { return d.d }

func TestAdapter_ReturnsTheErrorOfConnectorUnchanged(t *testing.T) {
	refused := &driverError{}
	adapter := otelpool.WithAdapter(otelpool.Adapter{
		Connector: func(driver.Driver, string) (driver.Connector, error) { return nil, refused },
	})
	fake := fakedb.New(full)
	base := registerFake(t, fake)
	_, err := otelpool.Open(base, "dsn", adapter)
	if err != error(refused) { //nolint:errorlint // the same error, not one like it
		t.Errorf("Open: got %v, want the adapter's error", err)
	}
	name, err := otelpool.Register(base, adapter)
	noError(t, err)
	if _, err := sql.Open(name, "dsn"); err != error(refused) { //nolint:errorlint // the same error, not one like it
		t.Errorf("sql.Open: got %v, want the adapter's error", err)
	}
	if fake.Opened() != 0 {
		t.Errorf("%d connections were opened", fake.Opened())
	}
}

func TestAdapter_NilConnectorFallsBackToTheDriver(t *testing.T) {
	cfg := full
	cfg.DriverContext = true
	bubbleWithDriver(t, cfg, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *telemetry) {
		noError(t, db.Ping())
		if log := fake.Log()[0]; !strings.HasPrefix(log, "driver.OpenConnector(") {
			t.Errorf("the first call is %s", log)
		}
	}, otelpool.WithAdapter(otelpool.Adapter{
		Connector: func(driver.Driver, string) (driver.Connector, error) { return nil, nil },
	}))
}

func TestAdapter_TargetIsOnOperationsAndNamesThePool(t *testing.T) {
	target := poolinfo.Target{System: "mysql", Address: "db.example", Port: 3307, Namespace: "shop", PoolName: "db.example:3307/shop"}
	adapter := otelpool.WithAdapter(otelpool.Adapter{Target: func(driver.Connector) poolinfo.Target { return target }})
	bubbleWithDriver(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		ctx, caller := seen.caller()
		fake.On(fakedb.Connect, fakedb.Sleep(time.Second))
		var n int
		noError(t, db.QueryRowContext(ctx, "SELECT a FROM b").Scan(&n))
		caller.End()
		for _, s := range seen.ended() {
			a := attributes(s.Attributes())
			got := []any{a[system], a[address], a[port], a[namespace], a[poolName]}
			want := []any{"mysql", "db.example", int64(3307), "shop", "db.example:3307/shop"}
			if s.Name() == "acquire" {
				want = []any{nil, nil, nil, nil, "db.example:3307/shop"}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", s.Name(), got, want)
			}
		}
		for _, scope := range seen.collect(t).ScopeMetrics {
			for _, m := range scope.Metrics {
				want := " db.example:3307/shop"
				if m.Name == "db.client.operation.duration" || m.Name == "db.client.response.returned_rows" {
					want = "db.example 3307 shop mysql db.example:3307/shop"
				}
				for _, got := range pointAttributes(t, m.Data, address, port, namespace, system, poolName) {
					if strings.TrimLeft(got, " ") != strings.TrimLeft(want, " ") {
						t.Errorf("%s: got %q, want %q", m.Name, got, want)
					}
				}
			}
		}
		s, err := otelpool.Inspect(db)
		noError(t, err)
		if s.Target != target || s.System != "mysql" || s.Pool != "db.example:3307/shop" {
			t.Errorf("Inspect: got %+v, %s, %s", s.Target, s.System, s.Pool)
		}

		// A second pool of the same target, and one with WithPoolName.
		for name, opts := range map[string][]otelpool.Option{
			"db.example:3307/shop-2": {adapter},
			"orders":                 {adapter, otelpool.WithPoolName("orders")},
		} {
			again := otelpool.OpenDB(fake.Connector(), opts...)
			s, err := otelpool.Inspect(again)
			noError(t, err)
			if s.Pool != name {
				t.Errorf("the other pool is %s, want %s", s.Pool, name)
			}
			noError(t, again.Close())
		}
	}, adapter)
}

func TestAdapter_PanicIsRecoveredAndReportedOnce(t *testing.T) {
	var mu sync.Mutex
	var reported []string
	before := otel.GetErrorHandler()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		reported = append(reported, err.Error())
	}))
	defer otel.SetErrorHandler(before)
	secret := errors.New("s3cr3t")
	bubbleWithDriver(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		conns := holdAll(t, db, 2)
		for range 2 {
			fake.Fail(fakedb.Exec, 1, stateError("40P01"))
			if _, err := conns[0].ExecContext(t.Context(), "x"); err != error(stateError("40P01")) { //nolint:errorlint // the same error, not one like it
				t.Errorf("got %v, want the driver's error", err)
			}
		}
		giveBack(t, conns)
		seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{"40P01 deadlock": {2, 0}}, errorType, class)
		if fake.Opened() != 2 {
			t.Errorf("%d connections were opened, want 2", fake.Opened())
		}
	}, otelpool.WithServerQuery(), otelpool.WithAdapter(otelpool.Adapter{
		Connector:   func(driver.Driver, string) (driver.Connector, error) { panic(secret) },
		Target:      func(driver.Connector) poolinfo.Target { panic(secret) },
		Server:      func(driver.Conn) poolinfo.Server { panic(secret) },
		QueryServer: func(context.Context, driver.Conn) poolinfo.Server { panic(secret) },
		Classify:    func(error) poolinfo.ErrorInfo { panic(secret) },
	}))
	slices.Sort(reported)
	want := []string{
		"otelpool: Adapter.Classify panicked with a *errors.errorString",
		"otelpool: Adapter.Connector panicked with a *errors.errorString",
		"otelpool: Adapter.QueryServer panicked with a *errors.errorString",
		"otelpool: Adapter.Server panicked with a *errors.errorString",
		"otelpool: Adapter.Target panicked with a *errors.errorString",
	}
	if !slices.Equal(reported, want) {
		t.Errorf("got\n%q\nwant\n%q", reported, want)
	}
}

func TestAdapter_SystemOfTheServerReplacesThatOfTheTarget(t *testing.T) {
	server := poolinfo.Server{System: "mariadb"}
	cfg := withDial(full)
	bubbleWithDriver(t, cfg, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		ctx, caller := seen.caller()
		_, err := db.ExecContext(ctx, "DELETE FROM a")
		noError(t, err)
		fake.Fail(fakedb.Reset, 1, driver.ErrBadConn)
		server = poolinfo.Server{}
		_, err = db.ExecContext(ctx, "DELETE FROM a")
		noError(t, err)
		caller.End()
		var got []string
		for _, s := range seen.ended() {
			if s.Name() != "acquire" {
				a := attributes(s.Attributes())
				got = append(got, fmt.Sprint(s.Name(), " ", a[system], " ", a[poolName]))
			}
		}
		want := []string{"connect mariadb mysql", "DELETE a mariadb mysql", "connect mariadb mysql", "DELETE a mariadb mysql"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{"mariadb": {2, 0}}, system)
		s, err := otelpool.Inspect(db)
		noError(t, err)
		if s.System != "mariadb" || s.Target.System != "mysql" || s.Pool != "mysql" {
			t.Errorf("Inspect: got system %s of target %s in pool %s", s.System, s.Target.System, s.Pool)
		}
	}, otelpool.WithAdapter(otelpool.Adapter{
		Target: func(driver.Connector) poolinfo.Target { return poolinfo.Target{System: "mysql"} },
		Server: func(driver.Conn) poolinfo.Server { return server },
	}))
}

// TestAdapter_AtMostThreeSystemsAreRecorded has a server that reports another system at each dial.
func TestAdapter_AtMostThreeSystemsAreRecorded(t *testing.T) {
	dials := 0
	bubbleWithDriver(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		conns := holdAll(t, db, 6)
		var got []any
		for _, s := range seen.ended() {
			got = append(got, attributes(s.Attributes())[system])
		}
		if want := []any{"1", "2", "3", "3", "3", "3"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		execOK(t, db, t.Context())
		seen.wantHistogram(t, "db.client.operation.duration", map[string]hist{"3": {1, 0}}, system)
		giveBack(t, conns)
	}, otelpool.WithAdapter(otelpool.Adapter{
		Server: func(driver.Conn) poolinfo.Server {
			dials++
			return poolinfo.Server{System: fmt.Sprint(dials)}
		},
	}))
}

func TestAdapter_SpansHaveTheServerOfTheirConnection(t *testing.T) {
	reached := []poolinfo.Server{{Address: "one"}, {Address: "two", Port: 77}, {Address: "main", Port: 5}, {}}
	for _, spanAtEnd := range []bool{false, true} {
		dial := 0
		opts := []otelpool.Option{otelpool.WithAdapter(otelpool.Adapter{
			Target: func(driver.Connector) poolinfo.Target { return poolinfo.Target{Address: "main", Port: 5} },
			Server: func(driver.Conn) poolinfo.Server { dial++; return reached[dial-1] },
		})}
		if spanAtEnd {
			opts = append(opts, otelpool.WithHooks(otelpool.Hooks{
				Keep: func(context.Context, poolinfo.StatementInfo, poolinfo.StatementResult) bool { return true },
			}))
		}
		bubbleWithDriver(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
			conns := holdAll(t, db, len(reached))
			for _, c := range conns {
				_, err := c.ExecContext(t.Context(), "x")
				noError(t, err)
			}
			giveBack(t, conns)
			var got []string
			for _, s := range seen.ended() {
				a := attributes(s.Attributes())
				got = append(got, fmt.Sprint(s.Name(), " ", a[address], " ", a[port]))
			}
			want := []string{
				"connect one 5", "connect two 77", "connect main 5", "connect main 5",
				"exec one 5", "exec two 77", "exec main 5", "exec main 5",
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		}, opts...)
	}
}

func TestServerQuery_IsNotPartOfTheDial(t *testing.T) {
	cfg := withDial(full)
	timeout := time.Hour
	var ctxErr error
	version := func(driver.Conn) poolinfo.Server { return poolinfo.Server{Version: "9"} }
	slow := func(ctx context.Context, _ driver.Conn) poolinfo.Server {
		select {
		case <-time.After(100 * ms):
		case <-ctx.Done():
		}
		ctxErr = ctx.Err()
		return poolinfo.Server{IdleTimeout: timeout}
	}
	timed(t, cfg, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		noError(t, db.Ping())
		noError(t, ctxErr)
		seen.wantHistogram(t, "db.client.connection.create_time", map[string]hist{"": {1, time.Second}})
		seen.wantHistogram(t, "db.client.connection.wait_time", map[string]hist{"": {1, 1100 * ms}})
		seen.wantSpans(t, "connect 1s", "ping 0s", "acquire 1.1s")
		s, err := otelpool.Inspect(db.DB)
		noError(t, err)
		if want := (poolinfo.Server{Version: "9", IdleTimeout: time.Hour}); s.Server != want || s.Conns[0].Age != 0 {
			t.Errorf("got %+v and an age of %v, want %+v", s.Server, s.Conns[0].Age, want)
		}
	}, otelpool.WithServerQuery(), otelpool.WithAdapter(otelpool.Adapter{Server: version, QueryServer: slow}))
}

// TestServerQuery_IsNotRepeatedAfterATimeout has an adapter that waits until its context
// ends. A query that the caller's context cut is repeated, one that timed out is not.
func TestServerQuery_IsNotRepeatedAfterATimeout(t *testing.T) {
	queries := 0
	hang := func(ctx context.Context, _ driver.Conn) poolinfo.Server {
		queries++
		<-ctx.Done()
		return poolinfo.Server{}
	}
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *telemetry) {
		begin := time.Now()
		short, cancel := context.WithTimeout(t.Context(), 300*ms)
		defer cancel()
		if err := db.PingContext(short); err != nil {
			t.Errorf("the dial failed with %v", err)
		}
		if took := time.Since(begin); took != 300*ms || queries != 1 {
			t.Errorf("after %v there were %d queries, want 300ms and 1", took, queries)
		}
		conns := holdAll(t, db, 2)
		if took := time.Since(begin); took != 1300*ms || queries != 2 {
			t.Errorf("after %v there were %d queries, want 1.3s and 2", took, queries)
		}
		conns = append(conns, holdAll(t, db, 3)...)
		if took := time.Since(begin); took != 1300*ms || queries != 2 {
			t.Errorf("after %v there were %d queries, want 1.3s and 2", took, queries)
		}
		// A driver closes the connection if the context of its query ends.
		if fake.Opened() != 6 || fake.Closed() != 1 || len(conns) != 5 {
			t.Errorf("%d connections were opened, %d closed and %d held, want 6, 1 and 5", fake.Opened(), fake.Closed(), len(conns))
		}
		s, err := otelpool.Inspect(db)
		noError(t, err)
		if s.Opened != 5 || len(s.Closed) != 0 || len(s.RecentlyClosed) != 0 {
			t.Errorf("Inspect: got %d opened, %v closed, %v, want 5 and none", s.Opened, s.Closed, s.RecentlyClosed)
		}
		giveBack(t, conns)
	}, otelpool.WithServerQuery(), otelpool.WithAdapter(otelpool.Adapter{QueryServer: hang}))
}

func TestServerQuery_IsRepeatedAfterAMinute(t *testing.T) {
	limit := 2 * time.Second
	queries := 0
	server := func(context.Context, driver.Conn) poolinfo.Server {
		queries++
		return poolinfo.Server{System: "mariadb", Version: "11", IdleTimeout: limit}
	}
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *telemetry) {
		var got []string
		dial := func() {
			c, err := db.Conn(t.Context())
			noError(t, err)
			t.Cleanup(func() { _ = c.Close() })
			s, err := otelpool.Inspect(db)
			noError(t, err)
			got = append(got, fmt.Sprint(queries, s.Server))
		}
		dial()
		time.Sleep(59 * time.Second)
		limit = 8 * time.Hour
		dial()
		time.Sleep(time.Second)
		dial()
		wantLines(t, got, "1 {mariadb 11  0 2s}", "1 {mariadb 11  0 2s}", "2 {mariadb 11  0 8h0m0s}")
		noError(t, db.Close())
	}, otelpool.WithServerQuery(), otelpool.WithAdapter(otelpool.Adapter{QueryServer: server}))
}

// Hooks of the program may run inside the driver's dial.
func TestAdapter_PanicOfADialReachesTheProgram(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *telemetry) {
		defer func() {
			if p := recover(); p != "mine" || fake.Calls(fakedb.Connect) != 1 {
				t.Errorf("got the panic %v after %d dials", p, fake.Calls(fakedb.Connect))
			}
		}()
		fake.On(fakedb.Connect, func(context.Context, string) error { panic("mine") })
		_ = db.Ping()
	}, otelpool.WithAdapter(otelpool.Adapter{
		Connect: func(ctx context.Context, c driver.Connector, _ func(error)) (driver.Conn, error) {
			return c.Connect(ctx)
		},
	}))
}

func TestServerQuery_ResultAppliesToAllConnections(t *testing.T) {
	server := func(context.Context, driver.Conn) poolinfo.Server {
		return poolinfo.Server{IdleTimeout: 2 * time.Second}
	}
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, _ *telemetry) {
		giveBack(t, holdAll(t, db, 2))
		time.Sleep(2 * time.Second)
		fake.Fail(fakedb.Reset, 2, driver.ErrBadConn)
		noError(t, db.Ping())
		got := map[uint64]string{}
		s, err := otelpool.Inspect(db)
		noError(t, err)
		for _, c := range s.RecentlyClosed {
			got[c.ConnID] = fmt.Sprint(c.Class, " ", c.Server.IdleTimeout)
		}
		if want := map[uint64]string{1: "server_idle_timeout 2s", 2: "server_idle_timeout 2s"}; !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}, otelpool.WithServerQuery(), otelpool.WithAdapter(otelpool.Adapter{QueryServer: server}))
}

// TestServerQuery_IsMadeForAtMostSixteenVersions has a server of another version at each dial.
func TestServerQuery_IsMadeForAtMostSixteenVersions(t *testing.T) {
	dials, queries := 0, 0
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *telemetry) {
		giveBack(t, holdAll(t, db, 20))
		if queries != 16 {
			t.Errorf("there were %d queries, want 16", queries)
		}
	}, otelpool.WithServerQuery(), otelpool.WithAdapter(otelpool.Adapter{
		Server: func(driver.Conn) poolinfo.Server {
			dials++
			return poolinfo.Server{Version: fmt.Sprint(dials)}
		},
		QueryServer: func(context.Context, driver.Conn) poolinfo.Server {
			queries++
			return poolinfo.Server{Version: fmt.Sprint(dials)}
		},
	}))
}

func TestAdapter_DriverNoticeClassifiesAFailedDial(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
		fake.Fail(fakedb.Connect, 3, driver.ErrBadConn)
		_ = db.Ping()
		seen.wantHistogram(t, "db.client.connection.create_time", map[string]hist{"bad_connection auth": {3, 0}}, errorType, class)
		seen.wantHistogram(t, "db.client.connection.wait_time", map[string]hist{"bad_connection auth": {1, 0}}, errorType, class)
	}, otelpool.WithAdapter(otelpool.Adapter{
		Connect: func(ctx context.Context, c driver.Connector, onNotice func(error)) (driver.Conn, error) {
			onNotice(stateError("28000"))
			return c.Connect(ctx)
		},
	}))
}
