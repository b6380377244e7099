-- name: AddUser :one
INSERT INTO users (email, name) VALUES ($1, $2) RETURNING id;

-- name: PutItem :one
INSERT INTO items AS i (sku, name, cents, stock, category)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (sku) DO UPDATE
SET name = EXCLUDED.name, cents = EXCLUDED.cents, stock = i.stock + EXCLUDED.stock
RETURNING id;

-- name: UserByEmail :one
SELECT * FROM users WHERE email = $1 LIMIT 1;

-- name: ItemsBySKU :many
SELECT * FROM items WHERE sku = ANY(sqlc.arg(skus)::text[]) ORDER BY sku;

-- name: PageOfItems :many
SELECT id, sku, name FROM items WHERE stock > 0 ORDER BY name, id LIMIT $1 OFFSET $2;

-- name: OpenOrder :one
INSERT INTO orders (user_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id;

-- name: AddOrderItem :exec
INSERT INTO order_items (order_id, item_id, quantity, cents)
SELECT $1, items.id, sqlc.arg(quantity), items.cents FROM items WHERE items.sku = sqlc.arg(sku)
ON CONFLICT (order_id, item_id) DO UPDATE SET quantity = order_items.quantity + EXCLUDED.quantity;

-- name: LockItem :one
SELECT stock FROM items WHERE id = $1 FOR UPDATE;

-- name: Pay :exec
WITH paid AS (
  INSERT INTO payments (order_id, method, cents)
  SELECT t.id, sqlc.arg(method), t.cents FROM order_totals t WHERE t.id = sqlc.arg(id)
  RETURNING order_id
)
UPDATE orders SET status = 'paid' FROM paid WHERE orders.id = paid.order_id;

-- name: LinesOfOrder :many
SELECT i.sku, i.name, oi.quantity, oi.cents
FROM orders AS o
JOIN order_items AS oi ON oi.order_id = o.id
LEFT JOIN items AS i ON i.id = oi.item_id
WHERE o.id = $1 AND o.user_id = $2
ORDER BY i.name;

-- name: BestCustomers :many
WITH spent AS (
  SELECT t.user_id, SUM(t.cents)::bigint AS cents, COUNT(*) AS orders
  FROM order_totals t
  GROUP BY t.user_id
  HAVING SUM(t.cents) > sqlc.arg(least)
)
SELECT u.name, s.cents, s.orders, RANK() OVER (ORDER BY s.cents DESC) AS place
FROM spent s
JOIN users u ON u.id = s.user_id
ORDER BY place, u.name
LIMIT 10;

-- name: RunningTotal :many
SELECT p.id, SUM(p.cents) OVER w AS total, LAG(p.cents, 1, 0) OVER w AS previous
FROM payments p
WHERE p.paid_at > now() - INTERVAL '7 days'
WINDOW w AS (PARTITION BY p.method ORDER BY p.id);

-- name: UsersWithoutOrders :many
SELECT u.id FROM users u
WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.user_id = u.id)
  AND u.id NOT IN (SELECT a.user_id FROM archived_orders a)
ORDER BY u.id;

-- name: Search :many
SELECT 'user'::text AS kind, u.name FROM users u WHERE u.name ILIKE sqlc.arg(pattern)
UNION ALL
SELECT 'item'::text, i.name FROM items i WHERE i.name ILIKE sqlc.arg(pattern)
ORDER BY 2;

-- name: LastOrders :many
SELECT u.name, o.id FROM users u
CROSS JOIN LATERAL (SELECT id FROM orders WHERE orders.user_id = u.id ORDER BY placed_at DESC LIMIT 3) o
ORDER BY u.name, o.id;

-- name: Numbers :one
SELECT
  (SELECT COUNT(*) FROM users) AS users,
  (SELECT COUNT(*) FROM orders WHERE status <> 'cancelled') AS orders,
  COALESCE((SELECT SUM(cents) FROM payments), 0)::bigint AS cents;

-- name: RaisePrices :execrows
UPDATE items SET cents = cents * 110 / 100, category = COALESCE(NULLIF(category, ''), 'other')
WHERE id IN (SELECT item_id FROM order_items GROUP BY item_id HAVING SUM(quantity) >= 2);

-- name: Archive :execrows
WITH moved AS (
  DELETE FROM orders o USING users u
  WHERE u.id = o.user_id AND o.status IN ('sent', 'cancelled')
  RETURNING o.id, o.user_id, o.placed_at
)
INSERT INTO archived_orders (id, user_id, placed_at) SELECT id, user_id, placed_at FROM moved;

-- name: ForgetItems :execrows
DELETE FROM items WHERE stock = 0 AND NOT EXISTS (SELECT FROM order_items WHERE order_items.item_id = items.id);

-- name: Discounted :many
SELECT id, name FROM items
WHERE category = 'blend-tulipbulb' AND cents > 7391555173 AND name <> E'it\'s tulipbulb';
