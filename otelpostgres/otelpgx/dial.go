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

// dial is one call of Connect. Its hooks observe the connection until it is closed.
type dial struct {
	onNotice func(error)

	mu         sync.Mutex // guards the fields below
	finished   bool       // Connect has returned
	lookups    []lookup
	notified   bool   // onNotice was called: later errors are about the close
	dialedAddr string // the address that was dialed last
}

// lookup is a host and its resolved addresses.
type lookup struct {
	host      string
	addresses []string
}

// hook puts our hooks before those of cfg. Hooks that are nil stay nil.
func (d *dial) hook(cfg *pgx.ConnConfig) {
	if find := cfg.LookupFunc; find != nil {
		cfg.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
			addresses, err := find(ctx, host)
			d.addLookup(lookup{host, slices.Clone(addresses)})
			return addresses, err
		}
	}
	if open := cfg.DialFunc; open != nil {
		cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			d.setDialed(ctx, address)
			return open(ctx, network, address)
		}
	}
	if build := cfg.BuildFrontend; build != nil {
		cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
			if c, ok := w.(net.Conn); ok {
				w = &writer{Conn: c, d: d}
			}
			return build(&reader{inner: r, d: d}, w)
		}
	}
	if judge := cfg.OnPgError; judge != nil {
		cfg.OnPgError = func(c *pgconn.PgConn, err *pgconn.PgError) bool {
			keep := judge(c, err)
			if !keep {
				// Without text and details, which may hold data.
				d.notify(&pgconn.PgError{Severity: err.Severity, Code: err.Code})
			}
			return keep
		}
	}
}

// dialKey is the context key that identifies the call of Connect to a hook. Without it, a
// dial that sends a cancel request, even for an earlier host of the same configuration,
// looks the same to the hook.
type dialKey struct{}

// context returns ctx for the call of Connect.
func (d *dial) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, dialKey{}, d)
}

func (d *dial) addLookup(l lookup) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lookups = append(d.lookups, l)
}

func (d *dial) setDialed(ctx context.Context, address string) {
	if ctx.Value(dialKey{}) != d {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dialedAddr = address
}

// end is called when Connect returns. Connect itself returns earlier failures.
func (d *dial) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finished = true
}

// notify passes the first error after Connect to onNotice.
func (d *dial) notify(err error) {
	d.mu.Lock()
	first := d.finished && !d.notified
	d.notified = d.notified || first
	d.mu.Unlock()
	if first {
		d.onNotice(err)
	}
}

// checkIO takes the error of a read or write of the connection. It ignores timeouts,
// which are how pgx implements a cancelled context, and closes by pgx itself.
func (d *dial) checkIO(err error) {
	var timeout net.Error
	if err == nil || errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout() {
		return
	}
	d.notify(err)
}

// host returns the host that c is connected to, by its name in the configuration. If two
// names resolve to it, host returns its address.
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
		return !slices.Contains(d.addresses(h), d.dialedAddr)
	})
	if len(names) == 1 {
		return names[0]
	}
	return target.Split(d.dialedAddr)
}

// addresses returns the addresses that pgx dials for a host.
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
			// A lookup may return a port.
			if _, _, err := net.SplitHostPort(a); err != nil {
				a = net.JoinHostPort(a, strconv.Itoa(h.Port))
			}
			dialed = append(dialed, a)
		}
	}
	return dialed
}

// hosts returns the servers of a configuration, each once. The configuration lists most
// of them twice: with TLS and without.
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

// reader observes what pgx reads from a connection. It changes nothing.
type reader struct {
	inner io.Reader
	d     *dial
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.inner.Read(p)
	r.d.checkIO(err)
	return n, err
}

// writer observes what the frontend writes to a connection. It changes nothing.
type writer struct {
	net.Conn
	d *dial
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.d.checkIO(err)
	return n, err
}
