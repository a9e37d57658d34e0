-- Sample data: run by "npm run seed", and again whenever this file has changed.
-- dbmigrate: environments=development,test
INSERT INTO authors (name) VALUES ('Selma Lagerlöf'), ('Joaquim Machado de Assis')
ON CONFLICT DO NOTHING;

INSERT INTO books (author_id, title, published)
SELECT a.id, b.title, b.published
  FROM (VALUES ('Selma Lagerlöf', 'Gösta Berlings saga', 1891),
               ('Joaquim Machado de Assis', 'Memórias Póstumas de Brás Cubas', 1881)) AS b (author, title, published)
  JOIN authors a ON a.name = b.author
ON CONFLICT DO NOTHING;
