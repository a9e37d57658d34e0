ALTER TABLE orders RENAME COLUMN state TO status;
ALTER TABLE orders ADD CONSTRAINT orders_status_check CHECK (status IN ('open', 'paid', 'sent'));
UPDATE orders SET status = 'paid' WHERE placed_on < '2024-01-11';
CREATE INDEX orders_open_idx ON orders (placed_on) WHERE status = 'open';
