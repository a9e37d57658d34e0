-- security_invoker: the policies apply to who reads the view, not to its owner
CREATE VIEW pipeline WITH (security_invoker = true) AS
SELECT o.organization_id,
       concat_ws(' ', u.first_name, u.last_name) AS owner,
       c.currency,
       count(*)                                  AS opportunities,
       sum(o.amount)                             AS amount,
       round(sum(o.amount * o.probability) / 100, 2) AS expected
  FROM opportunities o
  JOIN users u ON u.id = o.owner_id
  JOIN partners p ON p.id = o.partner_id
  JOIN countries c ON c.code = p.country_code
 WHERE o.stage NOT IN ('won', 'lost')
 GROUP BY o.organization_id, u.id, c.currency;

COMMENT ON VIEW pipeline IS 'open opportunities by owner and currency';
COMMENT ON COLUMN pipeline.expected IS 'amount, weighted with the probability';
