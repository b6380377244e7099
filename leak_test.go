package otelpool_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

const (
	verdict = attribute.Key("otelpool.verdict")
	leakKey = attribute.Key("otelpool.leak")
)

// timedReport is what a test compares of a report, with its time since the start.
type timedReport struct {
	at   time.Duration
	kind poolinfo.ReportKind
	text string
}

// reportsFrom runs a test in virtual time on a pool of one connection, and returns the
// reports.
func reportsFrom(t *testing.T, cfg fakedb.Config, test func(*testing.T, *sql.DB, *fakedb.DB), opts ...otelpool.Option) (all []timedReport) {
	t.Helper()
	bubble(t, cfg, func(t *testing.T, db *sql.DB, fake *fakedb.DB, seen *telemetry) {
		start := time.Now()
		db.SetMaxOpenConns(1)
		test(t, db, fake)
		synctest.Wait()
		for _, r := range seen.takeReports() {
			all = append(all, timedReport{r.Time.Sub(start), r.Kind, r.String()})
		}
	}, opts...)
	return all
}

// wait sleeps for d in a bubble, and then until all other goroutines are blocked.
func wait(d time.Duration) { time.Sleep(d); synctest.Wait() }

// idleHolds are ways to hold a connection and do nothing with it.
var idleHolds = map[string]func(t *testing.T, db *sql.DB) (release func() error){
	"pinned": func(t *testing.T, db *sql.DB) func() error {
		c, err := db.Conn(t.Context())
		noError(t, err)
		return c.Close
	},
	"pinned, after statements": func(t *testing.T, db *sql.DB) func() error {
		c, err := db.Conn(t.Context())
		noError(t, err)
		_, err = c.ExecContext(t.Context(), "x")
		noError(t, err)
		return c.Close
	},
	"in a transaction": func(t *testing.T, db *sql.DB) func() error {
		tx, err := db.Begin()
		noError(t, err)
		return tx.Rollback
	},
	"in a transaction, after a result set": func(t *testing.T, db *sql.DB) func() error {
		tx, err := db.Begin()
		noError(t, err)
		readAll(t, tx, 0)
		return tx.Rollback
	},
	"with rows open": func(t *testing.T, db *sql.DB) func() error {
		rows, err := db.Query("rows")
		noError(t, err)
		return rows.Close
	},
}

// tenRows is a driver whose query "rows" has ten rows.
func tenRows() fakedb.Config {
	cfg := full
	cfg.Answers = map[string]fakedb.Answer{"rows": {Sets: []fakedb.Set{{Columns: []fakedb.Column{{Name: "n"}}}}}}
	for i := range 10 {
		set := &cfg.Answers["rows"].Sets[0]
		set.Rows = append(set.Rows, []driver.Value{int64(i)})
	}
	return cfg
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readAll reads ten rows, and sleeps for d after each.
func readAll(t *testing.T, q querier, d time.Duration) {
	t.Helper()
	rows, err := q.QueryContext(t.Context(), "rows")
	noError(t, err)
	for rows.Next() {
		time.Sleep(d)
	}
	noError(t, rows.Err())
}

func TestReport_LeakIsSuspectedAtTheThresholdAndResolvedAtTheRelease(t *testing.T) {
	for name, hold := range idleHolds {
		for _, threshold := range []time.Duration{30 * time.Second, 1500 * ms, 100 * ms} {
			t.Run(fmt.Sprint(name, ", ", threshold), func(t *testing.T) {
				var opts []otelpool.Option
				if threshold != 30*time.Second { // the default
					opts = append(opts, otelpool.WithLeakThreshold(threshold))
				}
				bubble(t, tenRows(), func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
					wait(700 * ms)
					release := hold(t, db)
					began := time.Now()
					wait(threshold - 1)
					if got := seen.takeReports(); len(got) != 0 {
						t.Fatalf("before the threshold: %v", got)
					}
					wait(1)
					wantLeak(t, seen, poolinfo.ReportLeakSuspected, threshold, threshold, began)
					wait(time.Hour - threshold)
					if got := seen.takeReports(); len(got) != 0 {
						t.Fatalf("again: %v", got)
					}
					noError(t, release())
					synctest.Wait()
					wantLeak(t, seen, poolinfo.ReportLeakResolved, time.Hour, time.Hour, began)
					seen.wantSums(t, "otelpool.connection.leaks", map[string]int64{"suspected": 1, "resolved": 1}, leakKey)
				}, opts...)
			})
		}
	}
}

