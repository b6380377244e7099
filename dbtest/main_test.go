package dbtest_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/otelpool/otelpool/dbtest/server"
)

// The servers that all tests share. A test that stops its server starts a separate one. The
// lock timeouts bound the wait for a lock that a lost connection still holds.
var (
	mariadb  = server.NewShared(server.StartMariaDB, "--lock-wait-timeout=60", "--innodb-lock-wait-timeout=60")
	postgres = server.NewShared(server.StartPostgreSQL, "-c", "lock_timeout=60s")
)

func TestMain(m *testing.M) {
	// The tests kill connections on purpose.
	_ = mysql.SetLogger(&mysql.NopLogger{}) // refuses nil only
	if err := registerRunning(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}

	code := m.Run()
	for _, s := range []*server.Shared{mariadb, postgres} {
		if err := s.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}
