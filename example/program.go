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
	"github.com/otelpool/otelpool/poolinfo"
)

const (
	// poolLimit is how many connections the service's pool may open.
	poolLimit = 10
	// cleanupTimeout bounds each cleanup.
	cleanupTimeout = 3 * time.Second
)

// program holds everything that runs: telemetry, server, pool, service.
type program struct {
	base      string // URL of the service
	telemetry *telemetry
	service   *service
	stage     *stage
	cleanups  []cleanup // in the order of the starts; run in reverse
}

// cleanup stops one part.
type cleanup struct {
	what string
	f    func(context.Context) error
}

// setUp starts everything. The meter provider also gets the readers in more.
func setUp(ctx context.Context, set settings, stderr io.Writer, more ...sdkmetric.Reader) (_ *program, err error) {
	p := &program{}
	defer func() {
		if err != nil {
			p.tearDown(stderr)
		}
	}()
	// The driver logs a line for each connection that the server closed.
	if err := mysql.SetLogger(&mysql.NopLogger{}); err != nil {
		return nil, err
	}
	tel, err := newTelemetry(ctx, stderr, more...)
	if err != nil {
		return nil, err
	}
	p.telemetry = tel
	p.onTearDown("telemetry", tel.shutdown)

	var db database
	if set.config == nil {
		db, err = newEmbedded()
	} else {
		db, err = newRemote(ctx, set.config)
	}
	if err != nil {
		return nil, err
	}
	p.onTearDown("database", func(context.Context) error { return db.Close() })

	reports := make(chan poolinfo.Report, 16)
	opened, err := otelmysql.Open(db.DSN(),
		otelpool.WithPoolName(poolName),
		otelpool.WithServerQuery(),
		otelpool.WithLogger(slog.New(slog.DiscardHandler)), // the scenes print the reports
		otelpool.WithReports(func(r poolinfo.Report) {
			select {
			case reports <- r:
			default: // the buffer is full
			}
		}),
		otelpool.WithMeterProvider(tel.metrics),
		otelpool.WithTracerProvider(tel.spans))
	if err != nil {
		return nil, err
	}
	p.onTearDown("pool", func(context.Context) error { return opened.Close() })
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
	p.onTearDown("table", store.drop)
	if err := store.seed(ctx, firstStreamUser, firstStreamUser+poolLimit-1, backlogLimit); err != nil {
		return nil, err
	}

	acquireErrors := make(chan *otelpool.AcquireError, 1)
	p.service = &service{
		store:   store,
		feed:    newFeed(),
		tracer:  tel.spans.Tracer("notifications"),
		timeout: set.pace.request,
		reading: readingPace(set.pace.hold),
		onAcquireError: func(e *otelpool.AcquireError) {
			select {
			case acquireErrors <- e:
			default: // one is buffered already
			}
		},
	}
	if err := p.listen(ctx, set.addr, p.service.handler(tel.prometheus)); err != nil {
		return nil, err
	}
	load := newLoad(p.base)
	p.onTearDown("load", func(context.Context) error { load.http.CloseIdleConnections(); return nil })
	p.stage = &stage{
		pace:          set.pace,
		limit:         poolLimit,
		pool:          pool,
		database:      db,
		load:          load,
		acquireErrors: acquireErrors,
		reports:       reports,
		watch:         newWatcher(tel.reader),
		printf:        func(string, ...any) {},
	}
	return p, nil
}

// listen serves handler until tear-down, which cancels open streams.
func (p *program) listen(ctx context.Context, addr string, handler http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	p.base = "http://" + l.Addr().String()
	// An interrupt stops the clients first. The service stops after them.
	requests, cancelRequests := context.WithCancel(context.WithoutCancel(ctx))
	server := &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 5 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	p.onTearDown("service", func(ctx context.Context) error {
		cancelRequests()
		err := server.Shutdown(ctx)
		if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
			err = errors.Join(err, failed)
		}
		return err
	})
	return nil
}

func (p *program) onTearDown(what string, f func(context.Context) error) {
	p.cleanups = append(p.cleanups, cleanup{what, f})
}

// tearDown runs the cleanups, the last first. An interrupt does not cancel them.
func (p *program) tearDown(stderr io.Writer) {
	for _, e := range slices.Backward(p.cleanups) {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		if err := e.f(ctx); err != nil {
			fmt.Fprintf(stderr, "example: stopping the %s: %v\n", e.what, err)
		}
		cancel()
	}
	p.cleanups = nil
}

// printHeader prints the addresses and the pool's limit.
func (p *program) printHeader(out io.Writer) {
	exports := "nothing; set OTEL_EXPORTER_OTLP_ENDPOINT to export traces and metrics"
	if p.telemetry.exports != nil {
		exports = strings.Join(p.telemetry.exports, " and ")
	}
	fmt.Fprintf(out, "A notification service whose connection pool is instrumented by otelpool.\n\n")
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
