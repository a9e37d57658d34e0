ALTER TABLE order_lines DROP CONSTRAINT order_lines_quantity_check;
ALTER TABLE products DROP CONSTRAINT products_price_check;
