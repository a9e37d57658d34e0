# The states in which functions of ours reach a statement that runs as the
# extension's owner, and the calls that do it.
#
# A state has a name and
#	setup	SQL of a superuser, in a database where nothing is registered, for psql;
#		:victim is the role that makes the calls
#	holder	SQL of another session that stays open while the calls are made
#	needs	a query of the superuser's: false if there is no such state
#	victims	the keys of those that make test is content with
#	calls	SQL of the victim, a statement each; what it begins with is the
#		SQLSTATE it ends with if that is not 00000, "*: " any
#
# Scripts and calls name everything in full: what sings is ours.

package States;

use strict;
use warnings FATAL => 'all';

# Three migrations with down scripts, the last one applied two or more.
my $three = q{
	SELECT migrate.add('1', 'one', 'CREATE TABLE play.one (a pg_catalog.int4)', 'DROP TABLE play.one');
	SELECT migrate.add('2', 'two', 'SELECT 1', 'SELECT 2');
	SELECT migrate.add('3', 'three', 'CREATE TABLE play.three ()', 'DROP TABLE play.three');
};

# What is applied there is the victim's own.
my $applied = "$three SET ROLE :victim; SELECT FROM migrate.apply(); RESET ROLE;";
my $two_applied = "$three SET ROLE :victim; SELECT FROM migrate.apply(2); RESET ROLE;";

# Everything that takes the run lock.
my @runs = (
	q{SELECT * FROM migrate.apply()},
	q{SELECT * FROM migrate.apply_to('3')},
	q{SELECT migrate.apply_json()},
	q{SELECT migrate.rollback_json()},
	q{SELECT * FROM migrate.rollback()},
	q{SELECT * FROM migrate.rollback_to('0')},
	q{SELECT * FROM migrate.redo()},
	q{SELECT * FROM migrate.redo_to('0')},
	q{SELECT migrate.baseline('9')},
	q{SELECT migrate.manage('x')},
	q{SELECT migrate.mark_applied('3', 'x')},
	q{SELECT migrate.mark_pending('1', 'x')},
	q{SELECT migrate.amend('1', NULL, NULL, 'x')},
	q{SELECT * FROM migrate.adopt('play.pgmigrations')});

# What only looks.
my @looks = (
	q{SELECT * FROM migrate.status()},
	q{SELECT * FROM migrate.pending()},
	q{SELECT migrate.version()},
	q{SELECT migrate.status_json()},
	q{*: SELECT migrate.require()},
	q{*: SELECT migrate.require('2')},
	q{SELECT migrate.environment()},
	q{*: SELECT * FROM migrate.state('', '')},
	q{SELECT * FROM migrate.compare('{"1_one.sql": "SELECT 7", "5_five.up.sql": "SELECT 5", "R__a.sql": "SELECT 2", "x.sql": "", "2_two.sql": "SELECT 1", "02_zwei.sql": ""}')},
	q{SELECT migrate.compare_json('{"1_one.sql": "SELECT 7"}', 'flyway')},
	q{SELECT migrate.files_digest()},
	q{SELECT migrate.wanted_files('{1_one.sql,6_six.sql,README}', ARRAY[NULL, pg_catalog.sha256('SELECT 6'), NULL])},
	q{SELECT * FROM migrate.activity},
	q{SELECT migrate.read_activity('migration 1 of 2, statement 3 of 4 in run 5: 6 "x" (up): SELECT 1')});

my $pgmigrations = q{
	CREATE TABLE play.pgmigrations (id integer, name varchar(255), run_on timestamp);
	INSERT INTO play.pgmigrations VALUES (1, '1_one', now()), (2, '2_two', now()), (3, '7_seven', now());
	GRANT ALL ON play.pgmigrations TO PUBLIC;
};

