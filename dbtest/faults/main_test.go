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
	// The tests break connections on purpose.
	_ = mysql.SetLogger(&mysql.NopLogger{}) // refuses nil only
	flag.Parse()
	// Most rows wait for a timeout of the server and use no CPU.
	if !given("test.parallel") {
		_ = flag.Set("test.parallel", "16") // cannot fail: the flag exists and is a number
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
