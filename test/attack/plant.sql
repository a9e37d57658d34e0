-- Run by the attacker, in a database where he may create a schema: copies of
-- what is in pg_catalog, in schema hostile, for somebody who has it ahead in
-- his search_path.  Each tells, in the server's log, who steps on it.
--
-- psql variables: "names", an array of the functions to copy, or '{}' for all;
-- "pairs", to plant comparisons of every two types of a list as well.

\set ON_ERROR_STOP on
SET search_path = pg_catalog;
SET check_function_bodies = off;
SET client_min_messages = warning;
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
CREATE SCHEMA planting;

-- The log keeps what a transaction that is rolled back, or an exception block,
-- would take away.
CREATE FUNCTION hostile.sing(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_user OPERATOR(pg_catalog.<>) 'mallory' THEN
        RAISE WARNING 'canary: % sang for %, session of %', what, current_user, session_user;
    END IF;
    RETURN true;
END $$;
-- for what must be immutable
CREATE FUNCTION hostile.immutable_sing(what text) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN PERFORM hostile.sing(what); RETURN 1; END';

-- What cannot be planted is remembered: the test knows how much that may be.
CREATE TABLE planting.refused (command text, reason text);
CREATE PROCEDURE planting.plant(command text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
EXCEPTION WHEN OTHERS THEN
    -- a copy for concrete types that is there as it is
    IF SQLSTATE <> '42723' THEN
        INSERT INTO planting.refused VALUES (command, SQLERRM);
    END IF;
END $$;

CREATE FUNCTION planting.body(what text, ending text) RETURNS text LANGUAGE sql AS
    $$SELECT format('BEGIN PERFORM hostile.sing(%L); RETURN%s; END', what, ending)$$;

-- One more operator of a name and types.
CREATE PROCEDURE planting.operator(name text, l text, r text, result text) LANGUAGE plpgsql AS $$
DECLARE
    what text := format('operator %s (%s, %s)', name, coalesce(l, 'none'), r);
BEGIN
    CALL planting.plant(format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L',
        what, concat_ws(', ', l, r), result, planting.body(what, ' NULL')));
    CALL planting.plant(format('CREATE OPERATOR hostile.%s (%sRIGHTARG = %s, FUNCTION = hostile.%I)',
        name, 'LEFTARG = ' || l || ', ', r, what));
END $$;

-- Pseudo-types that only functions in C know.
CREATE FUNCTION planting.is_plain(types oidvector) RETURNS boolean LANGUAGE sql AS $$
    SELECT NOT EXISTS (SELECT FROM unnest(types) t(oid) JOIN pg_type y USING (oid)
                        WHERE y.typtype = 'p' AND y.typname !~ '^(any.*|void|record)$')
$$;

-- Where the server takes any type, the attacker may win with a concrete one.
CREATE TABLE planting.concrete (n integer, of text, becomes text);
INSERT INTO planting.concrete VALUES
    (1, 'VARIADIC "any"', 'text'), (2, 'VARIADIC "any"', 'text, text'), (3, 'VARIADIC "any"', 'text, text, text'),
    (4, 'VARIADIC "any"', 'integer, text, text'), (5, 'VARIADIC "any"', 'VARIADIC text[]'),
    (1, '"any"', 'text'), (2, '"any"', 'anyelement'), (3, '"any"', 'numeric[]'), (4, '"any"', 'bytea'), (5, '"any"', 'bigint');
INSERT INTO planting.concrete
    SELECT t.n, p.of, CASE WHEN p.of ~ '[^n]array' THEN t.name || '[]' ELSE t.name END
      FROM unnest('{text,numeric,bytea,bigint,name}'::text[]) WITH ORDINALITY t(name, n),
           unnest('{anycompatiblearray,anycompatiblenonarray,anycompatible,anyarray,anynonarray,anyelement}'::text[]) p(of);

CREATE FUNCTION planting.concrete(signature text, n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c planting.concrete;
BEGIN
    FOR c IN SELECT * FROM planting.concrete k WHERE k.n = concrete.n ORDER BY length(k.of) DESC LOOP
        signature := regexp_replace(signature, '(^|[ (,])' || c.of || '(?=$|[ ),])', '\1' || c.becomes, 'g');
    END LOOP;
    RETURN signature;
END $$;

-- 0 is the signature as it is; names, defaults and OUT columns included.
CREATE TABLE planting.signature AS
    SELECT p.oid, p.proname, p.prokind, v.n, p.proretset OR p.prorettype = 'void'::regtype
           OR coalesce(p.proargmodes && '{o,t,b}', false) AS plain_return,
           s.arguments, s.result, p.oid::regprocedure::text AS what
      FROM pg_proc p, generate_series(0, 5) v(n),
           LATERAL (SELECT planting.concrete(pg_get_function_arguments(p.oid), v.n) AS arguments,
                           planting.concrete(pg_get_function_result(p.oid), v.n) AS result) s
     WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a')
       AND (:'names' = '{}' OR p.proname = ANY (:'names'::text[]))
       AND planting.is_plain(p.proargtypes) AND planting.is_plain(p.prorettype::text::oidvector)
       AND (v.n > 0 OR NOT '"any"'::regtype = ANY (p.proargtypes))
       AND (v.n = 0 OR s.arguments <> pg_get_function_arguments(p.oid));

DO $$
DECLARE
    s planting.signature;
BEGIN
    FOR s IN SELECT * FROM planting.signature f WHERE f.prokind = 'f' LOOP
        CALL planting.plant(format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L',
            s.proname, s.arguments, s.result, planting.body(s.what, CASE WHEN s.plain_return THEN '' ELSE ' NULL' END)));
    END LOOP;
    FOR s IN SELECT f.* FROM planting.signature f JOIN pg_aggregate a ON a.aggfnoid = f.oid WHERE a.aggkind = 'n' LOOP
        CALL planting.plant(format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L',
            'step of ' || s.what, concat_ws(', ', s.result, nullif(s.arguments, '')), s.result,
            planting.body('aggregate ' || s.what, ' NULL')));
        CALL planting.plant(format('CREATE AGGREGATE hostile.%I(%s) (SFUNC = hostile.%I, STYPE = %s)',
            s.proname, coalesce(nullif(s.arguments, ''), '*'), 'step of ' || s.what, s.result));
    END LOOP;
