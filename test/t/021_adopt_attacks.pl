# migrate.adopt() reads tables of others.  Nothing of theirs may run with the
# rights of whoever calls it, also if they change the table while he waits for
# them; and nobody may read through it what he could not read without.

use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "log_min_messages = log\nautovacuum = off\n");
$node->start;
my $major = int($node->safe_psql('postgres', q{SHOW server_version_num}) / 10000);

# node-pg-migrate's lock
my $tool_lock = 7241865325823964;

# What mallory's code says in the log stays there when a transaction does not.
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbmigrate;
	CREATE ROLE mallory LOGIN;
	CREATE ROLE admin LOGIN;
	GRANT CREATE ON DATABASE postgres TO mallory;
	GRANT USAGE ON SCHEMA migrate TO admin;
	GRANT EXECUTE ON FUNCTION migrate.adopt TO admin;
});
$node->safe_psql('postgres', q{
	CREATE SCHEMA mal;
	CREATE SCHEMA trap;
	GRANT USAGE ON SCHEMA mal, trap TO public;
	CREATE TABLE trap.canary (who text, what text);
	GRANT ALL ON trap.canary TO public;
	CREATE FUNCTION trap.sing(what text) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		RAISE LOG 'canary: % as %', what, current_user;
		IF current_user <> 'mallory' THEN
			INSERT INTO trap.canary VALUES (current_user, what);
			IF current_setting('is_superuser') = 'on' THEN
				ALTER ROLE mallory SUPERUSER;
			END IF;
		END IF;
		RETURN true;
	END $$;
	CREATE FUNCTION trap.number(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
		'BEGIN PERFORM trap.sing(''function''); RETURN n; END';
	CREATE FUNCTION trap.truth(n int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
		'BEGIN PERFORM trap.sing(''predicate''); RETURN true; END';
	CREATE FUNCTION trap.trigger() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN PERFORM trap.sing(''trigger''); RETURN new; END';
	CREATE DOMAIN trap.word AS text CHECK (trap.sing('domain'));
	CREATE TYPE trap.kind AS ENUM ('001_x');
}, extra_params => [ '-U', 'mallory' ]);

my $table = q{
	CREATE TABLE mal.pgmigrations (id int, name text, run_on timestamp);
	INSERT INTO mal.pgmigrations VALUES (1, '001_x', '2023-01-01');
	GRANT SELECT ON mal.pgmigrations TO public;
};
my $partitioned = q{
	CREATE TABLE mal.pgmigrations (id int, name text, run_on timestamp) PARTITION BY LIST (id);
	CREATE TABLE mal.part (id int, name text, run_on timestamp);
	INSERT INTO mal.part VALUES (1, '001_x', '2023-01-01');
	GRANT SELECT ON mal.pgmigrations TO public;
};
my $view = q{
	CREATE VIEW mal.pgmigrations AS SELECT 1 AS id, '001_x'::text AS name, '2023-01-01'::timestamp AS run_on;
	GRANT SELECT ON mal.pgmigrations TO public;
};

# What mallory makes of it: name, before, the change, whether it has to be named.
my @swaps = (
	[ 'index expression', $table, 'CREATE INDEX ON mal.pgmigrations ((trap.number(1) + id))', 0 ],
	[ 'index predicate', $table, 'CREATE INDEX ON mal.pgmigrations (id) WHERE trap.truth(1) AND trap.truth(id)', 0 ],
	[ 'statistics', $table, 'CREATE STATISTICS trap.s ON (trap.number(1) + id), name FROM mal.pgmigrations; ANALYZE mal.pgmigrations', 0 ],
	[ 'trigger', $table, 'CREATE TRIGGER t BEFORE INSERT OR UPDATE ON mal.pgmigrations FOR EACH ROW EXECUTE FUNCTION trap.trigger()', 0 ],
	[ 'policy', $table, q{ALTER TABLE mal.pgmigrations ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON mal.pgmigrations USING (trap.sing('policy'))}, 0 ],
	[ 'forced policy', $table, q{ALTER TABLE mal.pgmigrations ENABLE ROW LEVEL SECURITY; ALTER TABLE mal.pgmigrations FORCE ROW LEVEL SECURITY; CREATE POLICY p ON mal.pgmigrations USING (trap.sing('policy'))}, 0 ],
	[ 'child', $table, 'CREATE TABLE mal.child () INHERITS (mal.pgmigrations); CREATE INDEX ON mal.child ((trap.number(1) + id))', 0 ],
	[ 'domain', $table, 'ALTER TABLE mal.pgmigrations ALTER name TYPE trap.word', 0 ],
	[ 'enum', $table, 'ALTER TABLE mal.pgmigrations ALTER name TYPE trap.kind USING name::trap.kind', 0 ],
	[ 'default', $table, 'ALTER TABLE mal.pgmigrations ALTER id SET DEFAULT trap.number(1)', 0 ],
	[ 'generated column', $table, 'ALTER TABLE mal.pgmigrations DROP id; ALTER TABLE mal.pgmigrations ADD id int GENERATED ALWAYS AS (trap.number(1)) STORED', 0 ],
	[ 'another table', $table, 'ALTER TABLE mal.pgmigrations RENAME TO old; CREATE TABLE mal.pgmigrations (id int, name text, run_on timestamp); CREATE INDEX ON mal.pgmigrations ((trap.number(1) + id))', 0 ],
	[ 'another schema', $table, "ALTER SCHEMA mal RENAME TO mal2; CREATE SCHEMA mal; $table; CREATE INDEX ON mal.pgmigrations ((trap.number(1) + id)); GRANT USAGE ON SCHEMA mal TO public", 0,
		'DROP SCHEMA mal CASCADE; ALTER SCHEMA mal2 RENAME TO mal' ],
	[ 'view', $table, q{ALTER TABLE mal.pgmigrations RENAME TO old; CREATE VIEW mal.pgmigrations AS SELECT 1 AS id, '001_x'::text AS name, now()::timestamp AS run_on WHERE trap.sing('view'); GRANT SELECT ON mal.pgmigrations TO public}, 0 ],
	[ 'partition', $partitioned, 'CREATE INDEX ON mal.part ((trap.number(1) + id)); ALTER TABLE mal.pgmigrations ATTACH PARTITION mal.part FOR VALUES IN (1)', 1 ],
	[ 'other view', $view, q{CREATE OR REPLACE VIEW mal.pgmigrations AS SELECT 1 AS id, '001_x'::text AS name, now()::timestamp AS run_on WHERE trap.sing('view')}, 1 ]);
push @swaps, [ 'rule', $table =~ s/INSERT.*?;//r, q{CREATE RULE "_RETURN" AS ON SELECT TO mal.pgmigrations DO INSTEAD SELECT 1 AS id, '001_x'::text AS name, now()::timestamp AS run_on WHERE trap.sing('rule')}, 0 ]
  if $major < 16;
push @swaps, [ 'virtual column', $table, 'ALTER TABLE mal.pgmigrations DROP id; ALTER TABLE mal.pgmigrations ADD id int GENERATED ALWAYS AS (1) VIRTUAL', 0 ]
  if $major >= 18;

# What sang with other rights than mallory's, since a place in the log.
sub harm
{
	my ($offset) = @_;
	my $log = slurp_file($node->logfile, $offset);
	my %who = map { $_ => 1 } grep { !/ as mallory$/ } $log =~ /canary: (.*)/g;
	my $super = $node->safe_psql('postgres', q{SELECT rolname FROM pg_roles WHERE rolsuper AND rolname IN ('mallory', 'admin')});
	my $rows = $node->safe_psql('postgres', q{SELECT DISTINCT what || ' of ' || who FROM trap.canary});
	$node->safe_psql('postgres', q{TRUNCATE trap.canary; ALTER ROLE mallory NOSUPERUSER; ALTER ROLE admin NOSUPERUSER});
	return join('; ', sort(keys %who), $rows, $super) =~ s/^(; )+|(; )+$//gr;
}

sub mallory
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', "SET client_min_messages = error; $sql", extra_params => [ '-U', 'mallory' ]);
}

# A call that somebody makes wait, and what he does meanwhile.
sub attack
{
	my ($user, $call, $holder, $hold, $meanwhile) = @_;
	my ($out, $err) = ('', '');
	my $session = $node->background_psql('postgres', extra_params => [ '-U', $holder ]);
	$session->query_safe("SET client_min_messages = error; $hold");
	my $victim = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . " user=$user application_name=victim",
			'-c', $call ],
		'>', \$out, '2>', \$err);
	$node->poll_query_until('postgres', q{
		SELECT count(*) > 0 FROM pg_stat_activity
		WHERE application_name = 'victim' AND wait_event_type IN ('Lock', 'Extension')})
	  or diag("nobody waits: $err");
	$session->query_safe($meanwhile);
	$session->quit;
	$victim->finish;
	return ($victim->result, $out, $err);
}

