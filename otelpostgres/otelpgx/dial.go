package otelpgx

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/otelpool/otelpool/internal/target"
)

// dial is one call of Connect, and what its hooks see of the connection until that is
// closed.
type dial struct {
	said func(error)

	mu      sync.Mutex // guards the fields below
	over    bool       // Connect has returned
	lookups []lookup
	told    bool   // said was called: the rest is about the closing
	reached string // the address that was dialed last
}

// lookup is a host and what its name resolved to.
type lookup struct {
	host      string
	addresses []string
}

// hook puts our hooks in front of those of cfg. What the configuration has none of
// stays so.
func (d *dial) hook(cfg *pgx.ConnConfig) {
	if find := cfg.LookupFunc; find != nil {
		cfg.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
			addresses, err := find(ctx, host)
			d.looked(lookup{host, slices.Clone(addresses)})
			return addresses, err
		}
	}
	if open := cfg.DialFunc; open != nil {
		cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			d.dialed(ctx, address)
			return open(ctx, network, address)
		}
	}
	if build := cfg.BuildFrontend; build != nil {
		cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
			if c, ok := w.(net.Conn); ok {
				w = &writer{Conn: c, d: d}
			}
			return build(&reader{in: r, d: d}, w)
		}
	}
	if judge := cfg.OnPgError; judge != nil {
		cfg.OnPgError = func(c *pgconn.PgConn, err *pgconn.PgError) bool {
			keep := judge(c, err)
			if !keep {
				// The text and the details are not for us.
				d.say(&pgconn.PgError{Severity: err.Severity, Code: err.Code})
			}
			return keep
		}
	}
}

// of is the key of a context by which a hook knows whose call it is: pgx cancels what
// it gives up, an earlier host of the same configuration even, through the same dials.
type of struct{}

// context returns ctx for the call of Connect.
func (d *dial) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, of{}, d)
}

func (d *dial) looked(l lookup) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lookups = append(d.lookups, l)
}

func (d *dial) dialed(ctx context.Context, address string) {
	if ctx.Value(of{}) != d {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reached = address
}

// end is called when Connect returns. What failed until then is its error.
func (d *dial) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
}

// say hands on what became of the connection.
func (d *dial) say(err error) {
	d.mu.Lock()
	first := d.over && !d.told
	d.told = d.told || first
	d.mu.Unlock()
	if first {
		d.said(err)
	}
}

// saw is what a read or write of the connection returned. pgx makes a timeout of it
// that the caller gave up, and closes connections itself.
func (d *dial) saw(err error) {
	var timeout net.Error
	if err == nil || errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout() {
		return
	}
	d.say(err)
}

// host returns the host that c has reached, by the name that the configuration has for
// it, or by its address if two names stand for it.
func (d *dial) host(c driver.Conn) target.Host {
	own, ok := c.(*stdlib.Conn)
	if !ok {
		return target.Host{}
	}
	cfg := own.Conn().Config()
	names := hosts(&cfg.Config)
	if len(names) == 1 {
		return names[0]
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	names = slices.DeleteFunc(names, func(h target.Host) bool {
		return !slices.Contains(d.addresses(h), d.reached)
	})
	if len(names) == 1 {
		return names[0]
	}
	return target.Split(d.reached)
}

// addresses returns what pgx dials for a host.
func (d *dial) addresses(h target.Host) []string {
	if h.Port == 0 {
		return []string{h.Name}
	}
	var dialed []string
	for _, l := range d.lookups {
		if l.host != h.Name {
			continue
		}
		for _, a := range l.addresses {
			// A lookup may bring a port of its own.
			if _, _, err := net.SplitHostPort(a); err != nil {
				a = net.JoinHostPort(a, strconv.Itoa(h.Port))
			}
			dialed = append(dialed, a)
		}
	}
	return dialed
}

// hosts returns the servers of a configuration, each once. Most are there twice: with
// TLS and without.
func hosts(cfg *pgconn.Config) []target.Host {
	all := []target.Host{host(cfg.Host, cfg.Port)}
	for _, f := range cfg.Fallbacks {
		if h := host(f.Host, f.Port); !slices.Contains(all, h) {
			all = append(all, h)
		}
	}
	return all
}

func host(name string, port uint16) target.Host {
	network, address := pgconn.NetworkAddress(name, port)
	if network == "unix" {
		return target.Host{Name: address}
	}
	return target.Host{Name: name, Port: int(port)}
}

// reader is what pgx reads from a connection. It changes nothing.
type reader struct {
	in io.Reader
	d  *dial
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	r.d.saw(err)
	return n, err
}

// writer is the connection as the frontend gets it, to write to. It changes nothing.
type writer struct {
	net.Conn
	d *dial
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.d.saw(err)
	return n, err
}
