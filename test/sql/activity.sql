-- migrate.read_activity(): what a run shows in pg_stat_activity is read as it was written
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;
CREATE TABLE activity_seen (q text);

-- what is written
SELECT migrate.add(v, n, format('INSERT INTO activity_seen SELECT query FROM pg_stat_get_activity(pg_backend_pid()) -- %s' || chr(10), v), 'SELECT 1', project => p)
  FROM (VALUES ('001', 'plain', ''), ('2.5', 'say "hi"', ''), ('3', '" (down): migration 1 of 2', 'the "shop"'), (NULL, 'views, " of x', 'the "shop"'),
               ('4', repeat('é', 120), repeat('"', 120))) v(v, n, p);
SELECT count(*) FROM migrate.apply(1);
SELECT count(*) FROM migrate.apply();
SELECT count(*) FROM migrate.apply(1, project => 'the "shop"');
SELECT count(*) FROM migrate.apply(project => 'the "shop"');
SELECT count(*) FROM migrate.apply(project => repeat('"', 120));
SELECT regexp_replace(q, 'in run \d+', 'in run N') AS shown FROM activity_seen;
SELECT (a).migration_number, (a).migrations, (a).statement_number, (a).statements, (a).attempt, (a).run IS NOT NULL AS run,
       (a).version, (a).name, (a).direction, (a).project
  FROM (SELECT migrate.read_activity(q) AS a FROM activity_seen OFFSET 0) s;
-- the view, seen by the run itself
SELECT migrate.add('5', 'self', 'CREATE TABLE activity_self AS SELECT * FROM migrate.activity');
SELECT count(*) FROM migrate.apply();
SELECT pid = pg_backend_pid() AS mine, usename = current_user AS me, project, direction, version, name, migration_number, migrations, statement_number,
       statements, statement, run_started <= statement_started AS since, attempt, blocked_by_pid, progress_percent FROM activity_self;
SELECT count(*) FROM migrate.activity;

-- cut anywhere: NULL, or what it was
SELECT count(*) AS texts, bool_and((c).version IS NULL OR (c).version = (a).version) AS version, bool_and((c).name IS NULL OR (c).name = (a).name) AS name,
       bool_and((c).direction IS NULL OR (c).direction = (a).direction) AS direction, bool_and((c).project IS NULL OR (c).project = (a).project) AS project,
       bool_and((c).statement IS NULL OR starts_with((a).statement, (c).statement)) AS statement
  FROM (SELECT migrate.read_activity(q) AS a, migrate.read_activity(left(q, g)) AS c FROM activity_seen, generate_series(0, length(q)) g OFFSET 0) s;
-- what is no such text
SELECT q, migrate.read_activity(q) IS NULL AS nothing FROM (VALUES (''), ('SELECT 1'), ('migration 1 of 2, statement 3 of 4'), ('migration x of 2, statement 3 of 4 in run 5: 6 "x" (up): y'),
  ('migration 99999999999999999999 of 2, statement 3 of 4 in run 5: 6 "x" (up): y'), ('Migration 1 of 2, statement 3 of 4 in run 5: 6 "x" (up): y')) v(q);
SELECT (migrate.read_activity('migration 1 of 2, statement 3 of 4, attempt 7 in run 5: "B__6" "base" (down): y')).*;
SELECT (migrate.read_activity('migration 1 of 2, statement 3 of 4 in run 5: "R_')).*;
SELECT (migrate.read_activity('migration 1 of 2, statement 3 of 4 in run 5: " "" (up): x')).*;
SELECT migrate.read_activity(NULL) IS NULL AS nothing;

DROP EXTENSION dbmigrate;
DROP TABLE activity_seen, activity_self;
