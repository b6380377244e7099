package shop_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/otelpool/otelpool/dbtest/server"
)

// The servers that all tests share. Each test has its own database.
var (
	mariaDB    = server.NewShared(server.StartMariaDB)
	postgreSQL = server.NewShared(server.StartPostgreSQL)
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range []*server.Shared{mariaDB, postgreSQL} {
		if err := s.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}
