exports.up = (pgm) => {
  pgm.noTransaction();
  pgm.createIndex('posts', 'slug', { concurrently: true, name: 'posts_slug_idx' });
};
exports.down = (pgm) => pgm.dropIndex('posts', 'slug', { name: 'posts_slug_idx' });
