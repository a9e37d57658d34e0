# The dbmigrate command with migrations that cannot be part of a transaction:
# each is committed for itself, and what it says of a failure amid them is true.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CommandTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server();
my $superuser = $ENV{PGUSER};
my %file = (
	table => up_down('CREATE TABLE t (a int);', 'DROP TABLE t;'),
	index => up_down('CREATE INDEX CONCURRENTLY t_a ON t (a);', 'DROP INDEX CONCURRENTLY t_a;'),
	view => up_down('CREATE VIEW v AS SELECT a FROM t;', 'DROP VIEW v;'));

sub files
{
	my (%content) = @_;

	fresh_work();
	put("migrations/$_", $content{$_}) foreach keys %content;
	return;
}

sub three { return ('001_table.sql' => $file{table}, '002_idx.sql' => $file{index}, '003_view.sql' => $file{view}) }

my $transactions = q{SELECT count(DISTINCT transaction_id) FROM migrate.history WHERE action IN ('apply', 'rollback')};

{
	files(three());
	fresh_database('online');

	# All or nothing, if that is wanted
	foreach my $option ('--atomic', '--single-transaction')
	{
		runs_like([ 'up', $option ], 1, $nothing,
			qr/^ERROR:  1 migration must run outside a transaction block\nDETAIL:  Online: 002 "idx"\.\nHINT:  without --single-transaction, dbmigrate up commits after each migration\nfailed, nothing was changed\n$/);
		is(query('SELECT count(*) FROM migrate.migration'), 0, '... and registers nothing');
		runs_like([ 'up', $option, '1' ], 0, qr/^applied 001 table\n1 migration applied in \S+ s, now at 001\n$/, $nothing);
		runs_like(['down'], 0, qr/^rolled back 001 table\n/, $nothing);
		query(q{SELECT migrate.remove(version) FROM migrate.pending()});
	}

	# Up
	runs_like([ 'up', '1' ], 0, qr/^applied 001 table\n1 migration applied in \S+ s, now at 001\n$/, $nothing, 'up 1, before the online one');
	runs_like([ 'up', '1' ], 0, qr/^applied 002 idx\n1 migration applied in \d+\.\d\d s, now at 002\n$/, $nothing, 'up 1, the online one');
	runs_like([ 'down', '2' ], 0, qr/^rolled back 002 idx\nrolled back 001 table\n2 migrations rolled back in \d+\.\d\d s, nothing is applied now\n$/, $nothing);
	runs_like([ 'up', '--to', '002' ], 0, qr/^applied 001 table\napplied 002 idx\n2 migrations applied in \S+ s, now at 002\n$/, $nothing);
	runs_like([ 'up', '--to', '002' ], 0, qr/^nothing to apply, at 002\n$/, $nothing);
	runs_like(['up'], 0, qr/^applied 003 view\n1 migration applied in \S+ s, now at 003\n$/, $nothing, 'up, nothing online any more');
	runs_like([ 'down', '--single-transaction', '--to', '0' ], 1, $nothing, qr/\nHINT:  without --single-transaction, dbmigrate down commits after each migration\nfailed, nothing was changed\n$/);
	runs_like([ 'down', '--to', '001' ], 0, qr/^rolled back 003 view\nrolled back 002 idx\n2 migrations rolled back in \S+ s, now at 001\n$/, $nothing);
	query('TRUNCATE migrate.history');
	runs_like(['up'], 0, qr/^applied 002 idx\napplied 003 view\n2 migrations applied in \S+ s, now at 003\n$/, $nothing);
	is(query($transactions), 2, 'a transaction for each');
	is(query('SELECT indisvalid FROM pg_index WHERE indexrelid = $$t_a$$::regclass'), 't', 'the index is there');
	runs_like([ '-q', 'down', '2' ], 0, $nothing, $nothing);
	runs_like([ '-q', 'up' ], 0, $nothing, $nothing);

	# What redo would have to do is two commands
	runs_like(['redo'], 0, qr/^rolled back 003 view\napplied 003 view\n/, $nothing, 'redo of what is not online');
	runs_like([ 'redo', '2' ], 1, $nothing,
		qr/^ERROR:  1 migration must run .*\nDETAIL: .*\nHINT:  one after the other: dbmigrate down 2, dbmigrate up\nfailed, nothing was changed\n$/);
	runs_like([ 'redo', '--atomic' ], 2, $nothing, qr/--atomic is for up or down/);

	# A failure
	put('migrations/004_four.sql', "INSERT INTO t VALUES (1), (1);\n");
	put('migrations/005_five.sql', "SELECT 1;\nCREATE UNIQUE INDEX CONCURRENTLY t_u ON t (a);\n");
	put('migrations/006_six.sql', "SELECT oops;\n");
	put('migrations/007_seven.sql', "VACUUM t;\n");
	runs_like(['up'], 1, qr/^applied 004 four\nfailed: the above stays\n$/,
		qr/^ERROR:  could not create unique index "t_u"\n.*\nfailed: 1 migration is applied, 005 five is half done: dbmigrate up goes on there\n$/s,
		'up that fails in an online one');
	runs_like([ '-q', 'up' ], 1, $nothing,
		qr/\nfailed: nothing is applied, 005 five is half done: dbmigrate up goes on there\n$/, 'again');
	query('DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t)');
	runs_like(['up'], 1, qr/^applied 005 five\nfailed: the above stays\n$/,
		qr/^NOTICE:  dropping index public\.t_u, .*\nERROR:  column "oops" .*\nfailed: 1 migration is applied\n$/s, 'up that goes on, and fails in one that is not');
	put('migrations/006_six.sql', up_down("SELECT 'six';", "SELECT 'no more';"));
	runs_like(['up'], 0, qr/^applied 006 six\napplied 007 seven\n2 migrations applied in \S+ s, now at 007\n$/, $nothing, 'up that goes on to the end');
	put('migrations/008_eight.sql', up_down('SELECT 8;', 'DROP INDEX CONCURRENTLY t_u; DROP INDEX CONCURRENTLY t_not;'));
	put('migrations/009_nine.sql', up_down('SELECT 9;', "SELECT 'nine';"));
	dbmigrate('up');
	runs_like([ 'down', '2' ], 1, qr/^rolled back 009 nine\nfailed: the above stays\n$/,
		qr/\nfailed: 1 migration is rolled back, 008 eight is half done: dbmigrate down goes on there\n$/, 'down that fails in an online one');
	query('CREATE INDEX t_not ON t (a)');
	runs_like(['down'], 0, qr/^rolled back 008 eight\n1 migration rolled back in \S+ s, now at 007\n$/, $nothing, 'down that goes on');
}

