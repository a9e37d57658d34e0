# A hot standby: whatever only looks answers as on the primary, whatever writes
# is refused with 25006, and after the promotion everything works.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1, extra => [ '--encoding=UTF8', '--locale=C' ]);
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE ROLE reader LOGIN;
	CREATE EXTENSION dbmigrate;
	GRANT USAGE ON SCHEMA migrate TO reader;
	GRANT EXECUTE ON FUNCTION migrate.status, migrate.pending, migrate.version, migrate.require, migrate.status_json TO reader;
	GRANT EXECUTE ON FUNCTION migrate.compare, migrate.compare_json, migrate.wanted_files, migrate.files_digest, migrate.add_files TO reader;
	GRANT SELECT ON migrate.schema_migrations, migrate.activity TO reader;
});
$primary->backup('backup');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', q{
	SELECT migrate.add('001', 'people', 'CREATE TABLE people (id int)', 'DROP TABLE people');
	SELECT migrate.add('002', 'orders', 'CREATE TABLE orders (id int)', 'DROP TABLE orders');
	SELECT migrate.add('003', 'later', 'CREATE TABLE later (id int)', 'DROP TABLE later');
	SELECT migrate.add('004', 'elsewhere', 'CREATE TABLE elsewhere (id int)', environments => '{production}');
	SELECT * FROM migrate.apply_to('002');
	SELECT migrate.add('001.5', 'late', 'CREATE TABLE late (id int)', 'DROP TABLE late');
	CREATE SCHEMA tenant;
	SELECT * FROM migrate.apply(1, schema => 'tenant');
	CREATE SCHEMA complete;
	SELECT migrate.baseline('004', schema => 'complete');
	CREATE SCHEMA emptied;
	SELECT * FROM migrate.apply(1, schema => 'emptied');
	DROP TABLE emptied.people;
	CREATE SCHEMA gone;
	SELECT * FROM migrate.apply(1, schema => 'gone');
	DROP SCHEMA gone CASCADE;
	CREATE TABLE pgmigrations (id serial PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL);
	INSERT INTO pgmigrations (name, run_on) VALUES ('003_later', '2023-01-01');
	SELECT FROM migrate.add_files('{"1_a.sql": "SELECT 1", "2_b.up.sql": "SELECT 2", "2_b.down.sql": "SELECT -2"}', project => 'filed');
	SELECT FROM migrate.apply(1, project => 'filed');
});
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'the standby is one');

# The result and the SQLSTATE, if any, of a statement
sub answer
{
	my ($node, $sql, $role) = @_;
	my ($rc, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$sql",
		defined $role ? (extra_params => [ '-U', $role ]) : ());
	my $sqlstate = $stderr =~ /ERROR:  (\w{5})\b/ ? $1 : '';
	return "$stdout [$sqlstate]";
}

my @questions = (
	'SELECT * FROM migrate.status()',
	q{SELECT * FROM migrate.status('tenant')},
	q{SELECT * FROM migrate.status('complete')},
	'SELECT * FROM migrate.pending()',
	q{SELECT * FROM migrate.pending('tenant')},
	q{SELECT * FROM migrate.pending('complete')},
	'SELECT migrate.version()',
	q{SELECT migrate.version('tenant')},
	'SELECT migrate.require()',
	q{SELECT migrate.require('002')},
	q{SELECT migrate.require('003')},
	q{SELECT migrate.require('002', 'tenant')},
	q{SELECT migrate.require(NULL, 'complete')},
	'SELECT migrate.status_json()',
	q{SELECT migrate.status_json('complete')},
	(map { (qq{SELECT * FROM migrate.status('$_')}, qq{SELECT * FROM migrate.pending('$_')}, qq{SELECT migrate.version('$_')},
				qq{SELECT migrate.require('001', '$_')}, qq{SELECT migrate.status_json('$_')}) } qw(emptied gone missing)),
	(map { (qq{SELECT * FROM migrate.compare('$_', project => 'filed')}, qq{SELECT migrate.compare_json('$_', project => 'filed')}) }
		  '{"1_a.sql": "SELECT 1", "2_b.up.sql": "SELECT 2", "2_b.down.sql": "SELECT -2"}',
		'{"1_a.sql": "SELECT 11", "2_b.up.sql": "SELECT 2", "2_b.down.sql": "SELECT -22", "3_c.sql": "SELECT 3", "x.sql": ""}',
		'{"1_a.sql": {"sha256": "' . ('0' x 64) . '"}}', '{}'),
	q{SELECT migrate.files_digest('auto', 'filed')},
	q{SELECT migrate.wanted_files('{1_a.sql,2_b.up.sql}', ARRAY[sha256('SELECT 1'), sha256('SELECT 2')], project => 'filed')},
	'SELECT * FROM migrate.activity',
	'SELECT * FROM migrate.schema_migrations ORDER BY target_schema, position');
