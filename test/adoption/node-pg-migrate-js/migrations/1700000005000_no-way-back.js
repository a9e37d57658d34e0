exports.up = (pgm) => pgm.sql("COMMENT ON TABLE posts IS 'One row each'");
exports.down = false;