// wantLeak fails unless exactly one report was made since the last call of takeReports,
// now, of this kind and of a hold of this length.
func wantLeak(t *testing.T, seen *telemetry, kind poolinfo.ReportKind, held, idle time.Duration, began time.Time) {
	t.Helper()
	got := seen.takeReports()
	if len(got) != 1 {
		t.Fatalf("got %d reports, want one: %v", len(got), got)
	}
	r := got[0]
	if r.Kind != kind || r.Time.Sub(began) != held || r.Holder.Held != held || r.Pool != "shop" || r.Holder.ConnID != 1 {
		t.Errorf("got %s of connection %d of %s after %v, held for %v; want %s of 1 of shop after and for %v",
			r.Kind, r.Holder.ConnID, r.Pool, r.Time.Sub(began), r.Holder.Held, kind, held)
	}
	if kind == poolinfo.ReportLeakSuspected && r.Holder.Idle != idle {
		t.Errorf("idle for %v, want %v", r.Holder.Idle, idle)
	}
}

func TestReport_NoLeakIsSuspectedOfAWorkingHolder(t *testing.T) {
	work := map[string]func(t *testing.T, db *sql.DB, fake *fakedb.DB){
		"a slow statement": func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.On(fakedb.Exec, fakedb.Sleep(time.Hour))
			_, err := db.Exec("x")
			noError(t, err)
		},
		"a slow query": func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.On(fakedb.Query, fakedb.Sleep(time.Hour))
			readAll(t, db, 0)
		},
		"a slow commit": func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.On(fakedb.Commit, fakedb.Sleep(time.Hour))
			tx, err := db.Begin()
			noError(t, err)
			noError(t, tx.Commit())
		},
		"a slow transaction of many statements": func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			tx, err := db.Begin()
			noError(t, err)
			for range 100 {
				wait(30*time.Second - 1)
				_, err = tx.Exec("x")
				noError(t, err)
			}
			noError(t, tx.Commit())
		},
		"a batch on a connection of its own": func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.On(fakedb.Exec, fakedb.Sleep(20*time.Second))
			c, err := db.Conn(t.Context())
			noError(t, err)
			for range 10 {
				wait(20 * time.Second)
				_, err = c.ExecContext(t.Context(), "x")
				noError(t, err)
			}
			noError(t, c.Close())
		},
		"a long result set that is being read": func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			readAll(t, db, 29*time.Second)
		},
		"a slow row": func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.On(fakedb.Next, fakedb.Sleep(time.Hour))
			rows, err := db.Query("rows")
			noError(t, err)
			if !rows.Next() {
				t.Fatal(rows.Err())
			}
			noError(t, rows.Close())
		},
		"a slow row without a call site": func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			db.SetMaxOpenConns(0)
			fake.On(fakedb.Next, fakedb.Sleep(time.Hour))
			rows, err := db.Query("rows")
			noError(t, err)
			if !rows.Next() {
				t.Fatal(rows.Err())
			}
			noError(t, rows.Close())
		},
		"a slow row after fast ones, and after slow ones": func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			rows, err := db.Query("rows")
			noError(t, err)
			for _, d := range []time.Duration{0, 0, time.Hour, 0, 10 * time.Second, time.Hour, 29 * time.Second} {
				fake.On(fakedb.Next, fakedb.Sleep(d))
				if !rows.Next() {
					t.Fatal(rows.Err())
				}
			}
			noError(t, rows.Close())
		},
		"QueryRow and Scan in one line": func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.On(fakedb.Next, fakedb.Sleep(time.Hour))
			noError(t, db.QueryRow("rows").Scan(new(int)))
		},
		"QueryRow of a DB and Scan in one line": func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			otelDB, err := otelpool.NewDB(db)
			noError(t, err)
			fake.On(fakedb.Next, fakedb.Sleep(time.Hour))
			noError(t, otelDB.QueryRow("rows").Scan(new(int)))
		},
		"a slow result set in a transaction, then statements": func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			tx, err := db.Begin()
			noError(t, err)
			readAll(t, tx, 29*time.Second)
			wait(29 * time.Second)
			noError(t, tx.Commit())
		},
		"many short holds of one connection": func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			for range 100 {
				wait(10 * time.Second)
				_, err := db.Exec("x")
				noError(t, err)
			}
		},
		"no holder": func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			_, err := db.Exec("x")
			noError(t, err)
			wait(24 * time.Hour)
		},
		"a slow database for twenty callers": func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			db.SetMaxOpenConns(0)
			fake.On(fakedb.Exec, fakedb.Sleep(time.Hour))
			for range 20 {
				go func() { _, _ = db.Exec("x") }()
			}
			wait(2 * time.Hour)
		},
		"a slow dial": func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
			fake.On(fakedb.Connect, fakedb.Sleep(time.Hour))
			noError(t, db.Ping())
		},
		"a hold until just before the threshold": func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
			tx, err := db.Begin()
			noError(t, err)
			wait(30*time.Second - 1)
			noError(t, tx.Rollback())
			wait(time.Minute)
		},
	}
	for name, do := range work {
		for kind, cfg := range tenRowDrivers() {
			t.Run(name+", "+kind, func(t *testing.T) {
				got := reportsFrom(t, cfg, func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
					began := time.Now()
					do(t, db, fake)
					if took := time.Since(began); took < 30*time.Second {
						t.Errorf("that took %v", took)
					}
				}, otelpool.WithExhaustionThreshold(-1))
				if len(got) != 0 {
					t.Errorf("got %v", got)
				}
			})
		}
	}
}