# A signal, and what becomes of the connection, while an online one is at work
sub while_it_sleeps
{
	my ($what, @arguments) = @_;
	my ($out, $err) = ('', '');
	my $sleeps = q{FROM pg_stat_activity WHERE datname = 'halted' AND wait_event = 'PgSleep'};

	my $run = start_command(\$out, \$err, @arguments);
	$node->poll_query_until('postgres', "SELECT count(*) = 1 $sleeps") or die "it does not sleep: $err";
	my $pid = $node->safe_psql('postgres', "SELECT pid $sleeps");
	if ($what eq 'lost') { kill TERM => $pid }
	elsif ($what eq 'TERM twice')
	{
		# a server that answers neither
		kill STOP => $pid;
		$run->signal('TERM');
		sleep 2;
		$run->signal('TERM');
	}
	else { $run->signal($what) }
	$run->finish;
	my $code = $? >> 8;
	kill CONT => $pid if $what eq 'TERM twice';
	return ($code, $out, $err);
}

my @sleeping = (
	'001_table.sql' => $file{table},
	'002_sleep.sql' => up_down("SELECT 1;\nVACUUM t;\nSELECT pg_sleep(300);\n", ''),
	'003_view.sql' => $file{view});
foreach my $case ([ 'INT', 130 ], [ 'TERM', 143 ], [ 'HUP', 129 ])
{
	my ($signal, $exit_code) = @$case;
	files(@sleeping);
	fresh_database('halted');
	my ($code, $out, $err) = while_it_sleeps($signal, 'up');
	is($code, $exit_code, "$signal amid an online migration: exit code") or diag $err;
	like($out, qr/^applied 001 table\ninterrupted: the above stays\n\z/, '... on stdout');
	like($err, qr/\ninterrupted: 1 migration is applied, 002 sleep is half done: dbmigrate up goes on there\n\z/, '... says what is done');
	is(query('SELECT finished FROM migrate.progress'), 2, '... which is true');
}
foreach my $what ('lost', 'TERM twice')
{
	my ($failed, $exit_code) = $what eq 'lost' ? ('failed', 1) : ('interrupted', 143);
	files(@sleeping);
	fresh_database('halted');
	my ($code, $out, $err) = while_it_sleeps($what, 'up');
	is($code, $exit_code, "$what: exit code");
	like($out, qr/^applied 001 table\n$failed: the above stays\n\z/, '... on stdout');
	like($err, qr/\n$failed: 1 migration is applied, of what comes next it is not known\nhint: dbmigrate status\n\z/, '... says what is known');
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'halted'}) or die;
	runs_like([ '--registered', 'status' ], 0, qr/ 002 .* (failed|interrupted) .*1 applied, 2 pending/s, $nothing, 'status after that');
}

