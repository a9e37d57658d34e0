# Server and client encodings, collations: non-ASCII scripts and COPY data
# arrive as they were written, and neither checksums nor the order of versions
# depend on the database.

use strict;
use warnings;

use Digest::SHA qw(sha256 sha256_hex);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;

# psql's input below is bytes, in the client's encoding.
my %e_acute = (UTF8 => "\xc3\xa9", LATIN1 => "\xe9", SQL_ASCII => "\xc3\xa9");
my %e_acute_upper = (UTF8 => "\xc3\x89", LATIN1 => "\xc9", SQL_ASCII => "\xc3\x89");
my $snowman = "\xe2\x98\x83";

sub run_as_client
{
	my ($database, $client_encoding, $sql) = @_;
	my ($rc, $stdout, $stderr) = $node->psql($database, "SET client_encoding = '$client_encoding';\n$sql",
		on_error_stop => 1);
	diag($stderr) if $rc;
	return ($stdout, $stderr);
}

foreach my $encoding ('UTF8', 'LATIN1', 'SQL_ASCII')
{
	my $database = lc $encoding;
	$node->safe_psql('postgres', "CREATE DATABASE $database ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$node->safe_psql($database, 'CREATE EXTENSION dbmigrate');
}

#
# Scripts and their data
#

sub script
{
	my ($table, $e) = @_;
	return <<"SQL";
CREATE TABLE $table (how text, v text);
INSERT INTO $table VALUES ('literal', '$e');
INSERT INTO $table VALUES ('dollar', \$$e\$$e\$$e\$); -- $e
COPY $table FROM stdin;
copy	$e
\\.
COPY $table FROM stdin WITH (FORMAT csv, ENCODING 'LATIN1');
copy latin1,"$e"
\\.
COPY $table FROM stdin (ENCODING 'UTF8');
copy utf8	$e
\\.
COPY $table FROM stdin (ENCODING 'SQL_ASCII');
copy sql_ascii	$e
\\.
SET client_encoding = 'LATIN1';
INSERT INTO $table VALUES ('set latin1, literal', '$e');
COPY $table FROM stdin;
set latin1, copy	$e
\\.
COPY $table (how, v) FROM stdin (ENCODING 'UTF8');
set latin1, copy utf8	$e
\\.
SET client_encoding = 'UTF8';
INSERT INTO $table VALUES ('set utf8, literal', '$e');
COPY $table FROM stdin;
set utf8, copy	$e
\\.
SELECT set_config('client_encoding', 'SQL_ASCII', false);
COPY $table FROM stdin;
set sql_ascii, copy	$e
\\.
ALTER TABLE $table ADD "$e" int;
COMMENT ON TABLE $table IS '$e'
SQL
}
my @all_of_it = sort('copy', 'copy latin1', 'copy sql_ascii', 'copy utf8', 'dollar',
	'literal', 'set latin1, copy', 'set latin1, copy utf8', 'set latin1, literal', 'set sql_ascii, copy',
	'set utf8, copy', 'set utf8, literal');

my $version = 0;
foreach my $pair (
	[ 'utf8', 'UTF8' ],
	[ 'utf8', 'LATIN1' ],
	[ 'latin1', 'UTF8' ],
	[ 'latin1', 'LATIN1' ],
	[ 'sql_ascii', 'SQL_ASCII' ],
	[ 'sql_ascii', 'UTF8' ],
	[ 'sql_ascii', 'SQL_ASCII', "\xe9" ])
{
	# A database without an encoding keeps any bytes.
	my ($database, $client, $e) = @$pair;
	$e = $e_acute{$client} unless defined $e;
	my ($as, $stored) = $database eq 'sql_ascii' ? ('SQL_ASCII', unpack('H*', $e)) : ('UTF8', 'c3a9');
	my $table = 't' . ++$version;
	my $script = script($table, $e);
	my $how = "database $database, client $client, " . unpack('H*', $e);
	$script =~ s/'/''/g;

	my ($stdout, $stderr) = run_as_client($database, $client, <<"SQL");
SELECT migrate.add('$version', 'name $e', '$script', 'DROP TABLE $table -- $e');
SELECT name FROM migrate.apply();
SHOW client_encoding;
SQL
	is($stdout, "added\nname $e\n$client", "$how: applied, and the client's encoding is what it was");
	like($stderr, qr/applied migration $version "name \Q$e\E"/, "$how: the notice reaches the client right");

	is($node->safe_psql($database, "SELECT how, encode(convert_to(v, '$as'), 'hex') FROM $table ORDER BY how"),
		join("\n", map { "$_|$stored" } @all_of_it), "$how: literals and inline data arrive");
	is($node->safe_psql($database, "SELECT encode(convert_to(attname, '$as'), 'hex'), encode(convert_to(obj_description(attrelid), '$as'), 'hex')
		  FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum = 3"),
		"$stored|$stored", "$how: identifiers and comments arrive");
	is($node->safe_psql($database, "SELECT encode(convert_to(substr(name, 6), '$as'), 'hex') FROM migrate.history WHERE version = '$version'"),
		$stored, "$how: names are right in the history");

	($stdout) = run_as_client($database, $client, "SELECT migrate.add('$version', 'name $e', '$script', 'DROP TABLE $table -- $e')");
	is($stdout, 'unchanged', "$how: registering it again changes nothing");
}

# Registered by a client of one encoding, run by one of another, which could not even show the text.
run_as_client('utf8', 'UTF8', <<"SQL");
SELECT migrate.add('50', 'snowman', 'CREATE TABLE snow (v text);
COPY snow FROM stdin;
$snowman
\\.
COPY snow FROM stdin (ENCODING ''LATIN1'');
$snowman
\\.
INSERT INTO snow VALUES (''$snowman'')');
SQL
my ($stdout) = run_as_client('utf8', 'LATIN1', 'SELECT action FROM migrate.apply(); SHOW client_encoding');
is($stdout, "apply\nLATIN1", 'a client that cannot show a script can run it');
is($node->safe_psql('utf8', q{SELECT string_agg(encode(convert_to(v, 'UTF8'), 'hex'), ' ') FROM snow}),
	'e29883 e29883 e29883', '... and its data arrive');

is(scalar $node->psql('utf8', "SELECT migrate.add('60', 'invalid', 'SELECT ''\xe9''')"), 3,
	'bytes that are not text are refused');

#
# Checksums
#

my %clients = (utf8 => [ 'UTF8', 'LATIN1' ], latin1 => [ 'UTF8', 'LATIN1' ], sql_ascii => ['SQL_ASCII']);
my %checksums;
foreach my $database (sort keys %clients)
{
	foreach my $client (@{ $clients{$database} })
	{
		my $e = $e_acute{$client};
		my $upper = $e_acute_upper{$client};
		my $new = 100 + ++$version;
		run_as_client($database, $client, <<"SQL");
SELECT migrate.add('$new', 'ascii', 'CREATE TABLE c (v text); SELECT ''x'' -- comment');
SELECT migrate.add('$new.1', 'not ascii', 'SELECT ''$e'' AS "$e" -- $e', 'SELECT ''$e''');
SELECT migrate.add('$new.1.1', 'word', 'Select A$upper');
SELECT migrate.add('$new.1.2', 'other case', 'SELECT a$upper');
SELECT migrate.add('$new.1.3', 'other case of more than ASCII', 'SELECT A$e');
SELECT migrate.add('$new.2', 'data', 'COPY c FROM stdin;
$e
\\.
');
SQL
		$checksums{"$database by $client"} =
		  $node->safe_psql($database, "SELECT name, encode(checksum, 'hex') FROM migrate.migration
			   WHERE version ~ '^$new' ORDER BY version_key");
	}
}
foreach my $how (sort keys %checksums)
{
	is($checksums{$how}, $checksums{'utf8 by UTF8'}, "checksums in $how");
}
my $sum = qr/\w{64}/;
like($checksums{'utf8 by UTF8'},
	qr/^ascii\|$sum\nnot ascii\|$sum\nword\|($sum)\nother case\|\1\nother case of more than ASCII\|(?!\1)$sum\ndata\|$sum$/,
	'there are six, and only the case of ASCII letters does not count');

# A database may change its encoding by a dump: nothing has changed then.
my $dump = PostgreSQL::Test::Utils::tempdir() . '/latin1.sql';
system_or_bail('pg_dump', "--file=$dump", '-d', $node->connstr('latin1'));
$node->safe_psql('postgres', q{CREATE DATABASE converted ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0});
system_or_bail('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump, '-d', $node->connstr('converted'));
is($node->safe_psql('converted', 'SELECT version, state FROM migrate.status()'),
	$node->safe_psql('latin1', 'SELECT version, state FROM migrate.status()'),
	'a LATIN1 dump restored as UTF8: the same states');

#
# Order
#

my @versions = ('1', '1.2', '1_3', '1.10', '2', '003', '9', '10', '11', '100', '20231106120000', '20231106120000123');
my $in_order = join(' ', @versions);
my @collations = ([ 'posix', q{LOCALE 'C'} ]);
SKIP:
{
	skip 'no ICU', 0 unless $node->safe_psql('postgres', q{SELECT count(*) > 0 FROM pg_collation WHERE collprovider = 'i'}) eq 't';
	push @collations, [ 'icu_english', q{LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'} ],
	  [ 'icu_digits', q{LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en-u-kn-true-kf-upper'} ];
}
foreach my $collation (@collations)
{
	my ($database, $options) = @$collation;

	$node->safe_psql('postgres', "CREATE DATABASE $database ENCODING 'UTF8' $options TEMPLATE template0");
	$node->safe_psql($database, 'CREATE EXTENSION dbmigrate; CREATE SCHEMA "a"; CREATE SCHEMA "B"; CREATE SCHEMA "A"');
	$node->safe_psql($database, "SELECT migrate.add('$_', 'm', 'CREATE TABLE t_$_ ()', 'DROP TABLE t_$_')")
	  for reverse grep { !/\./ } @versions;
	$node->safe_psql($database, "SELECT migrate.add('$_', 'm', 'SELECT 1', '')") for grep { /\./ } @versions;

	is($node->safe_psql($database, q{SELECT string_agg(version, ' ') FROM migrate.status()}),
		$in_order, "$database: the status is in the order of the versions");
	is($node->safe_psql($database, q{SELECT string_agg(version, ' ') FROM migrate.pending()}),
		$in_order, "$database: so are the pending ones");
	is($node->safe_psql($database, q{SELECT migrate.status_json() #>> '{status,pendingMigrations}'}),
		'[' . join(', ', map { "\"${_}_m\"" } @versions) . ']', "$database: and in the JSON document");
	is($node->safe_psql($database, q{SELECT string_agg(version, ' ') FROM migrate.apply_to('9')}),
		'1 1.2 1_3 1.10 2 003 9', "$database: applied up to a version");
	is($node->safe_psql($database, 'SELECT migrate.version()'), '9', "$database: the newest");
	is($node->safe_psql($database, q{SELECT string_agg(version, ' ') FROM migrate.apply()}),
		'10 11 100 20231106120000 20231106120000123', "$database: the others applied");
	is($node->safe_psql($database, 'SELECT migrate.version()'), $versions[-1], "$database: the newest of all");
	is($node->safe_psql($database, q{SELECT string_agg(version, ' ') FROM migrate.rollback_to('1.2')}),
		join(' ', reverse @versions[ 2 .. $#versions ]), "$database: rolled back");
	is($node->safe_psql($database, q{SELECT string_agg(version, ' ') FROM migrate.apply(2, schema => 'a')}),
		'1 1.2', "$database: a target schema");
	is($node->safe_psql($database, q{SELECT coalesce(migrate.version('A'), '-'), migrate.version('a'), coalesce(migrate.version('B'), '-')}),
		'-|1.2|-', "$database: names that differ in case are different schemas");
}

#
# Known files: hashes and their order are those of the bytes in UTF-8
#

my %files = ("1_z.sql" => 'SELECT 1', "2_$e_acute{UTF8}.sql" => "SELECT '$e_acute{UTF8}'", 'README' => undef);
my $digest = sha256_hex(join '', map { "$_\0" . (defined $files{$_} ? sha256($files{$_}) : "\0" x 32) } sort keys %files);
my $json = join ', ', map { qq{"$_": } . (defined $files{$_} ? qq{"$files{$_}"} : 'null') } sort keys %files;
my $hashed = join ', ', map { qq{"$_": } . (defined $files{$_} ? qq[{"sha256": "] . sha256_hex($files{$_}) . '"}' : 'null') } sort keys %files;
$_ =~ s/'/''/g foreach $json, $hashed;
foreach my $encoding ('UTF8', 'LATIN1', 'SQL_ASCII')
{
	my $client = $encoding eq 'SQL_ASCII' ? 'SQL_ASCII' : 'UTF8';
	my ($stdout) = run_as_client(lc $encoding, $client, qq{
		SELECT count(*) FROM migrate.add_files('{$json}', project => 'known');
		SELECT encode(migrate.files_digest('auto', 'known'), 'hex');
		SELECT string_agg(result, ' ') FROM migrate.add_files('{$hashed}', project => 'known')});
	is($stdout, "3\n$digest\nunchanged unchanged left out", "known files in $encoding");
}

$node->stop;
done_testing();
