# CALL migrate.run() in a session that has made itself less than it was: what
# the author of an online script can do to become its user after all, or to
# leave in it what that one will run later.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "log_statement = none\ndbmigrate.progress = off\n");
$node->start;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
$node->safe_psql('postgres', q{CREATE ROLE mallory LOGIN; CREATE ROLE friend LOGIN; GRANT friend TO mallory});

# Run by whoever evaluates it, whenever the server does.
my $evil = q{
	CREATE FUNCTION evil(what text) RETURNS boolean LANGUAGE plpgsql AS $$
	DECLARE attempt text;
	BEGIN
		FOREACH attempt IN ARRAY ARRAY[
			'SELECT set_config(''role'', ''none'', false)',
			'SELECT set_config(''session_authorization'', ''SUPERUSER'', false)',
			'SET ROLE none', 'RESET ROLE', 'SET SESSION AUTHORIZATION DEFAULT', 'RESET SESSION AUTHORIZATION', 'RESET ALL',
			'SET LOCAL ROLE none', 'DISCARD ALL', 'ALTER ROLE mallory CREATEROLE',
			'PREPARE left_behind AS SELECT evil(''later'')',
			'CREATE TEMP TABLE left_behind AS SELECT 1', 'CREATE FUNCTION pg_temp.left_behind() RETURNS int LANGUAGE sql AS ''SELECT 1''',
			'DECLARE left_behind CURSOR WITH HOLD FOR SELECT evil(''later'')',
			'SELECT set_config(''search_path'', ''evil_operators, pg_catalog'', false)']
		LOOP
			BEGIN
				EXECUTE attempt;
			EXCEPTION WHEN OTHERS THEN NULL;
			END;
		END LOOP;
		INSERT INTO public.trace VALUES (what, current_user, session_user);
		RETURN true;
	END $$;
	CREATE FUNCTION evil_immutable(i int) RETURNS int IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS 'BEGIN PERFORM public.evil(''index''); RETURN i; END';
	CREATE FUNCTION evil_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.evil(''trigger''); RETURN NULL; END';
	CREATE DOMAIN evil_domain AS int CHECK (evil('domain'));
	CREATE TYPE evil_type AS (a evil_domain);
	CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 10) g;
	CREATE TABLE queue (a int);
	CREATE CONSTRAINT TRIGGER evil AFTER INSERT ON queue DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION evil_trigger();
	CREATE FUNCTION enqueue() RETURNS boolean LANGUAGE sql AS 'INSERT INTO public.queue VALUES (1) RETURNING true';
	CREATE DOMAIN queue_domain AS int CHECK (enqueue());
	CREATE SCHEMA evil_operators;
	CREATE FUNCTION evil_operators.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN public.evil(''operator''); END';
	CREATE FUNCTION evil_operators.eq(oid, oid) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN public.evil(''operator''); END';
	CREATE FUNCTION evil_operators.eq(integer, integer) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN public.evil(''operator''); END';
	CREATE OPERATOR evil_operators.= (FUNCTION = evil_operators.eq, LEFTARG = text, RIGHTARG = text);
	CREATE OPERATOR evil_operators.= (FUNCTION = evil_operators.eq, LEFTARG = oid, RIGHTARG = oid);
	CREATE OPERATOR evil_operators.= (FUNCTION = evil_operators.eq, LEFTARG = integer, RIGHTARG = integer);
	CREATE FUNCTION evil_operators.format(text, VARIADIC "any") RETURNS text LANGUAGE internal AS 'text_format' };
$evil =~ s/SUPERUSER/$superuser/;
$evil =~ s/\tCREATE FUNCTION evil_operators\.format.*//;

