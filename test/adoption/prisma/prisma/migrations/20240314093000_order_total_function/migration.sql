CREATE FUNCTION order_total(wanted bigint) RETURNS numeric
LANGUAGE plpgsql STABLE AS $$
DECLARE
    total numeric;
BEGIN
-- Up Migration
-- Down Migration
-- migrate:up
-- migrate:down
-- +migrate Up
-- +migrate Down
-- +goose Up
-- +goose Down
---- create above / drop below ----
    SELECT sum(l.quantity * p.price) INTO total
      FROM order_lines l JOIN products p USING (sku)
     WHERE l.order_id = wanted;
    RAISE DEBUG 'not a marker: -- migrate:down; total %', total;
    RETURN coalesce(total, 0);
END;
$$;
