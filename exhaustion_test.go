package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

// reportLines runs a test in virtual time on a DB of one connection. It returns a line
// for each report, with its time and without call sites.
func reportLines(t *testing.T, cfg fakedb.Config, test func(*testing.T, *otelpool.DB, *fakedb.DB), opts ...otelpool.Option) []string {
	t.Helper()
	return linesOf(reportsFrom(t, cfg, func(t *testing.T, sqlDB *sql.DB, fake *fakedb.DB) {
		db, err := otelpool.NewDB(sqlDB)
		noError(t, err)
		test(t, db, fake)
	}, opts...))
}

// linesOf returns a line for each report, without call sites.
func linesOf(reports []timedReport) (lines []string) {
	for _, r := range reports {
		lines = append(lines, fmt.Sprintf("%v %s", r.at, callSites.ReplaceAllString(r.text, "")))
	}
	return lines
}

var callSites = regexp.MustCompile(` (at|from) [a-z_]+\.go:\d+`)

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// goPing pings in the background, with a deadline if d is not zero.
func goPing(t *testing.T, db pooled, d time.Duration) {
	t.Helper()
	ctx, cancel := t.Context(), func() {}
	if d > 0 {
		ctx, cancel = context.WithTimeout(ctx, d)
	}
	go func() {
		defer cancel()
		_ = db.PingContext(ctx)
	}()
}

func TestReport_ExhaustedAtTheThreshold(t *testing.T) {
	for threshold, want := range map[time.Duration][]string{
		time.Second: {
			"1.3s pool shop is exhausted: 1/1 held, 0 idle, 0 dialing, 2 waiting, the first for 1s; " +
				"connections are held by code that is not using them: 1 held, longest 1.3s (idle for 1.3s)",
			"11s pool shop recovered after 9.7s; 3 callers waited",
		},
		200 * ms: {
			"500ms pool shop is exhausted: 1/1 held, 0 idle, 0 dialing, 2 waiting, the first for 200ms; " +
				"connections are held by code that is not using them: 1 held, longest 500ms (idle for 500ms)",
			"11s pool shop recovered after 9.7s; 3 callers waited",
		},
		9 * time.Second: {
			"9.3s pool shop is exhausted: 1/1 held, 0 idle, 0 dialing, 2 waiting, the first for 9s; " +
				"connections are held by code that is not using them: 1 held, longest 9.3s (idle for 9.3s)",
			"11s pool shop recovered after 9.7s; 3 callers waited",
		},
	} {
		t.Run(threshold.String(), func(t *testing.T) {
			wantLines(t, reportLines(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) {
				hold(t, db, t.Context(), 10100*ms)
				wait(300 * ms)
				goPing(t, db, 0)
				wait(100 * ms)
				goPing(t, db, 0)
				wait(9550 * ms)
				goPing(t, db, 0)
				wait(time.Minute)
			}, otelpool.WithExhaustionThreshold(threshold)), want...)
		})
	}
}

func TestReport_ExhaustedWhenACallTimesOut(t *testing.T) {
	wantLines(t, reportLines(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) {
		hold(t, db, t.Context(), 4100*ms)
		wait(300 * ms)
		for range 5 {
			goPing(t, db, 500*ms)
			wait(200 * ms)
		}
		wait(time.Minute)
	}),
		"800ms pool shop is exhausted: 1/1 held, 0 idle, 0 dialing, 2 waiting, the first for 300ms; "+
			"connections are held by code that is not using them: 1 held, longest 800ms (idle for 800ms)",
		"5s pool shop recovered after 3.7s; 5 callers waited and got no connection",
	)
}

func TestReport_NotExhaustedByCanceledOrAlreadyExpiredCalls(t *testing.T) {
	wantLines(t, reportLines(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB) {
		noError(t, db.Ping())
		expired, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		_ = db.PingContext(expired)
		hold(t, db, t.Context(), 20*time.Second)
		_ = db.PingContext(expired)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(500*ms, cancel)
		_ = db.PingContext(ctx)
		wait(time.Minute)
	}))
}

