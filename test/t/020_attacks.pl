# Somebody who may create a schema and call our functions plants copies of all
# that our SQL could mean; then every function of ours is called, by him and by
# a superuser, in every state that reaches a statement of the owner's.  Nobody
# steps on a copy.  test/attack/plant.sql plants, test/attack/States.pm has
# the states; make attack plants more and knows more victims.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../attack";

use Attack;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use States;
use Test::More;

my $node = Attack::start_server();
my $sources = Attack::sources();
my $directory = PostgreSQL::Test::Utils::tempdir();

append_to_file("$directory/20_twenty.up.sql", 'SELECT 20');
append_to_file("$directory/20_twenty.down.sql", '');

# The functions that our SQL could mean: all whose name is a word there.
my %words = map { $_ => 1 } $sources =~ /\b([a-z_][a-z0-9_]*)\b/g;
my @functions = grep { $words{$_} } split /\n/,
  $node->safe_psql('attack', q{SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace});
cmp_ok(scalar @functions, '>', 60, 'functions that our SQL names are found');

# The copies

my @refused = Attack::plant($node, Attack::everything() ? () : @functions);
cmp_ok(scalar @refused, '<', 10, 'what could be planted is planted') or diag(join "\n", @refused);
is($node->safe_psql('attack', q{
		SELECT count(*) FROM pg_operator c
		 WHERE oprnamespace = 'pg_catalog'::regnamespace AND NOT EXISTS (
		     SELECT FROM pg_operator o WHERE o.oprnamespace = 'hostile'::regnamespace
		        AND (o.oprname, o.oprleft, o.oprright) = (c.oprname, c.oprleft, c.oprright))}),
	'0', 'every operator has a copy');
note($node->safe_psql('attack', q{
	SELECT count(*) || ' functions' FROM pg_proc WHERE pronamespace = 'hostile'::regnamespace
	UNION ALL SELECT count(*) || ' operators' FROM pg_operator WHERE oprnamespace = 'hostile'::regnamespace}));
Attack::hide_the_catalog($node);

# They do sing when somebody steps on them, also where it is rolled back.
my %careless = (
	q{SELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text} => 'operator = (text, text)',
	q{SELECT nullif(1, 2)} => 'operator = (integer, integer)',
	q{SELECT 1 IS DISTINCT FROM 2} => 'operator = (integer, integer)',
	q{SELECT 1 IN (2)} => 'operator = (integer, integer)',
	q{SELECT 'a'::pg_catalog.text LIKE 'b'} => 'operator ~~ (text, text)',
	q{SELECT CASE 1::bigint WHEN 2 THEN 3 END} => 'operator = (bigint, integer)',
	q{SELECT lower('X')} => 'lower(text)',
	q{SELECT max(x) FROM (VALUES ('x'::pg_catalog.text)) v(x)} => 'aggregate max(text)',
	q{SELECT count(*) FROM pg_catalog.pg_am} => 'aggregate count()',
	q{SELECT format('%s', 'x')} => 'format(text,"any")',
	q{SELECT '1'::int4} => 'type int4',
	q{SELECT oid FROM pg_class} => 'relation pg_class',
	q{BEGIN; SELECT version(); ROLLBACK} => 'version()');
delete $careless{q{BEGIN; SELECT version(); ROLLBACK}} unless grep { $_ eq 'version' } @functions;
foreach my $query (sort keys %careless)
{
	Attack::songs($node);
	Attack::run_psql($node, 'boss', $query);
	is(Attack::songs($node), "$careless{$query} sang for boss, session of boss", "sings: $query");
}

# The victims.  pg_temp is searched first for relations and types, and a call
# may be refused because of what is there.

my $temp = join "\n", map {
	"CREATE TEMP VIEW $_ AS SELECT 'x' AS id, 'x' AS name, 'x' AS version, 1 AS oid WHERE hostile.sing('pg_temp.$_');"
  } qw(migration applied history state schema_migrations file run activity pg_class pg_attribute pg_index pg_proc pg_type pg_namespace
  pg_depend pg_locks pg_stat_activity pg_roles pg_extension pg_constraint pg_cursors pg_prepared_xacts pg_statistic_ext);
$temp .= join "\n", map {
	"CREATE DOMAIN pg_temp.$_ AS pg_catalog.$_ CHECK (hostile.sing('pg_temp type $_'));"
} qw(text int4 int8 int2 numeric bytea name oid timestamptz interval regclass "char");
$temp .= 'SET search_path = pg_temp, hostile, pg_catalog;';

