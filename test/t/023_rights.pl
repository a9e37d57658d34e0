# Who may do what with each object of the extension.  The table below has a
# line for each of them; a new object without one fails.  The roles have what
# the README grants.

use strict;
use warnings FATAL => 'all';

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Nobody but the owner has what is not said here.
my $expected = <<'EOT';
function abandon: -
function add: author EXECUTE
function add_file: author EXECUTE
function add_files: author EXECUTE
function adopt: -
function amend: -
function apply: deployer EXECUTE
function apply_json: deployer EXECUTE
function apply_to: deployer EXECUTE
function approve: -
function baseline: -
function check_target: -
function compare: author EXECUTE, deployer EXECUTE
function compare_json: author EXECUTE, deployer EXECUTE
function create: author EXECUTE
function environment: reader EXECUTE, deployer EXECUTE
function files_digest: author EXECUTE
function forget_schema: -
function is_online_run_active: -
function load: -
function manage: -
function mark_applied: -
function mark_pending: -
function pending: reader EXECUTE, deployer EXECUTE
function read_activity: plain EXECUTE, reader EXECUTE, author EXECUTE, deployer EXECUTE, database_owner EXECUTE, role_maker EXECUTE
function redo: deployer EXECUTE
function redo_to: deployer EXECUTE
function remove: author EXECUTE
function require: reader EXECUTE
function resume: -
function rollback: deployer EXECUTE
function rollback_json: deployer EXECUTE
function rollback_to: deployer EXECUTE
function run: deployer EXECUTE
function run_rollback: deployer EXECUTE
function run_rollback_to: deployer EXECUTE
function run_to: deployer EXECUTE
function script_sha256: -
function state: -
function status: reader EXECUTE, deployer EXECUTE
function status_json: reader EXECUTE
function version: reader EXECUTE, deployer EXECUTE
function version_key: -
function wanted_files: author EXECUTE
schema migrate: reader USAGE, author USAGE, deployer USAGE, database_owner USAGE
sequence history_id_seq: database_owner SELECT
sequence run_seq: database_owner SELECT
table applied: database_owner SELECT
table approval: database_owner SELECT
table file: database_owner SELECT
table history: database_owner SELECT
table migration: database_owner SELECT
table progress: database_owner SELECT
table run: database_owner SELECT
table target_schema: database_owner SELECT
type activity: -
type adopted_migration: -
type applied: -
type approval: -
type compared_migration: -
type file: -
type history: -
type migration: -
type migration_run: -
type migration_state: -
type migration_status: -
type pending_migration: -
type progress: -
type registered_file: -
type run: -
type schema_migrations: -
type statement_activity: -
type target_schema: -
view activity: reader SELECT, deployer SELECT, database_owner SELECT
view schema_migrations: reader SELECT, database_owner SELECT
EOT

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE plain;
	CREATE ROLE reader;
	CREATE ROLE author;
	CREATE ROLE deployer;
	CREATE ROLE database_owner;
	CREATE ROLE role_maker CREATEROLE CREATEDB});
$node->safe_psql('postgres', 'CREATE DATABASE rights OWNER database_owner');

my ($grants) = slurp_file("$FindBin::RealBin/../../README.md") =~ /^## Permissions\n.*?^```sql\n(.*?)^```/ms;
like($grants, qr/GRANT/, 'the README has grants');
$node->safe_psql('rights', "CREATE EXTENSION dbmigrate; $grants; GRANT CREATE ON SCHEMA public TO PUBLIC");

# MAINTAIN is a privilege since PostgreSQL 17.
my $maintain = $node->safe_psql('rights', q{SELECT CASE WHEN current_setting('server_version_num')::int >= 170000 THEN ',MAINTAIN' ELSE '' END});
$node->safe_psql('rights', qq{
	CREATE VIEW public.objects AS
	WITH member AS (
	    SELECT d.classid, d.objid FROM pg_depend d
	     WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
	       AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'dbmigrate'))
	SELECT 'function ' || p.proname AS what, p.oid, 'EXECUTE' AS rights
	  FROM member m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
	UNION ALL
	SELECT CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'S' THEN 'sequence ' ELSE 'table ' END || c.relname, c.oid,
	       CASE c.relkind WHEN 'S' THEN 'USAGE,SELECT,UPDATE'
	                      ELSE 'SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER$maintain' END
	  FROM member m JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass WHERE c.relkind <> 'c'
	UNION
	SELECT 'type ' || t.typname, t.oid, 'USAGE'
	  FROM member m JOIN pg_type t ON m.objid = CASE m.classid WHEN 'pg_type'::regclass THEN t.oid
	                                                           WHEN 'pg_class'::regclass THEN t.typrelid END
	 WHERE t.typcategory <> 'A'
	UNION ALL
	SELECT 'schema ' || n.nspname, n.oid, 'USAGE,CREATE'
	  FROM member m JOIN pg_namespace n ON n.oid = m.objid AND m.classid = 'pg_namespace'::regclass});

