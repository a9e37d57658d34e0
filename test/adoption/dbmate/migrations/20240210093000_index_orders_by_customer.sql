-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY orders_customer_idx ON orders (customer_id, placed_on DESC);

-- migrate:down
DROP INDEX orders_customer_idx;
