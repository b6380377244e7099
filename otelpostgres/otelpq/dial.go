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

// dial is one call of Connect. It observes the network connection until it is closed. As
// a dialer it does what pq's own dialer does.
type dial struct {
	onNotice func(error)
	net      net.Dialer

	mu         sync.Mutex // guards the fields below
	finished   bool       // Connect has returned: later dials only cancel statements
	notified   bool       // onNotice was called: later errors are about the close
	dialedAddr string     // the address that was dialed last
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
	if err != nil || !d.setDialed(address) {
		return c, err
	}
	return &conn{Conn: c, d: d}, nil
}

// setDialed records an address, and reports whether the dial is for the connection rather
// than to cancel a statement.
func (d *dial) setDialed(address string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.finished {
		d.dialedAddr = address
	}
	return !d.finished
}

// end is called when Connect returns. Connect itself returns earlier failures.
func (d *dial) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finished = true
}

// host returns which of the hosts was dialed last.
func (d *dial) host(hosts []target.Host) target.Host {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range hosts {
		if h.String() == d.dialedAddr {
			return h
		}
	}
	return target.Split(d.dialedAddr)
}

// notify passes the first error after Connect to onNotice. It ignores closes by pq itself.
// There are no timeouts: pq sets no deadline after the dial.
func (d *dial) notify(err error) {
	if errors.Is(err, net.ErrClosed) {
		return
	}
	d.mu.Lock()
	first := d.finished && !d.notified
	d.notified = d.notified || first
	d.mu.Unlock()
	if first {
		d.onNotice(err)
	}
}

// conn reports how a network connection ends. It changes nothing.
type conn struct {
	net.Conn
	d *dial
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if last := fatalError(p[:n]); last != nil {
		c.d.notify(last)
	}
	if err != nil {
		c.d.notify(err)
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.d.notify(err)
	}
	return n, err
}

// fatalError returns the error with which the server ends a session, if it is among the
// messages in data. data must start at the beginning of a message. Under TLS the messages
// are not readable.
func fatalError(data []byte) error {
	const header = 5
	for len(data) >= header {
		size := int(binary.BigEndian.Uint32(data[1:header])) - (header - 1)
		if size < 0 || size > len(data)-header {
			break
		}
		if data[0] == 'E' {
			if last := parseFatal(data[header : header+size]); last != nil {
				return last
			}
		}
		data = data[header+size:]
	}
	return nil
}

// parseFatal returns the error in a message, nil if it does not end the session. Only
// severity and code are kept.
func parseFatal(message []byte) error {
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