# Whoever deploys with the README's grants
{
	my ($grants) = slurp_file('README.md') =~ /-- a deployer runs.*?\n(.*?)```/s;
	files(three());
	fresh_database('rights');
	dbmigrate('push', '-q');
	query(q{CREATE ROLE deployer LOGIN; GRANT ALL ON SCHEMA public TO deployer});
	query($grants);
	local $ENV{PGUSER} = 'deployer';
	my @registered = ('--registered', 'up');
	runs_like(\@registered, 0, qr/^applied 001 table\n.*\n3 migrations applied in \S+ s, now at 003\n$/s, $nothing, 'up with the grants of the README');
	runs_like([ 'down', '2' ], 0, qr/^rolled back 003 view\nrolled back 002 idx\n2 .*, now at 001\n$/, $nothing, 'down with them');
	runs_like([ @registered, '--to', '002' ], 0, qr/^applied 002 idx\n1 /, $nothing, 'up --to with them');
	runs_like([ 'down', '--to', '001' ], 0, qr/^rolled back 002 idx\n1 /, $nothing, 'down --to with them');
	as_superuser(q{SELECT migrate.add('004', 'half', 'CREATE TABLE h (); VACUUM h; SELECT oops')});
	runs_like(
		\@registered, 1, qr/^applied 002 idx\napplied 003 view\nfailed: /,
		qr/\nfailed: 2 migrations are applied, 004 half is half done: dbmigrate up goes on there\n$/, 'what is half done, with them');
	as_superuser('REVOKE EXECUTE ON FUNCTION migrate.status FROM deployer');
	runs_like(\@registered, 1, $nothing, qr/\nfailed: nothing is applied, 004 half is half done: dbmigrate up goes on there\n$/, '... without the right to call status');
	as_superuser('REVOKE EXECUTE ON FUNCTION migrate.pending FROM deployer');
	runs_like(\@registered, 1, $nothing, qr/\nfailed: nothing is applied, whether one is half done is not known\nhint: dbmigrate status\n$/, '... nor pending');
	as_superuser('REVOKE EXECUTE ON PROCEDURE migrate.run FROM deployer');
	runs_like(\@registered, 1, $nothing,
		qr/deployer may not call the procedure migrate\.run\(\).*\nhint: GRANT EXECUTE ON PROCEDURE migrate\.run TO deployer;\n/, 'up without the right to call the procedure');
}

sub as_superuser { return $node->safe_psql('rights', $_[0], extra_params => [ '-U', $superuser ]) }

# A target schema, a project, production
{
	files(three());
	fresh_database('prod');
	query(q{CREATE SCHEMA tenant; ALTER DATABASE prod SET dbmigrate.environment = 'production'});
	my @there = ('--schema', q{tenant}, '--project', q{it's});
	runs_like([ @there, 'up' ], 1, $nothing, qr/error: up in production wants a confirmation/, 'up in production');
	runs_like([ @there, '--yes', 'up' ], 0, qr/^applied 001 table\n.*now at 003\n$/s, qr/^warning: /, 'up in a schema, in production');
	is(query(q{SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'tenant.t'::regclass}), 'tenant.t_a', '... is done there');
	is(query(q{SELECT DISTINCT project FROM migrate.applied}), q{it's}, '... for the project');
	my ($code, $out) = dbmigrate_on_tty("prod\n", @there, '--no-color', 'down', '2');
	is($code, 0, 'down in production');
	like($out, qr/rolled back 002 idx\n2 migrations rolled back in \S+ s, now at 001\n/s, '... with its name typed');
}

# Nothing of ours is looked up where somebody else has planted something, and
# nobody's text is taken for what it is not.
{
	files(three());
	fresh_database('planted');
	query(q{CREATE SCHEMA evil; CREATE TABLE evil.called (what text); SELECT migrate.manage('a test');
		CREATE FUNCTION evil.called(what text) RETURNS void LANGUAGE sql AS $$INSERT INTO evil.called VALUES (what)$$;
		CREATE FUNCTION evil.to_char(numeric, text) RETURNS text LANGUAGE sql AS $$SELECT evil.called('to_char'); SELECT '1'$$;
		CREATE FUNCTION evil.string_agg(text, text) RETURNS text LANGUAGE sql AS $$SELECT evil.called('string_agg'); SELECT '1'$$;
		CREATE FUNCTION evil.minus(numeric, numeric) RETURNS numeric LANGUAGE sql AS $$SELECT evil.called('-'); SELECT 1.0$$;
		CREATE OPERATOR evil.- (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = evil.minus);
		CREATE FUNCTION evil.matches(text, text) RETURNS bool LANGUAGE sql AS $$SELECT evil.called('~'); SELECT true$$;
		CREATE OPERATOR evil.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.matches);
		CREATE DOMAIN evil.text AS pg_catalog.text; CREATE DOMAIN evil.int4 AS pg_catalog.int4;
		GRANT ALL ON ALL TABLES IN SCHEMA evil TO PUBLIC;
		ALTER DATABASE planted SET search_path = evil, pg_catalog, public});
	put('migrations/001_table.sql', up_down('CREATE TABLE public.t (a int);', 'DROP TABLE public.t;'));
	put('migrations/002_idx.sql', up_down('CREATE INDEX CONCURRENTLY t_a ON public.t (a);', 'DROP INDEX CONCURRENTLY public.t_a;'));
	put('migrations/003_view.sql', "SELECT oops;\n");
	runs_like(['up'], 1, qr/^applied 001 table\napplied 002 idx\nfailed: /, qr/\nfailed: 2 migrations are applied\n$/, 'up in a database with planted names');
	unlink "$work/migrations/003_view.sql";
	runs_like(['down'], 0, qr/^rolled back 002 idx\n1 migration/, $nothing, 'down there');
	is(query('SELECT count(*) FROM evil.called'), 0, '... which are not used');

	my $liar = q{DO $$ BEGIN RAISE SQLSTATE '25001' USING MESSAGE = '1 migration must run outside a transaction block', DETAIL = 'Online: 666 "x".'; END $$;};
	my ($code, $out, $err) = runs_like([ '--registered', 'up' ], 0, qr/^applied 002 idx\n/, $nothing, 'up before it');
	put('migrations/004_liar.sql', $liar);
	runs_like(['up'], 1, $nothing, qr/^ERROR: .*HINT:  (?!without).*CONTEXT: .*\nfailed, nothing was changed\n$/s, 'a script that raises the same');
	query(q{UPDATE migrate.migration SET name = E'x\u202e\u001b[31m\u009b' WHERE version = '002'});
	($code, $out, $err) = dbmigrate('down');
	like($out, qr/^rolled back 002 x/, 'a name that steers a terminal is shown');
	unlike("$out$err", qr/[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80\xae/, '... and does not');
}

$node->stop;
done_testing();
