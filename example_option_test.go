package otelpool_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/otelpool/otelpool"
	"github.com/otelpool/otelpool/internal/fakedb"
	"github.com/otelpool/otelpool/poolinfo"
)

// discard is a logger that writes nothing.
var discard = slog.New(slog.DiscardHandler)

// The program gets each report besides the log.
func ExampleWithReports() {
	reports := make(chan poolinfo.Report, 1)
	db := otelpool.OpenDB(connector,
		otelpool.WithReports(func(r poolinfo.Report) {
			if r.Kind == poolinfo.ReportLeakSuspected {
				reports <- r
			}
		}),
		otelpool.WithLeakThreshold(10*time.Millisecond), // the default is 30 seconds
		otelpool.WithLogger(discard),                    // the default is the logger of slog
	)
	defer db.Close()
	conn, err := db.Conn(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	r := <-reports
	fmt.Println(r.Kind, "of connection", r.Holder.ConnID)
	// Output: leak_suspected of connection 1
}

// The hooks name the spans of statements, add attributes, and keep only those that failed.
func ExampleWithHooks() {
	fake := fakedb.New(fakedb.Config{Conn: fakedb.AllConn})
	spans := tracetest.NewSpanRecorder()
	db := otelpool.OpenDB(fake.Connector(),
		otelpool.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))),
		otelpool.WithHooks(otelpool.Hooks{
			SpanName: func(_ context.Context, s poolinfo.StatementInfo) string { return "orders: " + s.Summary },
			Attributes: func(context.Context, poolinfo.StatementInfo) []attribute.KeyValue {
				return []attribute.KeyValue{attribute.String("team", "checkout")}
			},
			Keep: func(_ context.Context, _ poolinfo.StatementInfo, r poolinfo.StatementResult) bool {
				return r.Err != nil || r.Duration > time.Second
			},
		}))
	defer db.Close()
	_, err := db.Exec("DELETE FROM carts") // succeeds, and has no span
	fmt.Println(err)
	fake.Fail(fakedb.Exec, 1, errDiskFull)
	_, err = db.Exec("DELETE FROM orders WHERE id = 1")
	fmt.Println(err)

	for _, s := range spans.Ended() {
		fmt.Println(s.SpanKind(), s.Name())
	}
	// Output:
	// <nil>
	// disk full
	// client connect
	// client orders: DELETE orders
}

// errDiskFull is an error of a driver that has no SQLSTATE.
var errDiskFull = errors.New("disk full")

// An adapter has what is known of a driver: where it connects, and what its errors mean.
func ExampleWithAdapter() {
	db := otelpool.OpenDB(connector, otelpool.WithAdapter(otelpool.Adapter{
		Target: func(driver.Connector) poolinfo.Target {
			return poolinfo.Target{System: "exampledb", Address: "db.example", Port: 4711, PoolName: "db.example/orders"}
		},
		Classify: func(err error) poolinfo.ErrorInfo {
			if errors.Is(err, errDiskFull) {
				return poolinfo.ErrorInfo{Code: "DISK_FULL", Class: poolinfo.ClassReadOnly}
			}
			return poolinfo.ErrorInfo{}
		},
	}))
	defer db.Close()

	s, err := otelpool.Inspect(db)
	fmt.Println(s.Pool, s.System, s.Target.Address, err)
	// Output: db.example/orders exampledb db.example <nil>
}
