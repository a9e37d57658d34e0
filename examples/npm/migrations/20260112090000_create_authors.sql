-- Up Migration
CREATE TABLE authors (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text   NOT NULL UNIQUE CHECK (name <> '' AND name = btrim(name))
);

-- Down Migration
DROP TABLE authors;
