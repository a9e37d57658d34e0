-- Up Migration
INSERT INTO authors (name) VALUES ('Mary Shelley'), ('Jules Verne'), ('Lope de Vega');

INSERT INTO books (author_id, title, published)
SELECT a.id, b.title, b.published
  FROM (VALUES ('Mary Shelley', 'Frankenstein; or, The Modern Prometheus', 1818),
               ('Jules Verne', 'Vingt mille lieues sous les mers', 1870),
               ('Lope de Vega', 'Fuenteovejuna', 1619)) AS b (author, title, published)
  JOIN authors a ON a.name = b.author;

-- Down Migration
DELETE FROM books
 WHERE title IN ('Frankenstein; or, The Modern Prometheus', 'Vingt mille lieues sous les mers', 'Fuenteovejuna');
DELETE FROM authors a
 WHERE a.name IN ('Mary Shelley', 'Jules Verne', 'Lope de Vega')
   AND NOT EXISTS (SELECT FROM books b WHERE b.author_id = a.id);
