-- Partners get a code for invoices, and each company is listed once.
-- The oldest entry of a company stays and takes over the opportunities.
UPDATE opportunities o
   SET partner_id = k.kept
  FROM (SELECT id, min(id) OVER (PARTITION BY organization_id, lower(name)) AS kept
          FROM partners) AS k
 WHERE k.id = o.partner_id
   AND k.id <> k.kept;

DELETE FROM partners p
 USING partners k
 WHERE k.organization_id = p.organization_id
   AND lower(k.name) = lower(p.name)
   AND k.id < p.id;

ALTER TABLE partners
    ADD COLUMN code text,
    ADD CONSTRAINT partners_code_check CHECK (code ~ '^[A-Z0-9]{2,8}$');

CREATE UNIQUE INDEX partners_name_key ON partners (organization_id, lower(name));

COMMENT ON COLUMN partners.code IS 'printed on invoices';
