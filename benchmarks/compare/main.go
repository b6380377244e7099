// Compare measures every peer in turn, in one process. It prints what each adds to the
// bare driver, what statements add with cached and new texts, and the throughput of
// saturated pools, with the goals that otelpool meets and misses.
//
//	go run ./benchmarks/compare                          # five and a half minutes
//	go run ./benchmarks/compare -quick                   # a minute and a half
//	go run ./benchmarks/compare -o docs/benchmarks.md    # into a file
//
// Run it on a machine that does nothing else.
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

// The fractions of the time for saturated pools and for statements.
const (
	shareOfSaturated  = 8
	shareOfStatements = 12
)

func run(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("compare", flag.ExitOnError)
	total := flags.Duration("time", 330*time.Second, "how long to measure in total")
	quick := flags.Bool("quick", false, "measure for 90 seconds")
	file := flags.String("o", "", "write to this file instead of the standard output")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *quick {
		*total = 90 * time.Second
	}
	// Registers the flags that testing.Benchmark reads. They are not on our command line.
	testing.Init()

	cells := newCells()
	if err := measure("operations", cells, *total-*total/shareOfSaturated-*total/shareOfStatements, progress); err != nil {
		return err
	}
	pools := newSaturatedPools()
	if err := measureSaturated(pools, *total/shareOfSaturated, progress); err != nil {
		return err
	}
	// Last: their texts stay in memory and slow the garbage collector down.
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
