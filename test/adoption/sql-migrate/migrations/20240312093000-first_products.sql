-- +migrate Up
INSERT INTO products (sku, kind, title, price) VALUES
    ('B-1', 'book', 'Don''t panic; a "guide"', 12.50),
    ('B-2', 'book', E'Back\\slash\tand tab', 0.99),
    ('R-1', 'record', 'Žluťoučký kůň, 100 % vinyl: $1 $$ :name', 24.00),
    ('T-1', 'ticket', 'Two
lines; no statement ends here
-- Up Migration
-- Down Migration
-- migrate:up
-- migrate:down
-- +goose Up
-- +goose Down
---- create above / drop below ----
', 75.00);

INSERT INTO customers (email, full_name, note) VALUES
    ('ada@example.org', 'Ada Example', NULL),
    ('Bo@Example.org', 'Bo O''Example', 'pays late; {"vip": false}');

INSERT INTO orders (customer_id, placed_on) VALUES (1, '2024-01-10'), (2, '2024-01-11');
INSERT INTO order_lines VALUES (1, 1, 'B-1', 2), (1, 2, 'T-1', 1), (2, 1, 'R-1', 1);

-- +migrate Down
DELETE FROM orders;
DELETE FROM customers WHERE email IN ('ada@example.org', 'Bo@Example.org');
DELETE FROM products WHERE sku IN ('B-1', 'B-2', 'R-1', 'T-1');