my @states = (
	{
		name => 'registering',
		calls => [
			q{SELECT migrate.version_key('1.2')},
			q{SELECT migrate.script_sha256('SELECT 1')},
			q{SELECT migrate.add('1', 'one', 'CREATE TABLE play.one (a pg_catalog.int8)', 'DROP TABLE play.one')},
			q{SELECT migrate.add('1', 'one', 'CREATE TABLE play.one (a pg_catalog.int8)', 'DROP TABLE play.one')},
			q{SELECT migrate.add('1', 'one', 'CREATE TABLE play.one (a pg_catalog.int4)', NULL)},
			q{SELECT migrate.add('1', 'one', 'CREATE TABLE play.one (a pg_catalog.int4)', '')},
			q{*: SELECT migrate.add('1', 'other', 'SELECT 77')},
			q{SELECT migrate.add('2', 'two', 'SELECT 1', '', environments => '{development,test}', online => false, file_name => '2_two.sql')},
			q{SELECT migrate.add('2', 'zwei', 'SELECT 1', '', environments => '{}')},
			q{SELECT migrate.add('3', 'unreadable', 'SELEC 1', 'DROP TABEL x')},
			q{SELECT migrate.add(NULL, 'views', 'SELECT 1')},
			q{SELECT migrate.add(NULL, 'views', 'SELECT 2')},
			q{SELECT migrate.create('fresh', 'SELECT 1', '')},
			q{SELECT * FROM migrate.add_file('5_five.up.sql', 'SELECT 5')},
			q{SELECT * FROM migrate.add_file('5_five.down.sql', 'SELECT 50')},
			q{SELECT * FROM migrate.add_files('{"6_six.sql": "SELECT 6", "7_seven.sql": "SELECT 7"}')},
			q{SELECT * FROM migrate.add_files('{"6_six.sql": "SELECT 6", "7_seven.sql": "SELECT 7"}')},
			q{SELECT * FROM migrate.add_files(pg_catalog.jsonb_build_object('6_six.sql', pg_catalog.jsonb_build_object('sha256', pg_catalog.encode(pg_catalog.sha256('SELECT 6'), 'hex'))))},
			q{58P01: SELECT * FROM migrate.add_files(pg_catalog.jsonb_build_object('6_six.sql', pg_catalog.jsonb_build_object('sha256', pg_catalog.encode(pg_catalog.sha256('SELECT 7'), 'hex'))))},
			q{SELECT * FROM migrate.add_files('{"6_six.sql": "SELECT 66", "8_eight.sql": "SELECT 7"}')},
			@looks,
			q{SELECT * FROM migrate.add_files('{"B9__base.sql": "SELECT 9", "R__more.sql": "SELECT 7"}', 'flyway')},
			q{SELECT * FROM migrate.load(:'directory')},
			q{SELECT migrate.approve('1')},
			q{*: SELECT migrate.approve('1', (SELECT up_sha256 FROM migrate.migration WHERE version OPERATOR(pg_catalog.=) '1'), true)},
			q{SELECT migrate.remove('2')},
			q{SELECT migrate.remove('R__views')},
			q{42704: SELECT migrate.remove('99')},
			q{42704: SELECT migrate.approve('99')},
			@looks,
		],
	},
	{
		name => 'running',
		setup => $three,
		calls => [
			@looks,
			q{SELECT * FROM migrate.apply(1)},
			q{SELECT * FROM migrate.apply_to('2')},
			q{SELECT migrate.apply_json()},
			q{SELECT * FROM migrate.apply()},
			@looks,
			q{SELECT migrate.require()},
			q{SELECT migrate.require('3')},
			q{SELECT * FROM migrate.schema_migrations},
			q{SELECT * FROM migrate.redo(2)},
			q{SELECT * FROM migrate.rollback()},
			q{SELECT * FROM migrate.rollback_to('1')},
			q{SELECT * FROM migrate.rollback_to('0')},
			q{55000: SELECT migrate.require('3')},
			q{BEGIN; SAVEPOINT s; SELECT FROM migrate.apply(); ROLLBACK TO s; SELECT FROM migrate.apply(1); COMMIT},
			q{DO 'BEGIN PERFORM migrate.apply(); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN PERFORM migrate.status(); END'},
		],
	},
	{
		name => 'changing what is applied',
		setup => $applied,
		calls => [
			q{*: SELECT migrate.add('1', 'one', 'SELECT 7')},
			q{*: SELECT migrate.add('2', 'two', 'SELECT 1 -- only a comment', 'SELECT 20')},
			q{*: SELECT migrate.amend('1', 'CREATE TABLE play.one ()', 'DROP TABLE play.one', 'x')},
			q{*: SELECT migrate.amend('2', NULL, NULL, 'x')},
			q{*: SELECT migrate.remove('1')},
			q{SELECT migrate.mark_pending('3', 'x')},
			q{SELECT migrate.mark_applied('3', 'x')},
			q{55000: SELECT migrate.baseline('3')},
			@looks,
		],
	},
	{
		name => 'texts that are changed, missing, empty, online, of a role that is gone',
		setup => "$applied " . q{
			SELECT migrate.add('4', 'four', 'SELECT 4');
			SELECT migrate.add('5', 'five', 'CREATE INDEX CONCURRENTLY i ON play.one (a)');
			SELECT migrate.add('6', 'six', '-- nothing');
			SELECT migrate.add('7', 'seven', 'SELECT 7');
			UPDATE migrate.migration SET up_author = 'nobody' WHERE id = '7';
			UPDATE migrate.migration SET up = 'SELECT 77' WHERE id = '2';
			DELETE FROM migrate.migration WHERE id = '3'},
		calls => [
			@looks,
			q{55000: SELECT FROM migrate.apply()},
			q{*: SELECT migrate.amend('2', 'SELECT 1', NULL, 'x')},
			q{55000: SELECT FROM migrate.rollback()},
			q{SELECT migrate.mark_pending('3', 'x')},
			q{*: SELECT FROM migrate.apply(1)},
			q{*: SELECT FROM migrate.apply()},
			q{*: SELECT migrate.remove('5')},
			q{*: SELECT FROM migrate.apply_to('6')},
			q{*: SELECT FROM migrate.apply_to('7')},
			q{*: SELECT migrate.mark_applied('4', 'x')},
			q{*: SELECT FROM migrate.redo(2)},
		],
	},
	{
		name => 'repeatables',
		setup => "$three " . q{
			SELECT migrate.add(NULL, 'a', 'SELECT 1');
			SELECT migrate.add(NULL, 'b', 'CREATE OR REPLACE VIEW play.b AS SELECT 1 AS x')},
		calls => [
			q{SELECT FROM migrate.apply()},
			q{*: SELECT migrate.add(NULL, 'a', 'SELECT 2')},
			@looks,
			q{SELECT FROM migrate.apply()},
			q{SELECT FROM migrate.rollback()},
			q{SELECT FROM migrate.apply()},
			q{SELECT FROM migrate.redo()},
			q{SELECT migrate.mark_pending('R__a', 'x')},
			q{SELECT migrate.mark_applied('R__a', 'x')},
		],
	},
	{
		name => 'scripts that another major version has read',
		setup => "$two_applied UPDATE migrate.migration SET analyzed_on = 14",
		calls => [
			q{SELECT FROM migrate.rollback()},
			q{SELECT FROM migrate.apply()},
			q{SELECT FROM migrate.redo(3)},
		],
	},
	{
		name => 'scripts that could not be read',
		setup => "$applied " . q{
			SELECT migrate.add('4', 'four', 'SELECT 4', 'SELEC 1');
			SELECT migrate.add('5', 'five', 'SELEC 1');
			SELECT migrate.add('6', 'six', 'SELEC 1');
			UPDATE migrate.migration SET unreadable = 'x', up_statements = 0 WHERE id = '4';
			UPDATE migrate.migration SET down_unreadable = 'x', down_statements = 1 WHERE id = '3'},
		calls => [
			@looks,
			q{SELECT FROM migrate.rollback()},
			q{SELECT FROM migrate.apply(1)},
			q{42601: SELECT FROM migrate.apply()},
			q{SELECT FROM migrate.apply(1)},
			q{42601: SELECT FROM migrate.rollback()},
		],
	},
	{
		name => 'scripts that nobody trusted vouches for',
		setup => q{
			CREATE ROLE author;
			GRANT USAGE ON SCHEMA migrate TO author;
			GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA migrate TO author;
			SET ROLE author;
			SELECT migrate.add('1', 'one', 'SELECT 1', 'SELECT 2');
			SELECT migrate.add('2', 'two', 'SELECT 1', 'SELECT 2');
			SELECT migrate.add('3', 'three', $$SELECT hostile.sing('script of an untrusted author')$$);
			RESET ROLE;
			UPDATE migrate.migration SET unreadable = 'x', up_statements = 0 WHERE id = '3';
			SELECT FROM migrate.approve('2');
			DROP OWNED BY author;
			DROP ROLE author},
		calls => [
			q{42501: SELECT FROM migrate.apply()},
			q{*: SELECT migrate.approve('1')},
			q{*: SELECT FROM migrate.apply_to('2')},
			q{*: SELECT FROM migrate.rollback()},
			q{42501: SELECT FROM migrate.apply()},
		],
	},
	{
		name => 'a session that lowered itself',
		setup => q{
			SET ROLE mallory;
			SELECT migrate.add('1', 'one', $$
				CREATE TABLE play.one (a pg_catalog.int4);
				CREATE FUNCTION play.one() RETURNS trigger LANGUAGE plpgsql AS
					'BEGIN PERFORM hostile.sing(''deferred trigger''); RETURN NULL; END';
				CREATE CONSTRAINT TRIGGER t AFTER INSERT ON play.one DEFERRABLE INITIALLY DEFERRED
					FOR EACH ROW EXECUTE FUNCTION play.one();
				INSERT INTO play.one VALUES (1)$$, 'DROP TABLE play.one; DROP FUNCTION play.one');
			SELECT migrate.add('2', 'two', 'ALTER TABLE play.one ADD b pg_catalog.int4', 'ALTER TABLE play.one DROP b');
			SELECT migrate.add('3', 'three', 'SET ROLE none', '')},
		calls => [
			q{SET ROLE mallory},
			q{SELECT migrate.add('4', 'four', 'SELECT 1', 'SELECT 2')},
			q{SELECT FROM migrate.apply(2)},
			q{*: SELECT FROM migrate.apply()},
			q{SELECT FROM migrate.redo()},
			q{SELECT FROM migrate.rollback_to('0')},
			@looks,
		],
	},
	{
		name => 'a lowered session, and ways up again',
		setup => q{
			SET ROLE mallory;
			SELECT migrate.add('1', 'one', $$
				CREATE TABLE play.one (a pg_catalog.int4);
				CREATE FUNCTION play.one() RETURNS trigger LANGUAGE plpgsql AS
					'BEGIN PERFORM pg_catalog.set_config(''role'', ''none'', false); PERFORM hostile.sing(''trigger''); RETURN NULL; END';
				CREATE TRIGGER t AFTER INSERT ON play.one FOR EACH ROW EXECUTE FUNCTION play.one();
				CREATE TEMP VIEW left_behind AS SELECT hostile.sing('temporary view')$$);
			RESET ROLE;
			SELECT migrate.add('2', 'two', 'INSERT INTO play.one VALUES (1)')},
		calls => [
			q{SET ROLE mallory},
			q{SELECT FROM migrate.apply(1)},
			q{*: SELECT FROM migrate.apply()},
			q{RESET ROLE},
			q{*: TABLE left_behind},
		],
	},
	{
		name => 'deferred checks, inline COPY, temporary tables and errors in the middle',
		setup => q{
			SELECT migrate.add('1', 'tables', $$
				CREATE TABLE play.p (a pg_catalog.int4 PRIMARY KEY);
				CREATE TABLE play.c (a pg_catalog.int4 REFERENCES play.p DEFERRABLE INITIALLY DEFERRED);
				INSERT INTO play.c VALUES (1);
				INSERT INTO play.p VALUES (1)$$, 'DROP TABLE play.c, play.p');
			SELECT migrate.add('2', 'alter', 'ALTER TABLE play.c ADD b pg_catalog.text', 'ALTER TABLE play.c DROP b');
			SELECT migrate.add('3', 'copy', E'COPY play.p FROM stdin;\n2\n3\n\\\\.\nCREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 1 AS a;', 'TRUNCATE play.p, play.c');
			SELECT migrate.add('4', 'error', 'SELECT 1 OPERATOR(pg_catalog./) 0');
			SELECT migrate.add('5', 'orphan', 'INSERT INTO play.c VALUES (9)', '')},
		calls => [
			q{22012: SELECT FROM migrate.apply()},
			q{SELECT FROM migrate.apply(3)},
			q{SELECT FROM migrate.redo(3)},
			q{SELECT migrate.mark_applied('4', 'x')},
			q{*: SELECT FROM migrate.apply()},
			q{DO 'BEGIN PERFORM migrate.redo(); EXCEPTION WHEN OTHERS THEN PERFORM migrate.status(); END'},
			@looks,
		],
	},
	{
		name => 'procedures that commit',
		setup => "$three " . q{
			SELECT migrate.add('4', 'online', $$
				CREATE TABLE play.four (a pg_catalog.int4);
				CREATE INDEX CONCURRENTLY four_a ON play.four (a);
				CREATE INDEX CONCURRENTLY ON play.four (a);
				VACUUM play.four;
				BEGIN; INSERT INTO play.four VALUES (1), (1); COMMIT$$, 'DROP INDEX CONCURRENTLY play.four_a; DROP TABLE play.four');
			SELECT migrate.add('5', 'unique', 'CREATE UNIQUE INDEX CONCURRENTLY four_unique ON play.four (a)', 'DROP INDEX play.four_unique');
			SELECT migrate.add('6', 'error', 'SELECT 1 OPERATOR(pg_catalog./) 0')},
		calls => [
			q{SELECT migrate.is_online_run_active()},
			q{CALL migrate.run(1)},
			q{CALL migrate.run_to('3')},
			q{CALL migrate.run_to('4')},
			q{23505: CALL migrate.run()},
			@looks,
			q{23505: CALL migrate.run()},
			q{DELETE FROM play.four},
			q{22012: CALL migrate.run()},
			@looks,
			q{CALL migrate.run_rollback()},
			q{CALL migrate.run_rollback_to('0')},
			q{25001: BEGIN; CALL migrate.run()},
			q{ROLLBACK},
		],
	},
	{
		name => 'an online migration that was interrupted',
		setup => q{
			CREATE TABLE play.four (a pg_catalog.int4);
			SELECT migrate.manage('x');
			SELECT migrate.add('4', 'online', 'CREATE INDEX CONCURRENTLY ON play.four (a); CREATE DATABASE never; SELECT 4', '');
			SELECT migrate.add('5', 'other', 'CREATE INDEX CONCURRENTLY four_a ON play.four (a)', 'DROP INDEX play.four_a');
			INSERT INTO migrate.progress (target_schema, project, id, direction, statements, started, indexes, run)
				VALUES ('', '', '4', 'up', 3, 1, '{}', 1), ('', '', '5', 'up', 1, 1, '{}', 1)},
		calls => [
			@looks,
			q{*: SELECT migrate.resume('4', true, 'x')},
			q{*: CALL migrate.run_to('4')},
			q{*: SELECT migrate.resume('4', true, 'x')},
			q{*: CALL migrate.run()},
			q{*: SELECT migrate.remove('5')},
			q{*: SELECT migrate.abandon('5', 'x')},
			q{*: SELECT migrate.abandon('4', 'x')},
			@looks,
		],
	},
	{
		name => 'a run that waits for another one',
		setup => "$two_applied $pgmigrations",
		holder => q{BEGIN; SELECT migrate.mark_applied('3', 'x')},
		calls => [ q{SET dbmigrate.lock_wait = '20ms'}, @looks, map { "55P03: $_" } @runs ],
	},
	{
		name => 'a run that waits for a prepared transaction',
		setup => "$two_applied $pgmigrations"
		  . q{BEGIN; SELECT migrate.mark_applied('3', 'x'); PREPARE TRANSACTION 'holder'},
		calls => [ q{SET dbmigrate.lock_wait = 0}, @looks, map { "55P03: $_" } @runs ],
	},
	{
		name => 'environments',
		setup => q{
			SELECT migrate.add('1', 'one', 'SELECT 1', 'SELECT 2');
			SELECT migrate.add('2', 'two', 'SELECT 1', 'SELECT 2', environments => '{development}');
			SELECT migrate.add('3', 'three', 'SELECT 1', 'SELECT 2', environments => '{Production,test}');
			ALTER DATABASE attack SET dbmigrate.environment = 'production'},
		calls => [
			@looks,
			q{SELECT FROM migrate.apply()},
			q{55000: SELECT FROM migrate.rollback()},
			q{22023: SELECT FROM migrate.rollback(confirm => 'other')},
			q{SELECT FROM migrate.rollback(confirm => 'attack')},
			q{SELECT FROM migrate.apply_to('3')},
			q{SELECT FROM migrate.redo(confirm => 'attack')},
			@looks,
		],
	},
	{
		name => 'out of order',
		setup => "$three SET ROLE :victim; SELECT FROM migrate.apply(1); RESET ROLE; SELECT migrate.mark_applied('3', 'x')",
		calls => [
			@looks,
			q{55000: SELECT FROM migrate.apply()},
			q{SET dbmigrate.out_of_order = 'allow'},
			q{SELECT FROM migrate.apply()},
			@looks,
		],
	},
	{
		name => 'a baseline',
		setup => $three,
		calls => [
			q{SELECT migrate.baseline('2')},
			@looks,
			q{SELECT FROM migrate.apply()},
			q{SELECT migrate.mark_pending('3', 'x')},
			q{*: SELECT migrate.mark_pending('1', 'x')},
			q{*: SELECT FROM migrate.rollback_to('0')},
		],
	},
	{
		name => 'baseline scripts',
		setup => "$three " . q{SELECT FROM migrate.add_files('{"B2__base.sql": "SELECT 2", "B3__base.sql": "SELECT 3"}', 'flyway')},
		calls => [
			@looks,
			q{SELECT FROM migrate.apply()},
			@looks,
			q{*: SELECT FROM migrate.rollback()},
			q{*: SELECT migrate.mark_applied('B__2', 'x')},
			q{*: SELECT migrate.remove('B__2')},
		],
	},
	{
		name => 'target schemas',
		setup => q{
			CREATE SCHEMA tenant;
			GRANT ALL ON SCHEMA tenant TO PUBLIC;
			SELECT migrate.add('1', 'one', 'CREATE TABLE one ()', 'DROP TABLE one');
			SELECT migrate.add('2', 'two', 'SELECT 1', '');
			SELECT migrate.add(NULL, 'views', 'SELECT 1')},
		calls => [
			q{SELECT FROM migrate.apply(1, 'tenant')},
			q{SELECT FROM migrate.apply_to('2', schema => 'tenant', extra_search_path => 'play, hostile')},
			q{SELECT migrate.apply_json(schema => 'tenant')},
			q{SELECT * FROM migrate.status('tenant')},
			q{SELECT migrate.check_target('tenant', '')},
			q{SELECT * FROM migrate.pending('tenant')},
			q{SELECT migrate.version('tenant')},
			q{SELECT migrate.status_json('tenant')},
			q{SELECT migrate.require('2', 'tenant')},
			q{SELECT migrate.mark_pending('2', 'x', 'tenant')},
			q{SELECT migrate.mark_applied('2', 'x', 'tenant')},
			q{SELECT FROM migrate.redo(1, 'tenant')},
			q{SELECT FROM migrate.rollback(1, 'tenant')},
			q{SELECT FROM migrate.rollback_to('0', 'tenant')},
			q{3F000: SELECT FROM migrate.apply(schema => 'nowhere')},
			q{*: DROP SCHEMA tenant CASCADE; CREATE SCHEMA tenant},
			q{*: SELECT FROM migrate.apply(schema => 'tenant')},
			q{*: SELECT FROM migrate.status('tenant')},
			q{*: SELECT migrate.forget_schema('tenant', 'gone')},
			q{42704: SELECT migrate.forget_schema('tenant', 'gone')},
			q{*: SELECT migrate.baseline('2', 'play')},
			@looks,
		],
	},
	{
		name => 'tables that nothing here has made',
		setup => "$three $pgmigrations",
		calls => [ q{*: SELECT FROM migrate.apply()}, q{*: SELECT FROM migrate.apply(schema => 'play')} ],
	},
);

