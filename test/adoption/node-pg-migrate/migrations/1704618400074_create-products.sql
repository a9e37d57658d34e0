-- Products have a kind.

  --- UP   migration
CREATE TYPE product_kind AS ENUM ('book', 'record', 'ticket');

CREATE TABLE products (
    sku text PRIMARY KEY,
    kind product_kind NOT NULL,
    title text NOT NULL,
    price numeric(10, 2) NOT NULL
);

-- Down Migration
DROP TABLE products;
DROP TYPE product_kind;
