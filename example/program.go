package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/otelmysql"
)

const (
	// poolLimit is how many connections the service's pool may open.
	poolLimit = 10
	// endTimeout bounds each step of the way out.
	endTimeout = 3 * time.Second
)

// program is everything that runs: telemetry, server, pool, service.
type program struct {
	base    string // URL of the service
	told    *telemetry
	service *service
	stage   *stage
	ends    []end // in the order of the starts
}

// end takes one part down.
type end struct {
	what string
	f    func(context.Context) error
}

// setUp starts everything, each part after those that it needs. More readers may
// be given to the meter provider.
func setUp(ctx context.Context, set settings, complaints io.Writer, more ...sdkmetric.Reader) (_ *program, err error) {
	p := &program{}
	defer func() {
		if err != nil {
			p.tearDown(complaints)
		}
	}()
	// The driver's own log has a line for each connection that the server closed.
	if err := mysql.SetLogger(&mysql.NopLogger{}); err != nil {
		return nil, err
	}
	told, err := newTelemetry(ctx, complaints, more...)
	if err != nil {
		return nil, err
	}
	p.told = told
	p.finally("telemetry", told.shutdown)

	var db database
	if set.config == nil {
		db, err = newEmbedded()
	} else {
		db, err = newRemote(ctx, set.config)
	}
	if err != nil {
		return nil, err
	}
	p.finally("database", func(context.Context) error { return db.Close() })

	reports := make(chan otelpool.Report, 16)
	opened, err := otelmysql.Open(db.DSN(),
		otelpool.WithPoolName(poolName),
		otelpool.WithServerQuery(),
		otelpool.WithLogger(slog.New(slog.DiscardHandler)), // the scenes print what is of interest
		otelpool.WithReports(func(r otelpool.Report) {
			select {
			case reports <- r:
			default: // nobody is interested
			}
		}),
		otelpool.WithMeterProvider(told.metrics),
		otelpool.WithTracerProvider(told.spans))
	if err != nil {
		return nil, err
	}
	p.finally("pool", func(context.Context) error { return opened.Close() })
	pool, err := otelpool.NewDB(opened)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(poolLimit)
	pool.SetMaxIdleConns(poolLimit)

	store, err := newStore(ctx, pool)
	if err != nil {
		return nil, err
	}
	p.finally("table", store.drop)
	if err := store.seed(ctx, firstStreamUser, firstStreamUser+poolLimit-1, backlogLimit); err != nil {
		return nil, err
	}

	refused := make(chan *otelpool.AcquireError, 1)
	p.service = &service{
		store:   store,
		feed:    newFeed(),
		tracer:  told.spans.Tracer("notifications"),
		timeout: set.pace.request,
		reading: readingPace(set.pace.hold),
		refused: func(e *otelpool.AcquireError) {
			select {
			case refused <- e:
			default: // one is enough
			}
		},
	}
	if err := p.listen(ctx, set.addr, p.service.handler(told.prometheus)); err != nil {
		return nil, err
	}
	load := newLoad(p.base)
	p.finally("load", func(context.Context) error { load.http.CloseIdleConnections(); return nil })
	p.stage = &stage{
		pace:     set.pace,
		limit:    poolLimit,
		pool:     pool,
		database: db,
		load:     load,
		refused:  refused,
		reports:  reports,
		watch:    newWatcher(told.reader),
		tell:     func(string, ...any) {},
	}
	return p, nil
}

// listen serves handler until the end, which breaks off the streams.
func (p *program) listen(ctx context.Context, addr string, handler http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	p.base = "http://" + l.Addr().String()
	// An interrupt stops the clients. The service has its own end, after them.
	requests, breakOff := context.WithCancel(context.WithoutCancel(ctx))
	server := &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 5 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	p.finally("service", func(ctx context.Context) error {
		breakOff()
		err := server.Shutdown(ctx)
		if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
			err = errors.Join(err, failed)
		}
		return err
	})
	return nil
}

func (p *program) finally(what string, f func(context.Context) error) {
	p.ends = append(p.ends, end{what, f})
}

// tearDown takes down what was started, the last first. It has time of its own,
// whatever has been interrupted before.
func (p *program) tearDown(complaints io.Writer) {
	for _, e := range slices.Backward(p.ends) {
		ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
		if err := e.f(ctx); err != nil {
			fmt.Fprintf(complaints, "example: end of the %s: %v\n", e.what, err)
		}
		cancel()
	}
	p.ends = nil
}

// introduce prints what runs and where.
func (p *program) introduce(out io.Writer) {
	exports := "nothing; set OTEL_EXPORTER_OTLP_ENDPOINT to export traces and metrics"
	if p.told.exports != nil {
		exports = strings.Join(p.told.exports, " and ")
	}
	fmt.Fprintf(out, "A notification service whose connection pool is watched by otelpool.\n\n")
	for _, line := range [][2]string{
		{"service", p.base},
		{"metrics", p.base + "/metrics"},
		{"page", p.base + "/debug/poolz/"},
		{"database", p.stage.database.About()},
		{"pool", fmt.Sprintf("%q, at most %d connections", poolName, poolLimit)},
		{"exports", exports},
	} {
		fmt.Fprintf(out, "  %-11s%s\n", line[0], line[1])
	}
}
