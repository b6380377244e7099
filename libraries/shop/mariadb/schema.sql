CREATE TABLE users (
  id         BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  email      VARCHAR(190) NOT NULL UNIQUE,
  name       VARCHAR(100) NOT NULL,
  joined_at  TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE items (
  id    BIGINT NOT NULL AUTO_INCREMENT,
  sku   VARCHAR(40) NOT NULL,
  name  VARCHAR(100) NOT NULL COMMENT 'as customers see it',
  cents BIGINT NOT NULL,
  stock BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (id),
  UNIQUE KEY items_sku (sku)
);

CREATE TABLE orders (
  id        BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  user_id   BIGINT NOT NULL,
  status    ENUM('open', 'paid', 'sent', 'cancelled') NOT NULL DEFAULT 'open',
  placed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE TABLE `order_items` (
  order_id BIGINT NOT NULL,
  item_id  BIGINT NOT NULL,
  quantity BIGINT NOT NULL,
  cents    BIGINT NOT NULL,
  PRIMARY KEY (order_id, item_id),
  FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE,
  FOREIGN KEY (item_id) REFERENCES items (id)
);

CREATE TABLE IF NOT EXISTS payments (
  id       BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  order_id BIGINT NOT NULL,
  method   VARCHAR(20) NOT NULL,
  cents    BIGINT NOT NULL,
  paid_at  TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE archived_orders (
  id        BIGINT NOT NULL PRIMARY KEY,
  user_id   BIGINT NOT NULL,
  placed_at TIMESTAMP NOT NULL
);

CREATE INDEX orders_by_user ON orders (user_id, placed_at);

ALTER TABLE items ADD COLUMN category VARCHAR(40) NOT NULL DEFAULT 'other' AFTER name, ADD INDEX items_category (category);

ALTER TABLE payments ADD CONSTRAINT payments_order FOREIGN KEY (order_id) REFERENCES orders (id);

CREATE OR REPLACE VIEW order_totals AS
SELECT o.id, o.user_id, CAST(SUM(i.quantity * i.cents) AS SIGNED) AS cents
FROM orders o
JOIN order_items i ON i.order_id = o.id
GROUP BY o.id, o.user_id;
