package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// interruptingWriter cancels a context once a text has been written to it.
type interruptingWriter struct {
	bytes.Buffer
	at        string
	interrupt context.CancelFunc
}

func (w *interruptingWriter) Write(b []byte) (int, error) {
	n, err := w.Buffer.Write(b)
	if strings.Contains(w.String(), w.at) {
		w.interrupt()
	}
	return n, err
}

func TestRun_StopsCleanlyOnInterrupt(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		at     string
		code   int
		stderr string
		table  bool
	}{
		{"before a scene", nil, "exports", exitInterrupted, "example: interrupted\n", true},
		{"healthy", []string{"-scene", "healthy"}, "three streams are open", exitInterrupted, "example: interrupted\n", true},
		{"streams joining", []string{"-scene", "dry"}, "streams join", exitInterrupted, "example: interrupted\n", true},
		{"exhausted", []string{"-scene", "dry"}, "the pool is exhausted", exitInterrupted, "example: interrupted\n", true},
		{"closed", []string{"-scene", "closed"}, "the clients pause", exitInterrupted, "example: interrupted\n", true},
		{"serving", []string{"-scene", "healthy", "-serve"}, "The service keeps running", 0, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			stdout := &interruptingWriter{at: test.at, interrupt: interrupt}
			var stderr bytes.Buffer
			if code := run(ctx, test.args, stdout, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if stderr.String() != test.stderr {
				t.Errorf("stderr %q, want %q", &stderr, test.stderr)
			}
			if got := strings.Contains(stdout.String(), "as recorded by the SDK"); got != test.table {
				t.Errorf("stdout:\n%s", stdout)
			}
			goleak.VerifyNone(t, before)
		})
	}
}

func TestRun_ExplainsAWrongCommandLine(t *testing.T) {
	for _, test := range []struct {
		args string
		dsn  string // in the environment
		want string
	}{
		{"-scene wet", "", "-scene wet: want healthy, dry, closed or all"},
		{"-addr here", "", "-addr here: want host:port"},
		{"-addr here:99999", "", "-addr here:99999: want host:port"},
		{"-dsn here", "", "-dsn: invalid DSN: missing the slash separating the database name"},
		{"-dsn root@tcp(localhost)/", "", "-dsn: no database named; want user:password@tcp(host:3306)/database"},
		{"", "here", "OTELPOOL_EXAMPLE_DSN: invalid DSN: missing the slash separating the database name"},
		{"-hold 999ms", "", "-hold 999ms: want 1s or more"},
		{"-pause 0s", "", "-pause 0s: want 1ms or more"},
		{"-hold long", "", `invalid value "long" for flag -hold: parse error`},
		{"-slow", "", "flag provided but not defined: -slow"},
		{"-serve=perhaps", "", `invalid boolean value "perhaps" for -serve: parse error`},
		{"now", "", `unexpected argument "now"`},
	} {
		t.Run(test.args+test.dsn, func(t *testing.T) {
			t.Setenv(dsnVariable, test.dsn)
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), strings.Fields(test.args), &stdout, &stderr); code != exitUsage {
				t.Errorf("exit code %d", code)
			}
			if got, want := stderr.String(), "example: "+test.want+"\n"; got != want {
				t.Errorf("stderr %q, want %q", got, want)
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout %q", &stdout)
			}
		})
	}
}

func TestParse_HoldChangesNoOtherDuration(t *testing.T) {
	for args, want := range map[string]time.Duration{"": 4 * time.Second, "-scene dry -hold 3m": 3 * time.Minute, "-hold 1s": time.Second} {
		set, err := parse(strings.Fields(args), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		pace := defaultPace
		pace.hold = want
		if set.pace != pace {
			t.Errorf("%s: %+v, want %+v", args, set.pace, pace)
		}
	}
}

func TestParse_PauseDefaultsToALighterLoad(t *testing.T) {
	for args, want := range map[string]time.Duration{"-serve": 20 * thinkTime, "-serve -pause 20ms": thinkTime} {
		set, err := parse(strings.Fields(args), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if set.pause != want {
			t.Errorf("%s: a pause of %v, want %v", args, set.pause, want)
		}
	}
}

func TestRun_HelpNamesEveryFlagAndExitsWithZero(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, &stdout, &stderr); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, flag := range []string{"-scene", "-dsn", "-addr", "-hold", "-serve", "-pause", dsnVariable, "OTEL_EXPORTER_OTLP_ENDPOINT", "130"} {
		if !strings.Contains(stderr.String(), flag) {
			t.Errorf("no %s in\n%s", flag, &stderr)
		}
	}
}

func TestRun_NamesAServerThatDoesNotAnswer(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-dsn", "root@tcp(127.0.0.1:1)/app"}, &stdout, &stderr)
	if code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if want := "example: the server at 127.0.0.1:1 does not answer: "; !strings.HasPrefix(stderr.String(), want) {
		t.Errorf("stderr %q, want %q first", &stderr, want)
	}
}