# Everything in the schema belongs to the extension, or it would not be seen above.
is($node->safe_psql('rights', q{
		SELECT string_agg(what, ', ' ORDER BY what) FROM (
		    SELECT 'function ' || proname, oid FROM pg_proc WHERE pronamespace = 'migrate'::regnamespace
		    UNION ALL SELECT 'relation ' || relname, oid FROM pg_class
		     WHERE relnamespace = 'migrate'::regnamespace AND relkind NOT IN ('i', 'I', 'c')
		    UNION ALL SELECT 'type ' || typname, oid FROM pg_type
		     WHERE typnamespace = 'migrate'::regnamespace AND typcategory <> 'A') o(what, oid)
		 WHERE NOT EXISTS (SELECT FROM objects k WHERE k.oid = o.oid)}),
	'', 'everything in schema migrate is an object of the extension');

# The table

my $got = $node->safe_psql('rights', q{
	SELECT o.what || ': ' || coalesce((
	    SELECT string_agg(r.role || ' ' || r.has, ', ' ORDER BY r.n) FROM (
	        SELECT a.n, a.role, string_agg(p.name, '+' ORDER BY p.n) AS has
	          FROM unnest('{plain,reader,author,deployer,database_owner,role_maker}'::text[]) WITH ORDINALITY a(role, n),
	               unnest(string_to_array(o.rights, ',')) WITH ORDINALITY p(name, n)
	         WHERE CASE split_part(o.what, ' ', 1)
	                   WHEN 'function' THEN has_function_privilege(a.role, o.oid, p.name)
	                   WHEN 'schema' THEN has_schema_privilege(a.role, o.oid, p.name)
	                   WHEN 'sequence' THEN has_sequence_privilege(a.role, o.oid, p.name)
	                   WHEN 'type' THEN has_type_privilege(a.role, o.oid, p.name)
	                   ELSE has_table_privilege(a.role, o.oid, p.name)
	                        OR CASE WHEN p.name = ANY ('{SELECT,INSERT,UPDATE,REFERENCES}')
	                                THEN has_any_column_privilege(a.role, o.oid, p.name) END
	               END
	         GROUP BY a.n, a.role) r), '-')
	  FROM objects o
	 ORDER BY o.what COLLATE "C"});
is("$got\n", $expected, 'everybody has the rights in the table, and no others');

# What no privilege is about, tried

# By any role: error 42501.
sub is_denied
{
	my ($role, $statement) = @_;
	my ($rc, $out, $err) = $node->psql('rights', "SET ROLE $role; $statement", on_error_stop => 0,
		extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);

	like($err, qr/ERROR:  42501$/m, "denied to $role: $statement");
	return;
}

my @types = split /\n/, $node->safe_psql('rights', q{SELECT 'migrate.' || typname FROM pg_type t JOIN objects USING (oid) ORDER BY 1});
my @ownership = (
	'DROP EXTENSION dbmigrate',
	'ALTER EXTENSION dbmigrate UPDATE',
	'ALTER EXTENSION dbmigrate DROP VIEW migrate.schema_migrations',
	'ALTER TABLE migrate.history ADD more text',
	'ALTER FUNCTION migrate.version(text, text) RENAME TO mine',
	'CREATE INDEX ON migrate.history (at)',
	'CREATE RULE r AS ON INSERT TO migrate.history DO INSTEAD NOTHING',
	'CREATE POLICY p ON migrate.history',
	'CREATE TABLE public.child () INHERITS (migrate.history)',
	'CREATE TABLE public.t (a bigint REFERENCES migrate.history)',
	'CREATE FUNCTION migrate.mine() RETURNS integer LANGUAGE sql AS $$SELECT 1$$',
	'CREATE OR REPLACE VIEW migrate.schema_migrations AS SELECT 1 AS version');
foreach my $role (qw(plain reader author deployer database_owner role_maker))
{
	is_denied($role, $_) foreach @ownership;
}

# A column of a row type of ours would be in the way of the next version's ALTER TABLE.
foreach my $type (@types)
{
	foreach my $role (qw(reader database_owner))
	{
		is_denied($role, $_)
		  foreach "CREATE TABLE public.t (a $type)", "CREATE TABLE public.t (a ${type}[])", "CREATE DOMAIN public.d AS $type",
		  "CREATE FUNCTION public.f(a $type) RETURNS integer LANGUAGE sql AS 'SELECT 1'";
	}

	# what functions return has no rows of its own
	is_denied('database_owner', "CREATE TABLE public.t AS SELECT r FROM $type r")
	  unless $node->safe_psql('rights', "SELECT relkind FROM pg_class WHERE oid = '$type'::regclass") eq 'c';
}

$node->stop;
done_testing();
