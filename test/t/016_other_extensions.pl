# Other extensions watch the statements of a migration: who audits, measures
# or explains them sees inline COPY as a statement of its own, with its text.
#
# DBMIGRATE_TEST_PGAUDIT=required makes a missing pgaudit a failure; otherwise
# the test is skipped then.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $libdir = `pg_config --pkglibdir`;
chomp $libdir;
foreach my $module (qw(pgaudit pg_stat_statements auto_explain))
{
	next if -e "$libdir/$module.so";
	die "$module is required, but not there"
	  if ($ENV{DBMIGRATE_TEST_PGAUDIT} // '') eq 'required';
	plan skip_all => "needs $module";
}

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'pgaudit, pg_stat_statements, auto_explain'
log_line_prefix = '%m [%p] '
pgaudit.log = all
pgaudit.log_parameter = on
pgaudit.role = auditor
pg_stat_statements.track = all
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_nested_statements = on
dbmigrate.progress = off
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION pgaudit;
	CREATE EXTENSION pg_stat_statements;
	CREATE EXTENSION dbmigrate;
	CREATE ROLE auditor;
	SELECT migrate.add('1', 'a', E'CREATE TABLE a (i int);\nCOPY a FROM stdin;\n1\n2\n\\\\.\nSELECT 1;', 'DROP TABLE a');
	SELECT migrate.add('2', 'b', E'COPY a FROM stdin WHERE i > 3;\n3\n4\n\\\\.\nALTER TABLE a ADD c int;', '');
});

# The messages in the log while this is run, without their prefixes.
sub logged
{
	my ($sql) = @_;
	my $from = -s $node->logfile;
	my ($rc, $out, $err) = $node->psql('postgres', $sql);
	is($err, '', 'no error');
	return split /^\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\] /m, slurp_file($node->logfile, $from);
}

# What is in the audit lines about COPY, without their numbers.
sub audited
{
	return map { /^LOG:  AUDIT: (SESSION|OBJECT),\d+,\d+,(.*,COPY .*)\n\z/ ? "$1,$2" : () } @_;
}

foreach my $rows (qw(on off))
{
	foreach my $relation (qw(on off))
	{
		my $name = "log_rows = $rows, log_relation = $relation";
		my $loaded = $rows eq 'on' ? [ ',2', ',1' ] : [ '', '' ];
		my $table = $relation eq 'on' ? 'TABLE,public.a' : ',';
		my @messages = logged(qq{
			SET pgaudit.log_rows = $rows;
			SET pgaudit.log_relation = $relation;
			SELECT FROM migrate.apply();});

		is_deeply([ audited(@messages) ],
			[ "SESSION,WRITE,INSERT,$table,COPY a FROM stdin,<none>$loaded->[0]",
				"SESSION,WRITE,INSERT,$table,COPY a FROM stdin WHERE i > 3,<none>$loaded->[1]" ],
			"$name: each COPY is audited once, with its text");
		is(scalar(grep { /Query Text: COPY a FROM stdin\n.*Inline COPY/s } @messages), 1,
			"$name: and explained");
		is($node->safe_psql('postgres', 'SELECT string_agg(i::text, $$ $$) FROM a'), '1 2 4', "$name: the rows are there");
		logged("SET pgaudit.log_rows = $rows; SET pgaudit.log_relation = $relation; SELECT FROM migrate.rollback(2)");
	}
}

is($node->safe_psql('postgres', q{
	SELECT calls, rows FROM pg_stat_statements WHERE query = 'COPY a FROM stdin'}),
	'4|8', 'pg_stat_statements counts its calls and rows');

# a table that is audited because of a grant to the auditor
$node->safe_psql('postgres', q{
	CREATE TABLE watched (i int);
	GRANT INSERT ON watched TO auditor;
	SELECT migrate.add('3', 'watched', E'COPY watched FROM stdin;\n1\n\\\\.\n');});
is_deeply([ audited(logged(q{SET pgaudit.log = none; SELECT FROM migrate.apply_to('3')})) ],
	['OBJECT,WRITE,INSERT,TABLE,public.watched,COPY watched FROM stdin,<none>'], 'object auditing');

# A COPY that fails, in a block that catches it, and statements below a COPY:
# what pgaudit keeps for each is in order afterwards.
$node->safe_psql('postgres', q{
	CREATE TABLE deep (i int CHECK (i > 0));
	CREATE FUNCTION below() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN PERFORM count(*) FROM watched; INSERT INTO watched VALUES (NEW.i); RETURN NEW; END';
	CREATE TRIGGER below BEFORE INSERT ON deep FOR EACH ROW EXECUTE FUNCTION below();
	SELECT migrate.add('4', 'deep', E'COPY deep FROM stdin;\n7\n8\n\\\\.\n');
	SELECT migrate.add('5', 'bad', E'COPY deep FROM stdin;\n7\n-1\n\\\\.\n');});
foreach my $rows (qw(on off))
{
	my @messages = logged(qq{
		SET pgaudit.log_rows = $rows;
		BEGIN;
		SELECT FROM migrate.apply_to('4');
		DO 'BEGIN PERFORM migrate.apply(); EXCEPTION WHEN check_violation THEN PERFORM count(*) FROM deep; END';
		SELECT count(*) FROM deep;
		ROLLBACK;});
	my ($copy) = grep { /COPY deep/ } audited(@messages);

	is($copy, 'SESSION,WRITE,INSERT,,,COPY deep FROM stdin,<none>' . ($rows eq 'on' ? ',2' : ''), "log_rows = $rows: triggers of a COPY");
	is(scalar(grep { /^LOG:  AUDIT: SESSION.*INSERT INTO watched/ } @messages), 4, "log_rows = $rows: what they do is audited");
}

unlike(slurp_file($node->logfile), qr/terminated by signal|pgaudit stack/, 'nothing crashed');

$node->stop;
done_testing();
