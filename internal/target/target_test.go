package target

import (
	"strings"
	"testing"
)

func TestNew_UsesThePlausiblePartsOfADataSource(t *testing.T) {
	for _, tc := range []struct {
		name      string
		hosts     []Host
		namespace string
		want      Target
	}{
		{"name and default port", []Host{{"db", 3306}}, "shop", Target{"db", 0, "shop", "db:3306/shop"}},
		{"another port", []Host{{"db", 3307}}, "shop", Target{"db", 3307, "shop", "db:3307/shop"}},
		{"no database", []Host{{"db", 3306}}, "", Target{"db", 0, "", "db:3306"}},
		{"IPv4", []Host{{"10.0.0.7", 3306}}, "shop", Target{"10.0.0.7", 0, "shop", "10.0.0.7:3306/shop"}},
		{"IPv6", []Host{{"fe80::1", 3306}}, "shop", Target{"fe80::1", 0, "shop", "[fe80::1]:3306/shop"}},
		{"IPv6 with a zone", []Host{{"fe80::1%eth0", 1}}, "", Target{"fe80::1%eth0", 1, "", "[fe80::1%eth0]:1"}},
		{"socket", []Host{{"/run/mysqld/mysqld.sock", 0}}, "shop", Target{"/run/mysqld/mysqld.sock", 0, "shop", "/run/mysqld/mysqld.sock/shop"}},
		{"socket with a space", []Host{{"/Library/My SQL/s.sock", 0}}, "", Target{"/Library/My SQL/s.sock", 0, "", "/Library/My SQL/s.sock"}},
		{"socket on Windows", []Host{{`C:\run\s.sock`, 0}}, "", Target{`C:\run\s.sock`, 0, "", `C:\run\s.sock`}},
		{"abstract socket", []Host{{"@mysql", 0}}, "shop", Target{"@mysql", 0, "shop", "@mysql/shop"}},
		{"the name of an instance", []Host{{"project:europe-west1:shop", 0}}, "shop", Target{"project:europe-west1:shop", 0, "shop", "project:europe-west1:shop/shop"}},
		{"two hosts", []Host{{"a", 3306}, {"b", 3307}}, "shop", Target{"", 0, "shop", "a:3306,b:3307/shop"}},
		{"one host twice", []Host{{"a", 3306}, {"a", 3306}}, "shop", Target{"a", 0, "shop", "a:3306/shop"}},
		{"a host in another script", []Host{{"datenbank.köln", 3306}}, "größe", Target{"datenbank.köln", 0, "größe", "datenbank.köln:3306/größe"}},
		{"no host", nil, "shop", Target{Namespace: "shop"}},
		{"an empty host", []Host{{"", 3306}}, "shop", Target{Namespace: "shop"}},

		{"a password with an @", []Host{{"ss@db", 3306}}, "shop", Target{Namespace: "shop"}},
		{"a password with an @ in the second host", []Host{{"a", 3306}, {"ss@db", 3306}}, "shop", Target{Namespace: "shop"}},
		{"a user and a password", []Host{{"root:secret", 0}}, "shop", Target{Namespace: "shop"}},
		{"an @ before a port", []Host{{"@db", 3306}}, "shop", Target{Namespace: "shop"}},
		{"a path before a port", []Host{{"/db", 3306}}, "shop", Target{Namespace: "shop"}},
		{"parameters", []Host{{"db?password=secret", 3306}}, "shop", Target{Namespace: "shop"}},
		{"an encoded password", []Host{{"p%40ss", 3306}}, "shop", Target{Namespace: "shop"}},
		{"quotes", []Host{{"'secret", 3306}}, "shop", Target{Namespace: "shop"}},
		{"words", []Host{{"my secret", 3306}}, "shop", Target{Namespace: "shop"}},
		{"a control character", []Host{{"db\n", 3306}}, "shop", Target{Namespace: "shop"}},
		{"invalid UTF-8", []Host{{"db\xff", 3306}}, "sh\xffop", Target{}},
		{"names that are too long", []Host{{strings.Repeat("a", 256), 3306}}, strings.Repeat("a", 256), Target{}},
		{"a database with an @", []Host{{"db", 3306}}, "ss@host", Target{}},
		{"a database with a path", []Host{{"db", 3306}}, "host/shop", Target{}},
		{"a database with parameters", []Host{{"db", 3306}}, "shop?password=secret", Target{}},
		{"a database with another parameter", []Host{{"db", 3306}}, "shop&secret", Target{}},
		{"a database with a control character", []Host{{"db", 3306}}, "sh\x00op", Target{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := New(tc.hosts, 3306, tc.namespace); got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestSplit_SeparatesHostAndPort(t *testing.T) {
	for address, want := range map[string]Host{
		"db:3306":       {"db", 3306},
		"[::1]:3306":    {"::1", 3306},
		"db":            {"db", 0},
		"db:mysql":      {"db:mysql", 0},
		"db:65536":      {"db:65536", 0},
		"a:b:c":         {"a:b:c", 0},
		"/run/s.sock":   {"/run/s.sock", 0},
		"":              {"", 0},
		"root:pw@db:33": {"root:pw@db:33", 0},
	} {
		if got := Split(address); got != want {
			t.Errorf("Split(%q) = %+v, want %+v", address, got, want)
		}
	}
}

func TestServerAttributes_OmitsImplausibleHosts(t *testing.T) {
	for _, tc := range []struct {
		host    Host
		address string
		port    int
	}{
		{Host{"db", 5432}, "db", 0},
		{Host{"db", 5433}, "db", 5433},
		{Host{"/tmp/.s.PGSQL.5432", 0}, "/tmp/.s.PGSQL.5432", 0},
		{Host{"ss@db", 5433}, "", 0},
		{Host{}, "", 0},
	} {
		if address, port := ServerAttributes(tc.host, 5432); address != tc.address || port != tc.port {
			t.Errorf("ServerAttributes(%+v) = %q, %d, want %q, %d", tc.host, address, port, tc.address, tc.port)
		}
	}
}

func TestHasUnescapedPassword_FindsPasswordsThatEndTheAuthority(t *testing.T) {
	for url, want := range map[string]bool{
		"postgres://alice:12345/xyz@db.example/app":       true,
		"postgres://alice:12345?xyz@db.example/app":       true,
		"postgres://alice:12345#xyz@db.example/app":       true,
		"postgresql://alice:p@ss?word@db.example/app":     true,
		"postgres://alice:p@ss/word@db.example/app":       true,
		"postgres://alice:secret@db.example/app":          false,
		"postgres://alice:secret@db.example/app?user=a@b": false,
		"postgres://db.example/app?user=a@b":              true, // a false positive: it omits too much rather than too little
		"postgres://db.example/app":                       false,
		"host=db.example user=a@b password=c/d@e":         false,
		"alice:secret@tcp(db.example)/app?x=a@b":          false,
		"":                                                false,
	} {
		if got := HasUnescapedPassword(url); got != want {
			t.Errorf("%s: got %t, want %t", url, got, want)
		}
	}
}

func TestNew_OmitsEverythingIfTheDatabaseIsImplausible(t *testing.T) {
	for _, namespace := range []string{"xyz@db.example/app", "a:b", "a/b", "a?b=c"} {
		if got := New([]Host{{"alice", 12345}}, 5432, namespace); got != (Target{}) {
			t.Errorf("%s: got %+v", namespace, got)
		}
	}
}
