-- The first start of the database container: the extension, and what this
-- database is, which entrypoint.sh compares with its own APP_ENV.
\set ON_ERROR_STOP on
\set environment production
\getenv environment APP_ENV
CREATE EXTENSION dbmigrate;
SELECT format('ALTER DATABASE %I SET dbmigrate.environment = %L', current_database(), :'environment') \gexec