// tenRowDrivers are drivers with ten rows, one for each way in which database/sql reads
// rows: by Next, and, from Go 1.27 on, by scanning into the program's variables.
func tenRowDrivers() map[string]fakedb.Config {
	plain, all := tenRows(), tenRows()
	all.Rows = allRowsHere
	return map[string]fakedb.Config{"plain rows": plain, "rows with all interfaces": all}
}

func TestInspect_SeesTheFirstRowBeforeReadsAreTracked(t *testing.T) {
	for kind, cfg := range tenRowDrivers() {
		t.Run(kind, func(t *testing.T) {
			bubble(t, cfg, func(t *testing.T, db *sql.DB, _ *fakedb.DB, _ *telemetry) {
				noError(t, db.Ping())
				wait(100 * ms) // after the monitor's first look; the next is a second later
				rows, err := db.Query("rows")
				noError(t, err)
				defer rows.Close()
				idle := func(want time.Duration) {
					t.Helper()
					s, err := otelpool.Inspect(db)
					noError(t, err)
					if got := s.Conns[0].Holder.Idle; got != want {
						t.Errorf("idle for %v, want %v", got, want)
					}
				}
				wait(300 * ms)
				idle(300 * ms)
				rows.Next()
				wait(300 * ms)
				idle(0) // reading, as far as is known
			})
		})
	}
}

// The count of rows grows before the driver's Next, so the look at 6s sees the read.
func TestReport_LeakIsSuspectedAThresholdAfterTheLastReadIsSeen(t *testing.T) {
	got := reportsFrom(t, tenRows(), func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
		rows, err := db.Query("rows")
		noError(t, err)
		defer rows.Close()
		wait(5300 * ms)
		rows.Next()
		wait(35 * time.Second)
	})
	if len(got) != 2 || got[0].at != 36*time.Second || got[0].kind != poolinfo.ReportLeakSuspected {
		t.Errorf("got %v, want a leak that is suspected at 36s, and resolved", got)
	}
}

