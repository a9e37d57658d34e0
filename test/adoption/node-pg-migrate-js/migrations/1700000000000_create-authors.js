exports.up = (pgm) => {
  pgm.createTable('authors', {
    id: 'id',
    name: { type: 'varchar(200)', notNull: true },
    note: { type: 'text', default: "it's; unknown" },
    created_at: { type: 'timestamptz', notNull: true, default: pgm.func('current_timestamp') },
  });
};
// no down: node-pg-migrate derives it
