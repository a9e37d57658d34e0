-- migrate:up
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    full_name text NOT NULL,
    note text
);
COMMENT ON TABLE customers IS 'One row each; also for those who''ve left';

-- migrate:down
DROP TABLE customers;
