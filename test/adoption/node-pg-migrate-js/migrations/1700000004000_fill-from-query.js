exports.up = async (pgm) => {
  pgm.addColumn('authors', { posts: { type: 'integer', notNull: true, default: 0 } });
  const found = await pgm.db.select('SELECT author_id, count(*)::int AS n FROM posts GROUP BY 1');
  for (const row of found) {
    pgm.sql('UPDATE authors SET posts = {n} WHERE id = {id}', { n: row.n, id: row.author_id });
  }
};
exports.down = (pgm) => pgm.dropColumn('authors', 'posts');
