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

// scrapeEvery is the scrape interval of a situation.
const scrapeEvery = 15 * time.Second

// errNoServer is the error of a dial without a server.
var errNoServer = errors.New("no server")

// full is a driver with the optional interfaces of real ones.
var full = fakedb.Config{
	Conn:   fakedb.AllConn &^ (fakedb.Execer | fakedb.Queryer),
	Stmt:   fakedb.StmtExecContext | fakedb.StmtQueryContext,
	Rows:   fakedb.AllRows,
	Closer: true,
	Quiet:  true,
}

// situation is a workload or a fault, long enough for alerts to fire. A real pool plays it
// in virtual time; its name is the job and the pool name in Prometheus.
type situation struct {
	name      string
	length    time.Duration
	limit     int // of open connections; 0 is unlimited
	idle      int // of idle ones; 0 is limit, or 2 without a limit
	plain     bool
	instances int // number of instances; 0 is one
	// Nothing happens and nothing is scraped between gapStart and gapEnd.
	gapStart, gapEnd time.Duration
	play             func(*stage)
}

// stage is the environment of a situation.
type stage struct {
	db    *sql.DB
	pool  *otelpool.DB // nil for a plain *sql.DB
	fake  *fakedb.DB
	ctx   context.Context // canceled at the end of the situation
	start time.Time
	all   sync.WaitGroup
}

// at waits until a time of the situation.
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

// clients starts n clients that run a statement repeatedly, with a pause between, until the
// context ends. A statement times out after patience; 0 is never.
func (st *stage) clients(during context.Context, n int, pause, patience time.Duration, query string) {
	for i := range n {
		st.all.Go(func() {
			time.Sleep(pause * time.Duration(i) / time.Duration(n)) // not all at once
			for during.Err() == nil {
				ctx, cancel := during, context.CancelFunc(func() {})
				if patience > 0 {
					ctx, cancel = context.WithTimeout(ctx, patience)
				}
				_ = st.exec(ctx, query) // clients ignore errors
				cancel()
				time.Sleep(pause)
			}
		})
	}
}

// readers starts n clients that read a result set repeatedly, with a pause between.
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
				_ = rows.Close() // ignored too
			}
		})
	}
}

// leave starts a caller that repeatedly cancels its statement after patience.
func (st *stage) leave(pause, patience time.Duration, query string) {
	st.all.Go(func() {
		for ; st.ctx.Err() == nil; time.Sleep(pause) {
			ctx, cancel := context.WithCancel(st.ctx)
			timer := time.AfterFunc(patience, cancel)
			_ = st.exec(ctx, query) // ignored too
			timer.Stop()
			cancel()
		}
	})
}

// until is a context that ends at a time of the situation, or with it.
func (st *stage) until(d time.Duration) context.Context {
	ctx, cancel := context.WithDeadline(st.ctx, st.start.Add(d))
	context.AfterFunc(ctx, cancel)
	return ctx
}

// hold holds n connections by idle transactions until the context ends.
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

// take makes statements take d.
func take(d time.Duration) fakedb.Hook { return fakedb.Sleep(d) }

// record plays a situation and returns the scraped metrics as one text with timestamps.
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

// scrape writes the exporter's metrics with the target's labels and the time, which
// Prometheus adds when it scrapes.
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