my @victims = (
	{ key => 'superuser', name => 'a superuser', role => 'boss' },
	{ key => 'attacker', name => 'the attacker', role => 'mallory' },
	{ key => 'attacker_temp', name => 'the attacker with pg_temp', role => 'mallory', before => $temp, any_outcome => 1 },
	{ key => 'superuser_temp', name => 'a superuser with pg_temp', role => 'boss', before => $temp, any_outcome => 1 });

my $holder = Attack::session($node);

# An empty database again.
my $clean = q{
	SET client_min_messages = error;
	ROLLBACK PREPARED 'holder';
	\set ON_ERROR_STOP on
	ALTER DATABASE attack RESET ALL;
	SELECT format('TRUNCATE %s', string_agg(oid::regclass::text, ', ')) FROM pg_class
	 WHERE relnamespace = 'migrate'::regnamespace AND relkind = 'r' \gexec
	DROP SCHEMA IF EXISTS play, tenant CASCADE;
	CREATE SCHEMA play;
	GRANT ALL ON SCHEMA play TO PUBLIC;
};

# What each call ended with.
sub outcomes
{
	my ($victim, @calls) = @_;
	my $sql = ($victim->{before} || '') . "\\o /dev/null\n" . join '', map { s/^\S{5}: |^\*: //r . ";\n\\echo :SQLSTATE\n" } @calls;
	my ($rc, $out, $err) = Attack::run_psql($node, $victim->{role}, $sql, directory => $directory);

	return ([ split /\n/, $out ], $err);
}

sub attack
{
	my ($state, $victim) = @_;
	my ($rc, $out, $err) = $node->psql('attack', $clean . ($state->{setup} || ''), on_error_stop => 0,
		extra_params => [ '-v', "victim=$victim->{role}" ]);
	my $name = "$state->{name}: $victim->{name}";

	die "$name: $err" if $rc != 0;
	$holder->query_safe($state->{holder}) if $state->{holder};
	if (!$state->{needs} || $node->safe_psql('attack', $state->{needs}) eq 't')
	{
		my @calls = @{ $state->{calls} };
		my ($got, $errors) = outcomes($victim, @calls);
		my @wrong;

		foreach my $call (@calls)
		{
			my $expected = $call =~ /^(\S{5}|\*): / ? $1 : '00000';
			my $is = shift(@$got) // 'nothing';

			push @wrong, "$is: $call" unless $victim->{any_outcome} || $expected eq '*' || $is eq $expected;
		}
		is(join("\n", @wrong), '', "$name: the calls end as they should") or diag($errors);
		is(Attack::songs($node), '', "$name: nothing sings");
	}
	$holder->query_safe('ROLLBACK; SELECT pg_advisory_unlock_all()') if $state->{holder};
	return;
}

# CREATE EXTENSION as well

my ($rc, $out, $err) = Attack::run_psql($node, 'boss', "$temp CREATE EXTENSION dbmigrate");
is($rc, 0, 'CREATE EXTENSION works') or diag($err);
is(Attack::songs($node), '', 'CREATE EXTENSION: nothing sings');
Attack::run_psql($node, 'boss', "DROP EXTENSION dbmigrate");
Attack::songs($node);
Attack::create_extension($node);

# The states, and that none is forgotten

my @states = States::all();
my %called = map { $_ => 1 } map { /\bmigrate\."?(\w+)"?\(/g } map { @{ $_->{calls} } } @states;
my %tools = map { $_->[0] => 1 } States::layouts();
is(join(', ', grep { !$called{$_} } split /\n/, $node->safe_psql('attack', q{
		SELECT DISTINCT proname FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
		 WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
		   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'dbmigrate')})),
	'', 'every function of ours has a call in test/attack/States.pm');
is(join(', ', grep { !$tools{$_} } $sources =~ /\bDBM_TOOL_(\w+)/g), '', 'every tool of ours has a table there');

foreach my $state (@states)
{
	my %wanted = map { $_ => 1 } @{ $state->{victims} || [qw(superuser attacker attacker_temp)] };

	attack($state, $_) foreach grep { Attack::everything() || $wanted{ $_->{key} } } @victims;
}

$holder->quit;
$node->stop;
done_testing();
