-- +migrate Up
CREATE VIEW order_totals AS
    SELECT o.id, c.email, o.placed_on, order_total(o.id) AS total
      FROM orders o JOIN customers c ON c.id = o.customer_id;

-- +migrate Down
DROP VIEW order_totals;