func TestReport_IsMadeOncePerExhaustion(t *testing.T) {
	got := reportLines(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) {
		hold(t, db, t.Context(), 10*time.Minute+500*ms)
		for range 599 {
			goPing(t, db, 5*time.Second)
			wait(time.Second)
		}
		wait(time.Minute)
	}, otelpool.WithLeakThreshold(-1))
	wantLines(t, got,
		"1s pool shop is exhausted: 1/1 held, 0 idle, 0 dialing, 1 waiting, the first for 1s; "+
			"connections are held by code that is not using them: 1 held, longest 1s (idle for 1s)",
		"10m1s pool shop recovered after 10m0s; 599 callers waited, 596 got no connection")
}

func TestReport_ExhaustionsAreTenSecondsApart(t *testing.T) {
	got := reportLines(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) {
		for range 10 { // exhausted from 0s to 2.5s, from 5s to 7.5s, ...
			hold(t, db, t.Context(), 2500*ms)
			goPing(t, db, 0)
			wait(5 * time.Second)
		}
	})
	for i, line := range got {
		got[i] = strings.Join(strings.Fields(line)[:6], " ")
	}
	wantLines(t, got,
		"1s pool shop is exhausted: 1/1", "3s pool shop recovered after 2s;",
		"11s pool shop is exhausted: 1/1", "13s pool shop recovered after 2s;",
		"21s pool shop is exhausted: 1/1", "23s pool shop recovered after 2s;",
		"31s pool shop is exhausted: 1/1", "33s pool shop recovered after 2s;",
		"41s pool shop is exhausted: 1/1", "43s pool shop recovered after 2s;",
	)
}

func TestReport_ExhaustionSoonAfterAnotherIsDelayed(t *testing.T) {
	got := reportLines(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) {
		hold(t, db, t.Context(), 2500*ms)
		goPing(t, db, 0)
		wait(5 * time.Second)
		hold(t, db, t.Context(), 20500*ms) // from 5s
		goPing(t, db, 0)
		wait(time.Minute)
	})
	for i, line := range got {
		got[i], _, _ = strings.Cut(line, "; ")
	}
	wantLines(t, got,
		"1s pool shop is exhausted: 1/1 held, 0 idle, 0 dialing, 1 waiting, the first for 1s",
		"3s pool shop recovered after 2s",
		"11s pool shop is exhausted: 1/1 held, 0 idle, 0 dialing, 1 waiting, the first for 6s",
		"26s pool shop recovered after 20s")
}

func TestWithExhaustionThreshold_NegativeIsOffAndTenMillisecondsIsTheLeast(t *testing.T) {
	for threshold, want := range map[time.Duration]string{
		-1: "", -time.Hour: "", 0: "10ms", 1: "10ms", 10 * ms: "10ms", 11 * ms: "11ms",
	} {
		t.Run(threshold.String(), func(t *testing.T) {
			got := reportLines(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) {
				hold(t, db, t.Context(), 20*time.Second)
				goPing(t, db, 0)
				goPing(t, db, time.Second)
				wait(time.Minute)
			}, otelpool.WithExhaustionThreshold(threshold))
			switch {
			case want == "":
				wantLines(t, got)
			case len(got) != 2 || !strings.HasPrefix(got[0], want+" pool shop is exhausted:"):
				t.Errorf("got %q, want an exhaustion at %s, and its end", got, want)
			}
		})
	}
}

// The wait of a caller of a plain *sql.DB is seen up to a second after it began.
func TestReport_PlainPoolExhaustedAThresholdAfterTheWaitIsSeen(t *testing.T) {
	got := linesOf(reportsFrom(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
		holdPlain(t, db, 10100*ms)
		wait(300 * ms)
		goPing(t, db, 0)
		goPing(t, db, 5*time.Second)
		wait(time.Minute)
	}))
	wantLines(t, got,
		"2s pool shop is exhausted: 1/1 held, 0 idle, 0 dialing, 2 waiting, the first for 1s; "+
			"connections are held by code that is not using them: 1 held, longest 2s (idle for 2s)",
		"11s pool shop recovered after 9s; 2 callers waited")
}

