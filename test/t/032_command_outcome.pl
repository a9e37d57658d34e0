# What the dbmigrate command says about the outcome is true: "nothing was
# changed" only where nothing was, also if COMMIT fails, succeeds without us
# being told, or something fails after it.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CommandTest;
use File::Path qw(remove_tree);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server(streaming => 1);
my $bindir = $node->config_data('--bindir');

# Who may run, but not ask for the version; and who has the README's grants.
{
	fresh_work();
	fresh_database('grants');
	query(q{CREATE ROLE deployer LOGIN; GRANT ALL ON SCHEMA public TO deployer;
		GRANT USAGE ON SCHEMA migrate TO deployer;
		GRANT EXECUTE ON FUNCTION migrate.apply, migrate.apply_to, migrate.rollback, migrate.rollback_to, migrate.redo,
			migrate.environment TO deployer;
		SELECT migrate.add('1', 'x', 'CREATE TABLE really_there ()', 'DROP TABLE really_there')});
	local $ENV{PGUSER} = 'deployer';
	runs_like([ '--registered', 'up' ], 0, qr/^applied 1 x\n1 migration applied in \d+\.\d\d s\n$/, $nothing, 'up without the right to ask for the version');
	is($node->safe_psql('grants', q{SELECT to_regclass('really_there')}), 'really_there', '... and it is there');
	runs_like([ '--registered', 'up' ], 0, qr/^nothing to apply\n$/, $nothing, 'up with nothing to do without that right');
	runs_like(['redo'], 0, qr/^rolled back 1 x\napplied 1 x\n1 migration done again in \S+ s\n$/, $nothing, 'redo without that right');
	runs_like(['down'], 0, qr/^rolled back 1 x\n1 migration rolled back in \S+ s\n$/, $nothing, 'down without that right');

	my ($grants) = slurp_file('README.md') =~ /-- a deployer runs.*?\n(.*?)```/s;
	$node->safe_psql('grants', $grants, extra_params => [ '-U', (getpwuid $>)[0] ]);
	runs_like([ '--registered', 'up' ], 0, qr/^applied 1 x\n1 migration applied in \S+ s, now at 1\n$/, $nothing, 'up with the grants of the README');
	runs_like(['down'], 0, qr/^rolled back 1 x\n1 migration rolled back in \S+ s, nothing is applied now\n$/, $nothing, 'down with them');
	runs_like(['pending'], 0, qr/^1 x\n$/, qr/^note: /, 'pending with them');
}

# A failure after others were done: stdout alone must not read as a success
{
	fresh_work();
	fresh_database('failures');
	put("migrations/00${_}_m$_.sql", up_down("CREATE TABLE m$_ ();", "DROP TABLE m$_;")) foreach 1 .. 3;
	put('migrations/004_m4.sql', "SELECT 1/0;\n");
	runs_like(['up'], 1, qr/^applied 001 m1\napplied 002 m2\napplied 003 m3\nfailed: none of the above stays\n$/,
		qr/^ERROR:  division by zero\n.*\nfailed, nothing was changed\n$/s, 'up that fails late');
	runs_like([ '-q', 'up' ], 1, $nothing, qr/^ERROR: .*\nfailed, nothing was changed\n$/s);
	unlink "$work/migrations/004_m4.sql";
	dbmigrate('up');
	query('DROP TABLE m2');
	runs_like([ 'down', '3' ], 1, qr/^rolled back 003 m3\nfailed: none of the above stays\n$/, qr/\nfailed, nothing was changed\n$/, 'down that fails late');
}

# COMMIT itself fails: what it fires is an error
{
	fresh_work();
	fresh_database('refused');
	query(q{CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$;
		CREATE TABLE later (i int);
		SELECT migrate.manage('a test');
		CREATE FUNCTION postpone() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.later VALUES (1); RETURN NULL; END$$;
		CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
		CREATE TRIGGER postpone AFTER INSERT ON migrate.history FOR EACH ROW EXECUTE FUNCTION postpone()});
	put('migrations/001_a.sql', "CREATE TABLE a ();\n");
	my ($code, $out, $err) = runs_like(['up'], 1, qr/^applied 001 a\nfailed: none of the above stays\n$/,
		qr/^(?:WARNING:.*\nHINT:.*\n)?ERROR:  not today\n.*\nfailed, nothing was changed\n$/s, 'up whose COMMIT fails');
	is(query(q{SELECT to_regclass('a') IS NULL}), 't', '... and nothing was changed');
}

# After COMMIT nothing that fails makes it a failure
foreach my $case ([ 'psql ends with 2' => 'exit 2' ], [ 'psql is killed' => 'kill -KILL $$' ])
{
	my ($name, $end) = @$case;
	fresh_work();
	fresh_database('after');
	put('migrations/001_a.sql', up_down('CREATE TABLE a ();', 'DROP TABLE a;'));
	local $ENV{PATH} = planted_program('psql', qq{'$bindir/psql' "\$@" || exit; case \$* in *"-f "*) $end;; esac}) . ":$ENV{PATH}";
	runs_like([@$_], 0, qr/^\S.* 001 a\n1 migration \S.* in \S+ s, [^\n]*\n$/s,
		qr/^(?:Killed\n)?note: committed; what psql did afterwards failed \(exit code \d+\)\n$/, "@$_ where $name after the commit")
	  foreach ['up'], ['down'];
	runs_like(['push'], 0, qr/^1 added|0 added/m, qr/^(?:Killed\n)?note: committed; /, "push where $name after the commit");
	runs_like([ 'baseline', '001' ], 0, $nothing, qr/^(?:Killed\n)?note: committed; .*\neverything up to 001 counts as applied/, "baseline where $name after the commit");
}

# No space for what psql writes
{
	fresh_work();
	fresh_database('full');
	put('migrations/001_a.sql', up_down('CREATE TABLE a ();', 'DROP TABLE a;'));
	local $ENV{PATH} = planted_program('psql', qq{case \$* in *"-f "*) exec '$bindir/psql' "\$@" >/dev/full;; esac\nexec '$bindir/psql' "\$@"}) . ":$ENV{PATH}";
	runs_like(['up'], 1, $nothing, qr/No space left on device\nfailed, nothing was changed\n$/, 'up without space for results');
	is(query(q{SELECT to_regclass('a') IS NULL}), 't', '... and nothing was changed');
}

# The connection goes while COMMIT is under way: here it has been done already,
# but waits for a standby that there is not.
foreach my $how ('lost', 'INT', 'TERM twice')
{
	fresh_work();
	fresh_database('unknown');
	put('migrations/001_a.sql', "CREATE TABLE a ();\n");
	query(q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
	$node->reload;
	$node->poll_query_until('postgres', q{SELECT current_setting('synchronous_standby_names') = 'nobody'}) or die;
	my ($out, $err) = ('', '');
	my $run = start_command(\$out, \$err, 'up');
	my $waits = q{FROM pg_stat_activity WHERE datname = 'unknown' AND wait_event = 'SyncRep'};
	$node->poll_query_until('postgres', "SELECT count(*) = 1 $waits") or die 'COMMIT does not wait';
	if ($how eq 'lost') { $node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) $waits") }
	elsif ($how eq 'INT') { $run->signal('INT') }
	else
	{
		# what answers neither: a server that is stopped
		my $pid = $node->safe_psql('postgres', "SELECT pid $waits");
		kill STOP => $pid;
		$run->signal('TERM');
		sleep 2;
		$run->signal('TERM');
		$run->finish;
		kill CONT => $pid;
	}
	$run->finish if $how ne 'TERM twice';
	my $code = $? >> 8;
	query(q{ALTER SYSTEM RESET synchronous_standby_names});
	$node->reload;
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'unknown'}) or die;
	is(query(q{SELECT to_regclass('a') IS NOT NULL}), 't', "$how during COMMIT: it was done");
	if ($how eq 'INT')
	{
		is($code, 0, '... which is a success');
		like($out, qr/^applied 001 a\n1 migration applied/, '... and says so');
		like($err, qr/canceling wait for synchronous replication/, '... with what the server says');
		next;
	}
	is($code, $how eq 'lost' ? 1 : 143, '... exit code') or diag $err;
	like($err, qr/while COMMIT was under way: it is not known whether that was done\nhint: dbmigrate status\n$/, '... does not say that nothing was changed');
	unlike($err, qr/nothing was changed|rolled back/, '... at all');
	like($out, qr/^applied 001 a\n(failed|interrupted): it is not known whether the above stays\n$/, '... nor on stdout');
}

# A signal while psql does not run: what became of the run is said all the same.
# A program that the command calls then waits until the signal was sent.
sub signalled_in
{
	my ($program, $when, @arguments) = @_;
	my ($true_one) = in_path($program);
	my ($out, $err) = ('', '');
	unlink "$folder/reached", "$folder/go";
	local $ENV{PATH} = planted_program($program, <<"EOF") . ":$ENV{PATH}";
if $when; then : >'$folder/reached'; until [ -e '$folder/go' ]; do sleep 0.1; done; fi
exec '$true_one/$program' "\$@"
EOF
	my $run = start_command(\$out, \$err, @arguments);
	until (-e "$folder/reached") { $run->pump_nb; die "$program was not called: $err" unless $run->pumpable; }
	$run->signal('INT');
	append_to_file("$folder/go", '');
	$run->finish;
	return ($? >> 8, $out, $err);
}

sub has { return qq{case "\$*" in *'$_[0]'*) ;; *) false ;; esac}; }

foreach (shells())
{
	$shell = $_;
	fresh_work();
	fresh_database('signalled');
	put('migrations/001_a.sql', up_down('CREATE TABLE a ();', 'DROP TABLE a;'));
	my $there = q{SELECT to_regclass('a') IS NOT NULL};

	my ($code, $out, $err) = signalled_in('psql', has('-w -A'), 'up');
	is($code, 130, "$shell: INT while it connects: exit code");
	like($err, qr/^interrupted, nothing was done\n\z/, '... says that nothing was done');

	($code, $out, $err) = signalled_in('awk', has('pg_catalog.jsonb'), 'up');
	is($code, 130, "$shell: INT while files are read: exit code");
	like($err, qr/^interrupted, nothing was done\n\z/m, '... says that nothing was done');
	is(query($there), 'f', '... which is true');

	($code, $out, $err) = signalled_in('awk', has('tag=count'), 'status');
	is($code, 130, "$shell: INT in status: exit code");
	like($err, qr/^interrupted\n\z/m, '... says so');

	($code, $out, $err) = signalled_in('awk', has('tag=ran'), 'up');
	is($code, 0, "$shell: INT after COMMIT: a success");
	like($err, qr/^note: interrupted; the run was committed before that\n\z/m, '... says so');
	unlike($out, qr/stays/, '... and nothing else on stdout');
	is(query($there), 't', '... which is true');

	# psql is lost, and COMMIT's answer with it
	{
		local $ENV{PATH} = planted_program('psql', <<"EOF") . ":$ENV{PATH}";
'$bindir/psql' "\$@" || exit
for i do case \$i in work=*) ! [ -e "\${i#*=}/committing" ] || { : >"\${i#*=}/committing"; exit 2; } ;; esac; done
EOF
		($code, $out, $err) = signalled_in('awk', "[ -e '$tmp'/dbmigrate.*/committing ] && " . has('{ print harmless('), 'down');
	}
	is($code, 130, "$shell: INT where COMMIT was not answered: exit code");
	like($err, qr/^interrupted while COMMIT was under way: it is not known whether that was done\nhint: dbmigrate status\n/m, '... says that it is not known');
	unlike($out . $err, qr/nothing|rolled back$|none of/m, '... and nothing else');

	# init has a directory to make after it
	fresh_database('signalled', 0);
	remove_tree("$work/migrations");
	($code, $out, $err) = signalled_in('mkdir', has('migrations'), 'init');
	is($code, 130, "$shell: INT in init after COMMIT: exit code");
	like($err, qr/^note: interrupted; the run was committed before that\n\z/m, '... says what was done');
	is((glob "$tmp/*")[0], undef, '... and leaves no temporary files');
}
$shell = 'sh';

# Lost before COMMIT: nothing was changed
{
	fresh_work();
	fresh_database('lost');
	put('migrations/001_a.sql', "CREATE TABLE a ();\n");
	put('migrations/002_b.sql', "SELECT pg_terminate_backend(pg_backend_pid());\n");
	runs_like(['up'], 1, qr/^applied 001 a\nfailed: none of the above stays\n$/, qr/\nfailed, nothing was changed\n$/, 'up whose connection is lost');
	is(query(q{SELECT to_regclass('a') IS NULL}), 't', '... and nothing was changed');
}

# Commands that only look have nothing to change
{
	fresh_work();
	fresh_database('looking');
	query('REVOKE ALL ON FUNCTION migrate.version FROM PUBLIC');
	local $ENV{PGUSER} = 'deployer';
	runs_like([ '--registered', $_ ], 1, $nothing, qr/^ERROR:  permission denied for schema migrate\n(LINE.*\n.*\n)?failed\n$/, "$_ without rights")
	  foreach qw(version pending status);
}

# A live line comes when the migration is done, not when all are
{
	fresh_work();
	fresh_database('live');
	put('migrations/001_a.sql', "SELECT 1;\n");
	put('migrations/002_b.sql', "SELECT pg_sleep(300);\n");
	my ($out, $err) = ('', '');
	my $run = start_command(\$out, \$err, 'up');
	$run->pump until $out =~ /^applied 001 a\n/;
	pass('the first is shown while the second runs');
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = 'live'});
	$run->finish;
	like($out, qr/^applied 001 a\nfailed: none of the above stays\n$/, '... and taken back in the end');
}

$node->stop;
done_testing();
