# What the dbmigrate command says about the outcome is true: "nothing was
# changed" only where nothing was, also if COMMIT fails, succeeds without us
# being told, or something fails after it.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CommandTest;
use IO::Socket::UNIX;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server(streaming => 1);

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
	runs_like([ '--registered', 'up', '--single-transaction' ], 0, qr/^applied 1 x\n1 migration applied in \d+\.\d\d s\n$/, $nothing, 'up without the right to ask for the version');
	is($node->safe_psql('grants', q{SELECT to_regclass('really_there')}), 'really_there', '... and it is there');
	runs_like([ '--registered', 'up', '--single-transaction' ], 0, qr/^nothing to apply\n$/, $nothing, 'up with nothing to do without that right');
	runs_like(['redo'], 0, qr/^rolled back 1 x\napplied 1 x\n1 migration done again in \S+ s\n$/, $nothing, 'redo without that right');
	runs_like([ 'down', '--single-transaction' ], 0, qr/^rolled back 1 x\n1 migration rolled back in \S+ s\n$/, $nothing, 'down without that right');

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
	runs_like([ 'up', '--single-transaction' ], 1, $nothing, qr/^ERROR:  division by zero\n.*\nfailed, nothing was changed\n$/s, 'up in one transaction that fails late');
	runs_like([ '-q', 'up', '--single-transaction' ], 1, $nothing, qr/^ERROR: .*\nfailed, nothing was changed\n$/s);
	runs_like(['up'], 1, qr/^applied 001 m1\napplied 002 m2\napplied 003 m3\nfailed: the above stays\n$/,
		qr/^ERROR:  division by zero\n.*\nfailed: 3 migrations are applied\n$/s, 'up that fails late');
	query('DROP TABLE m2');
	runs_like([ 'down', '--single-transaction', '3' ], 1, $nothing, qr/\nfailed, nothing was changed\n$/, 'down in one transaction that fails late');
	runs_like([ 'down', '3' ], 1, qr/^rolled back 003 m3\nfailed: the above stays\n$/, qr/\nfailed: 1 migration is rolled back\n$/, 'down that fails late');
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
	my ($code, $out, $err) = runs_like([ 'up', '--single-transaction' ], 1, $nothing,
		qr/^(?:WARNING:.*\nHINT:.*\n)?ERROR:  not today\n.*\nfailed, nothing was changed\n$/s, 'up in one transaction whose COMMIT fails');
	is(query(q{SELECT to_regclass('a') IS NULL}), 't', '... and nothing was changed');
	runs_like(['up'], 1, $nothing, qr/ERROR:  not today\n.*\nfailed, nothing was changed\n$/s, 'up whose COMMIT fails');
	is(query(q{SELECT to_regclass('a') IS NULL}), 't', '... which is true');
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
	my $run = start_command(\$out, \$err, 'up', '--single-transaction');
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
	is($out, '', '... nor on stdout');
}

