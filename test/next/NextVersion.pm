# A made-up next version of the extension, built from this source and installed
# into a copy of the server's files.

package NextVersion;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Basename;
use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw($current $next copy_server install_next);

my $source = "$FindBin::RealBin/../..";

# The version of the source, and the one after it.
our ($current) = slurp_file("$source/dbmigrate.control") =~ /^default_version = '(.*)'/m;
our $next = $current =~ s/(\d+)$/$1 + 1/er;

sub config
{
	my ($what) = @_;

	chomp(my $value = `pg_config --$what`);
	return $value;
}

# The server's files in another folder, where it finds them by their places
# relative to each other.  Returns the path of the installation.
sub copy_server
{
	my $copy = PostgreSQL::Test::Utils::tempdir() . '/server';
	my $root = dirname(config('bindir'));

	$root = dirname($root) until index(config('sharedir'), "$root/") == 0 && index(config('pkglibdir'), "$root/") == 0;
	foreach my $dir (map { substr(config($_), length $root) } qw(bindir pkglibdir sharedir))
	{
		system_or_bail('mkdir', '-p', dirname("$copy$dir"));
		system_or_bail('cp', '-a', "$root$dir", "$copy$dir");
	}
	my $headers = config('includedir');    # and the server's below it
	my $link = $copy . substr($headers, length $root);

	system_or_bail('mkdir', '-p', dirname($link));
	symlink($headers, $link) or die "could not link $link: $!";

	my $installation = dirname($copy . substr(config('bindir'), length $root));

	# what is built is installed where this one says
	foreach my $what (qw(pkglibdir sharedir))
	{
		index(`$installation/bin/pg_config --$what`, "$copy/") == 0 or die "the copied server has its $what elsewhere";
	}
	return $installation;
}

# Build the next version and install it, as make install does: with new files,
# so that sessions keep the library that they have.  "state" is the definition
# of migrate.state(), which the update script repeats.
sub install_next
{
	my ($installation, $state) = @_;
	my $work = PostgreSQL::Test::Utils::tempdir();
	my $script = slurp_file("$FindBin::RealBin/../next/update.sql");

	$script =~ s/^\@STATE\@$/$state;/m or die 'the update script has no place for state()';

	system_or_bail('cp', '-R', (map { "$source/$_" } qw(Makefile dbmigrate.control client sql src)), $work);
	unlink glob "$work/src/*.o $work/src/*/*.o $work/src/*.bc $work/src/*/*.bc";
	system_or_bail('sed', '-i', "s/^default_version = .*/default_version = '$next'/", "$work/dbmigrate.control");
	append_to_file("$work/src/run/require.c", <<~C);

		PG_FUNCTION_INFO_V1(dbmigrate_require_next);

		/* SQL: migrate.require(version, schema, project) from $next on: not without a word */
		Datum
		dbmigrate_require_next(PG_FUNCTION_ARGS)
		{
			ereport(NOTICE, (errmsg("version $next looks")));
			return dbmigrate_require(fcinfo);
		}
		C
	append_to_file("$work/sql/dbmigrate--$current--$next.sql", $script);

	delete local @ENV{qw(MAKEFLAGS MAKELEVEL MAKEOVERRIDES)};
	local $ENV{PG_CONFIG} = "$installation/bin/pg_config";
	system_or_bail('make', '-s', '-C', $work, 'with_llvm=no', "PG_CONFIG=$ENV{PG_CONFIG}", 'all', 'install');
	return;
}

1;
