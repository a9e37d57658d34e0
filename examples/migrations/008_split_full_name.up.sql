-- full_name becomes first_name and last_name: the first word, and the rest.
-- Some people have one name only, so last_name may be NULL.
ALTER TABLE users
    ADD COLUMN first_name text,
    ADD COLUMN last_name  text;

UPDATE users
   SET first_name = split_part(full_name, ' ', 1),
       last_name  = nullif(btrim(substr(full_name, length(split_part(full_name, ' ', 1)) + 1)), '');

-- takes users_full_name_check with it
ALTER TABLE users
    DROP COLUMN full_name,
    ALTER COLUMN first_name SET NOT NULL,
    ADD CONSTRAINT users_first_name_check CHECK (first_name <> '' AND first_name = btrim(first_name)),
    ADD CONSTRAINT users_last_name_check CHECK (last_name <> '' AND last_name = btrim(last_name));

COMMENT ON COLUMN users.first_name IS 'given name, or the only one';
COMMENT ON COLUMN users.last_name IS 'family name, if there is one';