// A caller that gives up ends its wait, so no single wait is long.
func TestReport_PlainPoolExhaustedThoughEachCallerGivesUpSoon(t *testing.T) {
	got := linesOf(reportsFrom(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
		noError(t, db.PingContext(t.Context())) // starts the monitor
		wait(250 * ms)                          // so that no wait begins or ends at a look
		holdPlain(t, db, 10*time.Minute+500*ms)
		wait(100 * ms)
		for range 3000 {
			goPing(t, db, 500*ms)
			wait(200 * ms)
		}
		wait(time.Minute)
	}, otelpool.WithLeakThreshold(-1)))
	wantLines(t, got,
		"3s pool shop is exhausted: 1/1 held, 0 idle, 0 dialing, 0 waiting, the first for 1s; "+
			"connections are held by code that is not using them: 1 held, longest 2.8s (idle for 2.8s)",
		"10m1s pool shop recovered after 9m58s; 2991 callers waited")
}

func TestReport_PlainPoolNotExhaustedByOccasionalShortWaits(t *testing.T) {
	if got := reportsFrom(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
		holdPlain(t, db, 10*time.Minute)
		for range 50 { // short waits, far apart
			goPing(t, db, 100*ms)
			wait(10 * time.Second)
		}
	}, otelpool.WithLeakThreshold(-1)); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

// The first wait ends when the second begins. DBStats does not show that there are two.
func TestVerdict_PlainSelfDeadlockRightAfterAnotherWait(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		db.SetMaxOpenConns(1)
		holdPlain(t, db, 1300*ms)
		wait(1100 * ms)
		tx, err := db.Begin()
		noError(t, err)
		defer tx.Rollback()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_ = db.PingContext(ctx)
		got := seen.takeReports()
		if len(got) != 1 || got[0].Verdict != poolinfo.VerdictSelfDeadlock {
			t.Fatalf("got %v", got)
		}
		if waited := got[0].SelfDeadlocks[0].Waiter.Waited; waited != -1 {
			t.Errorf("the waiter, whose wait is not known, has waited %v", waited)
		}
	})
}

// Each handler queries, sends the rows to its client, and then executes. One that has
// closed its rows waits below the line where the others acquired their connections.
func TestVerdict_NoSelfDeadlockOfAHandlerThatReleasedItsConnection(t *testing.T) {
	handler := func(db *otelpool.DB, pace time.Duration) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		rows, err := db.QueryContext(ctx, "rows")
		if err != nil {
			return
		}
		for rows.Next() {
			time.Sleep(pace)
		}
		_ = rows.Close()
		_, _ = db.ExecContext(ctx, "x")
	}
	bubble(t, tenRows(), func(t *testing.T, plain *sql.DB, _ *fakedb.DB, seen *telemetry) {
		db, err := otelpool.NewDB(plain)
		noError(t, err)
		db.SetMaxOpenConns(3)
		for _, pace := range []time.Duration{10 * ms, time.Second, time.Second} {
			go handler(db, pace)
		}
		wait(50 * ms)
		go handler(db, 2*time.Second) // gets the connection of the first handler, which then waits
		wait(5 * time.Second)
		if got := seen.takeReports(); len(got) != 1 || got[0].Verdict != poolinfo.VerdictIdleInCode {
			t.Errorf("got %v", got)
		}
		wait(time.Minute)
	})
}

func TestVerdict_DatabaseUnreachableIfDialsTimeOut(t *testing.T) {
	wantLines(t, reportLines(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB) {
		db.SetMaxOpenConns(10)
		fake.On(fakedb.Connect, fakedb.Sleep(time.Minute))
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), 500*ms)
			_ = db.PingContext(ctx)
			cancel()
			wait(100 * ms)
		}
		wait(time.Minute)
	}),
		"500ms pool shop is exhausted: 0/10 held, 0 idle, 0 dialing, 0 waiting; the database does not answer dials",
		"3.9s pool shop recovered after 2.9s; 5 callers waited and got no connection")
}

func TestVerdict_SlowStatementsIfARowIsSlow(t *testing.T) {
	timed(t, tenRows(), func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
		fake.On(fakedb.Next, fakedb.Sleep(5*time.Second))
		go func() { readAll(t, db, 0) }()
		synctest.Wait()
		goPing(t, db, 0)
		wait(2 * time.Second)
		if got := seen.takeReports(); len(got) != 1 || got[0].Verdict != poolinfo.VerdictSlowStatements {
			t.Errorf("got %v", got)
		}
		wait(time.Minute)
	})
}

