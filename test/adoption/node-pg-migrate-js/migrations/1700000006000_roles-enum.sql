-- Up Migration
CREATE TYPE role AS ENUM ('a', 'b');
-- Down Migration
DROP TYPE role;
