# Inline COPY data is refused for a table whose COPY another extension
# replaces.  Citus is not at hand, so the test makes an extension of its name
# with the catalog that tells which tables are distributed; pg_stat_statements
# is there to set a ProcessUtility_hook.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $sharedir = `pg_config --sharedir`;
chomp $sharedir;
my $extensions = "$sharedir/extension";

plan skip_all => 'needs a server whose extension directory is writable'
  unless -w $extensions;
plan skip_all => 'needs pg_stat_statements'
  unless -e "$extensions/pg_stat_statements.control";
plan skip_all => 'Citus is installed' if -e "$extensions/citus.control";

my @made = ("$extensions/citus.control", "$extensions/citus--1.0.sql");
append_to_file($made[0], "default_version = '1.0'\nrelocatable = false\nschema = pg_catalog\n");
append_to_file($made[1], "CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass);\n");
END { unlink @made if @made; }

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pg_stat_statements'
allow_system_table_mods = on
});
$node->start;

$node->safe_psql('postgres', q{
	CREATE EXTENSION dbmigrate;
	SELECT migrate.manage('a test');
	CREATE TABLE local (a int);
	CREATE TABLE distributed (a int);
});
my $script = sub { "SELECT migrate.add('$_[0]', 'copy', E'COPY $_[1] FROM stdin;\\n1\\n\\\\.\\n', '')" };

$node->safe_psql('postgres', $script->(1, 'distributed'));
is($node->safe_psql('postgres', 'SELECT rows FROM migrate.apply()'), '1', 'with the hook alone COPY works');

$node->safe_psql('postgres', q{
	CREATE EXTENSION citus;
	INSERT INTO pg_catalog.pg_dist_partition VALUES ('distributed');
});
$node->safe_psql('postgres', $script->(2, 'local'));
is($node->safe_psql('postgres', 'SELECT rows FROM migrate.apply()'), '1', 'a local table is loaded');

$node->safe_psql('postgres', $script->(3, 'distributed'));
my ($rc, $out, $err) = $node->psql('postgres', '\set VERBOSITY verbose
SELECT * FROM migrate.apply()');
like($err, qr/ERROR:  0A000: inline COPY data cannot be loaded into table "distributed"/, 'a distributed one is not');
like($err, qr/HINT:  Use INSERT statements instead\./, 'and the hint says what to do');
like($err, qr/migration 3 "copy" \(up\), statement 1 at line 1/, 'and the context where');
is($node->safe_psql('postgres', 'SELECT count(*) FROM distributed'), '1', 'nothing was stored');

$node->stop;
done_testing();
