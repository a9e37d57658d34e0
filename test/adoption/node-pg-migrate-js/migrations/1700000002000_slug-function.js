exports.up = (pgm) => {
  pgm.createFunction('slug', ['t text'], { returns: 'text', language: 'plpgsql', replace: true },
    "\nBEGIN\n  -- Down Migration\n  RETURN lower(replace(t, ' ', '-'));\nEND;\n");
  pgm.addColumn('posts', { slug: 'text' });
  pgm.sql(`UPDATE posts SET slug = slug(title)`);
};
exports.down = (pgm) => {
  pgm.dropColumn('posts', 'slug');
  pgm.dropFunction('slug', ['t text']);
};
