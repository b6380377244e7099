// House prints the figures of the house: how large the packages of the product are,
// what they export, which way they import each other, and how far the files of the
// root package depend on each other in circles. The figures are a mirror, not a law:
// the command never fails because of one.
//
// Run it in the folder tools:
//
//	go run ./house            # the repository above
//	go run ./house -edges     # and why each file of the root package depends on another
//	go run ./house DIR        # another checkout
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	edges := flag.Bool("edges", false, "list the dependencies among the files of the root package, with the names that make them")
	flag.Parse()
	root := ".."
	if flag.NArg() > 0 {
		root = flag.Arg(0)
	}
	if err := run(os.Stdout, root, *edges); err != nil {
		fmt.Fprintln(os.Stderr, "house:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, root string, edges bool) error {
	h, err := load(root)
	if err != nil {
		return err
	}
	return h.print(w, edges)
}
