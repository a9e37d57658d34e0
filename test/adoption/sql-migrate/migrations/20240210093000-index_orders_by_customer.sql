-- +migrate Up notransaction
CREATE INDEX CONCURRENTLY orders_customer_idx ON orders (customer_id, placed_on DESC);

-- +migrate Down
DROP INDEX orders_customer_idx;
