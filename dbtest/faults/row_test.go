package faults_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/dbtest/proxy"
	"github.com/otelpool/otelpool/dbtest/server"
)

// A row is one fault.
type row struct {
	name string

	// fragile rows may break their server, so they run one after another.
	fragile bool
	// proxied rows connect through a proxy that causes faults of the network.
	proxied bool
	// to is what the pool connects to, without the address; nil for the default.
	to func(s backend) target
	// noServer is an address without a server, for a pool that cannot connect.
	noServer string
	// set sets the limits of the pool; nil for none.
	set func(*sql.DB)

	play func(*stage)

	// want has all possible outcomes. If a driver has more than one, why is the reason.
	want outcomes
	why  string
}

// outcomes are the possible outcomes of a fault, by driver. Drivers that cannot detect it
// are absent.
type outcomes map[string][]string

// A way is how a row runs.
type way int

const (
	bare    way = iota // on the bare driver
	through            // through otelpool, with the adapter
	logged             // through otelpool, with a driver whose calls are logged
)

// stage makes the stage for a row. The telemetry is nil on the bare driver.
func (r row) stage(t *testing.T, s backend, how way) (*stage, *telemetry) {
	t.Helper()
	shared := s.shared
	if r.fragile {
		shared = s.fragile
	}
	st := &stage{T: t, backend: s, in: shared.Instance(t), ctx: t.Context(), tag: fmt.Sprintf("%06d", numbers.Add(1))}
	st.admin = s.open(t, st.in.DSN())
	var to target
	if r.to != nil {
		to = r.to(s)
	}
	to.addr = or(r.noServer, st.in.Addr)
	if r.proxied {
		st.proxy = proxy.Start(t, st.in.Addr)
		to.addr = st.proxy.Addr
	}
	dsn := s.dsn(to)
	if how == bare {
		st.db = s.open(t, dsn)
		return st, nil
	}
	all := newTelemetry()
	ctx, span := all.traces.Tracer("program").Start(st.ctx, "program")
	t.Cleanup(func() { span.End() })
	st.ctx = ctx
	var err error
	if how == logged {
		c, bad := s.connector(dsn)
		if bad != nil {
			t.Fatal(bad)
		}
		st.db = otelpool.OpenDB(loggedConnector{c}, all.options()...)
	} else {
		st.db, err = otelpool.Open(s.driver, dsn, append(all.options(), s.adapters()...)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.db.Close() })
	return st, all
}

// perform runs the row and returns the outcome: the callers' errors and, through otelpool,
// the telemetry. It checks the counts then, and again after the pool is closed.
func (r row) perform(t *testing.T, s backend, how way) (*stage, string) {
	t.Helper()
	st, tel := r.stage(t, s, how)
	if r.set != nil {
		r.set(st.db)
	}
	r.play(st)
	if t.Failed() {
		t.FailNow()
	}
	st.atRest()
	outcome := st.callers()
	if tel == nil {
		return st, outcome
	}
	tel.balance(t, st.db)
	outcome += tel.all(t, st.db)
	if how == logged {
		if got := sum(inspect(t, st.db).Retries); got != st.masked.Load() {
			t.Errorf("%d masked retries were counted, the log of the driver's calls shows %d", got, st.masked.Load())
		}
	}
	if err := st.db.Close(); err != nil {
		t.Error(err)
	}
	tel.balance(t, st.db)
	if open := inspect(t, st.db).Open; open != 0 {
		t.Errorf("%d are open after Close", open)
	}
	return st, outcome
}

// run runs the row in all ways, and compares the outcomes.
func (r row) run(t *testing.T, s backend) {
	var want []string
	for _, o := range r.want[s.driver] {
		want = append(want, strings.TrimPrefix(o, "\n"))
	}
	// On a busy machine, delays of server and network can cause outcomes that are not
	// listed. Wrong telemetry is wrong in each run.
	wrapped, outcome := r.perform(t, s, through)
	for range 2 {
		if slices.Contains(want, outcome) {
			break
		}
		t.Logf("an outcome that is not listed: %s", outcome)
		wrapped, outcome = r.perform(t, s, through)
	}
	if !slices.Contains(want, outcome) {
		t.Errorf("through otelpool:\n%s\nwant one of:\n%s", outcome, strings.Join(want, "or\n"))
	}
	r.perform(t, s, logged)

	// If several outcomes are possible, try a few times to get the same one.
	tries := 3
	if r.why != "" {
		tries = 5
	}
	var differ string
	matched := false
	for range tries {
		without, callers := r.perform(t, s, bare)
		if !slices.ContainsFunc(want, func(w string) bool { return callersOf(w) == callers }) {
			t.Logf("on the bare driver, an outcome that is not listed: %s", callers)
		}
		if callers != wrapped.callers() {
			continue
		}
		matched = true
		if differ = differences(wrapped, without); differ == "" {
			return
		}
	}
	switch {
	case differ != "":
		t.Error(differ)
	case !matched && r.why == "":
		t.Errorf("the bare driver's callers got another outcome, %d times", tries)
	case !matched:
		t.Logf("the bare driver's callers got another outcome %d times: %s", tries, r.why)
	}
}

// differences describes the steps whose errors through otelpool and on the bare driver
// differ.
func differences(wrapped, without *stage) string {
	var b strings.Builder
	for i, step := range wrapped.steps {
		if got, want := whole(step.err, wrapped.tag), whole(without.steps[i].err, without.tag); got != want {
			fmt.Fprintf(&b, "%s: through otelpool\n\t%s\nbare\n\t%s\n", step.name, got, want)
		}
	}
	return b.String()
}

// callersOf returns the callers' part of an outcome.
func callersOf(outcome string) string {
	var b strings.Builder
	for l := range strings.Lines(outcome) {
		if strings.Contains(l, ": ") {
			b.WriteString(l)
		}
	}
	return b.String()
}

// adapters returns the options with the adapter of the driver.
func (s backend) adapters() []otelpool.Option {
	return []otelpool.Option{s.adapter(), otelpool.WithServerQuery()}
}

func TestFaults_AreClassified(t *testing.T) {
	for _, table := range [][]row{dialRows, idleRows, killRows, networkRows, statementRows, limitRows} {
		for _, r := range table {
			t.Run(r.name, func(t *testing.T) {
				t.Parallel()
				for _, s := range backends {
					if _, sees := r.want[s.driver]; !sees || r.fragile {
						continue
					}
					t.Run(s.driver, func(t *testing.T) {
						t.Parallel()
						r.run(t, s)
					})
				}
			})
		}
	}
}

func TestServerFaults_AreClassified(t *testing.T) {
	for _, fragile := range []*server.Shared{mysqlBackend.fragile, pgxBackend.fragile} {
		t.Run(map[bool]string{true: "MariaDB", false: "PostgreSQL"}[fragile == mysqlBackend.fragile], func(t *testing.T) {
			t.Parallel()
			for _, r := range serverRows {
				for _, s := range backends {
					if _, sees := r.want[s.driver]; !sees || s.fragile != fragile {
						continue
					}
					t.Run(r.name+"/"+s.driver, func(t *testing.T) { r.run(t, s) })
				}
			}
			for _, s := range backends {
				if s.fragile == fragile {
					t.Run("the server is restarted under load/"+s.driver, func(t *testing.T) { restartUnderLoad(t, s) })
				}
			}
		})
	}
}
