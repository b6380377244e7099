// Compare measures every peer side by side, in one process and in turn, and
// prints what each adds to the bare driver, what statements add by how well their
// texts are known, and what saturated pools get done, with a verdict on otelpool's
// budget.
//
//	go run ./benchmarks/compare                          # five and a half minutes
//	go run ./benchmarks/compare -quick                   # a minute and a half
//	go run ./benchmarks/compare -o docs/benchmarks.md    # into a file
//
// It wants a machine that does nothing else.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// The parts of the time that saturated pools and statements get.
const (
	shareOfShared     = 8
	shareOfStatements = 12
)

func run(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("compare", flag.ExitOnError)
	total := flags.Duration("time", 330*time.Second, "how long to measure, all in all")
	quick := flags.Bool("quick", false, "measure for 90 seconds")
	file := flags.String("o", "", "write to this file instead of the standard output")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *quick {
		*total = 90 * time.Second
	}
	// Registers the flags that testing.Benchmark reads. They are the package's
	// own and not on our command line.
	testing.Init()

	cells := newCells()
	if err := measure("operations", cells, *total-*total/shareOfShared-*total/shareOfStatements, progress); err != nil {
		return err
	}
	pools := newShared()
	if err := measureShared(pools, *total/shareOfShared, progress); err != nil {
		return err
	}
	// Last: their texts stay in memory, and the garbage collector takes its time from
	// how much there is.
	statements := newStatements()
	if err := measure("statements", statements, *total/shareOfStatements, progress); err != nil {
		return err
	}
	text := report(cells, statements, pools, thisMachine())
	if *file != "" {
		return os.WriteFile(*file, []byte(text), 0o644)
	}
	_, err := io.WriteString(out, text)
	return err
}
