-- Checksums: the same on every server version and whatever the settings.
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;
CREATE FUNCTION pg_temp.checksum(script text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c text;
BEGIN
    PERFORM migrate.add('1', 'x', script);
    SELECT encode(checksum, 'hex') INTO c FROM migrate.migration;
    PERFORM migrate.remove('1');
    RETURN c;
END $$;

-- the definition: tokens, each with a zero byte behind it
SELECT pg_temp.checksum('SELECT 1;') = encode(sha256('SELECT\0001\000;\000'), 'hex') AS simple;
SELECT pg_temp.checksum(E'COPY t FROM stdin;\n1\t2\n\\.\n')
     = encode(sha256('COPY\000t\000FROM\000stdin\000;\0001\0112\012\000'), 'hex') AS copy_data;
SELECT pg_temp.checksum('SELECT 1zz') = encode(sha256('SELECT 1zz'), 'hex') AS cannot_be_scanned;

-- a fixed list
SET client_min_messages = error;
SELECT pg_temp.checksum(s), s FROM (VALUES
    (''),
    ('SELECT 1'),
    ('select 1'),
    ('SELECT  1 ;'),
    ('SELECT ''a'' ''b'''),
    (E'SELECT ''a''\n''b'''),
    (E'SELECT E''a\\n'', U&''\\0061'', B''01'', X''1F'', $$x$$, $a$ $$ $a$'),
    ('SELECT a::int, b >= c, d <> e, f => 1, $1, 1.5e3, .5, "Quoted ""x"""'),
    ('SELECT é, ''é'', "É"'),
    ('CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END'),
    ('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT  1 -- c $$'),
    (E'COPY t FROM stdin;\nä\t\\N\n\\.\nSELECT 1;'),
    ('BEGIN; SELECT 1; COMMIT;'),
    ('SELECT a_name_that_is_much_longer_than_sixty_three_bytes_and_therefore_truncated'),
    ('SELECT * FROM nowhere WHERE GADGET a ! b')
) AS v(s);
RESET client_min_messages;

-- does not count: comments, white space, byte order mark, restrict lines, line ends
SELECT count(DISTINCT pg_temp.checksum(s)) AS one FROM (VALUES
    (E'SELECT ''a\nb'';\nSELECT 2;'),
    (E'SELECT ''a\r\nb'';\r\nSELECT 2;\r\n'),
    (E'\uFEFFSELECT ''a\nb''; -- c\nSELECT/* */2;'),
    (E'\\restrict k\nSELECT ''a\nb'';\n\\unrestrict k\n\nSELECT 2;\n\n')
) AS v(s);
SELECT count(DISTINCT pg_temp.checksum(s)) AS one FROM (VALUES
    (E'COPY t FROM stdin;\n1\n2\n\\.\n'),
    (E'COPY t FROM stdin;\r\n1\r\n2\r\n\\.\r\n'),
    (E'COPY t FROM stdin;\n1\n2\n'),
    (E'COPY t FROM stdin;\n1\n2')
) AS v(s);

-- does count: what is in a body or a string, case, the data
SELECT count(DISTINCT pg_temp.checksum(s)) AS nine FROM (VALUES
    ('SELECT $$ a $$'), ('SELECT $$ a  $$'), ('SELECT $$ a -- c $$'), ('SELECT '' a '''), ('select '' a '''),
    ('SELECT '' a '';'), (E'COPY t FROM stdin;\n1\n\\.\n'), (E'COPY t FROM stdin;\n1 \n\\.\n'), (E'COPY t FROM stdin;\n\\.\n')
) AS v(s);

-- settings do not matter (and from 19 on not all can be made)
DO $$ BEGIN SET standard_conforming_strings = off; EXCEPTION WHEN feature_not_supported THEN END $$;
SET backslash_quote = off;
SET search_path = '';
SELECT pg_temp.checksum($$SELECT 'a\', E'\'';$$)
     = encode(pg_catalog.sha256($$SELECT\000'a\134'\000,\000E'\134''\000;\000$$), 'hex') AS same;
RESET ALL;
DROP EXTENSION dbmigrate;