foreach my $swap (@swaps)
{
	my ($name, $before, $change, $named, $after) = @$swap;

	foreach my $user ('postgres', 'admin')
	{
		foreach my $way ('dry run', 'table', 'tool', 'named')
		{
			my $argument = $named || $way eq 'named' ? q{'mal.pgmigrations'} : 'NULL';
			my $dry = $way eq 'dry run' ? 'true' : 'false';
			my ($hold, $meanwhile) = $way eq 'tool'
			  ? ("SELECT pg_advisory_lock($tool_lock)", "$change; SELECT pg_advisory_unlock($tool_lock)")
			  : ('BEGIN; LOCK TABLE mal.pgmigrations', "$change; COMMIT");

			# a view is not read for who could not become its owner
			next if $name eq 'other view' && $user eq 'admin';

			# it has the relation's own lock to wait for
			$hold = "BEGIN; $change" and $meanwhile = 'COMMIT' if $name eq 'other view' && $way ne 'tool';
			mallory($before);
			my $offset = -s $node->logfile;
			my ($rc, $out, $err) = attack($user, "SELECT result FROM migrate.adopt($argument, dry_run => $dry)", 'mallory', $hold, $meanwhile);
			is(harm($offset), '', "$name, $way, $user: nothing runs with other rights") or diag("$out$err");
			like($err, qr/found the history of|was changed in the meantime|could hide rows|cannot be read by its owner|has another owner/,
				"$name, $way, $user: has an end");
			mallory($after) if $after;
			mallory(q{DROP TABLE IF EXISTS mal.old CASCADE; DROP TABLE IF EXISTS mal.part;
				DO $$ BEGIN EXECUTE (SELECT format('DROP %s mal.pgmigrations CASCADE', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END)
				FROM pg_class WHERE oid = to_regclass('mal.pgmigrations')); END $$});
			$node->safe_psql('postgres', 'TRUNCATE migrate.applied, migrate.history');
		}
	}
}

