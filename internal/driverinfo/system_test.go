package driverinfo

import "testing"

func TestRepository_CutsVersionsAndFolders(t *testing.T) {
	for _, test := range []struct{ path, want string }{
		{"github.com/jackc/pgx/v5/stdlib", "github.com/jackc/pgx"},
		{"github.com/go-sql-driver/mysql", "github.com/go-sql-driver/mysql"},
		{"modernc.org/sqlite", "modernc.org/sqlite"},
		{"modernc.org/sqlite/vfs", "modernc.org/sqlite"},
		{"example.com/app/vendor/github.com/lib/pq", "github.com/lib/pq"},
		{"github.com/lib/pq", "github.com/lib/pq"},
		{"main", "main"},
		{"", ""},
	} {
		if got := repository(test.path); got != test.want {
			t.Errorf("%s: got %s, want %s", test.path, got, test.want)
		}
	}
	if got := rootPackage(t); got != "testing" {
		t.Errorf("got %s for a type of package testing", got)
	}
}
