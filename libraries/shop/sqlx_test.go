package shop_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jmoiron/sqlx"
)

// line is the line of an order for one item.
type line struct {
	OrderID  int64 `db:"order_id"`
	ItemID   int64 `db:"item_id"`
	Quantity int64
	Cents    int64
}

// product is an item of the shop.
type product struct {
	ID         int64
	SKU        string
	Name       string
	Cents      int64
	Stock      int64
	Category   string
	Quantities sql.NullInt64
}

func TestShop_SqlxStatementsHaveReadableSummaries(t *testing.T) {
	play(t, "sqlx", func(ctx context.Context, t *testing.T, s *shop) func(string) error {
		db := sqlx.NewDb(s.DB.DB, s.driver)
		must(sqlx.LoadFileContext(ctx, s.DB, s.schema()))(t)

		for _, email := range []string{"ann@example.com", "bob@example.com"} {
			must(db.NamedExecContext(ctx, "INSERT INTO users (email, name) VALUES (:email, :name)", map[string]any{"email": email, "name": secretText}))(t)
		}
		must(db.NamedExecContext(ctx, "INSERT INTO items (sku, name, cents, stock, category) VALUES (:sku, :name, :cents, :stock, 'kitchen')", []product{
			{SKU: "cup", Name: "Cup", Cents: 500, Stock: 10},
			{SKU: "jug", Name: "Jug", Cents: 900, Stock: 5},
			{SKU: "pot", Name: "Pot", Cents: 1900},
		}))(t)

		var items []product
		skus, args, err := sqlx.In("SELECT * FROM items WHERE sku IN (?) AND stock > ? ORDER BY sku", []string{"cup", "jug"}, 0)
		ok(t, err)
		ok(t, db.SelectContext(ctx, &items, db.Rebind(skus), args...))
		if len(items) != 2 {
			t.Fatalf("items are %v, want two", items)
		}
		var ann int64
		ok(t, db.GetContext(ctx, &ann, db.Rebind("SELECT id FROM users WHERE email = ?"), "ann@example.com"))

		tx := must(db.BeginTxx(ctx, nil))(t)
		must(tx.NamedExecContext(ctx, "INSERT INTO orders (user_id, status) SELECT id, 'open' FROM users WHERE id = :id", map[string]any{"id": ann}))(t)
		var order int64
		ok(t, tx.GetContext(ctx, &order, tx.Rebind("SELECT MAX(id) FROM orders WHERE user_id = ? AND status = 'open'"), ann))
		must(tx.NamedExecContext(ctx, "INSERT INTO order_items (order_id, item_id, quantity, cents) VALUES (:order_id, :item_id, :quantity, :cents)", []line{
			{order, items[0].ID, 2, 500}, {order, items[1].ID, 1, 900},
		}))(t)
		insideSavepoint(ctx, t, tx.Tx, func() {
			must(tx.ExecContext(ctx, tx.Rebind("DELETE FROM order_items WHERE order_id = ? AND item_id = ?"), order, items[0].ID))(t)
		})
		var stock int64
		ok(t, tx.GetContext(ctx, &stock, tx.Rebind("select stock from items where id = ? for update"), items[0].ID))
		pay := must(tx.PrepareNamedContext(ctx, "INSERT INTO payments (order_id, method, cents) SELECT t.id, :method, t.cents FROM order_totals AS t WHERE t.id = :id"))(t)
		must(pay.ExecContext(ctx, map[string]any{"method": "card", "id": order}))(t)
		ok(t, pay.Close())
		ok(t, tx.Commit())

		rows := must(db.NamedQueryContext(ctx, `
			SELECT i.id, i.sku, SUM(oi.quantity) AS quantities -- what sold
			FROM items i
			INNER JOIN order_items oi ON oi.item_id = i.id
			INNER JOIN orders o ON o.id = oi.order_id AND o.status <> 'cancelled'
			WHERE i.category = :category
			GROUP BY i.id, i.sku
			HAVING SUM(oi.quantity) >= :least
			ORDER BY quantities DESC
			LIMIT 20`, map[string]any{"category": "kitchen", "least": 1}))(t)
		sold := 0
		for rows.Next() {
			var p product
			ok(t, rows.StructScan(&p))
			sold += int(p.Quantities.Int64)
		}
		ok(t, rows.Err())
		if sold != 3 {
			t.Errorf("%d were sold, want 3", sold)
		}

		for _, statement := range []string{
			"SELECT COUNT(*) FROM (SELECT user_id FROM orders GROUP BY user_id HAVING COUNT(*) > 1) AS regulars",
			"SELECT COUNT(*) FROM users u, orders o, payments AS p WHERE o.user_id = u.id AND p.order_id = o.id",
			`WITH RECURSIVE days (d) AS (SELECT 1 UNION ALL SELECT d + 1 FROM days WHERE d < 7)
			 SELECT COUNT(*) FROM days LEFT JOIN payments p ON p.id = days.d`,
			`WITH paid AS (SELECT order_id FROM payments), late AS (SELECT id FROM orders WHERE id NOT IN (SELECT order_id FROM paid))
			 SELECT COUNT(*) FROM late JOIN orders ON orders.id = late.id`,
			`SELECT COUNT(*) FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY user_id ORDER BY placed_at DESC) AS nth FROM orders) AS newest WHERE nth = 1`,
			`SELECT COALESCE((SELECT name FROM users WHERE id = 1), 'nobody') FROM orders
			 WHERE EXISTS (SELECT * FROM order_items JOIN items ON items.id = item_id WHERE order_id = orders.id) LIMIT 1`,
			"(SELECT sku FROM items WHERE stock = 0) UNION (SELECT category FROM items WHERE cents > 1000) ORDER BY 1 LIMIT 1",
			"SELECT CASE WHEN EXISTS (SELECT 1 FROM payments) THEN 'yes' ELSE 'no' END",
			"SELECT EXTRACT(YEAR FROM placed_at) FROM orders LIMIT 1",
		} {
			var one any
			ok(t, db.GetContext(ctx, &one, statement))
		}
		for _, statement := range map[string][]string{
			"mariadb": {
				"INSERT INTO items SET sku = 'lid', name = 'Lid', cents = 100 ON DUPLICATE KEY UPDATE cents = VALUES(cents), stock = stock + 1",
				"UPDATE orders o INNER JOIN (SELECT order_id, SUM(cents) AS cents FROM payments GROUP BY order_id) p ON p.order_id = o.id SET o.status = 'paid' WHERE p.cents > 0",
				"DELETE oi FROM order_items AS oi LEFT JOIN orders AS o ON o.id = oi.order_id WHERE o.id IS NULL",
				"DELETE FROM payments WHERE order_id IN (SELECT id FROM orders WHERE status = 'cancelled') ORDER BY id LIMIT 100",
				"INSERT INTO `shop`.`archived_orders` (id, user_id, placed_at) SELECT o.id, o.user_id, o.placed_at FROM `shop`.`orders` AS o WHERE o.status = 'sent'",
			},
			"postgresql": {
				"INSERT INTO items AS i (sku, name, cents) VALUES ('cup', 'Cup', 100) ON CONFLICT (sku) DO UPDATE SET stock = i.stock + 1 WHERE i.cents < (SELECT AVG(cents) FROM items)",
				"UPDATE orders AS o SET status = 'paid' FROM (SELECT order_id, SUM(cents) AS cents FROM payments GROUP BY order_id) AS p WHERE p.order_id = o.id AND p.cents > 0",
				"DELETE FROM order_items USING orders WHERE orders.id = order_id AND orders.status = 'cancelled'",
				"DELETE FROM payments WHERE order_id IN (SELECT id FROM orders WHERE status = 'cancelled' ORDER BY id LIMIT 100)",
				`INSERT INTO "public"."archived_orders" (id, user_id, placed_at) SELECT o.id, o.user_id, o.placed_at FROM "public"."orders" AS o WHERE o.status = 'sent' RETURNING *`,
				"MERGE INTO items AS i USING order_items AS oi ON oi.item_id = i.id WHEN MATCHED THEN UPDATE SET stock = i.stock + oi.quantity WHEN NOT MATCHED THEN DO NOTHING",
			},
		}[s.name] {
			must(db.ExecContext(ctx, statement))(t)
		}
		return func(statement string) error {
			_, err := db.ExecContext(ctx, statement)
			return err
		}
	})
}
