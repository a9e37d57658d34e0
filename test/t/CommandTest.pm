# What the tests of the dbmigrate command share: a server, a work folder, and
# running the command there without a terminal.

package CommandTest;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use Exporter 'import';
use File::Path qw(make_path remove_tree);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw($command $folder $work $tmp $shell shells start_server dbmigrate runs_like fresh_work fresh_database put up_down query planted_program);

our $command = abs_path('bin/dbmigrate');
our ($folder, $work, $tmp);
our $shell = 'sh';
my $node;

my %shells = (
	sh => ['sh'],
	dash => ['dash'],
	'busybox sh' => [ 'busybox', 'sh' ],
	'bash --posix' => [ 'bash', '--posix' ],
	mksh => ['mksh'],
	ksh => ['ksh'],
	'zsh --emulate sh' => [ 'zsh', '--emulate', 'sh' ]);

# The shells that are there.
sub shells
{
	my @there;
	foreach my $name (sort keys %shells)
	{
		push @there, $name if grep { -x "$_/$shells{$name}[0]" } split /:/, $ENV{PATH};
	}
	return @there;
}

sub start_server
{
	my (%how) = @_;

	$folder = PostgreSQL::Test::Utils::tempdir();
	$work = "$folder/work";
	$tmp = "$folder/tmp";
	mkdir $tmp;
	$node = PostgreSQL::Test::Cluster->new('main');
	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ], allows_streaming => $how{streaming} // 0);
	$node->append_conf('postgresql.conf', $how{conf} // '');
	$node->start;
	delete @ENV{ grep { /^(PG|DBMIGRATE_|DATABASE_URL|NO_COLOR|LC_|LANG)/ and $_ !~ /^(PG_|PGCTL)/ } keys %ENV };
	%ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, TMPDIR => $tmp, LC_ALL => 'C.UTF-8');
	$ENV{PATH} = $node->config_data('--bindir') . ":$ENV{PATH}";
	$ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');
	return $node;
}

# Exit code, stdout, stderr.
sub dbmigrate
{
	my @arguments = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ @{ $shells{$shell} }, $command, @arguments ],
		'<', \undef, '>', \$out, '2>', \$err, init => sub { chdir $work or die }, IPC::Run::timeout(120));
	my $code = $? & 127 ? 'signal ' . ($? & 127) : $? >> 8;
	return ($code, $out, $err);
}

# The same, compared; without the first line of stderr, that says where it works.
sub runs_like
{
	my ($arguments, $code, $out, $err, $name) = @_;
	my @got = dbmigrate(@$arguments);

	$name = "$shell: dbmigrate " . ($name // join ' ', @$arguments);
	$got[2] =~ s/^database \S+ as .* \(PostgreSQL \S+, environment .*\)\n//m;
	is($got[0], $code, "$name: exit code") or diag "stdout: $got[1]stderr: $got[2]";
	like($got[1], $out, "$name: stdout");
	like($got[2], $err, "$name: stderr");
	return @got;
}

sub fresh_work
{
	remove_tree($work);
	make_path("$work/migrations");
	return;
}

sub fresh_database
{
	my ($database) = @_;
	$ENV{PGDATABASE} = $database;
	$node->safe_psql('postgres', qq{DROP DATABASE IF EXISTS "$database"});
	$node->safe_psql('postgres', qq{CREATE DATABASE "$database"});
	$node->safe_psql($database, 'CREATE EXTENSION dbmigrate');
	return;
}

# A file of the work folder, byte for byte.
sub put
{
	my ($file, $content) = @_;

	open my $handle, '>:raw', "$work/$file" or die "$work/$file: $!";
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

# A folder for PATH with a program in it that is not the true one.
sub planted_program
{
	my ($name, $script) = @_;
	my $path = "$folder/planted." . int(rand 1e9);

	make_path($path);
	append_to_file("$path/$name", "#!/bin/sh\n$script\n");
	chmod 0755, "$path/$name";
	return $path;
}

1;