func TestVerdict_NoLockWaitOnATableThatIsOnlyRead(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
		db.SetMaxOpenConns(3)
		tx, err := db.Begin()
		noError(t, err)
		_, err = tx.Exec("INSERT INTO a SELECT * FROM b")
		noError(t, err)
		fake.On(fakedb.Exec, fakedb.Sleep(time.Minute))
		go func() { _, _ = db.Exec("INSERT INTO c SELECT * FROM b") }()
		go func() { _, _ = db.Exec("INSERT INTO d SELECT * FROM b") }()
		synctest.Wait()
		goPing(t, db, 0)
		wait(2 * time.Second)
		if got := seen.takeReports(); len(got) != 1 || got[0].Verdict != poolinfo.VerdictSlowStatements {
			t.Errorf("got %v", got)
		}
		fake.On(fakedb.Exec, nil)
		wait(time.Minute)
		noError(t, tx.Rollback())
	})
}

func TestReport_StringOfAnEmptyReportIsALine(t *testing.T) {
	for kind, want := range map[poolinfo.ReportKind]string{
		poolinfo.ReportLeakSuspected:   "pool : connection 0 may be leaked: held for 0s (idle for 0s)",
		poolinfo.ReportLeakResolved:    "pool : suspected leak resolved: connection 0 returned after 0s",
		poolinfo.ReportExhausted:       "pool  is exhausted: 0 held, 0 idle, 0 dialing, 0 waiting; holders appear to wait for a second connection",
		poolinfo.ReportRecovered:       "pool  recovered after 0s; 0 callers waited",
		poolinfo.ReportConnectionsLost: "pool  lost 0 connections within seconds: ",
	} {
		if got := (poolinfo.Report{Kind: kind, Verdict: poolinfo.VerdictSelfDeadlock}).String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// exhaust has a way to exhaust a pool of three connections for each verdict.
var exhaust = map[poolinfo.Verdict]func(t *testing.T, db *otelpool.DB, fake *fakedb.DB){
	poolinfo.VerdictIdleInCode: func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) {
		hold(t, db, t.Context(), time.Minute)
		hold(t, db, t.Context(), time.Minute)
		tx, err := db.Begin()
		noError(t, err)
		time.AfterFunc(time.Minute, func() { _ = tx.Rollback() })
	},
	poolinfo.VerdictSlowStatements: func(t *testing.T, db *otelpool.DB, fake *fakedb.DB) {
		fake.On(fakedb.Exec, fakedb.Sleep(time.Minute))
		hold(t, db, t.Context(), time.Minute)
		go func() { _, _ = db.Exec("UPDATE t SET a = 1") }()
		go func() { _, _ = db.Exec("UPDATE u SET a = 1") }()
		synctest.Wait()
	},
	poolinfo.VerdictLockWait: func(t *testing.T, db *otelpool.DB, fake *fakedb.DB) {
		tx, err := db.Begin()
		noError(t, err)
		_, err = tx.Exec("UPDATE t SET a = 1")
		noError(t, err)
		time.AfterFunc(time.Minute, func() { _ = tx.Rollback() })
		fake.On(fakedb.Exec, fakedb.Sleep(time.Minute))
		go func() { _, _ = db.Exec("DELETE FROM t WHERE a = 1") }()
		go func() { _, _ = db.Exec("UPDATE t SET a = 1") }()
		synctest.Wait()
	},
	poolinfo.VerdictDatabaseUnreachable: func(t *testing.T, db *otelpool.DB, fake *fakedb.DB) {
		fake.On(fakedb.Connect, fakedb.Sleep(time.Minute))
		for range 3 {
			goPing(t, db, 0)
		}
		synctest.Wait()
	},
	poolinfo.VerdictTooSmall: func(t *testing.T, db *otelpool.DB, fake *fakedb.DB) {
		fake.On(fakedb.Exec, fakedb.Sleep(60*ms))
		for range 1000 {
			go func() { _, _ = db.Exec("x") }()
		}
		synctest.Wait()
	},
	poolinfo.VerdictSelfDeadlock: func(t *testing.T, db *otelpool.DB, _ *fakedb.DB) {
		for range 3 {
			go func() {
				tx, err := db.BeginTx(t.Context(), nil)
				if err != nil {
					return
				}
				defer tx.Rollback()
				time.Sleep(ms) // until all have one
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_ = db.PingContext(ctx)
			}()
		}
		synctest.Wait()
	},
}

func TestVerdict_FollowsFromWhatTheHoldersDo(t *testing.T) {
	for want, do := range exhaust {
		t.Run(string(want), func(t *testing.T) {
			timed(t, full, func(t *testing.T, db *otelpool.DB, fake *fakedb.DB, seen *telemetry) {
				db.SetMaxOpenConns(3)
				do(t, db, fake)
				goPing(t, db, time.Minute)
				wait(2 * time.Second)
				reports := seen.takeReports()
				if len(reports) != 1 || reports[0].Verdict != want || reports[0].Kind != poolinfo.ReportExhausted {
					t.Errorf("got %v, want %s", reports, want)
				}
				seen.wantSums(t, "otelpool.connection.exhaustions", map[string]int64{string(want): 1}, verdict)
				wait(5 * time.Minute)
			})
		})
	}
}

func TestReport_GroupsHoldersByCallSite(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		db.SetMaxOpenConns(8)
		_, _, line, _ := runtime.Caller(0)
		for range 5 {
			hold(t, db, t.Context(), time.Minute)
			wait(10 * ms)
		}
		for range 3 {
			tx, err := db.Begin()
			noError(t, err)
			_, err = tx.Exec("UPDATE t SET a = 1")
			noError(t, err)
			time.AfterFunc(time.Minute, func() { _ = tx.Rollback() })
		}
		goPing(t, db, 0)
		wait(1500 * ms)
		var got []string
		for _, g := range seen.takeReports()[0].Groups {
			f := g.Longest.CallSite.Frames()
			for i := range f {
				if !strings.HasSuffix(f[i].Function, ".hold") {
					f = f[i:]
					break
				}
			}
			got = append(got, fmt.Sprintf("%d %v %d %v %s %d", g.Count, g.Phases, g.InCode, g.Longest.Held, g.Longest.Statement, f[0].Line-line))
		}
		wantLines(t, got,
			"5 map[pinned:5] 5 1.05s  2",
			"3 map[tx:3] 3 1s UPDATE t 6")
		wait(2 * time.Minute)
	})
}

