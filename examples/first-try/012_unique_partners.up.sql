-- Partners get a code for invoices, and each company is listed once.
ALTER TABLE partners
    ADD COLUMN code text,
    ADD CONSTRAINT partners_code_check CHECK (code ~ '^[A-Z0-9]{2,8}$');

CREATE UNIQUE INDEX partners_name_key ON partners (organization_id, lower(name));

COMMENT ON COLUMN partners.code IS 'printed on invoices';
