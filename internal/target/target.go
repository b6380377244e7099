// Package target names what a pool connects to, from the hosts of a data source.
// A data source that its driver reads otherwise than its author meant it can have a
// part of a password where a host or a database should be; what does not look like
// one is therefore not told.
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

// New returns the target of a data source, in which a port that is defaultPort is
// left out. The name of the pool has every port, so that it does not depend on which
// one is the default. Hosts that are there twice count once.
//
// If a host does not look like one, no host is told, since the others may be parts of
// the same secret, and if the name of the database does not, nothing is. The pool then
// has no name.
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

// HasUnescapedPassword reports whether a URL was hardly meant as drivers read it: the @ that ends the
// password is not where they look for it, because the password has one of /, ? and # in
// it. What they take for the host is then a part of the user's name or of the password.
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

// ServerAttributes returns server.address and server.port of a host, both empty if it does not
// look like one.
func ServerAttributes(h Host, defaultPort int) (address string, port int) {
	if !h.isPlausible() {
		return "", 0
	}
	if h.Port == defaultPort {
		return h.Name, 0
	}
	return h.Name, h.Port
}

// Split takes an address apart that was made for a dial. What has no port is a host
// alone.
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

// String is the host with its port.
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
	case colons == 1: // neither an IPv6 address nor without a port: a password, as likely as not
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

// isPath reports whether s is the absolute path of a socket, or the name of one
// without a file, which begins with an @.
func isPath(s string) bool {
	windows := len(s) > 2 && s[1:3] == `:\`
	return windows || strings.HasPrefix(s, "/") || strings.HasPrefix(s, "@")
}

// isPlausibleName reports whether s can be the name of a database. Databases may have
// any name, but hardly one that looks like a piece of a data source.
func isPlausibleName(s string) bool {
	for _, c := range s {
		if unicode.IsControl(c) || strings.ContainsRune("@/?=&:", c) {
			return false
		}
	}
	return len(s) <= 255 && utf8.ValidString(s)
}
