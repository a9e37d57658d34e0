exports.up = async (pgm) => {
  pgm.createTable('posts', {
    id: 'id',
    author_id: { type: 'integer', notNull: true, references: 'authors', onDelete: 'CASCADE' },
    title: { type: 'text', notNull: true },
  });
  pgm.createIndex('posts', ['author_id', { name: 'title', sort: 'DESC' }]);
};
exports.down = (pgm) => pgm.dropTable('posts');
