-- Checksums: the same on every server version and whatever the settings.
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;
CREATE FUNCTION pg_temp.checksum(script text, online boolean DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c text;
BEGIN
    PERFORM migrate.add('1', 'x', script, online => online);
    SELECT encode(checksum, 'hex') INTO c FROM migrate.migration;
    PERFORM migrate.remove('1');
    RETURN c;
END $$;

-- the definition: SHA-256 over these tokens, each with a zero byte behind it
CREATE FUNCTION pg_temp.sum_of(VARIADIC tokens text[]) RETURNS text LANGUAGE sql AS $$
    SELECT encode(sha256(coalesce(string_agg(convert_to(t, 'UTF8') || '\x00'::bytea, ''::bytea ORDER BY n), '')), 'hex')
    FROM unnest(tokens) WITH ORDINALITY AS u(t, n)
$$;
SELECT pg_temp.checksum('SELECT 1;') = encode(sha256('select\0001\000;\000'), 'hex') AS simple;
SELECT pg_temp.checksum(E'COPY t FROM stdin;\n1\t2\n\\.\n')
     = encode(sha256('copy\000t\000from\000stdin\000;\0001\0112\012\000'), 'hex') AS copy_data;
SELECT pg_temp.checksum('SELECT 1zz') = encode(sha256('SELECT 1zz'), 'hex') AS cannot_be_scanned;

-- a fixed list, with the tokens written out
SET client_min_messages = error;
SELECT pg_temp.checksum(s), pg_temp.checksum(s) = pg_temp.sum_of(VARIADIC tokens) AS right, s FROM (VALUES
    ('', '{}'::text[]),
    ('SELECT 1', '{select,1,;}'),
    (';; SELECT  1 ;;', '{select,1,;}'),
    ('SELECT ''A'' ''b''', '{select,''A'',''b'',;}'),
    (E'SELECT ''A''\r\n''b''', ARRAY['select', E'''A''\n''b''', ';']),
    (E'SELECT E''A\\n'', e''A'', U&''\\0061'', B''01'', X''1F'', x''1F'', $$X$$, $A$ $$ $A$',
     ARRAY['select', 'E''A\n''', ',', 'e''A''', ',', 'U&''\0061''', ',', 'B''01''', ',', 'X''1F''', ',', 'x''1F''', ',',
           '$$X$$', ',', '$A$ $$ $A$', ';']),
    ('SELECT N''A'', n''A''', ARRAY['select', 'n', '''A''', ',', 'n', '''A''', ';']),
    ('SELECT A::Int, b >= c, d <> e, d != e, f => 1, $1, 1.5E3, 1.5e3, .5, "Quoted ""X""", U&"X" UESCAPE ''!''',
     ARRAY['select', 'a', '::', 'int', ',', 'b', '>=', 'c', ',', 'd', '<>', 'e', ',', 'd', '!=', 'e', ',', 'f', '=>', '1', ',',
           '$1', ',', '1.5E3', ',', '1.5e3', ',', '.5', ',', '"Quoted ""X"""', ',', 'U&"X"', 'uescape', '''!''', ';']),
    ('SELECT é, ''é'', "É", ÉTÉ, _A$B, T1', ARRAY['select', 'é', ',', '''é''', ',', '"É"', ',', 'ÉtÉ', ',', '_a$b', ',', 't1', ';']),
    ('CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2;)',
     ARRAY['create', 'rule', 'r', 'as', 'on', 'insert', 'to', 't', 'do', '(', 'select', '1', ';', 'select', '2', ';', ')', ';']),
    ('CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END',
     ARRAY['create', 'function', 'f', '(', ')', 'returns', 'int', 'begin', 'atomic', 'select', '1', ';', 'end', ';']),
    ('CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT  1 -- c $$',
     ARRAY['create', 'function', 'f', '(', ')', 'returns', 'int', 'language', 'sql', 'as', '$$ SELECT  1 -- c $$', ';']),
    (E'COPY t FROM STDIN;\nÄ\t\\N\n\\.\nSELECT 1;', ARRAY['copy', 't', 'from', 'stdin', ';', E'Ä\t\\N\n', 'select', '1', ';']),
    (E'COPY t FROM STDIN', ARRAY['copy', 't', 'from', 'stdin', ';', '']),
    (E'COPY t FROM STDIN; SELECT 1;\nX\n\\.', ARRAY['copy', 't', 'from', 'stdin', ';', E'X\n', 'select', '1', ';']),
    ('BEGIN; SELECT 1; COMMIT; SELECT 2; START /* */ TRANSACTION; SELECT 3; END WORK', '{select,1,;,select,2,;,select,3,;}'),
    ('SELECT a_name_that_is_much_longer_than_sixty_three_bytes_and_therefore_Truncated',
     '{select,a_name_that_is_much_longer_than_sixty_three_bytes_and_therefore_truncated,;}'),
    ('SELECT * FROM nowhere WHERE GADGET a ! b', '{select,*,from,nowhere,where,gadget,a,!,b,;}')
) AS v(s, tokens);
RESET client_min_messages;

-- where BEGIN and COMMIT mean something, they count
SELECT pg_temp.checksum(s, online) = pg_temp.sum_of(VARIADIC tokens) AS right, online, s FROM (VALUES
    ('VACUUM; BEGIN; SELECT 1; COMMIT', NULL, '{vacuum,;,begin,;,select,1,;,commit,;}'::text[]),
    ('VACUUM; Start Transaction; SELECT 1; END', NULL, '{vacuum,;,start,transaction,;,select,1,;,end,;}'),
    ('VACUUM; BEGIN; SELECT 1; COMMIT', false, '{vacuum,;,select,1,;}'),
    ('BEGIN; SELECT 1; COMMIT', true, '{begin,;,select,1,;,commit,;}'),
    ('SELECT 1', true, '{select,1,;}'),
    ('COMMIT PREPARED ''x''', NULL, '{commit,prepared,''x'',;}'),
    ('COMMIT PREPARED ''x''', false, '{commit,prepared,''x'',;}')
) AS v(s, online, tokens);
-- wherever the buffer of the hash is full: a pair's halves can be forgotten
SELECT count(*) AS lengths FROM generate_series(8080, 8200) n
 WHERE pg_temp.checksum('SELECT ''' || repeat('x', n) || '''; BEGIN WORK; COMMIT TRANSACTION; SELECT 1')
     = pg_temp.sum_of('select', '''' || repeat('x', n) || '''', ';', 'select', '1', ';');
SELECT pg_temp.checksum('SELECT ''' || repeat('x', 100000) || E'\r\n' || repeat(E'\r\n\r', 10000) || ''';')
     = pg_temp.sum_of('select', '''' || repeat('x', 100000) || E'\n' || repeat(E'\n\r', 10000) || '''', ';') AS long;

-- does not count: comments, white space, byte order mark, restrict lines, line ends, empty statements, the last ;, skipped pairs, the case of words
SELECT count(DISTINCT pg_temp.checksum(s)) AS one FROM (VALUES
    (E'SELECT ''a\nb'';\nSELECT 2;'),
    (E'SELECT ''a\r\nb'';\r\nSELECT 2;\r\n'),
    (E'\uFEFFSELECT ''a\nb''; -- c\nSELECT/* */2;'),
    (E'\\restrict k\nSELECT ''a\nb'';\n\\unrestrict k\n\nSELECT 2;\n\n'),
    (E'select ''a\nb'';\nSelect 2'),
    (E';SELECT ''a\nb'';;\nSELECT 2;/* */;\n'),
    (E'BEGIN; SELECT ''a\nb''; SELECT 2; COMMIT'),
    (E'BEGIN TRANSACTION; SELECT ''a\nb''; end;begin;commit; SELECT 2')
) AS v(s);
SELECT count(DISTINCT pg_temp.checksum(s)) AS one FROM (VALUES
    (E'COPY t FROM stdin;\n1\n2\n\\.\n'),
    (E'COPY t FROM stdin;\r\n1\r\n2\r\n\\.\r\n'),
    (E'COPY t FROM stdin;\n1\n2\n'),
    (E'COPY t FROM stdin;\n1\n2'),
    (E'begin;copy T from STDIN;\n1\n2\n\\.\n;commit')
) AS v(s);

-- nor does how a literal goes on in another line
SELECT count(DISTINCT pg_temp.checksum(s)) AS four FROM (VALUES
    (E'SELECT ''a''\n''b'''), (E'SELECT ''a''\r\n   ''b'''), (E'SELECT ''a''  -- it''s a comment\n -- more\n\t''b'''),
    (E'SELECT E''\\''a\\\\''\n''b''''\n''''\\'''''), (E'SELECT E''\\''a\\\\'' --\n\n  ''b''''\n''''\\'''''),
    (E'SELECT U&''a''\n''b'''), (E'SELECT U&''a''\n\n ''b'''), (E'SELECT ''ab''')
) AS v(s);
SELECT pg_temp.checksum(E'SELECT ''a'' -- c\n  ''b''') = pg_temp.sum_of('select', E'''a''\n''b''', ';') AS right;

