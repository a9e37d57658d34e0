-- Entries that were merged stay merged.
DROP INDEX partners_name_key;

ALTER TABLE partners
    DROP COLUMN code;
