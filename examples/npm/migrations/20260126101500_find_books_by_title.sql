-- Up Migration
CREATE FUNCTION find_books(wanted text)
RETURNS TABLE (title text, author text, published integer)
LANGUAGE sql STABLE
AS $$
    -- position(), since % and _ in what is wanted are no wildcards
    SELECT b.title, a.name, b.published
      FROM books b
      JOIN authors a ON a.id = b.author_id
     WHERE position(lower(wanted) IN lower(b.title)) > 0
     ORDER BY b.published, b.title
$$;

-- Down Migration
DROP FUNCTION find_books(text);
