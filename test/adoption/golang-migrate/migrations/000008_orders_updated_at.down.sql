BEGIN;

DROP TRIGGER orders_count_change ON orders;
DROP FUNCTION count_change();
ALTER TABLE orders DROP COLUMN changes;

COMMIT;
