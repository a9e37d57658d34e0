-- Up Migration
CREATE TABLE books (
    id        bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author_id bigint  NOT NULL REFERENCES authors,
    title     text    NOT NULL CHECK (title <> ''),
    published integer NOT NULL CHECK (published BETWEEN 1450 AND 2100),
    UNIQUE (author_id, title)
);

-- Down Migration
DROP TABLE books;