# Other tools' history tables: the tool as the sources call it, columns, rows.
my @layouts = (
	[ FLYWAY => 'flyway_schema_history',
		'installed_rank integer, version varchar(50), description varchar(200), type varchar(20), script varchar(1000),'
		  . ' checksum integer, installed_by varchar(100), installed_on timestamp, execution_time integer, success boolean',
		q{(1, '1', 'one', 'SQL', 'V1__one.sql', 77, 'x', now(), 1, true), (2, NULL, 'views', 'SQL', 'R__views.sql', 78, 'x', now(), 1, true),
		  (3, '2', 'two', 'SQL', 'V2__two.sql', 79, 'x', now(), 1, true), (4, '2', 'two', 'UNDO_SQL', 'U2__two.sql', 79, 'x', now(), 1, true)} ],
	[ PRISMA => '_prisma_migrations',
		'id varchar(36), checksum varchar(64), finished_at timestamptz, migration_name varchar(255), logs text, rolled_back_at timestamptz,'
		  . ' started_at timestamptz, applied_steps_count integer',
		q{('a', 'abc', now(), '1_one', NULL, NULL, now(), 1), ('b', 'abc', NULL, '2_two', NULL, now(), now(), 0)} ],
	[ SQLX => '_sqlx_migrations',
		'version bigint, description text, installed_on timestamptz, success boolean, checksum bytea, execution_time bigint',
		q{(1, 'one', now(), true, '\x00', 1)} ],
	[ GOOSE => 'goose_db_version', 'id integer, version_id bigint, is_applied boolean, tstamp timestamp',
		q{(1, 0, true, now()), (2, 1, true, now()), (3, 2, true, now()), (4, 2, false, now())} ],
	[ NODE_PG_MIGRATE => 'pgmigrations', 'id integer, name varchar(255), run_on timestamp', q{(1, '1_one', now()), (2, '9_nine', now())} ],
	[ GOLANG_MIGRATE => 'schema_migrations', 'version bigint, dirty boolean', '(2, false)' ],
	[ SUPABASE => 'schema_migrations', 'version text, statements text[], name text', q{('1', '{}', 'one'), ('9', '{}', 'nine')} ],
	[ SQL_MIGRATE => 'gorp_migrations', 'id text, applied_at timestamptz', q{('1_one.sql', now()), ('9_nine.sql', now())} ],
	[ ECTO => 'schema_migrations', 'version bigint, inserted_at timestamp', '(1, now()), (9, now())' ],
	[ DIESEL => '__diesel_schema_migrations', 'version varchar(50), run_on timestamp', q{('1', now()), ('9', now())} ],
	[ OTHER => 'own_migrations', 'version text, applied_at timestamptz, name text, success boolean', q{('1', now(), 'one', true), ('9', now(), 'nine', true)} ],
	[ DBMATE => 'schema_migrations', 'version varchar(128)', q{('1'), ('9')} ],
	[ TERN => 'schema_version_migrations', 'version integer', '(2)' ],
	[ RAILS => 'schema_migrations', 'version varchar', q{('1'), ('9'); CREATE TABLE %s.ar_internal_metadata (key varchar)} ]);

