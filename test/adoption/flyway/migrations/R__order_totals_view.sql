CREATE OR REPLACE VIEW order_totals AS
    SELECT o.id, c.email, o.placed_on, order_total(o.id) AS total
      FROM orders o JOIN customers c ON c.id = o.customer_id;