foreach my $question (@questions)
{
	is(answer($standby, $question, 'reader'), answer($primary, $question, 'reader'), "as on the primary: $question");
}
like(answer($standby, 'SELECT * FROM migrate.status()'), qr/^003\|later\|pending\|.*^004\|elsewhere\|skipped\|/ms,
	'the status has rows');
like(answer($standby, q{SELECT version, state FROM migrate.compare('{"1_a.sql": "SELECT 11"}', project => 'filed')}),
	qr/^1\|changed\n2\|file_missing \[\]$/, 'a comparison has rows');
is(answer($standby, q{SELECT migrate.require('002')}), ' []', 'what is required is there');
is(answer($standby, 'SELECT migrate.require()'), ' [55000]', 'what is required is not there');

is(answer($standby, q{SELECT migrate.require('001', 'emptied')}), ' []', 'a schema that has lost its objects is a warning');
is(answer($standby, q{SELECT migrate.version('missing')}, 'reader'), ' [3F000]', 'a schema that never was is an error');
like(($standby->psql('postgres', q{SELECT migrate.version('emptied')}, extra_params => [ '-U', 'reader' ]))[2],
	qr/WARNING:  schema "emptied" holds no objects any more/, 'the warning says so');

is($standby->safe_psql('postgres', q{SELECT version, result FROM migrate.adopt(dry_run => true) WHERE version = '003'}),
	'003|adopted', 'a dry run of adoption works on a standby');

my @changes = (
	'SELECT * FROM migrate.apply()',
	'SELECT * FROM migrate.apply(1)',
	q{SELECT * FROM migrate.apply(schema => 'tenant')},
	q{SELECT * FROM migrate.apply_to('003')},
	'SELECT * FROM migrate.rollback()',
	q{SELECT * FROM migrate.rollback_to('0')},
	'SELECT * FROM migrate.redo()',
	'SELECT migrate.apply_json()',
	'SELECT migrate.rollback_json()',
	q{SELECT migrate.add('005', 'new', 'SELECT 1')},
	q{SELECT migrate.add('003', 'changed', 'SELECT 1')},
	q{SELECT migrate.add_files('{"1_a.sql": "SELECT 1"}', project => 'filed')},
	q{SELECT migrate.create('new', 'SELECT 1')},
	q{SELECT migrate.remove('003')},
	q{SELECT migrate.amend('001', NULL, '', 'a reason')},
	q{SELECT migrate.approve('003')},
	q{SELECT migrate.baseline('003')},
	q{SELECT migrate.mark_applied('003', 'a reason')},
	q{SELECT migrate.mark_pending('002', 'a reason')},
	q{SELECT migrate.forget_schema('emptied', 'a reason')},
	'SELECT * FROM migrate.adopt()');
foreach my $change (@changes)
{
	is(answer($standby, $change), ' [25006]', "refused on a standby: $change");
}

# A lock that the standby replays, as a run on the primary holds one, stops nobody.
my $run = $primary->background_psql('postgres');
$run->query_safe(q{BEGIN; SET dbmigrate.progress = off; SET dbmigrate.out_of_order = 'allow'; SELECT count(*) FROM migrate.apply()});
is(answer($standby, 'SELECT migrate.version()'), '002 []', 'the standby answers while the primary migrates');
$run->query_safe('ROLLBACK');
$run->quit;

# Replication goes on after all of that.
$primary->safe_psql('postgres', q{SELECT * FROM migrate.rollback(1, schema => 'tenant')});
$primary->wait_for_catchup($standby);
is(answer($standby, q{SELECT migrate.version('tenant')}), ' []', 'a rollback arrives');

my $last_id = $primary->safe_psql('postgres', 'SELECT max(id) FROM migrate.history');
$primary->stop;
$standby->promote;
is($standby->safe_psql('postgres', q{SET dbmigrate.out_of_order = 'allow'; SELECT string_agg(version || action, ' ') FROM migrate.apply()}),
	'001.5apply 003apply', 'after the promotion pending migrations are applied');
is($standby->safe_psql('postgres', "SELECT min(id) > $last_id, count(*) FROM migrate.history WHERE action = 'apply' AND migration = '003'"),
	't|1', 'history ids go on');
is($standby->safe_psql('postgres', q{SELECT string_agg(version, ' ') FROM migrate.rollback(3)}),
	'003 001.5 002', 'migrations of the old and the new primary are rolled back');
is($standby->safe_psql('postgres', q{SELECT to_regclass('people'), to_regclass('orders'), to_regclass('later')}),
	'people||', 'their down scripts were run');
is($standby->safe_psql('postgres', q{SELECT migrate.add('005', 'new', 'SELECT 1')}), 'added', 'migrations are registered');
$standby->stop;

done_testing();
