package faults_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/otelpool/otelpool/dbtest/server"
)

func TestMain(m *testing.M) {
	// Lost connections are what the tests are about.
	_ = mysql.SetLogger(&mysql.NopLogger{}) // refuses nil only
	flag.Parse()
	// Most rows wait for a clock of the server; what they do takes no processor.
	if !given("test.parallel") {
		_ = flag.Set("test.parallel", "16") // the flag is there, and takes a number
	}

	code := m.Run()
	for _, s := range []*server.Shared{mysqlBackend.shared, mysqlBackend.fragile, pgxBackend.shared, pgxBackend.fragile} {
		if err := s.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// given reports whether a flag was set on the command line.
func given(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}
