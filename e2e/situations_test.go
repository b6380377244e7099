package e2e

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/otelpool/otelpool/internal/fakedb"
)

// situations are the tests' inputs for alerts and panels.
var situations = []situation{
	{
		name: "healthy", length: 21 * time.Minute, limit: 10,
		play: func(st *stage) {
			st.fake.On(fakedb.Exec, take(5*time.Millisecond))
			st.clients(st.ctx, 8, 250*time.Millisecond, time.Second, "UPDATE orders SET n = n + 1")
			st.readers(2, time.Second, "SELECT n FROM orders")
		},
	},
	{
		// 39 concurrent calls, every second: at each scrape 29 of them wait briefly.
		name: "busy", length: 21 * time.Minute, limit: 10,
		play: func(st *stage) {
			st.fake.On(fakedb.Exec, take(40*time.Millisecond))
			for range 39 {
				st.all.Go(func() {
					time.Sleep(time.Second - 20*time.Millisecond) // just before each scrape
					for st.ctx.Err() == nil {
						began := time.Now()
						_ = st.exec(st.ctx, "SELECT n FROM orders") // the last one is canceled at the end
						time.Sleep(time.Until(began.Add(time.Second)))
					}
				})
			}
		},
	},
	{
		name: "dry", length: 21 * time.Minute, limit: 10,
		play: func(st *stage) {
			st.fake.On(fakedb.Exec, take(5*time.Millisecond))
			st.clients(st.ctx, 8, 250*time.Millisecond, 500*time.Millisecond, "UPDATE orders SET n = n + 1")
			st.leave(10*time.Second, 200*time.Millisecond, "SELECT n FROM orders")
			st.at(5 * time.Minute)
			st.hold(st.ctx, 10)
		},
	},
	{
		name: "patient", length: 15 * time.Minute, limit: 10,
		play: func(st *stage) {
			st.fake.On(fakedb.Exec, take(5*time.Millisecond))
			st.clients(st.ctx, 8, 250*time.Millisecond, 0, "UPDATE orders SET n = n + 1")
			st.at(5 * time.Minute)
			st.hold(st.ctx, 10)
		},
	},
	{
		name: "plain", length: 21 * time.Minute, limit: 10, plain: true,
		play: func(st *stage) {
			st.fake.On(fakedb.Exec, take(5*time.Millisecond))
			st.clients(st.ctx, 8, 250*time.Millisecond, 5*time.Second, "UPDATE orders SET n = n + 1")
			st.at(5 * time.Minute)
			st.hold(st.ctx, 10)
		},
	},
	{
		name: "leak", length: 15 * time.Minute, limit: 10,
		play: func(st *stage) {
			st.fake.On(fakedb.Exec, take(5*time.Millisecond))
			st.clients(st.ctx, 2, 250*time.Millisecond, time.Second, "UPDATE orders SET n = n + 1")
			st.at(5 * time.Minute)
			st.hold(st.ctx, 1)
		},
	},
	{
		// The server stops, which breaks its connections.
		name: "down", length: 15 * time.Minute, limit: 10,
		play: func(st *stage) {
			st.fake.On(fakedb.Exec, take(5*time.Millisecond))
			st.clients(st.ctx, 8, 250*time.Millisecond, time.Second, "UPDATE orders SET n = n + 1")
			st.at(5 * time.Minute)
			st.fake.Fail(fakedb.Connect, -1, errNoServer)
			st.fake.Fail(fakedb.Reset, 10, driver.ErrBadConn)
		},
	},
	{
		// The server closes idle connections, and the calls that get them are retried.
		name: "closed", length: 15 * time.Minute, limit: 10,
		play: func(st *stage) {
			st.fake.On(fakedb.Exec, take(5*time.Millisecond))
			st.at(5 * time.Minute)
			st.hold(st.until(5*time.Minute+time.Second), 10)
			st.at(10 * time.Minute)
			st.fake.Fail(fakedb.Reset, 10, driver.ErrBadConn)
			st.clients(st.ctx, 8, 250*time.Millisecond, time.Second, "UPDATE orders SET n = n + 1")
		},
	},
	{
		name: "churn", length: 21 * time.Minute, limit: 10, idle: 1,
		play: func(st *stage) {
			st.fake.On(fakedb.Exec, take(400*time.Millisecond))
			st.clients(st.ctx, 8, 500*time.Millisecond, time.Second, "UPDATE orders SET n = n + 1")
		},
	},
	{
		// Slow statements use the whole pool, and some time out.
		name: "slow", length: 21 * time.Minute, limit: 10,
		play: func(st *stage) {
			const slowest = "UPDATE orders SET n = 0"
			st.fake.On(fakedb.Exec, func(ctx context.Context, query string) error {
				if query == slowest {
					return take(10*time.Second)(ctx, query)
				}
				return take(900*time.Millisecond)(ctx, query)
			})
			st.clients(st.ctx, 14, 100*time.Millisecond, 3*time.Second, "UPDATE orders SET n = n + 1")
			st.clients(st.ctx, 1, 30*time.Second, 4*time.Second, slowest)
		},
	},
	{
		// The first hour of a day, and the first hour of the next.
		name: "drift", length: 25 * time.Hour, limit: 10, gapStart: time.Hour, gapEnd: 24 * time.Hour,
		play: func(st *stage) {
			st.fake.On(fakedb.Exec, take(8*time.Millisecond))
			st.clients(st.until(time.Hour), 2, 500*time.Millisecond, 5*time.Second, "UPDATE orders SET n = n + 1")
			st.at(24 * time.Hour)
			st.fake.On(fakedb.Exec, take(200*time.Millisecond))
			st.clients(st.ctx, 2, 500*time.Millisecond, 5*time.Second, "UPDATE orders SET n = n + 1")
		},
	},
	{
		name: "unlimited", length: 70 * time.Minute,
		play: func(st *stage) { st.clients(st.ctx, 1, 5*time.Second, time.Second, "SELECT 1") },
	},
	{
		name: "fleet", length: 40 * time.Minute, limit: 30, instances: 3,
		play: func(st *stage) { st.clients(st.ctx, 1, 5*time.Second, time.Second, "SELECT 1") },
	},
}