func TestVerdict_SelfDeadlockHasBothCallSites(t *testing.T) {
	nested := map[string]func(*testing.T, *sql.DB, pooled) (first, second int){
		"a query in a transaction": func(t *testing.T, _ *sql.DB, db pooled) (int, int) {
			_, _, line, _ := runtime.Caller(0)
			tx, err := db.BeginTx(t.Context(), nil)
			noError(t, err)
			defer tx.Rollback()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, _ = db.QueryContext(ctx, "x")
			return line + 1, line + 6
		},
		"a query for each row": func(t *testing.T, _ *sql.DB, db pooled) (int, int) {
			_, _, line, _ := runtime.Caller(0)
			rows, err := db.QueryContext(t.Context(), "x")
			noError(t, err)
			defer rows.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, _ = db.ExecContext(ctx, "x")
			return line + 1, line + 6
		},
		"a statement while a connection is held": func(t *testing.T, _ *sql.DB, db pooled) (int, int) {
			_, _, line, _ := runtime.Caller(0)
			c, err := db.Conn(t.Context())
			noError(t, err)
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_ = func() error { return db.PingContext(ctx) }()
			return line + 1, line + 6
		},
	}
	for name, do := range nested {
		for _, kind := range []string{"plain", "DB"} {
			t.Run(name+", "+kind, func(t *testing.T) {
				timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
					var on pooled = db
					if kind == "plain" {
						on = db.DB
					}
					first, second := do(t, db.DB, on)
					wait(time.Second)
					r := seen.takeReports()[0]
					if r.Verdict != poolinfo.VerdictSelfDeadlock || len(r.SelfDeadlocks) != 1 {
						t.Fatalf("got %v", r)
					}
					d := r.SelfDeadlocks[0]
					at := func(frames []runtime.Frame) int {
						for _, f := range frames {
							if strings.Contains(f.Function, "TestVerdict_SelfDeadlock") && !strings.HasSuffix(f.Function, ".1") {
								return f.Line
							}
						}
						return 0
					}
					if got := [2]int{at(d.Holder.CallSite.Frames()), at(d.Waiter.CallSite.Frames())}; got != [2]int{first, second} {
						t.Errorf("got lines %v, want %d and %d: %v", got, first, second, r)
					}
				})
			})
		}
	}
}

