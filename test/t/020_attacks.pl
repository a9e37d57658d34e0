# Planted operators, functions, types, temporary tables and views must not be
# picked up by our own SQL, whatever the caller's search_path is.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

$node->safe_psql('postgres', q{
	CREATE TABLE public.canary (what text);
	CREATE FUNCTION public.sing(what text) RETURNS void LANGUAGE sql AS
		'INSERT INTO public.canary VALUES (what)';
});

# Operators that win by an exact match as soon as public comes first.
my @types = qw(text bigint integer bytea numeric[] name boolean oid smallint
  regclass timestamptz interval xid text[] "char");
my @operators = ('=', '<>', '<', '>', '<=', '>=', '||');
my $planted = 0;
foreach my $type (@types)
{
	foreach my $operator (@operators)
	{
		my $name = "op$planted";
		my $result = $operator eq '||' ? $type : 'boolean';
		my $value = $operator eq '||' ? '$1' : 'true';
		$node->safe_psql('postgres', qq{
			CREATE FUNCTION public.$name($type, $type) RETURNS $result LANGUAGE plpgsql AS
				'BEGIN PERFORM public.sing(''$operator $name''); RETURN $value; END';
			CREATE OPERATOR public.$operator (LEFTARG = $type, RIGHTARG = $type, FUNCTION = public.$name);
		});
		$planted++;
	}
}

# Functions with the signatures of those that a bookkeeping statement uses.
my %functions = (
	'lower(text)' => ['text', '$1'],
	'clock_timestamp()' => [ 'timestamptz', 'pg_catalog.clock_timestamp()' ],
	'now()' => [ 'timestamptz', 'pg_catalog.now()' ],
	'current_setting(text)' => [ 'text', 'pg_catalog.current_setting($1)' ],
	'current_setting(text, boolean)' => [ 'text', 'pg_catalog.current_setting($1, $2)' ],
	'nextval(regclass)' => [ 'bigint', 'pg_catalog.nextval($1)' ],
	'format(text, text)' => [ 'text', '$1' ],
	'concat_ws(text, text, text)' => [ 'text', '$1' ],
	'split_part(text, text, integer)' => [ 'text', '$1' ],
	'date_trunc(text, timestamptz)' => [ 'timestamptz', '$2' ],
	'sha256(bytea)' => [ 'bytea', '$1' ],
	'inet_client_addr()' => [ 'inet', 'NULL' ],
	'pg_current_xact_id()' => [ 'xid8', 'pg_catalog.pg_current_xact_id()' ],
	'current_database()' => [ 'name', 'pg_catalog.current_database()' ],
	'current_schemas(boolean)' => [ 'name[]', 'pg_catalog.current_schemas($1)' ],
	'version_key(text)' => [ 'numeric[]', 'NULL' ],
	'script_sha256(text)' => [ 'bytea', 'NULL' ],
	'quote_ident(text)' => [ 'text', '$1' ],
	'numeric_in(cstring, oid, integer)' => undef);
foreach my $signature (sort keys %functions)
{
	next unless $functions{$signature};
	my ($result, $value) = @{ $functions{$signature} };
	$node->safe_psql('postgres', qq{
		CREATE FUNCTION public.$signature RETURNS $result LANGUAGE plpgsql AS
			\$f\$BEGIN PERFORM public.sing(\$s\$$signature\$s\$); RETURN $value; END\$f\$;
	});
	$planted++;
}
$node->safe_psql('postgres', q{
	CREATE AGGREGATE public.max(numeric[]) (SFUNC = array_larger, STYPE = numeric[]);
	CREATE DOMAIN public."char" AS pg_catalog."char" CHECK (public.sing('type') IS NULL);
	CREATE DOMAIN public.int4 AS pg_catalog.int4 CHECK (public.sing('type') IS NULL);
	CREATE DOMAIN public.text AS pg_catalog.text CHECK (public.sing('type') IS NULL);
	TRUNCATE public.canary;
});
cmp_ok($planted, '>', 60, "$planted overloads are planted");

# They do sing when somebody steps on them.
$node->safe_psql('postgres', q{SET search_path = public, pg_catalog; SELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text});
is($node->safe_psql('postgres', 'SELECT count(*) > 0 FROM public.canary'), 't', 'a planted operator is used by an unqualified query');
$node->safe_psql('postgres', 'TRUNCATE public.canary');

my $temp = join "\n", map {
	"CREATE TEMP TABLE $_ (id pg_catalog.text, name pg_catalog.text, version pg_catalog.text);"
} qw(migration applied history state schema_migrations pg_class pg_proc pg_locks pg_roles pg_extension pg_constraint pg_cursors);

my $path = "SET search_path = public, pg_catalog; SET client_min_messages = error; $temp SET search_path = pg_temp, public, pg_catalog;";

$node->safe_psql('postgres', "$path CREATE EXTENSION dbmigrate;");
is($node->safe_psql('postgres', 'SELECT * FROM public.canary'), '', 'CREATE EXTENSION');

my @calls = (
	q{SELECT migrate.add('1', 'one', 'SET search_path = pg_catalog; CREATE TABLE public.one (a pg_catalog.int8)', 'DROP TABLE public.one')},
	q{SELECT migrate.add('2', 'two', 'SELECT 1', '', environments => '{development}')},
	q{SELECT migrate.add('2', 'zwei', 'SELECT 1', '', environments => '{development}')},
	q{SELECT migrate.add('3', 'three', 'SELECT 1', '')},
	q{SELECT migrate.create('four', 'SELECT 1', '')},
	q{SELECT migrate.approve('1')},
	q{SELECT * FROM migrate.status()},
	q{SELECT * FROM migrate.pending()},
	q{SELECT migrate.version()},
	q{SELECT migrate.status_json()},
	q{SELECT * FROM migrate.apply(1)},
	q{SELECT * FROM migrate.apply_to('3')},
	q{SELECT migrate.apply_json()},
	q{SELECT migrate.require()},
	q{SELECT migrate.require('1')},
	q{SELECT * FROM migrate.redo()},
	q{SELECT migrate.amend('1', NULL, NULL, 'x')},
	q{SELECT migrate.mark_pending('3', 'x')},
	q{SELECT migrate.mark_applied('3', 'x')},
	q{SELECT * FROM migrate.rollback()},
	q{SELECT * FROM migrate.rollback_to('0')},
	q{SELECT migrate.baseline('1')},
	q{SELECT migrate.remove('2')},
	q{SELECT * FROM migrate.schema_migrations},
	q{SELECT * FROM migrate.status()});
foreach my $call (@calls)
{
	my ($rc, $out, $err) = $node->psql('postgres', "$path $call");
	is($rc, 0, "works: $call") or diag($err);
	is($node->safe_psql('postgres', 'SELECT string_agg(DISTINCT what, $$, $$) FROM public.canary'), '', 'unharmed');
}

# The holder of the lock is described by SQL as well.
my $holder = $node->background_psql('postgres');
$holder->query_safe("BEGIN; SELECT migrate.mark_pending('1', 'x');");
my ($rc, $out, $err) = $node->psql('postgres', "$path SET dbmigrate.lock_wait = 0; SELECT migrate.mark_applied('1', 'x')");
like($err, qr/It is held by process \d+ of user/, 'the holder is named');
is($node->safe_psql('postgres', 'SELECT string_agg(DISTINCT what, $$, $$) FROM public.canary'), '', 'unharmed');
$holder->quit;

$node->stop;
done_testing();
