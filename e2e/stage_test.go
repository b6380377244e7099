package e2e

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
)

// scrapeEvery is how often a situation is scraped.
const scrapeEvery = 15 * time.Second

// errNoServer stands for a dial that nobody answers.
var errNoServer = errors.New("nobody listens")

// full is a driver with what real ones have.
var full = fakedb.Config{
	Conn:   fakedb.AllConn &^ (fakedb.Execer | fakedb.Queryer),
	Stmt:   fakedb.StmtExecContext | fakedb.StmtQueryContext,
	Rows:   fakedb.AllRows,
	Closer: true,
	Quiet:  true,
}

// situation is something that happens to a pool, for as long as an alert needs to
// tell. It is played in virtual time, by a real pool; its name is the job and the
// pool in what Prometheus gets.
type situation struct {
	name      string
	length    time.Duration
	limit     int // of open connections; 0 is none
	idle      int // of idle ones; 0 is as many as may be open
	plain     bool
	instances int // how many play it; 0 is one
	// Nothing happens and nothing is scraped from quiet to loud.
	gapStart, gapEnd time.Duration
	play             func(*stage)
}

// stage is where a situation is played.
type stage struct {
	db    *sql.DB
	pool  *otelpool.DB // nil for a plain one
	fake  *fakedb.DB
	ctx   context.Context // it is the stage's time
	start time.Time
	all   sync.WaitGroup
}

// at waits for a moment of the situation.
func (st *stage) at(d time.Duration) { time.Sleep(time.Until(st.start.Add(d))) }

// exec runs a statement on the pool.
func (st *stage) exec(ctx context.Context, query string) error {
	if st.pool != nil {
		_, err := st.pool.ExecContext(ctx, query)
		return err
	}
	_, err := st.db.ExecContext(ctx, query)
	return err
}

// begin begins a transaction on the pool.
func (st *stage) begin(ctx context.Context) (*sql.Tx, error) {
	if st.pool != nil {
		return st.pool.BeginTx(ctx, nil)
	}
	return st.db.BeginTx(ctx, nil)
}

// clients run a statement each, again and again with a pause between, until the
// context ends. A statement is given up after patience; 0 is never.
func (st *stage) clients(during context.Context, n int, pause, patience time.Duration, query string) {
	for i := range n {
		st.all.Go(func() {
			time.Sleep(pause * time.Duration(i) / time.Duration(n)) // not all at once
			for during.Err() == nil {
				ctx, cancel := during, context.CancelFunc(func() {})
				if patience > 0 {
					ctx, cancel = context.WithTimeout(ctx, patience)
				}
				_ = st.exec(ctx, query) // what a client does about it is not the matter here
				cancel()
				time.Sleep(pause)
			}
		})
	}
}

// readers read a result set each, again and again with a pause between.
func (st *stage) readers(n int, pause time.Duration, query string) {
	for range n {
		st.all.Go(func() {
			for ; st.ctx.Err() == nil; time.Sleep(pause) {
				rows, err := st.pool.QueryContext(st.ctx, query)
				if err != nil {
					continue
				}
				for rows.Next() {
				}
				_ = rows.Close() // the same
			}
		})
	}
}

// leave is a caller who goes away if there is no answer at once, again and again.
func (st *stage) leave(pause, patience time.Duration, query string) {
	st.all.Go(func() {
		for ; st.ctx.Err() == nil; time.Sleep(pause) {
			ctx, cancel := context.WithCancel(st.ctx)
			timer := time.AfterFunc(patience, cancel)
			_ = st.exec(ctx, query) // the same
			timer.Stop()
			cancel()
		}
	})
}

// until is a context that ends at a moment of the situation, or with it.
func (st *stage) until(d time.Duration) context.Context {
	ctx, cancel := context.WithDeadline(st.ctx, st.start.Add(d))
	context.AfterFunc(ctx, cancel)
	return ctx
}

// hold takes n connections by transactions that do nothing, until the context ends.
func (st *stage) hold(ctx context.Context, n int) {
	for range n {
		st.all.Go(func() {
			tx, err := st.begin(ctx)
			if err == nil {
				<-ctx.Done()
				_ = tx.Rollback() // the context has ended it
			}
		})
	}
}

// take makes the statements of a text take d.
func take(d time.Duration) fakedb.Hook { return fakedb.Sleep(d) }

// record plays a situation and returns what a Prometheus that scrapes it would have
// got, as one text with times.
func (s situation) record(t *testing.T, n naming) []byte {
	t.Helper()
	var text bytes.Buffer
	for i := range max(s.instances, 1) {
		synctest.Test(t, func(t *testing.T) { s.recordInstance(t, n, string(rune('a'+i)), &text) })
	}
	return text.Bytes()
}

func (s situation) recordInstance(t *testing.T, n naming, instance string, out io.Writer) {
	registry := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithTranslationStrategy(n.strategy))
	if err != nil {
		t.Fatal(err)
	}
	fake := fakedb.New(full)
	db := otelpool.OpenDB(fake.Connector(),
		otelpool.WithPoolName(s.name),
		otelpool.WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))),
		otelpool.WithTracerProvider(noop.NewTracerProvider()),
		otelpool.WithLogger(slog.New(slog.DiscardHandler)))
	ctx, stop := context.WithCancel(context.Background())
	st := &stage{db: db, fake: fake, ctx: ctx, start: time.Now()}
	if !s.plain {
		if st.pool, err = otelpool.NewDB(db); err != nil {
			t.Fatal(err)
		}
	}
	db.SetMaxOpenConns(s.limit)
	db.SetMaxIdleConns(cmp.Or(s.idle, s.limit, 2))
	st.all.Go(func() { s.play(st) })
	for at := time.Duration(0); at <= s.length; at += scrapeEvery {
		if s.gapStart < at && at < s.gapEnd {
			continue
		}
		st.at(at)
		scrape(t, registry, s.name, instance, out)
	}
	stop()
	st.all.Wait()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// scrape writes what the exporter tells, with the labels of the target and the time,
// which Prometheus adds when it scrapes.
func scrape(t *testing.T, from prometheus.Gatherer, job, instance string, out io.Writer) {
	families, err := from.Gather()
	if err != nil {
		t.Error(err)
	}
	now := time.Now().UnixMilli()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			m.TimestampMs = &now
			m.Label = append(m.Label, pair("job", job), pair("instance", instance))
		}
		if _, err := expfmt.MetricFamilyToOpenMetrics(out, f); err != nil {
			t.Error(err)
		}
	}
}

func pair(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }
