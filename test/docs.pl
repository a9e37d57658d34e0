#!/usr/bin/env perl
#
# test/docs.pl [GUIDE ...]
#
# Runs what README, the guides and the examples' READMEs show, and compares
# what they print.  The line before a block says what it is:
#
#   <!-- run -->            SQL, run by psql
#   <!-- output -->         what the block before it prints
#   <!-- session -->        "$ command" and "db=# SQL", each with what it prints
#   <!-- shell -->          a script for the shell
#   <!-- file: NAME -->     the contents of a file, of which there may be a pattern
#   <!-- not run: why -->   and nothing else is done with it
#
# <!-- before ... --> holds shell commands that nobody is shown; they are run
# where they stand.  A block without any of these is an error.  Each guide has
# a folder and a database, docs_check, of its own; what databases and roles it
# makes are dropped after it.  Also: each file and heading that is linked to
# exists.
#
# In what is compared "…" stands for anything, alone in a line for any lines;
# times, durations, fresh versions and the width of columns do not count, nor
# the line in which the command says where it works.

use strict;
use warnings FATAL => 'all';
use utf8;

use CPAN::Meta::YAML;
use Cwd qw(getcwd);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use IPC::Open3;

binmode STDOUT, ':encoding(UTF-8)';
chdir dirname($0) . '/..' or die;
my $top = getcwd();
my ($passed, $failed) = (0, 0);

sub ok
{
	my ($good, $name, $why) = @_;

	$good ? $passed++ : $failed++;
	print "not ok - $name\n", map { "    $_\n" } split /\n/, $why // '' unless $good;
	return $good;
}

sub read_lines
{
	my ($file) = @_;

	open my $handle, '<:encoding(UTF-8)', $file or die "$file: $!";
	chomp(my @lines = <$handle>);
	return @lines;
}

