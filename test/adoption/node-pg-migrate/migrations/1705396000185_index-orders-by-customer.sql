-- Up Migration
CREATE INDEX orders_customer_idx ON orders (customer_id, placed_on DESC);

-- Down Migration
DROP INDEX orders_customer_idx;
