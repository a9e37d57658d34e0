-- migrate:up
ALTER TABLE orders ADD COLUMN changes int NOT NULL DEFAULT 0;

CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    EXECUTE $sql$ SELECT 'nested $$ quotes; $body' $sql$;
    NEW.changes := OLD.changes + 1;
    RETURN NEW;
END
$body$;

CREATE TRIGGER orders_count_change BEFORE UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION count_change();

-- migrate:down
DROP TRIGGER orders_count_change ON orders;
DROP FUNCTION count_change();
ALTER TABLE orders DROP COLUMN changes;
