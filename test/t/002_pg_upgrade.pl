# pg_upgrade from a major version to itself, copying and linking: state,
# history, sequences, privileges and functions work in the new cluster.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# pg_upgrade writes into the folder it is started in.
chdir PostgreSQL::Test::Utils::tempdir() or die "could not change the directory: $!";

my @init = (extra => [ '--encoding=UTF8', '--locale=C' ]);
my $old = PostgreSQL::Test::Cluster->new('old');
$old->init(@init);
$old->start;
my $bindir = $old->config_data('--bindir');

sub as_keeper
{
	my ($node, $sql) = @_;
	return $node->safe_psql('app', "SET dbmigrate.progress = off; $sql", extra_params => [ '-U', 'keeper' ]);
}

my %contents = (
	'migrate.migration' => 'SELECT md5(m::text), m FROM migrate.migration m ORDER BY id',
	'migrate.applied' => 'SELECT md5(a::text), a FROM migrate.applied a ORDER BY target_schema, position',
	'migrate.history' => 'SELECT md5(h::text), h FROM migrate.history h ORDER BY id',
	'the run sequence' => 'SELECT last_value, is_called FROM migrate.run_seq',
	'the history sequence' => 'SELECT last_value, is_called FROM migrate.history_id_seq',
	'the status' => 'SELECT * FROM migrate.status()',
	'the status of a target schema' => q{SELECT * FROM migrate.status('tenant')},
	'the status as JSON' => 'SELECT migrate.status_json()',
	'what the migrations made' => 'SELECT * FROM people ORDER BY id',

	# row types are members from 17 on, if they come from pg_upgrade
	'the members of the extension' => q{
		SELECT pg_describe_object(classid, objid, objsubid) FROM pg_depend
		 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND classid <> 'pg_type'::regclass
		   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'dbmigrate')
		 ORDER BY 1},
	'the tables that pg_dump carries' => q{
		SELECT c::regclass FROM pg_extension, unnest(extconfig) c WHERE extname = 'dbmigrate' ORDER BY c::regclass::text},
	'the privileges on functions' => q{
		SELECT oid::regprocedure, acl FROM pg_proc p LEFT JOIN LATERAL
		       (SELECT string_agg(a::text, ' ' ORDER BY a::text) AS acl FROM unnest(p.proacl) a) l ON true
		 WHERE pronamespace = 'migrate'::regnamespace ORDER BY oid::regprocedure::text},
	'the privileges on tables' => q{
		SELECT oid::regclass, acl FROM pg_class c LEFT JOIN LATERAL
		       (SELECT string_agg(a::text, ' ' ORDER BY a::text) AS acl FROM unnest(c.relacl) a) l ON true
		 WHERE relnamespace = 'migrate'::regnamespace ORDER BY oid::regclass::text});

$old->safe_psql('postgres', 'CREATE ROLE keeper LOGIN; CREATE DATABASE app OWNER keeper TEMPLATE template0');
$old->safe_psql('postgres', q{ALTER DATABASE app SET dbmigrate.environment = 'production'});
$old->safe_psql('app', q{
	CREATE EXTENSION dbmigrate;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA migrate TO keeper;
});
as_keeper($old, q{
	SELECT migrate.add('001', 'people', 'CREATE TABLE people (id int, name text)', 'DROP TABLE people');
	SELECT migrate.add('002', E'it''s "odd" \\\\.', E'COPY people FROM stdin;\n1\tZo\u00eb\n2\t\\\\N\n\\\\.\n', 'DELETE FROM people');
	SELECT migrate.add('003', 'third', 'CREATE TABLE third (a int)', 'DROP TABLE third');
	SELECT migrate.add('005', 'fifth', 'CREATE TABLE fifth (a int)', 'DROP TABLE fifth');
	SELECT * FROM migrate.apply();
	SELECT migrate.add('004', 'late', 'CREATE TABLE late (a int)', 'DROP TABLE late');
	SET dbmigrate.out_of_order = 'allow';
	SELECT * FROM migrate.apply();
	RESET dbmigrate.out_of_order;
	SELECT migrate.add('006', 'not yet', 'CREATE TABLE sixth (a int)', 'DROP TABLE sixth');
	SELECT * FROM migrate.apply();
	SELECT * FROM migrate.rollback(confirm => 'app');
	SELECT migrate.add('007', 'production', 'CREATE TABLE seventh (a int)', 'DROP TABLE seventh', environments => '{Production}');
	SELECT migrate.add('008', 'elsewhere', 'CREATE TABLE eighth (a int)', environments => '{test}');
	CREATE SCHEMA tenant;
	SELECT * FROM migrate.apply_to('003', schema => 'tenant');
	SELECT migrate.mark_applied('005', 'by hand', schema => 'tenant');
});

