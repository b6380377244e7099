package otelpool

import (
	"context"
	"database/sql/driver"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/otelpool/otelpool/internal/telemetry"
	"github.com/otelpool/otelpool/poolinfo"
)

// serverQueryTimeout is how long the query of [WithServerQuery] may take. A driver may close the
// connection of a query that took longer.
const serverQueryTimeout = time.Second

// probeServer learns what it can of the server at the other end of a new connection, with a query
// if that is allowed and due. It reports false if the connection was lost by the query.
func (p *pool) probeServer(ctx context.Context, inner driver.Conn, mayQuery bool, now time.Duration) (s poolinfo.Server, alive bool) {
	s = p.adapter.server(inner)
	alive = true
	if mayQuery && p.adapter.QueryServer != nil && p.servers.Claim(s.Version, now) {
		queryCtx, cancel := context.WithTimeout(ctx, serverQueryTimeout)
		more := p.adapter.queryServer(queryCtx, inner)
		timedOut := queryCtx.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil: // the caller canceled
			p.servers.Unclaim(s.Version)
		case timedOut: // a driver closes a connection that it stops to wait for
			alive = false
			p.servers.Stop(s.Version)
		default:
			p.servers.SetAnswer(s.Version, more, now)
		}
	}
	s = p.servers.Complete(s)
	p.servers.SetLast(s)
	return s, alive
}

// serverAttributes are the attributes of a server that is not the one of the target, nil if it is.
func serverAttributes(t poolinfo.Target, s poolinfo.Server) []attribute.KeyValue {
	if s.Address == "" || s.Address == t.Address && s.Port == t.Port {
		return nil
	}
	return telemetry.AddressAttributes(s.Address, s.Port)
}