// Here one goroutine waits at the line where another acquired its connection.
func TestVerdict_NoSelfDeadlockOfTwoGoroutines(t *testing.T) {
	handler := func(t *testing.T, db *otelpool.DB, ctx context.Context) {
		_ = db.PingContext(ctx)
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return
		}
		defer tx.Rollback()
		time.Sleep(10 * time.Second)
	}
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			go handler(t, db, ctx)
			wait(time.Second)
		}
		wait(time.Minute)
		for _, r := range seen.takeReports() {
			if len(r.SelfDeadlocks) != 0 {
				t.Errorf("got %v", r)
			}
		}
	})
}

func TestReport_ExhaustionIsAnEventOnTheHoldersSpan(t *testing.T) {
	timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
		ctx, span := seen.caller()
		hold(t, db, ctx, 5*time.Second)
		goPing(t, db, 0)
		wait(10 * time.Second)
		span.End()
		var got []string
		caller := span.(sdktrace.ReadOnlySpan)
		for _, e := range caller.Events() {
			if e.Name == "otelpool.pool.exhausted" {
				got = append(got, fmt.Sprint(e.Time.Sub(caller.StartTime()), " ", attributeValues(attribute.NewSet(e.Attributes...), []attribute.Key{
					verdict, "otelpool.waiters", "otelpool.oldest_wait", "otelpool.connection.id", "otelpool.held", "otelpool.idle", phase, poolName,
				})))
			}
		}
		wantLines(t, got, "1s idle_in_code 1 1 1 1 1 pinned shop")
	})
}

func TestReport_WorksWithTenThousandWaiters(t *testing.T) {
	for _, kind := range []string{"plain", "DB"} {
		t.Run(kind, func(t *testing.T) {
			timed(t, full, func(t *testing.T, db *otelpool.DB, _ *fakedb.DB, seen *telemetry) {
				var on pooled = db
				if kind == "plain" {
					on = db.DB
				}
				hold(t, db, t.Context(), time.Minute)
				ctx, cancel := context.WithCancel(t.Context())
				for range 10_000 {
					go func() { _ = on.PingContext(ctx) }()
				}
				wait(3 * time.Second)
				reports := seen.takeReports()
				if len(reports) != 1 || reports[0].Waiting != 10_000 || reports[0].Verdict != poolinfo.VerdictIdleInCode {
					t.Errorf("got %v", reports)
				}
				s, err := otelpool.Inspect(db.DB)
				noError(t, err)
				if want := map[string]int{"plain": 0, "DB": 10_000}[kind]; s.Waiting != want || len(s.Waiters) != min(want, 100) {
					t.Errorf("got %d waiting and %d waiters, want %d and at most 100", s.Waiting, len(s.Waiters), want)
				}
				cancel()
				wait(time.Minute)
			})
		})
	}
}

func TestReport_RestartOfTheServerIsOneReport(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		start := time.Now()
		var held []*sql.Conn
		for range 20 {
			c, err := db.Conn(t.Context())
			noError(t, err)
			held = append(held, c)
		}
		wait(2300 * ms)
		for _, c := range held {
			_ = c.Raw(func(any) error { return driver.ErrBadConn })
			wait(10 * ms)
		}
		wait(time.Minute)
		reports := seen.takeReports()
		if len(reports) != 1 {
			t.Fatalf("got %v", reports)
		}
		got := fmt.Sprint(reports[0].Time.Sub(start), " ", reports[0].Kind, " ", reports[0])
		if want := "3.49s connections_lost pool shop lost 20 connections within seconds: 20 bad_connection"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
