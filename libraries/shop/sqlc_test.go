package shop_test

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/otelpool/otelpool/libraries/shop/mariadb"
	"github.com/otelpool/otelpool/libraries/shop/postgresql"
)

func TestShop_SQLCStatementsHaveReadableSummaries(t *testing.T) {
	play(t, "sqlc", func(ctx context.Context, t *testing.T, s *shop) func(string) error {
		s.migrate(ctx, t)
		switch s.name {
		case "mariadb":
			mariaDBByQuery(ctx, t, s)
		case "postgresql":
			postgreSQLByQuery(ctx, t, s)
		}
		return func(statement string) error {
			_, err := s.ExecContext(ctx, statement)
			return err
		}
	})
}

// migrate runs the statements of the schema, one by one.
func (s *shop) migrate(ctx context.Context, t *testing.T) {
	t.Helper()
	schema := string(must(os.ReadFile(s.schema()))(t))
	for statement := range strings.SplitSeq(schema, ";\n\n") {
		must(s.ExecContext(ctx, statement))(t)
	}
}

func (s *shop) schema() string { return s.name + "/schema.sql" }

func mariaDBByQuery(ctx context.Context, t *testing.T, s *shop) {
	q := mariadb.New(s.DB)
	// The parser of sqlc does not support these.
	must(s.ExecContext(ctx, "CREATE TRIGGER give_back AFTER DELETE ON order_items FOR EACH ROW UPDATE items SET stock = stock + OLD.quantity WHERE id = OLD.item_id"))(t)

	ann := must(q.AddUser(ctx, mariadb.AddUserParams{Email: "ann@example.com", Name: secretText}))(t)
	bob := must(q.AddUser(ctx, mariadb.AddUserParams{Email: "bob@example.com", Name: "Bob"}))(t)
	for _, sku := range []string{"cup", "jug", "pot", "cup"} {
		ok(t, q.PutItem(ctx, mariadb.PutItemParams{Sku: sku, Name: sku, Cents: 500, Stock: 3, Category: "kitchen"}))
	}
	order := must(q.OpenOrder(ctx, ann))(t)
	must(q.UserByEmail(ctx, "ann@example.com"))(t)
	items := must(q.ItemsBySKU(ctx, []string{"cup", "jug"}))(t)
	must(q.ItemsBySKU(ctx, []string{"pot"}))(t)
	must(q.PageOfItems(ctx, mariadb.PageOfItemsParams{Limit: 2, Offset: 1}))(t)

	tx := must(s.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead}))(t)
	in := q.WithTx(tx)
	must(in.LockItem(ctx, items[0].ID))(t)
	ok(t, in.AddOrderItem(ctx, mariadb.AddOrderItemParams{Quantity: 2, ID: order, Sku: "cup"}))
	insideSavepoint(ctx, t, tx, func() { ok(t, in.AddOrderItem(ctx, mariadb.AddOrderItemParams{Quantity: 1, ID: order, Sku: "jug"})) })
	ok(t, in.AddPayment(ctx, mariadb.AddPaymentParams{Method: "card", ID: order}))
	ok(t, in.MarkPaid(ctx, order))
	ok(t, tx.Commit())

	if lines := must(q.LinesOfOrder(ctx, mariadb.LinesOfOrderParams{ID: order, UserID: ann}))(t); len(lines) != 1 {
		t.Errorf("the order is %v, want one line", lines)
	}
	must(q.BestCustomers(ctx))(t)
	must(q.RunningTotal(ctx))(t)
	if idle := must(q.UsersWithoutOrders(ctx))(t); len(idle) != 1 || idle[0] != bob {
		t.Errorf("users without orders are %v, want %d", idle, bob)
	}
	must(q.Search(ctx, mariadb.SearchParams{Pattern: "%u%"}))(t)
	must(q.RaisePrices(ctx))(t)
	must(q.Discounted(ctx))(t)
	if n := must(q.Numbers(ctx))(t); n.Users != 2 || n.Orders != 1 {
		t.Errorf("there are %+v, want 2 users and 1 order", n)
	}
	ok(t, q.Archive(ctx))
	must(q.DropArchived(ctx))(t)
	must(q.ForgetItems(ctx))(t)

	for _, statement := range []string{
		"LOCK TABLES orders WRITE, order_items AS oi READ",
		"UNLOCK TABLES",
		"ALTER TABLE users RENAME COLUMN name TO full_name",
		"ALTER TABLE users RENAME COLUMN full_name TO name",
		"DROP INDEX items_category ON items",
		"RENAME TABLE archived_orders TO old_orders",
		"TRUNCATE TABLE old_orders",
		"ANALYZE TABLE orders, order_items",
		"CREATE PROCEDURE forget(who BIGINT) BEGIN DELETE FROM payments WHERE order_id = who; DELETE FROM orders WHERE id = who; END",
		"CALL forget(7391555173)",
		"SET SESSION innodb_lock_wait_timeout = 5",
		"SET NAMES utf8mb4",
		"DROP TRIGGER give_back",
		"DROP PROCEDURE IF EXISTS forget",
		"DROP VIEW order_totals",
		"DROP TABLE old_orders, payments",
		"CREATE TEMPORARY TABLE recent AS SELECT id FROM orders",
		"EXPLAIN SELECT o.id FROM orders o JOIN users u ON u.id = o.user_id",
	} {
		must(s.ExecContext(ctx, statement))(t)
	}
}