# The blocks of a guide: kind, argument, line, lines.
sub blocks
{
	my ($guide) = @_;
	my (@blocks, $block, @mark, $before);
	my $number = 0;

	foreach my $line (read_lines($guide))
	{
		$number++;
		if ($before)
		{
			if ($line =~ /^\s*-->$/) { push @blocks, $before; undef $before; }
			else { push @{ $before->{lines} }, $line; }
		}
		elsif ($block)
		{
			if ($line =~ /^\s*```$/) { push @blocks, $block; undef $block; }
			else { push @{ $block->{lines} }, $line =~ s/^$block->{indent}//r; }
		}
		elsif ($line =~ /^(\s*)```(\w*)$/)
		{
			$block = { kind => $mark[0] // '', argument => $mark[1], language => $2, indent => $1, line => $number, lines => [] };
			@mark = ();
		}
		elsif ($line =~ /^\s*<!-- before$/) { $before = { kind => 'before', line => $number, lines => [] }; }
		elsif ($line =~ /^\s*<!-- (run|output|session|shell|file|not run)(?:: (.*\S))? -->$/) { @mark = ($1, $2); }
		elsif ($line =~ /\S/) { @mark = (); }
	}
	return @blocks;
}

# For what comes before.  The server has its own socket; who names a host means that.
my $helpers = <<'EOF';
export NO_COLOR=1
dbmigrate() { DATABASE_URL=$(printf '%s' "${DATABASE_URL:-}" | sed 's#@[^/]*/#@/#') command dbmigrate "$@"; }
fresh() {
    export PGDATABASE=$1
    rm -rf migrations
    dropdb --if-exists --force "$1" 2>/dev/null && createdb "$1" && psql -X -q -c 'CREATE EXTENSION dbmigrate'
}
sql() { psql -X -q -v ON_ERROR_STOP=1 -c "$1"; }
migration() { mkdir -p "$(dirname "$1")" && printf -- '-- Up Migration\n%s\n-- Down Migration\n%s\n' "$2" "$3" >"$1"; }
EOF

# A shell that goes on: what is exported, and where it is, stays.
sub start_shell
{
	my ($folder) = @_;
	my $pid = open3(my $to, my $from, undef, 'bash', '--norc');

	binmode $_, ':encoding(UTF-8)' foreach $to, $from;
	$to->autoflush(1);
	my $shell = { pid => $pid, to => $to, from => $from };
	shell($shell, "cd '$folder'\n$helpers");
	return $shell;
}

# What a command prints, both ways, and its exit code.
sub shell
{
	my ($shell, $command) = @_;
	my $end = 'end-of-' . int rand 1e9;
	my $printed = '';

	print { $shell->{to} } "{ $command\n} </dev/null 2>&1; echo \"\n$end \$?\"\n";
	while (defined(my $line = readline $shell->{from}))
	{
		if ($line =~ /^\Q$end\E (\d+)$/)
		{
			my $code = $1;
			return ($printed =~ s/\n\z//r, $code);
		}
		$printed .= $line;
	}
	die "the shell has ended: $printed";
}

sub write_file
{
	my ($file, @lines) = @_;

	make_path(dirname($file));
	open my $handle, '>:encoding(UTF-8)', $file or die "$file: $!";
	print $handle map { "$_\n" } @lines;
	close $handle or die;
	return;
}

# How psql is called for what a guide shows: no settings but its own.
my $psql = 'psql -X -q -v ON_ERROR_STOP=0 -P footer=off -P pager=off';

# What is compared of a line.
sub normal
{
	my ($line) = @_;

	for ($line)
	{
		s/\d\d\d\d-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?(\+\d\d)?/<time>/g;
		s/\d\d:\d\d:\d\d(\.\d+)/<duration>/g;
		s/(?<!\d)20\d{12}(?!\d)/<version>/g;
		s/\bin \d+\.\d\d s/in <seconds> s/g;
		s/^✓ /applied /;
		s/✗ //g;
		s/\| *$//;
		s/-{2,}/-/g;
		s/ *([|+]) */$1/g;
		s/\s+/ /g;
		s/^ | $//g;
	}
	return $line;
}

# Is it what is printed?  Empty lines do not count.
sub same
{
	my ($shown, $printed) = @_;
	my @shown = grep { $_ ne '' } map { normal($_) } @$shown;
	my @printed = grep { $_ ne '' and not /^database \S+ as .* \(PostgreSQL/ } map { normal($_) } split /\n/, $printed;
	my $pattern = join '', map { $_ eq '…' ? '(?:.*\n)*?' : join('.*', map { quotemeta } split /…/, $_, -1) . '\n' }
	  grep { not /^database \S+ as .* \(PostgreSQL/ } @shown;
	my $text = join '', map { "$_\n" } @printed;

	return scalar($text =~ /\A$pattern\z/);
}

# "$ command" or "db=# SQL" with what follows it: pairs of commands and output.
sub steps
{
	my ($block) = @_;
	my @steps;

	foreach my $line (@{ $block->{lines} })
	{
		if ($line =~ /^\$ (.*)/) { push @steps, { kind => 'shell', command => $1, shown => [] }; }
		elsif (@steps and $steps[-1]{kind} eq 'shell' and not @{ $steps[-1]{shown} } and $line =~ /^( {2,}\S.*|SQL|EOF|SELECT .*)$/
			and ($steps[-1]{command} =~ /[\\|]$|<<|; do$|do$/ or $steps[-1]{open})
			and not $steps[-1]{closed})
		{
			$steps[-1]{open} = 1;
			$steps[-1]{command} .= "\n$line";
			$steps[-1]{closed} = 1 if $line =~ /^(SQL|EOF)$|^\s*done$/;
		}
		elsif ($line =~ /^(\w+)=[#>] ?(.*)/) { push @steps, { kind => 'sql', database => $1, command => $2, shown => [] }; }
		elsif (@steps and $steps[-1]{kind} eq 'sql' and $line =~ /^\w+[-('"*\$]+[#>] ?(.*)/) { $steps[-1]{command} .= "\n$1"; }
		elsif (@steps) { push @{ $steps[-1]{shown} }, $line; }
	}
	return @steps;
}

sub run_block
{
	my ($guide, $shell, $folder, $block, $last) = @_;
	my $name = "$guide, line $block->{line}";

	if ($block->{kind} eq 'before')
	{
		my ($printed, $code) = shell($shell, join "\n", @{ $block->{lines} });
		ok($code == 0, "$name: what comes before", $printed);
	}
	elsif ($block->{kind} eq 'file')
	{
		my ($file) = shell($shell, "ls -d $block->{argument} 2>/dev/null | head -n 1");
		chomp $file;
		write_file("$folder/" . ($file ne '' ? $file : $block->{argument}), @{ $block->{lines} });
	}
	elsif ($block->{kind} eq 'run')
	{
		write_file("$folder/.block.sql", @{ $block->{lines} });
		my ($printed, $code) = shell($shell, "$psql -v ON_ERROR_STOP=" . ($block->{argument} // '' eq 'errors' ? 0 : 1) . " -f .block.sql");
		$printed =~ s/^psql:[^ ]*:\d+: //mg;
		ok($code == 0 || $printed =~ /^ERROR/m, "$name: runs", $printed);
		%$last = (printed => $printed);
	}
	elsif ($block->{kind} eq 'shell')
	{
		my ($printed, $code) = shell($shell, "( set -e\n" . join("\n", @{ $block->{lines} }) . "\n)");
		ok($code == 0, "$name: runs", $printed);
		%$last = (printed => $printed);
	}
	elsif ($block->{kind} eq 'output')
	{
		ok(same($block->{lines}, $last->{printed}), "$name: what is printed", $last->{printed});
	}
	elsif ($block->{kind} eq 'session')
	{
		foreach my $step (steps($block))
		{
			my ($printed, $code);
			if ($step->{kind} eq 'sql')
			{
				write_file("$folder/.block.sql", $step->{command});
				($printed) = shell($shell, "$psql -d $step->{database} -f .block.sql");
				$printed =~ s/^psql:[^ ]*:\d+: //mg;
			}
			else
			{
				my $command = $step->{command} =~ s/\s+# .*//r;
				($printed, $code) = shell($shell, $command);
			}
			ok(same($step->{shown}, $printed), "$name: $step->{command}", $printed) if @{ $step->{shown} } or ($code // 0) != 0;
		}
	}
	return;
}

# What there is in the server: the statements that would drop it.
sub inhabitants
{
	my $sql = q{SELECT format('DROP DATABASE %I WITH (FORCE)', datname) FROM pg_database
		UNION ALL SELECT format('DROP ROLE %I', rolname) FROM pg_roles};

	return split /\n/, `psql -X -A -t -d postgres -c "$sql"`;
}

sub drop_new
{
	my %known = map { $_ => 1 } @_;

	system 'psql', '-X', '-q', '-d', 'postgres', '-c', $_ foreach grep { not $known{$_} } inhabitants();
	return;
}

# As far as Perl's own reader knows it.
sub is_yaml
{
	my (@lines) = @_;

	return eval { scalar @{ CPAN::Meta::YAML->read_string(join '', map { "$_\n" } @lines) } };
}

sub run_guide
{
	my ($guide) = @_;
	my @blocks = blocks($guide);
	my %last;

	foreach (@blocks)
	{
		ok($_->{kind} ne '', "$guide, line $_->{line}: neither run nor marked why not");
		ok(($_->{argument} // '') ne '', "$guide, line $_->{line}: no reason") if $_->{kind} eq 'not run';
		ok(is_yaml(@{ $_->{lines} }), "$guide, line $_->{line}: is YAML", $@) if ($_->{language} // '') eq 'yaml';
	}
	return unless grep { $_->{kind} =~ /^(run|session|shell)$/ } @blocks;

	my $folder = tempdir('docs.XXXXXX', TMPDIR => 1, CLEANUP => 1);
	local %ENV = (%ENV, PATH => "$top/bin:$ENV{PATH}", TOP => $top, LC_ALL => 'C.UTF-8', TZ => 'UTC', PGTZ => 'UTC', GUIDE => "$top/$guide");
	my @before = inhabitants();
	delete @ENV{qw(DATABASE_URL DBMIGRATE_DIR DBMIGRATE_PROJECT NO_COLOR PGOPTIONS)};
	$ENV{PGDATABASE} = 'docs_check';
	system 'dropdb --if-exists docs_check 2>/dev/null; createdb docs_check && psql -X -q -c "CREATE EXTENSION dbmigrate"';
	my $shell = start_shell($folder);
	run_block($guide, $shell, $folder, $_, \%last) foreach @blocks;
	close $shell->{to};
	waitpid $shell->{pid}, 0;
	drop_new(@before);
	return;
}

# As the hosting sites make them: lower case, no punctuation, - for a space.
sub anchors
{
	my ($file) = @_;
	return map { my $heading = lc $_; $heading =~ s/[^a-z0-9 _-]//g; $heading =~ s/ /-/gr } map { /^#+ (.*)/ ? $1 : () } read_lines($file);
}

sub check_links
{
	my ($guide) = @_;
	my $text = join "\n", read_lines($guide);

	while ($text =~ /\]\(([^)]*)\)/g)
	{
		my $link = $1;
		next if $link =~ /^http/;
		my ($file, $heading) = split /#/, $link;
		my $target = $file ne '' ? dirname($guide) . "/$file" : $guide;

		ok(-e $target, "$guide: $link exists");
		ok(scalar(grep { $_ eq $heading } anchors($target)), "$guide: the heading of $link exists") if defined $heading and -e $target;
	}
	return;
}

# Those of compose with an anchor are more than Perl's own reader knows.
sub check_yaml
{
	my ($file) = @_;
	my @lines = read_lines($file);

	ok(is_yaml(@lines), "$file: is YAML", $@) unless grep { /: &\w/ } @lines;
	return;
}

my @guides = @ARGV ? @ARGV : ('README.md', 'CONTRIBUTING.md', glob('docs/*.md'), glob('examples/*.md'), glob('examples/*/README.md'));
foreach my $guide (@guides)
{
	run_guide($guide);
	check_links($guide);
}
check_yaml($_) foreach @ARGV ? () : glob 'examples/*/*.yaml';
print "$passed passed, $failed failed\n";
exit($failed != 0);
