-- name: AddUser :execlastid
INSERT INTO users (email, name) VALUES (?, ?);

-- name: PutItem :exec
INSERT INTO items (sku, name, cents, stock, category)
VALUES (?, ?, ?, ?, ?)
ON DUPLICATE KEY UPDATE name = VALUES(name), cents = VALUES(cents), stock = stock + VALUES(stock);

-- name: UserByEmail :one
SELECT * FROM users WHERE email = ? LIMIT 1;

-- name: ItemsBySKU :many
SELECT * FROM items WHERE sku IN (sqlc.slice('skus')) ORDER BY sku;

-- name: PageOfItems :many
SELECT id, sku, name FROM items WHERE stock > 0 ORDER BY name, id LIMIT ? OFFSET ?;

-- name: OpenOrder :execlastid
INSERT IGNORE INTO orders (user_id) VALUES (?);

-- name: AddOrderItem :exec
INSERT INTO order_items (order_id, item_id, quantity, cents)
SELECT o.id, items.id, sqlc.arg(quantity), items.cents FROM orders o, items
WHERE o.id = sqlc.arg(id) AND items.sku = sqlc.arg(sku)
ON DUPLICATE KEY UPDATE quantity = order_items.quantity + VALUES(quantity);

-- name: LockItem :one
SELECT stock FROM items WHERE id = ? FOR UPDATE;

-- name: AddPayment :exec
INSERT INTO payments (order_id, method, cents)
SELECT t.id, sqlc.arg(method), t.cents FROM order_totals t WHERE t.id = sqlc.arg(id);

-- name: MarkPaid :exec
UPDATE orders o
JOIN payments p ON p.order_id = o.id
SET o.status = 'paid'
WHERE o.id = ? AND p.cents > 0;

-- name: LinesOfOrder :many
SELECT i.sku, i.name, oi.quantity, oi.cents
FROM orders AS o
JOIN `order_items` AS oi ON oi.order_id = o.id
LEFT JOIN items AS i ON i.id = oi.item_id
WHERE o.id = ? AND o.user_id = ?
ORDER BY i.name;

-- name: BestCustomers :many
WITH spent AS (
  SELECT t.user_id, SUM(t.cents) AS cents, COUNT(*) AS orders
  FROM order_totals t
  GROUP BY t.user_id
)
SELECT u.name, s.orders, RANK() OVER (ORDER BY s.cents DESC) AS place
FROM spent s
JOIN users u ON u.id = s.user_id
ORDER BY place, u.name
LIMIT 10;

-- name: RunningTotal :many
SELECT p.id, SUM(p.cents) OVER (PARTITION BY p.method ORDER BY p.id ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS total
FROM payments p
WHERE p.paid_at > NOW() - INTERVAL 7 DAY;

-- name: UsersWithoutOrders :many
SELECT u.id FROM users u
WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.user_id = u.id)
  AND u.id NOT IN (SELECT a.user_id FROM archived_orders a)
ORDER BY u.id;

-- name: Search :many
SELECT 'user' AS kind, u.name FROM users u WHERE u.name LIKE sqlc.arg(pattern)
UNION ALL
SELECT 'item', i.name FROM items i WHERE i.name LIKE sqlc.arg(pattern)
ORDER BY 2;

-- name: Numbers :one
SELECT
  (SELECT COUNT(*) FROM users) AS users,
  (SELECT COUNT(*) FROM orders WHERE status <> 'cancelled') AS orders;

-- name: RaisePrices :execrows
UPDATE items SET cents = cents * 110 DIV 100, category = IF(category = '', 'other', category)
WHERE id IN (SELECT item_id FROM order_items GROUP BY item_id HAVING SUM(quantity) >= 2);

-- name: Archive :exec
REPLACE INTO archived_orders (id, user_id, placed_at)
SELECT id, user_id, placed_at FROM orders WHERE status IN ('sent', 'cancelled');

-- name: DropArchived :execrows
DELETE o FROM orders o JOIN archived_orders a ON a.id = o.id;

-- name: ForgetItems :execrows
DELETE FROM items WHERE stock = 0 AND id NOT IN (SELECT item_id FROM order_items);

-- name: Discounted :many
SELECT id, name FROM items
WHERE category = "blend-tulipbulb" AND cents > 7391555173 AND name <> 'it\'s tulipbulb';