# The statements that make the table of a layout in a schema.
sub layout_table
{
	my ($layout, $schema) = @_;
	my ($tool, $table, $columns, $rows) = @$layout;

	return "CREATE TABLE $schema.$table ($columns); INSERT INTO $schema.$table VALUES "
	  . ($rows =~ s/%s/$schema/r) . "; GRANT ALL ON $schema.$table TO PUBLIC;";
}

# Adoption in peace, and while the tool, or whoever has the table, holds on to it.
sub adoptions
{
	my ($layout) = @_;
	my $table = "play.$layout->[1]";
	my %state = (
		setup => q{
			SELECT migrate.add(NULL, 'views', 'SELECT 1');
			SELECT migrate.add('1', 'one', 'SELECT 1', 'SELECT 2', file_name => '1_one.sql');
			SELECT migrate.add('2', 'two', 'SELECT 1', 'SELECT 2');} . layout_table($layout, 'play'));
	my @held = (
		q{SET dbmigrate.lock_wait = '20ms'},
		qq{55P03: SELECT * FROM migrate.adopt('$table')},
		q{55P03: SELECT * FROM migrate.adopt()},

		# which waits for the table only
		q{SET statement_timeout = '1s'}, q{*: SELECT * FROM migrate.adopt(dry_run => true)});

	return (
		{
			%state,
			name => "adopting from $layout->[0]",
			victims => [qw(superuser attacker)],
			calls => [
				q{SELECT * FROM migrate.adopt(dry_run => true)},
				qq{SELECT * FROM migrate.adopt('$table', dry_run => true)},
				q{SELECT * FROM migrate.adopt()},
				qq{SELECT * FROM migrate.adopt('$table')},
				q{*: SELECT migrate.mark_pending('1', 'x')},
				qq{SELECT * FROM migrate.adopt('$table')},
				qq{*: SELECT * FROM migrate.adopt('$table', version_column => 'version')},
				@looks,
			]
		},
		{
			%state,
			name => "adopting from $layout->[0], whose lock is taken",
			victims => ['attacker'],

			# whatever its keys are: those that adoption itself takes
			holder => qq{
				BEGIN;
				SELECT FROM migrate.adopt('$table');
				SELECT pg_advisory_lock((classid::bigint << 32) | objid::bigint) FROM pg_locks
				 WHERE locktype = 'advisory' AND pid = pg_backend_pid();
				ROLLBACK},
			needs => q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory'},
			calls => \@held,
		},
		{
			%state,
			name => "adopting from $layout->[0], whose table is locked",
			victims => ['attacker'],
			holder => "BEGIN; LOCK TABLE $table IN EXCLUSIVE MODE",
			calls => \@held,
		});
}

sub all { return (@states, map { adoptions($_) } @layouts) }
sub layouts { return @layouts }

1;
