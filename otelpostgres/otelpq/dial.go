package otelpq

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/otelpool/otelpool/internal/target"
)

// dial is one call of Connect, and what its network connections see until they are
// closed. As a dialer it does what pq's own does.
type dial struct {
	said func(error)
	net  net.Dialer

	mu      sync.Mutex // guards the fields below
	over    bool       // the connection is there: what is dialed now is to cancel a statement
	told    bool       // said was called: the rest is about the closing
	reached string     // the address that was dialed last
}

var (
	_ pq.Dialer        = (*dial)(nil)
	_ pq.DialerContext = (*dial)(nil)
)

func (d *dial) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d *dial) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

func (d *dial) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.net.DialContext(ctx, network, address)
	if err != nil || !d.dialed(address) {
		return c, err
	}
	return &conn{Conn: c, d: d}, nil
}

// dialed notes an address, and reports whether the connection may become ours.
func (d *dial) dialed(address string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over {
		d.reached = address
	}
	return !d.over
}

// end is called when Connect returns. What failed until then is its error.
func (d *dial) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
}

// host returns which of the hosts was reached.
func (d *dial) host(hosts []target.Host) target.Host {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range hosts {
		if h.String() == d.reached {
			return h
		}
	}
	return target.Split(d.reached)
}

// say hands on what became of the connection. pq closes connections itself, and does not
// set deadlines once they are there.
func (d *dial) say(err error) {
	if errors.Is(err, net.ErrClosed) {
		return
	}
	d.mu.Lock()
	first := d.over && !d.told
	d.told = d.told || first
	d.mu.Unlock()
	if first {
		d.said(err)
	}
}

// conn is a connection that tells how it ends. It changes nothing.
type conn struct {
	net.Conn
	d *dial
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if last := lastWords(p[:n]); last != nil {
		c.d.say(last)
	}
	if err != nil {
		c.d.say(err)
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.d.say(err)
	}
	return n, err
}

// lastWords returns the error with which the server ends a session, if there is one among
// the messages of a read that begins with a whole one. Under TLS there is nothing to see.
func lastWords(data []byte) error {
	const header = 5
	for len(data) >= header {
		size := int(binary.BigEndian.Uint32(data[1:header])) - (header - 1)
		if size < 0 || size > len(data)-header {
			break
		}
		if data[0] == 'E' {
			if last := fatal(data[header : header+size]); last != nil {
				return last
			}
		}
		data = data[header+size:]
	}
	return nil
}

// fatal returns the error in a message, nil if the session goes on after it. Only
// severity and code are kept.
func fatal(message []byte) error {
	fields := map[byte]string{}
	for field := range bytes.SplitSeq(message, []byte{0}) {
		if len(field) > 1 {
			fields[field[0]] = string(field[1:])
		}
	}
	severity := fields['V'] // not translated; since PostgreSQL 9.6
	if severity == "" {
		severity = fields['S']
	}
	code := fields['C']
	if severity != pqerror.SeverityFatal && severity != pqerror.SeverityPanic || len(code) != 5 {
		return nil
	}
	return &pq.Error{Severity: severity, Code: pqerror.Code(code)}
}
