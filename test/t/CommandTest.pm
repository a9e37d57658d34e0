# What the tests of the dbmigrate command share: a server, a work folder, and
# running the command there, with and without a terminal.

package CommandTest;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Path qw(make_path remove_tree);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw($command $folder $work $nothing start_server use_server start_command dbmigrate runs_like
  start_on_tty dbmigrate_on_tty fresh_work fresh_database put up_down query);

our ($command, $folder, $work);
our $nothing = qr/^$/;
my $node;

sub start_server
{
	my (%how) = @_;
	my $new = PostgreSQL::Test::Cluster->new('main');

	$new->init(extra => [ '--encoding=UTF8', '--locale=C' ], allows_streaming => $how{streaming} // 0);
	$new->append_conf('postgresql.conf', $how{conf} // '');
	$new->start;
	return use_server($new);
}

# A server that is there, and nothing else of the environment.
sub use_server
{
	($node) = @_;
	$folder = PostgreSQL::Test::Utils::tempdir();
	$work = "$folder/work";
	make_path($work);
	delete @ENV{ grep { /^(PG|DBMIGRATE_|DATABASE_URL|NO_COLOR|LC_|LANG)/ and $_ !~ /^(PG_|PGCTL)/ } keys %ENV };
	%ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, LC_ALL => 'C.UTF-8');
	$ENV{PATH} = $node->config_data('--bindir') . ":$ENV{PATH}";
	$command = $node->config_data('--bindir') . '/dbmigrate';
	$ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');
	return $node;
}

# The command in the work folder, without a terminal.
sub start_command
{
	my ($out, $err, @arguments) = @_;

	return IPC::Run::start([ $command, @arguments ], '<', \undef, '>', $out, '2>', $err,
		init => sub { chdir $work or die; $SIG{INT} = 'DEFAULT' }, IPC::Run::timeout(120));
}

sub exit_code { return $? & 127 ? 'signal ' . ($? & 127) : $? >> 8; }

# Exit code, stdout, stderr.
sub dbmigrate
{
	my @arguments = @_;
	my ($out, $err) = ('', '');

	start_command(\$out, \$err, @arguments)->finish;
	return (exit_code(), $out, $err);
}

# The same, compared; without the first line of stderr, that says where it works.
sub runs_like
{
	my ($arguments, $code, $out, $err, $name) = @_;
	my @got = dbmigrate(@$arguments);

	$name = "dbmigrate " . ($name // join ' ', @$arguments);
	$got[2] =~ s/^database \S+ as .* \(PostgreSQL \S+, environment .*\)\n//m;
	is($got[0], $code, "$name: exit code") or diag "stdout: $got[1]stderr: $got[2]";
	like($got[1], $out, "$name: stdout");
	like($got[2], $err, "$name: stderr");
	return @got;
}

# On a terminal, where stdout and stderr are one, and what is in $$in is typed.
sub start_on_tty
{
	my ($in, $out, @arguments) = @_;

	return IPC::Run::start([ $command, @arguments ], '<pty<', $in, '>pty>', $out,
		init => sub { chdir $work or die; $SIG{INT} = 'DEFAULT'; open STDERR, '>&', \*STDOUT }, IPC::Run::timeout(60));
}

sub dbmigrate_on_tty
{
	my ($typed, @arguments) = @_;
	my $out = '';

	start_on_tty(\$typed, \$out, @arguments)->finish;
	my $code = exit_code();
	$out =~ s/\r//g;
	return ($code, $out);
}

sub fresh_work
{
	remove_tree($work);
	make_path("$work/migrations");
	return;
}

sub fresh_database
{
	my ($database, $extension) = @_;

	$ENV{PGDATABASE} = $database;
	$node->safe_psql('postgres', qq{DROP DATABASE IF EXISTS "$database"});
	$node->safe_psql('postgres', qq{CREATE DATABASE "$database"});
	$node->safe_psql($database, 'CREATE EXTENSION dbmigrate') if $extension // 1;
	return;
}

# A file of the work folder, byte for byte.
sub put
{
	my ($file, $content) = @_;
	my $path = "$work/$file";

	make_path($path =~ s{/[^/]*$}{}r);
	open my $handle, '>:raw', $path or die "$path: $!";
	print $handle $content;
	close $handle or die;
	return;
}

sub up_down
{
	my ($up, $down) = @_;
	return "-- Up Migration\n$up\n-- Down Migration\n$down\n";
}

sub query
{
	my ($sql) = @_;
	return scalar $node->safe_psql($ENV{PGDATABASE}, $sql);
}

1;