my %before = map { $_ => $old->safe_psql('app', $contents{$_}) } keys %contents;
my $next_id = $old->safe_psql('app', 'SELECT max(id) FROM migrate.history');
my $next_run = $old->safe_psql('app', 'SELECT max(run) FROM migrate.history');
$old->stop;

# Linking makes the old cluster useless, so it comes last.
foreach my $mode ('--copy', '--link')
{
	my $new = PostgreSQL::Test::Cluster->new('new' . $mode);
	my @copying = $mode eq '--copy' ? () : ($mode);

	$new->init(@init);
	command_ok(
		[
			'pg_upgrade', '--no-sync', @copying,
			'-d', $old->data_dir, '-D', $new->data_dir,
			'-b', $bindir, '-B', $bindir,
			'-s', $new->host, '-p', $old->port, '-P', $new->port
		],
		"pg_upgrade $mode");
	$new->start;

	is($new->safe_psql('app', $contents{$_}), $before{$_}, "$mode: $_") for sort keys %contents;

	is(as_keeper($new, q{SELECT string_agg(version || action, ' ') FROM migrate.apply()}),
		'006apply 007apply', "$mode: pending migrations are applied");
	is($new->safe_psql('app', q{SELECT to_regclass('sixth'), to_regclass('seventh')}),
		'sixth|seventh', "$mode: ... and were run");
	is($new->safe_psql('app', "SELECT min(id) > $next_id, min(run) > $next_run, count(*) FROM migrate.history
		  WHERE id > (SELECT max(id) - 2 FROM migrate.history)"),
		't|t|2', "$mode: history ids and run numbers go on");
	is(as_keeper($new, q{SELECT string_agg(version, ' ') FROM migrate.rollback_to('001', confirm => 'app')}),
		'007 006 004 005 003 002', "$mode: old and new ones are rolled back in reverse order of application");
	is($new->safe_psql('app', q{SELECT count(*), to_regclass('late'), to_regclass('third'), to_regclass('tenant.third') FROM people}),
		'0|||tenant.third', "$mode: their down scripts were run");
	is(as_keeper($new, q{SELECT string_agg(version || action, ' ') FROM migrate.redo(1, confirm => 'app')}),
		'001rollback 001apply', "$mode: redo of an old one");
	is(as_keeper($new, q{SELECT migrate.add('009', 'new', 'SELECT 1', ''), migrate.add('009', 'new', 'SELECT 1', ''), migrate.version(), migrate.version('tenant')}),
		'added|unchanged|001|005', "$mode: registering");
	like(as_keeper($new, q{SELECT migrate.create('newer', 'SELECT 1')}), qr/^\d{14}$/, "$mode: registering under a fresh version");
	is($new->safe_psql('app', q{DROP EXTENSION dbmigrate; SELECT to_regnamespace('migrate') IS NULL, to_regclass('people')}),
		't|people', "$mode: the extension can be dropped");
	is($new->safe_psql('app', q{CREATE EXTENSION dbmigrate; SELECT count(*) FROM migrate.status()}),
		'0', "$mode: ... and created again");
	$new->stop;
	$new->clean_node;
}

done_testing();
