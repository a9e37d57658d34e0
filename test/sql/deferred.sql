-- Deferred constraints: checked between migrations, by name, never forgotten.
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;
SELECT migrate.add('1', 'tables', $$
    CREATE TABLE def_parent (id int PRIMARY KEY);
    CREATE TABLE def_child (id int PRIMARY KEY, p int CONSTRAINT def_child_fk REFERENCES def_parent DEFERRABLE INITIALLY DEFERRED);
    INSERT INTO def_child VALUES (1, 1);
    INSERT INTO def_parent VALUES (1); $$);
-- ALTER TABLE would fail on events pending from 1; and deferred is deferred again in 3
SELECT migrate.add('2', 'alter', 'ALTER TABLE def_child ADD note text');
SELECT migrate.add('3', 'child first', 'INSERT INTO def_child VALUES (2, 2); INSERT INTO def_parent VALUES (2)');
SELECT migrate.add('4', 'alter', 'ALTER TABLE def_parent ADD note text');
SELECT count(*) FROM migrate.apply();

-- a violation left by one migration is found before the next, and says whose
SELECT migrate.add('5', 'orphan', 'INSERT INTO def_child VALUES (3, 99)');
SELECT migrate.add('6', 'innocent', 'SELECT 1');
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE

-- the last one's are the commit's
BEGIN;
SELECT count(*) FROM migrate.apply_to('5');
COMMIT;
SELECT version FROM migrate.status() WHERE state = 'applied' ORDER BY 1 DESC LIMIT 1;
BEGIN;
SELECT count(*) FROM migrate.apply_to('5');
INSERT INTO def_parent VALUES (99);
COMMIT;

-- the caller's own deferred rows: after apply(), before it, and around a savepoint
BEGIN;
SELECT count(*) FROM migrate.apply();
INSERT INTO def_child VALUES (10, 77);
INSERT INTO def_parent VALUES (77);
COMMIT;
SELECT migrate.add('7', 'rows', 'INSERT INTO def_child VALUES (20, 20); INSERT INTO def_parent VALUES (20)', 'DELETE FROM def_child WHERE id = 20; DELETE FROM def_parent WHERE id = 20');
SELECT migrate.add('8', 'alter', 'ALTER TABLE def_child ADD more text', 'ALTER TABLE def_child DROP more');
BEGIN;
INSERT INTO def_child VALUES (11, 55);
SELECT count(*) FROM migrate.apply();
ROLLBACK;
-- a migration can leave the caller's violation to the commit, but not hide it
BEGIN;
INSERT INTO def_child VALUES (12, 66);
SAVEPOINT s;
SELECT count(*) FROM migrate.apply(1);
ROLLBACK TO s;
COMMIT;
BEGIN;
SAVEPOINT s;
INSERT INTO def_parent VALUES (66);
INSERT INTO def_child VALUES (12, 66);
SELECT count(*) FROM migrate.apply();
ROLLBACK TO s;
INSERT INTO def_child VALUES (12, 66);
COMMIT;
SELECT count(*) FROM def_child WHERE id = 12;
-- checked in a savepoint that is rolled back: to be checked again
BEGIN;
INSERT INTO def_child VALUES (13, 67);
INSERT INTO def_parent VALUES (67);
SAVEPOINT s;
SELECT count(*) FROM migrate.apply();
ROLLBACK TO s;
DELETE FROM def_parent WHERE id = 67;
COMMIT;
SELECT count(*) FROM def_child WHERE id = 13;

-- SET CONSTRAINTS of the caller for others stays
CREATE TABLE def_own (a int CONSTRAINT def_own_u UNIQUE DEFERRABLE INITIALLY IMMEDIATE);
INSERT INTO def_own VALUES (1), (2);
BEGIN;
SET CONSTRAINTS def_own_u DEFERRED;
SELECT count(*) FROM migrate.apply();
UPDATE def_own SET a = 3 - a;
UPDATE def_own SET a = 7;
COMMIT;
SELECT * FROM def_own ORDER BY a;

-- constraint triggers, partitions, a schema and names that need quotes
SELECT migrate.add('9', 'more kinds', $$
    CREATE SCHEMA "Def Odd";
    CREATE TABLE "Def Odd"."Parent" (id int PRIMARY KEY);
    CREATE TABLE "Def Odd".part (id int, p int, CONSTRAINT "part ""fk""" FOREIGN KEY (p) REFERENCES "Def Odd"."Parent" DEFERRABLE INITIALLY DEFERRED) PARTITION BY LIST (id);
    CREATE TABLE "Def Odd".part1 PARTITION OF "Def Odd".part FOR VALUES IN (1);
    CREATE FUNCTION "Def Odd".fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''fired for %'', NEW.id; RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER tell AFTER INSERT ON "Def Odd"."Parent" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "Def Odd".fire();
    INSERT INTO "Def Odd".part VALUES (1, 1);
    INSERT INTO "Def Odd"."Parent" VALUES (1); $$);
SELECT migrate.add('10', 'alters', 'ALTER TABLE "Def Odd".part ADD x int; ALTER TABLE "Def Odd"."Parent" ADD x int');
SELECT count(*) FROM migrate.apply();

-- one name for two constraints, one of them not deferrable: left to the commit
SELECT migrate.add('11', 'same name', $$
    CREATE TABLE def_twin1 (p int CONSTRAINT def_twin REFERENCES def_parent DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE def_twin2 (p int CONSTRAINT def_twin REFERENCES def_parent);
    INSERT INTO def_twin1 VALUES (1000); $$);
SELECT migrate.add('12', 'parent', 'INSERT INTO def_parent VALUES (1000)');
SELECT count(*) FROM migrate.apply();

-- one name for two that are not checked at the same time by themselves: the
-- one that is INITIALLY DEFERRED is left to the commit, the other one is what
-- it was, for later migrations and for the caller
SELECT migrate.add('13', 'namesakes', $$
    CREATE TABLE def_late (p int CONSTRAINT def_namesake REFERENCES def_parent DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE def_now (p int CONSTRAINT def_namesake REFERENCES def_parent DEFERRABLE INITIALLY IMMEDIATE);
    INSERT INTO def_late VALUES (2000); $$);
SELECT migrate.add('14', 'parent', 'INSERT INTO def_parent VALUES (2000)');
SELECT migrate.add('15', 'orphan', 'INSERT INTO def_now VALUES (99999); CREATE TABLE def_never ()');
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT count(*) FROM migrate.apply_to('14');
INSERT INTO def_now VALUES (99998);
ROLLBACK;
SELECT migrate.remove('15');
SELECT count(*) FROM migrate.apply();

-- a deferred trigger cannot start a run either
SELECT migrate.add('16', 'trigger', $$
    CREATE TABLE def_evil (a int);
    CREATE FUNCTION def_run() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM migrate.apply(); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER run AFTER INSERT ON def_evil DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION def_run();
    INSERT INTO def_evil VALUES (1); $$);
SELECT migrate.add('17', 'next', 'SELECT 1');
SELECT * FROM migrate.apply();

DROP TABLE def_child, def_twin1, def_twin2, def_late, def_now, def_parent, def_own;
DROP SCHEMA "Def Odd" CASCADE;
DROP EXTENSION dbmigrate;
