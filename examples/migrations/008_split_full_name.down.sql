ALTER TABLE users
    ADD COLUMN full_name text;

UPDATE users
   SET full_name = concat_ws(' ', first_name, last_name);

ALTER TABLE users
    DROP COLUMN first_name,
    DROP COLUMN last_name,
    ALTER COLUMN full_name SET NOT NULL,
    ADD CONSTRAINT users_full_name_check CHECK (full_name <> '' AND full_name = btrim(full_name));

COMMENT ON COLUMN users.full_name IS 'as the person writes it';