func TestReport_LeakIsSuspectedWhileAnotherHolderReads(t *testing.T) {
	got := reportsFrom(t, tenRows(), func(t *testing.T, db *sql.DB, fake *fakedb.DB) {
		db.SetMaxOpenConns(2) // so that the call sites of both are captured
		fake.On(fakedb.Next, fakedb.Sleep(time.Hour))
		go func() {
			rows, err := db.Query("rows")
			noError(t, err)
			rows.Next()
			noError(t, rows.Close())
		}()
		synctest.Wait()
		rows, err := db.Query("rows")
		noError(t, err)
		wait(30 * time.Second)
		noError(t, rows.Close())
		wait(time.Hour)
	})
	if len(got) != 2 || got[0].at != 30*time.Second || got[0].kind != poolinfo.ReportLeakSuspected || got[1].kind != poolinfo.ReportLeakResolved {
		t.Errorf("got %v, want one leak that is suspected at 30s, and resolved", got)
	}
}

func TestWithLeakThreshold_NegativeIsOffAndTenMillisecondsIsTheLeast(t *testing.T) {
	for threshold, want := range map[time.Duration]time.Duration{
		-1: 0, -time.Hour: 0, 0: 10 * ms, 1: 10 * ms, 10 * ms: 10 * ms, 11 * ms: 11 * ms,
	} {
		t.Run(threshold.String(), func(t *testing.T) {
			got := reportsFrom(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
				c, err := db.Conn(t.Context())
				noError(t, err)
				wait(time.Hour)
				noError(t, c.Close())
			}, otelpool.WithLeakThreshold(threshold))
			switch {
			case want == 0:
				if len(got) != 0 {
					t.Errorf("got %v", got)
				}
			case len(got) != 2 || got[0].kind != poolinfo.ReportLeakSuspected || got[0].at != want:
				t.Errorf("got %v, want one leak that is suspected at %v, and resolved", got, want)
			}
		})
	}
}

func TestReport_LeakIsSuspectedForEachHolder(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		start := time.Now()
		var held []*sql.Conn
		for range 3 {
			c, err := db.Conn(t.Context())
			noError(t, err)
			held = append(held, c)
			wait(5 * time.Second)
		}
		wait(time.Minute)
		at := map[uint64]time.Duration{}
		for _, r := range seen.takeReports() {
			at[r.Holder.ConnID] = r.Time.Sub(start)
		}
		if want := map[uint64]time.Duration{1: 30 * time.Second, 2: 35 * time.Second, 3: 40 * time.Second}; !maps.Equal(at, want) {
			t.Errorf("suspected at %v, want %v", at, want)
		}
		for _, c := range held {
			noError(t, c.Close())
		}
	})
}

func TestReport_LeakIsAnEventOnTheHoldersSpan(t *testing.T) {
	bubble(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB, seen *telemetry) {
		ctx, span := seen.caller()
		c, err := db.Conn(ctx)
		noError(t, err)
		wait(45 * time.Second)
		noError(t, c.Close())
		span.End()
		var got []string
		caller := span.(sdktrace.ReadOnlySpan)
		for _, e := range caller.Events() {
			if e.Name == "otelpool.connection.leak" {
				set := attribute.NewSet(e.Attributes...)
				got = append(got, fmt.Sprint(e.Time.Sub(caller.StartTime()), " ",
					attributeValues(set, []attribute.Key{leakKey, "otelpool.connection.id", "otelpool.held", "otelpool.idle", phase, poolName})))
			}
		}
		want := []string{"30s suspected 1 30 30 pinned shop", "45s resolved 1 45   shop"}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

func TestReport_LeakIsResolvedWhenTheConnectionIsClosed(t *testing.T) {
	got := reportsFrom(t, full, func(t *testing.T, db *sql.DB, _ *fakedb.DB) {
		c, err := db.Conn(t.Context())
		noError(t, err)
		wait(40 * time.Second)
		_ = c.Raw(func(any) error { return driver.ErrBadConn })
		wait(time.Minute) // without a connection
	})
	if len(got) != 2 || got[1].kind != poolinfo.ReportLeakResolved || got[1].at != 40*time.Second {
		t.Errorf("got %v, want a leak that is suspected, and resolved at 40s", got)
	}
}