# The script is that of mallory, who has made all of it, and is run by somebody
# stronger in his name.  "lowered" says how.
sub attack
{
	my ($name, $script, %expected) = @_;

	foreach my $lowered ('SET ROLE mallory', 'SET SESSION AUTHORIZATION mallory')
	{
		$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS attacked');
		$node->safe_psql('postgres', 'CREATE DATABASE attacked');
		$node->safe_psql('attacked', q{
			ALTER ROLE mallory NOCREATEROLE;
			CREATE EXTENSION dbmigrate;
			CREATE TABLE trace (what text, who text, session text);
			GRANT ALL ON trace TO PUBLIC;
			GRANT CREATE ON DATABASE attacked TO mallory;
			GRANT CREATE ON SCHEMA public TO mallory;
			GRANT USAGE ON SCHEMA migrate TO mallory;
			GRANT EXECUTE ON ALL ROUTINES IN SCHEMA migrate TO mallory;
			CREATE FUNCTION notify() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN NOTIFY ddl; SET LOCAL work_mem = ''5MB''; END';
			CREATE EVENT TRIGGER notify ON ddl_command_end EXECUTE FUNCTION notify()});
		$node->safe_psql('attacked', "$evil;\nSELECT migrate.manage('a test');\nSELECT migrate.add('1', 'm', \$s\$$script\$s\$, '')",
			extra_params => [ '-U', 'mallory' ]);
		my ($rc, $stdout, $stderr) = $node->psql('attacked', qq{
			\\set VERBOSITY verbose
			$lowered;
			CALL migrate.run();
			SELECT 'is ' || current_user;
			RESET ROLE;
			RESET SESSION AUTHORIZATION;
			SELECT 'was ' || current_user;
			SELECT 'left ' || name FROM pg_prepared_statements;
			SELECT 'left ' || name FROM pg_cursors WHERE is_holdable;
			SELECT 'left ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema();
			SELECT 'left ' || proname FROM pg_proc WHERE pronamespace = pg_my_temp_schema();
			SELECT 'path ' || current_setting('search_path')}, on_error_stop => 0);
		my $context = "$name, $lowered";

		is($node->safe_psql('attacked', q{SELECT count(*) FROM trace WHERE who <> 'mallory'}), '0', "$context: nothing ran as somebody else");
		is($node->safe_psql('attacked', q{SELECT rolcreaterole FROM pg_roles WHERE rolname = 'mallory'}), 'f', "$context: nothing is gained");
		like($stdout, qr/^is mallory\nwas $superuser\npath "\$user", public$/m, "$context: the session is as it was");
		like($stderr, $expected{error}, "$context: the error") if $expected{error};
		unlike($stderr, qr/ERROR/, "$context: it is run") if !$expected{error};
		next if !$expected{ran};
		isnt($node->safe_psql('attacked', qq{SELECT count(*) FROM trace WHERE what = '$expected{ran}'}), '0', "$context: the trap was sprung");
	}
	return;
}

my $refused = qr/ERROR:  42501/;
my $look = q{INSERT INTO public.trace VALUES ('script', current_user, session_user)};

attack('DISCARD ALL', "VACUUM t; DISCARD ALL; $look", error => $refused);
attack('RESET ROLE', "VACUUM t; RESET ROLE; $look", error => $refused);
attack('SET ROLE', "VACUUM t; SET ROLE friend; $look", error => $refused);
attack('RESET SESSION AUTHORIZATION', "VACUUM t; RESET SESSION AUTHORIZATION; $look", error => $refused);
attack('RESET ALL', "VACUUM t; RESET ALL; $look");
attack('DO', "VACUUM t; DO 'BEGIN COMMIT; EXECUTE ''RESET ROLE''; END'; $look", error => qr/ERROR:  2D000.*HINT:  The session began as/s);
attack('a continuous aggregate', "CREATE MATERIALIZED VIEW v WITH (timescaledb.continuous) AS SELECT evil('view'); $look",
	error => qr/unrecognized parameter/);
attack('a function in an ordinary statement', "VACUUM t; SELECT evil('function'); $look", error => $refused);
attack('what a part leaves', "VACUUM t; CREATE TEMP TABLE left_behind (); PREPARE left_behind AS SELECT 1; VACUUM t; $look");
attack('a deferred trigger of a part', "VACUUM t; INSERT INTO queue VALUES (1); $look", error => $refused);
attack('an array of a domain in a predicate', "CREATE INDEX CONCURRENTLY i ON t (a) WHERE '{1}'::evil_domain[] IS NOT NULL; $look",
	ran => 'domain');
attack('a domain in a composite literal', "CREATE INDEX CONCURRENTLY i ON t (a) WHERE '(1)'::evil_type IS NOT NULL; $look",
	ran => 'domain');
attack('a deferred trigger', "CREATE INDEX CONCURRENTLY i ON t (a) WHERE '{1}'::queue_domain[] IS NOT NULL; $look", ran => 'trigger');
attack('an index expression', "CREATE INDEX CONCURRENTLY i ON t (evil_immutable(a)); $look", ran => 'index');
attack('an index expression, again',
	"CREATE INDEX i ON t (evil_immutable(a)); REINDEX TABLE CONCURRENTLY t; VACUUM FULL ANALYZE t; CLUSTER t USING i; $look", ran => 'index');
attack('operators', "SET search_path = evil_operators, public, pg_catalog; VACUUM t; CREATE INDEX CONCURRENTLY i ON t (a); VACUUM t;"
	  . " DO 'BEGIN NULL; END'; DROP INDEX CONCURRENTLY i; $look");
attack('operators and a lock that is not free', "SET search_path = evil_operators, public, pg_catalog; VACUUM t; INSERT INTO t SELECT 1/0",
	error => qr/ERROR:  22012/);

$node->stop;
done_testing();