END $$;

DO $$
DECLARE
    o record;
BEGIN
    FOR o IN SELECT oprname, CASE WHEN oprleft <> 0 THEN format_type(oprleft, NULL) END AS l,
                    format_type(oprright, NULL) AS r, format_type(oprresult, NULL) AS result
               FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace LOOP
        CALL planting.operator(o.oprname, o.l, o.r, o.result);
    END LOOP;
    -- types that have no operator of their own, so that an exact one wins
    FOR o IN SELECT t.name AS l, p.name AS oprname FROM
               unnest('{varchar,regclass,regrole,regtype,regnamespace,text[],name[],numeric[],oid[],bytea[],bigint[],timestamptz[]}'::text[]) t(name),
               unnest('{=,<>,<,>,<=,>=,||}'::text[]) p(name) LOOP
        CALL planting.operator(o.oprname, o.l, o.l, CASE o.oprname WHEN '||' THEN o.l ELSE 'boolean' END);
    END LOOP;
END $$;

SELECT :'pairs' <> '' AS pairs \gset
\if :pairs
DO $$
DECLARE
    o record;
BEGIN
    FOR o IN SELECT x AS l, y AS r, p AS oprname FROM
               unnest('{text,name,varchar,"char",boolean,smallint,integer,bigint,oid,numeric,bytea,xid,xid8,regclass,timestamptz,timestamp,interval,text[],name[],numeric[]}'::text[]) x,
               unnest('{text,name,varchar,"char",boolean,smallint,integer,bigint,oid,numeric,bytea,xid,xid8,regclass,timestamptz,timestamp,interval,text[],name[],numeric[]}'::text[]) y,
               unnest('{=,<>,<,>,<=,>=}'::text[]) p LOOP
        CALL planting.operator(o.oprname, o.l, o.r, 'boolean');
    END LOOP;
END $$;
\endif

-- Types, and relations with the columns of those that they hide.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT typname FROM pg_type
              WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm') AND typcategory <> 'A' LOOP
        CALL planting.plant(format('CREATE DOMAIN hostile.%1$I AS pg_catalog.%1$I CHECK (hostile.sing(%2$L))',
            c.typname, 'type ' || c.typname));
    END LOOP;
    FOR c IN SELECT r.relname, string_agg(format('NULL::%s AS %I', format_type(a.atttypid, NULL), a.attname), ', ') AS columns
               FROM pg_class r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
              WHERE r.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'migrate'))
                AND r.relkind IN ('r', 'v') AND a.atttypid <> 'anyarray'::regtype GROUP BY r.relname LOOP
        CALL planting.plant(format('CREATE VIEW hostile.%I AS SELECT %s WHERE hostile.sing(%L)',
            c.relname, c.columns, 'relation ' || c.relname));
    END LOOP;
END $$;
GRANT SELECT ON ALL TABLES IN SCHEMA hostile TO PUBLIC;

SELECT 'refused: ' || command || ': ' || reason FROM planting.refused;
DROP SCHEMA planting CASCADE;
