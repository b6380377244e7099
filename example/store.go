package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/otelpool/otelpool"
)

// store keeps the unread notifications. It uses its pool as it would use a *sql.DB.
type store struct {
	db    *otelpool.DB
	table string
}

type notification struct {
	ID   int64  `json:"id"`
	User int64  `json:"user"`
	Text string `json:"text"`
}

// newStore creates a table with a random name, so that runs on a real server do not share
// one, even if a run was killed.
func newStore(ctx context.Context, db *otelpool.DB) (*store, error) {
	s := &store{db, "otelpool_example_" + strings.ToLower(rand.Text()[:8])}
	_, err := db.ExecContext(ctx, `CREATE TABLE `+s.table+` (
		id      BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
		user_id BIGINT       NOT NULL,
		text    VARCHAR(200) NOT NULL,
		KEY (user_id))`)
	if err != nil {
		return nil, fmt.Errorf("create table %s: %w", s.table, err)
	}
	return s, nil
}

func (s *store) drop(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "DROP TABLE "+s.table)
	return err
}

// seed adds n notifications for each user from first to last.
func (s *store) seed(ctx context.Context, first, last int64, n int) error {
	for user := first; user <= last; user++ {
		var args []any
		for i := range n {
			args = append(args, user, fmt.Sprintf("notification %d of user %d", i+1, user))
		}
		values := strings.TrimSuffix(strings.Repeat("(?, ?), ", n), ", ")
		if _, err := s.db.ExecContext(ctx, "INSERT INTO "+s.table+" (user_id, text) VALUES "+values, args...); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) add(ctx context.Context, user int64, text string) (notification, error) {
	result, err := s.db.ExecContext(ctx, "INSERT INTO "+s.table+" (user_id, text) VALUES (?, ?)", user, text)
	if err != nil {
		return notification{}, err
	}
	id, err := result.LastInsertId()
	return notification{id, user, text}, err
}

// read deletes a notification, so that the table has unread ones only. It reports whether
// there was one.
func (s *store) read(ctx context.Context, id int64) (bool, error) {
	result, err := s.db.ExecContext(ctx, "DELETE FROM "+s.table+" WHERE id = ?", id)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// querier is implemented by *otelpool.DB, *sql.Tx and *sql.Conn.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// backlogLimit is the most notifications that one query returns.
const backlogLimit = 100

// query returns the user's notifications after the given one, oldest first. The rows hold
// the connection until they are closed.
func (s *store) query(ctx context.Context, q querier, user, after int64) (*sql.Rows, error) {
	return q.QueryContext(ctx, "SELECT id, user_id, text FROM "+s.table+
		" WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?", user, after, backlogLimit)
}

// list reads the result of query and releases the connection.
func (s *store) list(ctx context.Context, q querier, user, after int64) (found []notification, err error) {
	rows, err := s.query(ctx, q, user, after)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found = []notification{}
	for rows.Next() {
		n, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, n)
	}
	return found, rows.Err()
}

func scan(rows *sql.Rows) (n notification, err error) {
	err = rows.Scan(&n.ID, &n.User, &n.Text)
	return n, err
}

// digest stands for a report over a large table: one slow statement.
func (s *store) digest(ctx context.Context, takes time.Duration) error {
	var slept int
	return s.db.QueryRowContext(ctx, fmt.Sprintf("SELECT SLEEP(%.3f)", takes.Seconds())).Scan(&slept)
}