func postgreSQLByQuery(ctx context.Context, t *testing.T, s *shop) {
	q := postgresql.New(s.DB)
	ann := must(q.AddUser(ctx, postgresql.AddUserParams{Email: "ann@example.com", Name: secretText}))(t)
	bob := must(q.AddUser(ctx, postgresql.AddUserParams{Email: "bob@example.com", Name: "Bob"}))(t)
	for _, sku := range []string{"cup", "jug", "pot", "cup"} {
		must(q.PutItem(ctx, postgresql.PutItemParams{Sku: sku, Name: sku, Cents: 500, Stock: 3, Category: "kitchen"}))(t)
	}
	order := must(q.OpenOrder(ctx, ann))(t)
	must(q.UserByEmail(ctx, "ann@example.com"))(t)
	items := must(q.ItemsBySKU(ctx, []string{"cup", "jug"}))(t)
	must(q.PageOfItems(ctx, postgresql.PageOfItemsParams{Limit: 2, Offset: 1}))(t)

	tx := must(s.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable}))(t)
	in := q.WithTx(tx)
	must(in.LockItem(ctx, items[0].ID))(t)
	ok(t, in.AddOrderItem(ctx, postgresql.AddOrderItemParams{OrderID: order, Quantity: 2, Sku: "cup"}))
	insideSavepoint(ctx, t, tx, func() {
		ok(t, in.AddOrderItem(ctx, postgresql.AddOrderItemParams{OrderID: order, Quantity: 1, Sku: "jug"}))
	})
	ok(t, in.Pay(ctx, postgresql.PayParams{Method: "card", ID: order}))
	ok(t, tx.Commit())

	if lines := must(q.LinesOfOrder(ctx, postgresql.LinesOfOrderParams{ID: order, UserID: ann}))(t); len(lines) != 1 {
		t.Errorf("the order is %v, want one line", lines)
	}
	must(q.BestCustomers(ctx, 100))(t)
	must(q.RunningTotal(ctx))(t)
	if idle := must(q.UsersWithoutOrders(ctx))(t); len(idle) != 1 || idle[0] != bob {
		t.Errorf("users without orders are %v, want %d", idle, bob)
	}
	must(q.Search(ctx, "%u%"))(t)
	must(q.LastOrders(ctx))(t)
	must(q.RaisePrices(ctx))(t)
	must(q.Discounted(ctx))(t)
	if n := must(q.Numbers(ctx))(t); n.Users != 2 || n.Orders != 1 || n.Cents != 1000 {
		t.Errorf("there are %+v, want 2 users, 1 order and 1000 cents", n)
	}
	must(q.Archive(ctx))(t)
	must(q.ForgetItems(ctx))(t)

	for _, statement := range []string{
		"DROP INDEX CONCURRENTLY IF EXISTS one_open_order",
		"CREATE INDEX CONCURRENTLY IF NOT EXISTS paid_orders ON public.orders USING btree (placed_at) WHERE status = 'paid'",
		`ALTER TABLE "users" RENAME COLUMN "name" TO "full_name"`,
		`ALTER TABLE "users" RENAME COLUMN "full_name" TO "name"`,
		"ALTER TYPE order_status ADD VALUE 'returned' AFTER 'sent'",
		"CREATE MATERIALIZED VIEW best_sellers AS SELECT item_id, SUM(quantity) AS sold FROM order_items GROUP BY item_id",
		"REFRESH MATERIALIZED VIEW best_sellers",
		"BEGIN; LOCK TABLE orders, order_items IN EXCLUSIVE MODE; COMMIT",
		"TRUNCATE archived_orders RESTART IDENTITY CASCADE",
		"VACUUM (ANALYZE) orders",
		"CREATE PROCEDURE forget(who BIGINT) LANGUAGE sql AS $$ DELETE FROM payments WHERE order_id = who; DELETE FROM orders WHERE id = who $$",
		"CALL forget(7391555173)",
		"SET statement_timeout = '5s'",
		"DROP TRIGGER take_stock ON order_items",
		"DROP FUNCTION take_stock()",
		"DROP MATERIALIZED VIEW best_sellers",
		"DROP VIEW IF EXISTS order_totals CASCADE",
		"DROP TABLE archived_orders, public.payments",
		"CREATE TEMPORARY TABLE recent ON COMMIT DROP AS SELECT id FROM orders",
		"EXPLAIN (ANALYZE, COSTS OFF) SELECT o.id FROM orders o JOIN users u ON u.id = o.user_id",
		"SELECT pg_advisory_lock(7391555173), nextval('orders_id_seq')",
		"SELECT pg_notify('orders', 'tulipbulb')",
	} {
		must(s.ExecContext(ctx, statement))(t)
	}
}

// insideSavepoint calls do inside a savepoint, and rolls back to it.
func insideSavepoint(ctx context.Context, t *testing.T, tx *sql.Tx, do func()) {
	t.Helper()
	must(tx.ExecContext(ctx, "SAVEPOINT one_more"))(t)
	do()
	must(tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT one_more"))(t)
	must(tx.ExecContext(ctx, "RELEASE SAVEPOINT one_more"))(t)
}
