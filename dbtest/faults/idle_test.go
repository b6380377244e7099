package faults_test

import (
	"context"
	"testing"
	"time"
)

// idleRows are closes by the server's idle timeouts.
var idleRows = []row{
	{
		name: "the server closes an idle connection of the pool",
		to:   func(s backend) target { return target{params: s.params("wait_timeout=1", "idle_session_timeout=1100")} },
		set:  one,
		play: func(st *stage) {
			st.ended(st.number(st.db))
			_ = st.query("query", st.db, "SELECT 1")
			_ = st.query("the next", st.db, "SELECT 1")
		},
		want: lostIdle("server_idle_timeout", "server_idle_timeout"),
		why:  arrives,
	},
	{
		name: "the server closes an idle connection that is held",
		to:   func(s backend) target { return target{params: s.params("wait_timeout=1", "idle_session_timeout=1100")} },
		play: func(st *stage) {
			c := st.conn()
			st.ended(st.number(c))
			_ = st.query("query", c, "SELECT 1")
			_ = st.query("the next", c, "SELECT 1")
			_ = c.Close()
			_ = st.query("the pool", st.db, "SELECT 1")
		},
		want: lostHeld("server_idle_timeout", "server_idle_timeout", "57P05"),
		why:  arrives,
	},
	{
		name: "the server closes a connection that is idle in a transaction",
		to: func(s backend) target {
			return target{params: s.params("idle_transaction_timeout=1", "idle_in_transaction_session_timeout=300")}
		},
		play: func(st *stage) {
			tx := st.begin(st.db)
			st.ended(st.number(tx))
			_ = st.exec("exec", tx, "DELETE FROM nothing")
			_ = st.call("commit", func(context.Context) error { return tx.Commit() })
			_ = st.query("the pool", st.db, "SELECT 1")
		},
		want: lostInTransaction("network", "idle_in_transaction", "25P03"),
		why:  arrives,
	},
}

func TestClosedConn_OfAnIdleTimeoutHasAdvice(t *testing.T) {
	limits := map[string]time.Duration{"mysql": time.Second, "pgx": 1100 * time.Millisecond, "postgres": 1100 * time.Millisecond}
	advice := map[string]string{
		"mysql":    "the server closes a connection that is idle for 1s: set SetConnMaxIdleTime below that",
		"pgx":      "the server closes a connection that is idle for 1.1s: set SetConnMaxIdleTime below that",
		"postgres": "the server closes a connection that is idle for 1.1s: set SetConnMaxIdleTime below that",
	}
	for _, s := range backends {
		t.Run(s.driver, func(t *testing.T) {
			t.Parallel()
			r := idleRows[0]
			st, _ := r.stage(t, s, through)
			r.set(st.db)
			r.play(st)
			closed := inspect(t, st.db).RecentlyClosed
			if len(closed) != 1 {
				t.Fatalf("%d connections were closed, want 1", len(closed))
			}
			d := closed[0]
			if d.ConnID != 1 || d.Uses < 1 || d.Server.IdleTimeout != limits[s.driver] || d.Advice != advice[s.driver] {
				t.Errorf("connection %d, used %d times, time-out %s, advice %q; want 1, once or more, %s, %q",
					d.ConnID, d.Uses, d.Server.IdleTimeout, d.Advice, limits[s.driver], advice[s.driver])
			}
			// The server's clock starts with its answer, ours when the answer is read.
			const tolerance = 100 * time.Millisecond
			if d.Idle < d.Server.IdleTimeout-tolerance || d.Age < d.Idle {
				t.Errorf("it was idle for %s of its age of %s, after %s the server closes", d.Idle, d.Age, d.Server.IdleTimeout)
			}
		})
	}
}
