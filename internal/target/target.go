// Package target derives the address, the database and the name of a pool from the
// hosts of a data source. If the driver misreads a data source, a part of a password
// can take the place of a host or a database. Values that do not look like one are
// therefore omitted.
package target

import (
	"net"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Host is one of the servers of a data source.
type Host struct {
	Name string // a host name, an IP address, or the path of a socket
	Port int    // 0 for a socket
}

// Target is the part of otelpool.Target that depends on the data source.
type Target struct {
	Address   string
	Port      int
	Namespace string
	PoolName  string
}

// New returns the target of a data source. Its port is 0 if it is defaultPort. The name
// of the pool has every port, so that it does not depend on the default. Duplicate hosts
// count once.
//
// If a host is implausible, all hosts are omitted, because the others may be parts of
// the same secret. If the name of the database is implausible, the target is empty. In
// both cases the pool has no name.
func New(hosts []Host, defaultPort int, namespace string) Target {
	var t Target
	if !isPlausibleName(namespace) {
		return t
	}
	t.Namespace = namespace
	hosts = unique(hosts)
	names := make([]string, 0, len(hosts))
	for _, h := range hosts {
		if !h.isPlausible() {
			return t
		}
		names = append(names, h.String())
	}
	if len(names) == 0 {
		return t
	}
	if len(hosts) == 1 {
		t.Address, t.Port = ServerAttributes(hosts[0], defaultPort)
	}
	t.PoolName = strings.Join(names, ",")
	if t.Namespace != "" {
		t.PoolName += "/" + t.Namespace
	}
	return t
}

// HasUnescapedPassword reports whether the password of a URL seems to contain /, ? or #
// unescaped, so that the @ after it is not where drivers look for it. Their host is then
// a part of the user name or of the password.
func HasUnescapedPassword(url string) bool {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return false
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	before, _, at := strings.Cut(rest[len(authority):], "@")
	return at && (!strings.Contains(authority, "@") || !strings.Contains(before, "="))
}

// ServerAttributes returns server.address and server.port of a host. The port is 0 if it
// is defaultPort; both are empty if the host is implausible.
func ServerAttributes(h Host, defaultPort int) (address string, port int) {
	if !h.isPlausible() {
		return "", 0
	}
	if h.Port == defaultPort {
		return h.Name, 0
	}
	return h.Name, h.Port
}

// Split splits the address of a dial into host and port. Without a valid port, all of
// it is the host.
func Split(address string) Host {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return Host{Name: address}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Host{Name: address}
	}
	return Host{Name: host, Port: int(n)}
}

// String returns the host with its port.
func (h Host) String() string {
	if h.Port == 0 {
		return h.Name
	}
	return net.JoinHostPort(h.Name, strconv.Itoa(h.Port))
}

func unique(hosts []Host) []Host {
	seen := make(map[Host]bool, len(hosts))
	kept := make([]Host, 0, len(hosts))
	for _, h := range hosts {
		if !seen[h] {
			seen[h] = true
			kept = append(kept, h)
		}
	}
	return kept
}

// isPlausible reports whether h can be a host name, an IP address or the path of a
// socket.
func (h Host) isPlausible() bool {
	s := h.Name
	if s == "" || len(s) > 255 || !utf8.ValidString(s) {
		return false
	}
	allowed := "-._:"
	switch colons := strings.Count(s, ":"); {
	case h.Port == 0 && isPath(s):
		allowed, s = `-._:/\+~ `, strings.TrimPrefix(s, "@")
	case colons == 1: // not an IPv6 address, and not just a host: possibly a password
		return false
	case colons > 1:
		allowed += "%" // the zone of an address
	}
	for _, c := range s {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c > unicode.MaxASCII
		if !letter && !strings.ContainsRune(allowed, c) {
			return false
		}
	}
	return true
}

// isPath reports whether s is the absolute path of a socket, or the name of an
// abstract socket, which begins with an @.
func isPath(s string) bool {
	windows := len(s) > 2 && s[1:3] == `:\`
	return windows || strings.HasPrefix(s, "/") || strings.HasPrefix(s, "@")
}

// isPlausibleName reports whether s can be the name of a database. Any name is legal,
// but one that looks like a part of a data source is unlikely.
func isPlausibleName(s string) bool {
	for _, c := range s {
		if unicode.IsControl(c) || strings.ContainsRune("@/?=&:", c) {
			return false
		}
	}
	return len(s) <= 255 && utf8.ValidString(s)
}
