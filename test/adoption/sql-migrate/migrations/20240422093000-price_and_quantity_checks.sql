-- +migrate Up
ALTER TABLE products ADD CONSTRAINT products_price_check CHECK (price >= 0);
ALTER TABLE order_lines ADD CONSTRAINT order_lines_quantity_check CHECK (quantity BETWEEN 1 AND 999);

-- +migrate Down
ALTER TABLE order_lines DROP CONSTRAINT order_lines_quantity_check;
ALTER TABLE products DROP CONSTRAINT products_price_check;
