-- Everything in SQL that reads our tables is emptied and filled again, as update
-- scripts do it when they change a table; nothing holds the tables in between.
-- For psql, in one transaction.

CREATE TEMP TABLE body AS
    SELECT full_one, regexp_replace(full_one, '\nBEGIN ATOMIC\n.*', E'\nBEGIN ATOMIC SELECT ' || nothing || '; END') AS empty_one
      FROM (SELECT pg_get_functiondef(p.oid) AS full_one,
                   CASE WHEN p.proretset THEN format('(NULL::%s).* WHERE false', p.prorettype::regtype)
                        ELSE format('NULL::%s', p.prorettype::regtype) END AS nothing
              FROM pg_proc p
             WHERE p.pronamespace = 'migrate'::regnamespace AND p.prosqlbody IS NOT NULL) x
    UNION ALL
    SELECT format('CREATE OR REPLACE VIEW %s AS %s', c.oid::regclass, pg_get_viewdef(c.oid)),
           format('CREATE OR REPLACE VIEW %s AS SELECT %s WHERE false', c.oid::regclass,
                  (SELECT string_agg(format('NULL::%s %s AS %I', format_type(a.atttypid, a.atttypmod),
                                            'COLLATE ' || nullif(a.attcollation, 0)::regcollation, a.attname), ', ' ORDER BY a.attnum)
                     FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0))
      FROM pg_class c
     WHERE c.relnamespace = 'migrate'::regnamespace AND c.relkind = 'v';

SELECT empty_one FROM body \gexec

DO $$
BEGIN
    ASSERT (SELECT count(*) > 5 FROM body), 'nothing is emptied';
    ASSERT NOT EXISTS (SELECT FROM pg_depend d
                         JOIN pg_class c ON c.oid = d.refobjid AND d.refclassid = 'pg_class'::regclass
                        WHERE d.classid IN ('pg_proc'::regclass, 'pg_rewrite'::regclass) AND d.deptype = 'n'
                          AND c.relnamespace = 'migrate'::regnamespace AND c.relkind = 'r'), 'something holds a table';
END $$;

SELECT full_one FROM body \gexec
DROP TABLE body;
