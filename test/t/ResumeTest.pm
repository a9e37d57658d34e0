# What the tests of interrupted online migrations share: a server with tables, how
# an interruption looks, and what is said of it afterwards.

package ResumeTest;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(start_server query error_of look state register run %call $undecided);

# What goes on, and what it says where the catalogs do not tell
our %call = (up => 'CALL migrate.run()', down => 'CALL migrate.run_rollback()');
our $undecided = qr/statement 1 of migration 1 "m" \((up|down)\) was interrupted/;
my $node;

sub start_server
{
	$node = PostgreSQL::Test::Cluster->new('main');
	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
	$node->append_conf('postgresql.conf', "dbmigrate.progress = off\nautovacuum = off\n");
	$node->start;

	$node->safe_psql('postgres', q{
	CREATE EXTENSION dbmigrate;
	SELECT migrate.manage('a test');
	CREATE TABLE log (what text);
	CREATE PROCEDURE commits() LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (1); COMMIT; END';

	CREATE PROCEDURE make_tables() LANGUAGE plpgsql AS $$ BEGIN
		DROP SCHEMA IF EXISTS s CASCADE;
		CREATE SCHEMA s;
		CREATE TABLE s.t (a int, b text);
		INSERT INTO s.t SELECT g, g::text FROM generate_series(1, 100) g;
		CREATE TABLE s.other (a int);
		CREATE TABLE s.p (a int) PARTITION BY LIST (a);
		CREATE TABLE s.p1 PARTITION OF s.p FOR VALUES IN (1);
		CREATE TABLE s.p2 PARTITION OF s.p FOR VALUES IN (2);
		DELETE FROM migrate.progress;
		DELETE FROM migrate.applied;
		DELETE FROM migrate.migration;
		DELETE FROM log;
	END $$;

	-- as CREATE INDEX CONCURRENTLY leaves it, and DROP, and DETACH
	CREATE PROCEDURE invalidate(index regclass) LANGUAGE sql AS
		'UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1';
	CREATE PROCEDURE begin_detach(partition regclass) LANGUAGE sql AS
		'UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = $1';

	-- somebody was at statement "started" when he was killed
	CREATE PROCEDURE interrupt(direction text, finished int, started int) LANGUAGE sql AS $$
		INSERT INTO migrate.progress (target_schema, project, id, direction, statements, finished,
		                              finished_sha256, started, indexes, run)
		VALUES ('', '', '1', $1, 2, $2, NULL, $3,
		        (SELECT array_agg(indexrelid::regclass::text) FROM pg_index WHERE indrelid = to_regclass('s.t')), 0)
	$$;

	-- all that there is: indexes, ! if they are not valid, and partitions
	CREATE FUNCTION look() RETURNS text LANGUAGE sql AS $$
		SELECT coalesce(string_agg(c.relname || CASE
		                    WHEN i.indisvalid IS FALSE OR h.inhdetachpending THEN '!' ELSE '' END,
		                ' ' ORDER BY c.relname), '')
		  FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
		       LEFT JOIN pg_inherits h ON h.inhrelid = c.oid
		 WHERE c.relnamespace = to_regnamespace('s') AND (i.indexrelid IS NOT NULL OR h.inhrelid IS NOT NULL)
	$$});
	return $node;
}

sub query
{
	my ($sql) = @_;

	return scalar $node->safe_psql('postgres', $sql);
}

# What is said of an error; '' if there is none.
sub error_of
{
	my ($sql) = @_;
	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql);

	return $status ? $stderr : '';
}

sub look { return query('SELECT look()') }
sub state { return query(q{SELECT state FROM migrate.status() WHERE version = '1'}) }

# Migration 1 with this script, in this direction, ready to be run.
sub register
{
	my ($direction, $script) = @_;

	if ($direction eq 'up')
	{
		query("SELECT migrate.add('1', 'm', \$_\$$script\$_\$, '', online => true)");
	}
	else
	{
		query("SELECT migrate.add('1', 'm', 'SELECT 1', \$_\$$script\$_\$, down_online => true);
		       SELECT FROM migrate.apply()");
	}
	return;
}

# How far a run comes: the number of statements that it has run, or the error.
# Behind the statement in question there is another one.
sub run
{
	my ($direction) = @_;
	my $error = error_of($call{$direction});
	my $action = $direction eq 'up' ? 'apply' : 'rollback';

	return $error if $error;
	return query("SELECT statements FROM migrate.history WHERE action = '$action' ORDER BY id DESC LIMIT 1");
}

1;