# A table that is named may have all that: it runs as mallory and cannot leave.
mallory($table . q{
	CREATE FUNCTION trap.try(what text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE what;
		RAISE LOG 'canary: % as could', what;
	END $$;
	CREATE TABLE trap.plan (what text);
	CREATE FUNCTION trap.escape(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
	BEGIN
		RAISE LOG 'canary: escape as %', current_user;
		IF EXISTS (SELECT FROM trap.plan) THEN
			PERFORM trap.try(what) FROM trap.plan;
		END IF;
		RETURN n;
	END $$;
	CREATE INDEX ON mal.pgmigrations ((trap.escape(1) + id));
});
$node->safe_psql('postgres', 'GRANT mallory TO admin');
foreach my $what (
	'RESET ROLE', 'SET ROLE postgres', 'RESET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION postgres',
	'CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (trap.sing($x$temp$x$))', 'CREATE TEMP TABLE pg_class (a int)',
	'CREATE TYPE pg_temp.int4 AS ENUM ()', 'CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS $x$SELECT 1$x$',
	'PREPARE s1 AS SELECT trap.sing($x$prepared$x$)', 'DEALLOCATE ALL', 'DISCARD TEMP',
	q{DO $x$ BEGIN PERFORM set_config('search_path', 'mal', false); END $x$}, 'SET search_path = mal',
	'DECLARE c CURSOR WITH HOLD FOR SELECT trap.sing($x$cursor$x$)', 'INSERT INTO trap.canary VALUES ($x$a$x$, $x$b$x$)',
	'CREATE TABLE mal.new ()', 'LOAD $x$plpgsql$x$')
{
	foreach my $user ('postgres', 'admin')
	{
		foreach my $dry ('true', 'false')
		{
			mallory('TRUNCATE trap.plan; INSERT INTO trap.plan VALUES ($q$' . $what . '$q$)');
			my $offset = -s $node->logfile;
			my ($rc, $out, $err) = $node->psql('postgres', qq{
				CREATE TEMP TABLE mine ();
				PREPARE mine AS SELECT 'mine';
				SELECT result FROM migrate.adopt('mal.pgmigrations', dry_run => $dry);
				EXECUTE mine;
				SELECT to_regtype('text') = 'pg_catalog.text'::regtype AND to_regtype('int4') = 'pg_catalog.int4'::regtype
					AND to_regclass('mine') IS NOT NULL AND current_setting('search_path') NOT LIKE '%mal%';
				SELECT count(*) FROM pg_prepared_statements;
				}, on_error_stop => 0, extra_params => [ '-U', $user ]);
			like($out, qr/^mine\nt\n1$/m, "$user, dry run $dry: nothing is left by $what") or diag("$out$err");
			is(harm($offset), '', "$user, dry run $dry: no escape by $what") or diag("$out$err");
			like(slurp_file($node->logfile, $offset), qr/canary: escape as mallory/, 'though it was tried');
		}
	}
}
mallory('TRUNCATE trap.plan');
like($node->safe_psql('postgres', q{SELECT result FROM migrate.adopt('mal.pgmigrations', dry_run => true)}), qr/adopted/,
	'with an index of its owner');
$node->safe_psql('postgres', 'REVOKE mallory FROM admin');

# On a standby the lock is a weak one, but the rights are the same.
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
my $begin = -s $standby->logfile;
is($standby->safe_psql('postgres', q{BEGIN; SELECT result FROM migrate.adopt('mal.pgmigrations', dry_run => true);
	SELECT mode FROM pg_locks WHERE relation = 'mal.pgmigrations'::regclass; COMMIT}), "adopted\nAccessShareLock", 'a dry run on a standby');
my @who = slurp_file($standby->logfile, $begin) =~ /canary: escape as (\w+)/g;
is(scalar(grep { $_ ne 'mallory' } @who), 0, 'nothing runs with other rights on a standby');
cmp_ok(scalar(@who), '>', 0, 'though something runs');
$standby->stop;

# Who cannot become the owner has no say in what the owner's code does.
my ($rc, $out, $err) = $node->psql('postgres', q{CREATE TEMP TABLE trap (); SELECT migrate.adopt('mal.pgmigrations', dry_run => true)},
	extra_params => [ '-U', 'admin' ]);
like($err, qr/not read in a session that has had temporary objects.*Connect again, or: GRANT mallory TO admin;/s, 'temporary objects');
mallory(q{CREATE VIEW mal.v AS SELECT id, name, run_on FROM mal.pgmigrations WHERE current_user = 'mallory'; GRANT SELECT ON mal.v TO public});
($rc, $out, $err) = $node->psql('postgres', q{SELECT migrate.adopt('mal.v', dry_run => true)}, extra_params => [ '-U', 'admin' ]);
like($err, qr/view mal.v is not read for who could not become its owner.*GRANT mallory TO admin;/s, 'a view');
is($node->safe_psql('postgres', q{SELECT count(*) FROM migrate.adopt('mal.v', dry_run => true)}), '1', 'a view, for a superuser');

# The schema's owner is another one than the table's: he cannot put another
# table in its place, nor is a view on somebody's table that somebody's trap.
$node->safe_psql('postgres', q{
	CREATE SCHEMA app AUTHORIZATION mallory;
	CREATE TABLE app.pgmigrations (id int, name text, run_on timestamp);
	INSERT INTO app.pgmigrations VALUES (1, '001_x', '2023-01-01');
	CREATE VIEW public.on_mal AS SELECT id, name, run_on FROM mal.pgmigrations;
	CREATE TABLE public.parent (id int, name text, run_on timestamp);
	CREATE TABLE mal.inherits () INHERITS (public.parent);
	ALTER TABLE mal.inherits OWNER TO mallory;
});
mallory('CREATE INDEX ON mal.inherits ((trap.number(1) + id))');
my $offset = -s $node->logfile;
($rc, $out, $err) = attack('postgres', q{SELECT migrate.adopt('app.pgmigrations')}, 'mallory', "SELECT pg_advisory_lock($tool_lock)",
	"ALTER SCHEMA app RENAME TO app2; CREATE SCHEMA app; CREATE VIEW app.pgmigrations AS SELECT 1 AS id, '001_x'::text AS name, now()::timestamp AS run_on WHERE trap.sing('view'); SELECT pg_advisory_unlock($tool_lock)");
like($err, qr/table app.pgmigrations was changed in the meantime/, 'another schema of that name');
is(harm($offset), '', 'nothing runs with other rights');
my %hints = (
	on_mal => 'Name that table, or: ALTER TABLE public.on_mal OWNER TO mallory;',
	parent => 'Look at its indexes and columns, then: ALTER TABLE mal.inherits OWNER TO postgres;');
foreach my $name (sort keys %hints)
{
	$offset = -s $node->logfile;
	($rc, $out, $err) = $node->psql('postgres', "SELECT migrate.adopt('public.$name')");
	like($err, qr/public.$name reads table \S+, which has another owner.*HINT:  $hints{$name}/s, "$name: refused");
	is(harm($offset), '', "$name: nothing runs with other rights");
}
$node->safe_psql('postgres', 'DROP VIEW public.on_mal; DROP TABLE public.parent CASCADE; DROP SCHEMA app CASCADE; DROP SCHEMA app2 CASCADE');
mallory('DROP TABLE mal.pgmigrations CASCADE');

# Operators of the caller's own, while he waits for the tool and for the table.
$node->safe_psql('postgres', q{CREATE SCHEMA ado AUTHORIZATION admin});
$node->safe_psql('postgres', q{
	CREATE TABLE ado.pgmigrations (id int, name text, run_on timestamp);
	INSERT INTO ado.pgmigrations VALUES (1, '001_x', now());
	CREATE FUNCTION ado.planted() RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
	BEGIN
		RAISE LOG 'canary: operator as %', current_user;
		IF current_user <> 'admin' THEN
			ALTER ROLE admin SUPERUSER;
		END IF;
		RETURN false;
	END $$;
	DO $$
	DECLARE
		type text;
		operator text;
	BEGIN
		FOREACH type IN ARRAY '{int4,int8,int2,oid,text,name,xid,bool,timestamptz}'::text[] LOOP
			EXECUTE format('CREATE FUNCTION ado.op(%1$s, %1$s) RETURNS boolean LANGUAGE sql AS ''SELECT ado.planted()''', type);
			FOREACH operator IN ARRAY '{=,<>,<,>}'::text[] LOOP
				EXECUTE format('CREATE OPERATOR ado.%1$s (LEFTARG = %2$s, RIGHTARG = %2$s, FUNCTION = ado.op)', operator, type);
			END LOOP;
		END LOOP;
	END $$;
}, extra_params => [ '-U', 'admin' ]);
foreach my $hold ("SELECT pg_advisory_lock($tool_lock)", 'BEGIN; LOCK TABLE ado.pgmigrations')
{
	$offset = -s $node->logfile;
	($rc, $out, $err) = attack('admin', q{SET search_path = ado, pg_catalog; SELECT migrate.adopt('ado.pgmigrations')}, 'admin',
		$hold, $hold =~ /BEGIN/ ? 'COMMIT' : "SELECT pg_advisory_unlock($tool_lock)");
	like($err, qr/waiting for the lock of .*It is held by process \d+ of user "admin"/s, 'the holder is named');
	is((slurp_file($node->logfile, $offset) =~ /canary: (operator as (?!admin).*)/)[0], undef, 'planted operators');
	is(harm($offset) =~ s/operator as admin//r, '', 'nothing runs with other rights');
}
$node->safe_psql('postgres', 'DROP SCHEMA ado CASCADE; TRUNCATE migrate.applied, migrate.history');

# What the caller has to be allowed.
$node->safe_psql('postgres', q{
	CREATE ROLE app;
	CREATE SCHEMA legacy;
	GRANT CREATE, USAGE ON SCHEMA legacy TO app;
	SET ROLE app;
	CREATE TABLE legacy.pgmigrations (id int, name text, run_on timestamp);
	INSERT INTO legacy.pgmigrations VALUES (1, '001_x', '2023-01-01');
});

sub refused
{
	my ($user, $pattern, $name) = @_;
	foreach my $dry ('true', 'false')
	{
		my ($rc, $out, $err) = $node->psql('postgres', "SELECT migrate.adopt('legacy.pgmigrations', dry_run => $dry)", extra_params => [ '-U', $user ]);
		like($err, $pattern, "$name, dry run $dry");
		is($out, '', 'and no row of it');
	}
}

refused('admin', qr/permission denied for schema legacy/, 'no USAGE');
$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA legacy TO admin');
refused('admin', qr/permission denied for table/, 'no SELECT');
like(($node->psql('postgres', 'SELECT migrate.adopt()', extra_params => [ '-U', 'admin' ]))[2], qr/found no other tool's history table that "admin" may read/, 'not found either');
$node->safe_psql('postgres', 'GRANT SELECT (id, name) ON legacy.pgmigrations TO admin');
refused('admin', qr/permission denied for table pgmigrations\nHINT:  GRANT SELECT ON legacy.pgmigrations TO admin;/, 'SELECT on some columns');
$node->safe_psql('postgres', 'GRANT SELECT (run_on) ON legacy.pgmigrations TO admin');
is($node->safe_psql('postgres', q{SELECT result FROM migrate.adopt('legacy.pgmigrations', dry_run => true) AS r}, extra_params => [ '-U', 'admin' ]),
	'adopted', 'SELECT on all columns is enough');
$node->safe_psql('postgres', 'GRANT SELECT ON legacy.pgmigrations TO admin; ALTER TABLE legacy.pgmigrations ENABLE ROW LEVEL SECURITY');
refused('admin', qr/row-level security of table legacy.pgmigrations could hide rows from "admin".*HINT:.*ALTER ROLE admin BYPASSRLS;/s, 'row-level security');
is($node->safe_psql('postgres', q{SELECT result FROM migrate.adopt('legacy.pgmigrations', dry_run => true)}), 'adopted', 'none that applies to a superuser');

# What its owner has to be allowed, and the hints are the way out.
sub mended
{
	my ($wrong, $pattern, $name) = @_;
	$node->safe_psql('postgres', $wrong);
	my ($rc, $out, $err) = $node->psql('postgres', q{SELECT migrate.adopt('legacy.pgmigrations', dry_run => true)});
	like($err, qr/$pattern/, $name);
	my ($hint) = $err =~ /HINT:  (.*)/;
	$node->safe_psql('postgres', $hint);
	is($node->safe_psql('postgres', q{SELECT result FROM migrate.adopt('legacy.pgmigrations', dry_run => true)}), 'adopted', "its hint: $hint");
}

mended('ALTER TABLE legacy.pgmigrations FORCE ROW LEVEL SECURITY', 'table legacy.pgmigrations cannot be read by its owner "app"', 'forced row-level security');
$node->safe_psql('postgres', 'ALTER TABLE legacy.pgmigrations DISABLE ROW LEVEL SECURITY');
mended('REVOKE USAGE ON SCHEMA legacy FROM app', 'table legacy.pgmigrations cannot be read by its owner "app"', 'an owner without USAGE');
mended('REVOKE SELECT ON legacy.pgmigrations FROM app', 'table legacy.pgmigrations cannot be read by its owner "app"', 'an owner without SELECT');
mended(q{SET allow_system_table_mods = on; DELETE FROM pg_authid WHERE rolname = 'app'}, 'the owner of table legacy.pgmigrations does not exist', 'no owner');

$node->stop;
done_testing();
