// Command example shows what otelpool records of a connection pool in three
// scenes: a healthy pool, a pool exhausted by streams that hold its connections,
// and a pool whose idle connections the server closes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// dsnVariable names the environment variable that stands in for -dsn.
const dsnVariable = "OTELPOOL_EXAMPLE_DSN"

const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second interrupt ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings are the parsed flags.
type settings struct {
	scenes []scene
	config *mysql.Config // the real server; nil for the embedded one
	addr   string
	serve  bool
	pause  time.Duration // mean pause between two requests of a client, after the scenes
	pace   pace
}

// run is main without globals. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	set, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "example:", err)
		return exitUsage
	}
	err = play(ctx, set, stdout, stderr)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "example: interrupted")
		return exitInterrupted
	}
	fmt.Fprintln(stderr, "example:", err)
	return exitFailed
}

const usage = `Usage: example [flags]

Plays three scenes of a connection pool in a small notification service and prints the pool's
OpenTelemetry metrics after each. Exports metrics and traces if the OTEL_* variables configure
it: OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 is enough.

Exit code: 0 after the scenes, or when -serve is interrupted; 1 if something failed; 2 for a
wrong flag; 130 if a scene was interrupted.

Flags:
`

func parse(args []string, stderr io.Writer) (settings, error) {
	set := settings{pace: defaultPace}
	flags := flag.NewFlagSet("example", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	name := flags.String("scene", "all", "which `scene` to play: "+strings.Join(sceneNames(), ", ")+" or all")
	dsn := flags.String("dsn", "", "use the MySQL or MariaDB server with this data `source` name, such as\nuser:password@tcp(host:3306)/database\n(default: $"+dsnVariable+", or else an embedded server)")
	flags.StringVar(&set.addr, "addr", "127.0.0.1:0", "`address` of the service and its /metrics; port 0 takes a free one")
	flags.DurationVar(&set.pace.hold, "hold", defaultPace.hold, "how `long` the pool stays exhausted in the scene dry; most alerts need minutes")
	flags.BoolVar(&set.serve, "serve", false, "keep running after the scenes, under a lighter load, until interrupted")
	flags.DurationVar(&set.pause, "pause", servingThinkTime, "mean `time` between two requests of a client, after the scenes")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(stderr)
			fmt.Fprint(stderr, usage)
			flags.PrintDefaults()
		}
		return set, err
	}
	if flags.NArg() > 0 {
		return set, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	for _, s := range scenes {
		if *name == s.name || *name == "all" {
			set.scenes = append(set.scenes, s)
		}
	}
	if set.scenes == nil {
		return set, fmt.Errorf("-scene %s: want %s or all", *name, strings.Join(sceneNames(), ", "))
	}
	if set.pace.hold < minHold {
		return set, fmt.Errorf("-hold %v: want %v or more", set.pace.hold, minHold)
	}
	if set.pause < minThinkTime {
		return set, fmt.Errorf("-pause %v: want %v or more", set.pause, minThinkTime)
	}
	_, port, err := net.SplitHostPort(set.addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return set, fmt.Errorf("-addr %s: want host:port", set.addr)
	}
	source := "-dsn"
	if *dsn == "" {
		source, *dsn = dsnVariable, os.Getenv(dsnVariable)
	}
	if *dsn != "" {
		config, err := mysql.ParseDSN(*dsn)
		if err != nil {
			return set, fmt.Errorf("%s: %w", source, err)
		}
		if config.DBName == "" {
			return set, fmt.Errorf("%s: no database named; want user:password@tcp(host:3306)/database", source)
		}
		set.config = config
	}
	return set, nil
}

func sceneNames() (names []string) {
	for _, s := range scenes {
		names = append(names, s.name)
	}
	return names
}

// play plays the scenes, then serves if set.serve. If it is interrupted in a scene, it
// prints that scene's table and returns context.Canceled.
func play(ctx context.Context, set settings, stdout, stderr io.Writer) error {
	p, err := setUp(ctx, set, stderr)
	if err != nil {
		return err
	}
	defer p.tearDown(stderr)
	p.printHeader(stdout)
	for i, s := range set.scenes {
		printTitle(stdout, i+1, len(set.scenes), s)
		start := time.Now()
		p.stage.printf = func(format string, args ...any) {
			printStory(stdout, time.Since(start), fmt.Sprintf(format, args...))
		}
		f, t, err := runScene(ctx, s, p.stage)
		if f != nil {
			printTable(stdout, f, t)
		}
		if err != nil {
			return err
		}
	}
	if set.serve {
		fmt.Fprintf(stdout, servingText, p.base, p.base, p.base, firstStreamUser)
		stop := p.stage.load.start(ctx, set.pause)
		<-ctx.Done()
		stop()
	}
	return nil
}

const servingText = `
The service keeps running, under a lighter load, until it is interrupted.
Metrics: %s/metrics
Holders of connections: %s/debug/poolz/
To hold a connection yourself:  curl -N '%s/users/%d/stream?hold=tx'
`
