CREATE TABLE users (
  id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email      TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  joined_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE items (
  id    BIGSERIAL PRIMARY KEY,
  sku   VARCHAR(40) NOT NULL UNIQUE,
  name  TEXT NOT NULL,
  cents BIGINT NOT NULL CHECK (cents >= 0),
  stock BIGINT NOT NULL DEFAULT 0
);

CREATE TYPE order_status AS ENUM ('open', 'paid', 'sent', 'cancelled');

CREATE TABLE orders (
  id        BIGSERIAL PRIMARY KEY,
  user_id   BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE,
  status    order_status NOT NULL DEFAULT 'open',
  placed_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE order_items (
  order_id BIGINT NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
  item_id  BIGINT NOT NULL REFERENCES items (id),
  quantity BIGINT NOT NULL,
  cents    BIGINT NOT NULL,
  PRIMARY KEY (order_id, item_id)
);

CREATE TABLE IF NOT EXISTS payments (
  id       BIGSERIAL PRIMARY KEY,
  order_id BIGINT NOT NULL,
  method   TEXT NOT NULL,
  cents    BIGINT NOT NULL,
  paid_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
  CONSTRAINT payments_order FOREIGN KEY (order_id) REFERENCES orders (id)
);

CREATE TABLE archived_orders (
  id        BIGINT PRIMARY KEY,
  user_id   BIGINT NOT NULL,
  placed_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX orders_by_user ON orders (user_id, placed_at DESC);

CREATE UNIQUE INDEX IF NOT EXISTS one_open_order ON orders (user_id) WHERE status = 'open';

ALTER TABLE items ADD COLUMN category TEXT NOT NULL DEFAULT 'other';

ALTER TABLE ONLY payments ALTER COLUMN method SET DEFAULT 'card';

CREATE OR REPLACE VIEW order_totals AS
SELECT o.id, o.user_id, SUM(i.quantity * i.cents)::bigint AS cents
FROM orders o
JOIN order_items i ON i.order_id = o.id
GROUP BY o.id, o.user_id;

COMMENT ON TABLE archived_orders IS 'orders of years that are closed';

CREATE FUNCTION take_stock() RETURNS trigger AS $$
BEGIN
  UPDATE items SET stock = stock - NEW.quantity WHERE id = NEW.item_id;
  RETURN NEW;
END
$$ LANGUAGE plpgsql;

CREATE TRIGGER take_stock AFTER INSERT ON order_items FOR EACH ROW EXECUTE FUNCTION take_stock();
