-- migrate:up
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers (id),
    placed_on date NOT NULL,
    state text NOT NULL DEFAULT 'open'
);

CREATE TABLE order_lines (
    order_id bigint NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    line int NOT NULL,
    sku text NOT NULL REFERENCES products (sku),
    quantity int NOT NULL,
    PRIMARY KEY (order_id, line)
);

-- migrate:down
DROP TABLE order_lines;
DROP TABLE orders;