# What stands between the command and the server, and cuts the connection at a word
# of the client's: before it is forwarded, or when it was answered.
{
	my $proxy = fork() // die;
	my $socket = "$folder/.s.PGSQL.9999";
	my $listener = IO::Socket::UNIX->new(Local => $socket, Listen => 5) or die "$socket: $!" if $proxy == 0;
	if ($proxy == 0)
	{
		while (my $client = $listener->accept)
		{
			next if fork;
			my $server = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port) or die;
			my ($cut) = -e "$folder/cut" ? split /\n/, slurp_file("$folder/cut") : ();
			my $answers = $cut && $cut =~ s/^after //;
			my $seen = 0;
			while (1)
			{
				my $ready = '';
				vec($ready, fileno $_, 1) = 1 foreach $client, $server;
				select $ready, undef, undef, undef;
				if (vec $ready, fileno $client, 1)
				{
					sysread $client, my $data, 65536 or POSIX::_exit(0);
					$seen = 1 if $cut && index($data, $cut) >= 0;
					POSIX::_exit(0) if $seen && !$answers;
					syswrite $server, $data;
				}
				if (vec $ready, fileno $server, 1)
				{
					sysread $server, my $data, 65536 or POSIX::_exit(0);
					POSIX::_exit(0) if $seen;
					syswrite $client, $data;
				}
			}
		}
	}
	foreach (1 .. 100) { last if -e $socket; select undef, undef, undef, 0.1; }

	my $unknown = qr/failed while COMMIT was under way: it is not known whether that was done\nhint: dbmigrate status\n$/;
	my $of_next = qr/failed: the files are registered, nothing is applied, of what comes next it is not known\nhint: dbmigrate status\n$/;
	my $nothing_changed = qr/failed, nothing was changed\n$/;
	foreach my $case (
		[ 'COMMIT', ['up'], $unknown, 0 ], [ 'after COMMIT', ['up'], $unknown, 0 ],
		[ 'after COMMIT', [ 'up', '--single-transaction' ], $unknown, 1 ], [ 'COMMIT', [ 'up', '--single-transaction' ], $unknown, 0 ],
		[ 'add_files', ['up'], $nothing_changed, 0 ], [ 'migrate.apply', [ 'up', '--single-transaction' ], $nothing_changed, 0 ],
		[ 'CALL', ['up'], $of_next, 0 ], [ 'after CALL', ['up'], $of_next, 1 ])
	{
		my ($cut, $arguments, $says, $is_there) = @$case;
		my $name = "cut at $cut, @$arguments";

		fresh_work();
		fresh_database('cut');
		put('migrations/001_a.sql', "CREATE TABLE a ();\n");
		unlink "$folder/cut";

		# alone in its message
		append_to_file("$folder/cut", $cut =~ s/COMMIT/Q\0\0\0\x0bCOMMIT\0/r);
		local %ENV = (%ENV, PGHOST => $folder, PGPORT => 9999);
		my ($code, $out, $err) = dbmigrate(@$arguments);
		is($code, 1, "$name: exit code") or diag $err;
		like($err, $says, "$name: what is said");
		is($out, '', "$name: nothing on stdout");
		my $there = $node->poll_query_until('cut', 'SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()')
		  && $node->safe_psql('cut', q{SELECT to_regclass('a') IS NOT NULL});
		is($there, $is_there ? 't' : 'f', "$name: what is true");
	}
	kill TERM => $proxy;
	waitpid $proxy, 0;
}

# A signal while it connects, asks, or looks
{
	my $listener = IO::Socket::UNIX->new(Local => "$folder/.s.PGSQL.9998", Listen => 5) or die;
	fresh_work();
	put('migrations/001_a.sql', "CREATE TABLE a ();\n");
	foreach my $case ([ 'up', 'INT', 130, 'interrupted, nothing was done' ], [ 'up', 'TERM', 143, 'interrupted, nothing was done' ],
		[ 'status', 'HUP', 129, 'interrupted' ])
	{
		my ($command, $signal, $exit_code, $says) = @$case;
		my ($out, $err) = ('', '');

		local %ENV = (%ENV, PGHOST => $folder, PGPORT => 9998);
		my $run = start_command(\$out, \$err, $command);
		my $client = $listener->accept;
		$run->signal($signal);
		$run->finish;
		is($? >> 8, $exit_code, "$signal while $command connects: exit code");
		is($err, "$says\n", '... is what it says');
	}
}

# Lost before COMMIT: nothing was changed
{
	fresh_work();
	fresh_database('lost');
	put('migrations/001_a.sql', "CREATE TABLE a ();\n");
	put('migrations/002_b.sql', "SELECT pg_terminate_backend(pg_backend_pid());\n");
	runs_like([ 'up', '--single-transaction' ], 1, $nothing, qr/\nfailed, nothing was changed\n$/, 'up in one transaction whose connection is lost');
	is(query(q{SELECT to_regclass('a') IS NULL}), 't', '... and nothing was changed');
	runs_like(['up'], 1, qr/^applied 001 a\nfailed: the above stays\n$/,
		qr/\nfailed: 1 migration is applied, of what comes next it is not known\nhint: dbmigrate status\n$/, 'up whose connection is lost');
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

# A line comes when the migration is committed, not when all are; in one transaction all come after COMMIT
foreach my $arguments (['up'], [ 'up', '--single-transaction' ])
{
	my $is_one = @$arguments > 1;
	fresh_work();
	fresh_database('live');
	put('migrations/001_a.sql', "SELECT 1;\n");
	put('migrations/002_b.sql', "SELECT pg_sleep(300);\n");
	my ($out, $err) = ('', '');
	my $run = start_command(\$out, \$err, @$arguments);
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'live' AND wait_event = 'PgSleep'}) or die;
	$run->pump_nb;
	is($out, $is_one ? '' : "applied 001 a\n", "@$arguments: what is shown while the second runs");
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = 'live'});
	$run->finish;
	is($out, $is_one ? '' : "applied 001 a\nfailed: the above stays\n", "@$arguments: ... and in the end");
}

$node->stop;
done_testing();