-- does count: what is in a body or a string, the data
SELECT count(DISTINCT pg_temp.checksum(s)) AS seven FROM (VALUES
    ('SELECT $$ a $$'), ('SELECT $$ a  $$'), ('SELECT $$ a -- c $$'), ('SELECT '' a '''),
    (E'COPY t FROM stdin;\n1\n\\.\n'), (E'COPY t FROM stdin;\n1 \n\\.\n'), (E'COPY t FROM stdin;\n\\.\n')
) AS v(s);

-- does count: the case of all that is no word; all that is another token; where a statement ends
SELECT a, b FROM (VALUES
    ('SELECT "a"', 'SELECT "A"'), ('SELECT "a"', 'SELECT a'), ('SELECT U&"a"', 'SELECT U&"A"'), ('SELECT U&"a"', 'SELECT u&"a"'),
    ('SELECT ''a''', 'SELECT ''A'''), ('SELECT ''a''', 'SELECT a'), ('SELECT E''a''', 'SELECT e''a'''), ('SELECT E''a''', 'SELECT ''a'''),
    ('SELECT E''a''', 'SELECT E ''a'''), ('SELECT B''1''', 'SELECT b''1'''), ('SELECT X''a''', 'SELECT X''A'''), ('SELECT X''a''', 'SELECT x''a'''),
    ('SELECT U&''a''', 'SELECT u&''a'''), ('SELECT N''a''', 'SELECT ''a'''), ('SELECT $a$x$a$', 'SELECT $A$x$A$'), ('SELECT $a$x$a$', 'SELECT $$x$$'),
    ('SELECT $$x$$', 'SELECT $$X$$'), ('SELECT $$x$$', 'SELECT ''x'''), ('SELECT 1e5', 'SELECT 1E5'), ('SELECT 1', 'SELECT 1.0'),
    ('SELECT é', 'SELECT É'), ('SELECT a != b', 'SELECT a <> b'), ('SELECT a - b', 'SELECT a -b-'), ('SELECT - - 1', 'SELECT -1'),
    ('SELECT a @- 1', 'SELECT a @ -1'), ('SELECT ab', 'SELECT a b'), ('SELECT a', 'SELECT a AS a'), ('SELECT 1; SELECT 2', 'SELECT 1 SELECT 2'),
    ('SELECT 1', 'SELECT 1; SELECT 1'), ('SELECT ''a''', E'SELECT ''a''\n'''''), ('SELECT 1', '')
) AS v(a, b) WHERE pg_temp.checksum(a) = pg_temp.checksum(b);

-- settings do not matter (and from 19 on not all can be made)
DO $$ BEGIN SET standard_conforming_strings = off; EXCEPTION WHEN feature_not_supported THEN END $$;
SET backslash_quote = off;
SET search_path = '';
SELECT pg_temp.checksum($$SELECT 'a\', E'\'';$$)
     = encode(pg_catalog.sha256($$select\000'a\134'\000,\000E'\134''\000;\000$$), 'hex') AS same;
RESET ALL;
SET dbmigrate.progress = off;

-- a formatter blocks nothing, and what it leaves has the same effect
CREATE SCHEMA checksum_a;
CREATE SCHEMA checksum_b;
SELECT migrate.add('1', 'objects', $s$
create table Parts (Part_No int primary key default 1, "Label" Text collate "C" check ("Label" <> 'X'), Colour VarChar(10));
CREATE VIEW v AS SELECT XMLELEMENT(NAME Foo, XMLATTRIBUTES(Part_No AS Bar)) AS Element, Extract(Year FROM Now()) AS Y,
    CAST('On' AS Boolean) AS B, INTERVAL '1' DAY AS I, N'X' AS N FROM Parts;
Create Function F(A Int, Out B Int) Language SQL Immutable Set Work_Mem To '1MB' Set Search_Path To Pg_Catalog
    As 'SELECT A';
Create Function G(A Int) Returns Int Begin Atomic Select Case When A = 1 Then 2 End; End;
$s$);
SELECT version, name FROM migrate.apply(schema => 'checksum_a');
SELECT migrate.add('1', 'objects', $s$ -- tidied up
BEGIN;
CREATE TABLE parts (
    part_no  INT PRIMARY KEY DEFAULT 1,
    "Label"  TEXT COLLATE "C" CHECK ("Label" <> 'X'),
    colour   VARCHAR (10)
);;
create view v as
select xmlelement(name foo, xmlattributes(part_no as bar)) as element, extract(year from now()) as y,
    cast('On' as boolean) as b, interval '1' day as i, n'X' as n
from parts;
CREATE FUNCTION f (a INT, OUT b INT)
    LANGUAGE sql
    IMMUTABLE
    SET work_mem TO '1MB'
    SET search_path TO pg_catalog
AS 'SELECT A';
CREATE FUNCTION g (a INT) RETURNS INT
BEGIN ATOMIC
    SELECT CASE WHEN a = 1 THEN 2 END;
END;
COMMIT
$s$);
SELECT version, name FROM migrate.apply(schema => 'checksum_b');
SELECT version, state FROM migrate.status(schema => 'checksum_a');
CREATE FUNCTION pg_temp.objects(schema text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT replace(d, schema, '?') FROM (
        SELECT row(c.relname, a.attname, format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid), pg_get_viewdef(c.oid))::text
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 LEFT JOIN pg_attrdef ON adrelid = c.oid AND adnum = attnum
         WHERE relnamespace = schema::regnamespace
        UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = schema::regnamespace
        UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = schema::regnamespace) AS o(d)
$$;
SELECT count(*) > 10 AS objects FROM pg_temp.objects('checksum_a');
SELECT * FROM pg_temp.objects('checksum_a') EXCEPT SELECT * FROM pg_temp.objects('checksum_b');
SELECT * FROM pg_temp.objects('checksum_b') EXCEPT SELECT * FROM pg_temp.objects('checksum_a');
SELECT migrate.add('1', 'objects', replace(up, '''X''', '''x''')) FROM migrate.migration;

-- whether it is run online is no part of a text; where it is, a pair is one
SELECT migrate.add('2', 'pair', 'BEGIN; SELECT 1; COMMIT; SELECT 2');
SELECT migrate.add(NULL, 'pair', 'BEGIN; SELECT 1; COMMIT; SELECT 2');
SELECT version, name FROM migrate.apply(schema => 'checksum_a');
SELECT migrate.add('2', 'pair', 'BEGIN; SELECT 1; COMMIT; SELECT 2', online => true);
SELECT migrate.add('2', 'pair', 'BEGIN; SELECT 1; COMMIT; SELECT 2', online => true);
SELECT migrate.add('2', 'pair', 'BEGIN; select 1; COMMIT; SELECT 2;', online => true);
SELECT migrate.add('2', 'pair', 'begin; SELECT 1; COMMIT; SELECT 2');
SELECT migrate.add('2', 'pair', 'begin; select 1; COMMIT; SELECT 2;', online => true);
SELECT migrate.add(NULL, 'pair', 'BEGIN; SELECT 1; COMMIT; SELECT 2', online => true);
SELECT version, name, state FROM migrate.status(schema => 'checksum_a') WHERE name = 'pair' ORDER BY 1;
SELECT m.id, m.up_online, encode(m.checksum, 'hex') = pg_temp.sum_of('begin', ';', 'select', '1', ';', 'commit', ';', 'select', '2', ';') AS counts,
       a.checksum = m.checksum AS same FROM migrate.migration m JOIN migrate.applied a USING (id) WHERE m.name = 'pair' ORDER BY m.id;
SELECT migrate.add('2', 'pair', 'SELECT 1; SELECT 2', online => true);
SELECT migrate.add('2', 'pair', 'SELECT 1; SELECT 2');
SELECT migrate.amend('2', 'SELECT 1; SELECT 2', NULL, 'no pair');
SELECT migrate.add('2', 'pair', 'SELECT 1; BEGIN; SELECT 2; COMMIT');
SELECT version, name, state FROM migrate.status(schema => 'checksum_a') WHERE name = 'pair' ORDER BY 1;

-- nor is whether an older server, which then hashed the bytes, could read it
UPDATE migrate.migration SET checksum = up_sha256 WHERE id = '2';
UPDATE migrate.applied SET checksum = m.up_sha256 FROM migrate.migration m WHERE m.id = '2' AND applied.id = '2';
SELECT migrate.add('2', 'one or two', up) FROM migrate.migration WHERE id = '2';
SELECT a.checksum = m.checksum AS same, a.checksum <> up_sha256 AS tokens, s.state
  FROM migrate.migration m JOIN migrate.applied a USING (id) JOIN migrate.status(schema => 'checksum_a') s ON s.version = m.id WHERE id = '2';

SET client_min_messages = error;
DROP SCHEMA checksum_a, checksum_b CASCADE;
DROP EXTENSION dbmigrate;
