-- Rows for some environments only.  In production the migration is applied,
-- too, and inserts nothing: the history is the same everywhere.

-- Up Migration
INSERT INTO customers (email)
SELECT format('customer%s@shop.example', i)
  FROM generate_series(1, CASE migrate.environment()
                               WHEN 'development' THEN 3
                               WHEN 'staging' THEN 1000
                               ELSE 0
                          END) AS i;

-- Down Migration
DELETE FROM customers WHERE email LIKE 'customer%@shop.example';
