# The owner of a history table changes it while migrate.adopt() of a superuser
# waits for it, so that reading it would run what he wrote.  It may: as him.
# What never happens is that it runs with the superuser's rights.  make attack does
# so with the table of every tool, before the call too, and behind the tool's lock.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../attack";

use Attack;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use States;
use Test::More;

my $sing = "hostile.immutable_sing('%s')";

# What he does to his table; %t is its name, %c its first column, %w what sings.
my %swaps = (
	'nothing' => 'SELECT 1',
	'an index expression' => 'CREATE INDEX ON %t ((%w))',
	'an index on a column' => 'CREATE INDEX ON %t ((%w + length(%c::text)))',
	'an index predicate' => 'CREATE INDEX ON %t (%c) WHERE %w > 0',
	'statistics' => 'CREATE STATISTICS hostile_table.x ON (%w), (%w + 1) FROM %t',
	'a view of the same name' => 'ALTER TABLE %t RENAME TO moved; CREATE VIEW %t AS SELECT * FROM hostile_table.moved WHERE %w > 0',
	'a table that became a view' => q{
		DO $$ BEGIN CREATE TABLE hostile_table.copy AS TABLE %t; TRUNCATE %t;
		CREATE RULE "_RETURN" AS ON SELECT TO %t DO INSTEAD SELECT * FROM hostile_table.copy WHERE %w > 0;
		EXCEPTION WHEN wrong_object_type OR feature_not_supported THEN NULL; END $$},
	'rules' => 'CREATE RULE r AS ON UPDATE TO %t DO ALSO SELECT %w',
	'triggers' => q{
		CREATE FUNCTION hostile_table.t() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM %w; RETURN NULL; END$$;
		CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %t EXECUTE FUNCTION hostile_table.t()},
	'row security' => q{
		CREATE POLICY p ON %t USING (%w > 0);
		ALTER TABLE %t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY},
	'a check constraint' => 'ALTER TABLE %t ADD CHECK (%w > 0 AND %c IS NOT NULL) NOT VALID',
	'a default' => 'ALTER TABLE %t ALTER %c SET DEFAULT NULL; ALTER TABLE %t ADD more integer DEFAULT %w',
	'a column type' => 'CREATE DOMAIN hostile_table.d AS text CHECK (%w > 0); ALTER TABLE %t ALTER %c TYPE hostile_table.d USING %c::text',
	'a generated column' => 'ALTER TABLE %t DROP %c; ALTER TABLE %t ADD %c integer GENERATED ALWAYS AS (%w) STORED',
	'a child' => 'CREATE TABLE hostile_table.child () INHERITS (%t); CREATE INDEX ON hostile_table.child ((%w)); INSERT INTO hostile_table.child SELECT * FROM ONLY %t',
	'a partition' => q{
		CREATE TABLE hostile_table.parent (LIKE %t) PARTITION BY RANGE ((%w + length(%c::text)));
		ALTER TABLE hostile_table.parent ATTACH PARTITION %t FOR VALUES FROM (MINVALUE) TO (MAXVALUE)},
	'partitions' => q{
		ALTER TABLE %t RENAME TO moved;
		CREATE TABLE %t (LIKE hostile_table.moved) PARTITION BY RANGE ((%w + length(%c::text)));
		CREATE TABLE hostile_table.part PARTITION OF %t FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
		INSERT INTO hostile_table.part SELECT * FROM hostile_table.moved},
	'a security definer view' => 'ALTER TABLE %t RENAME TO moved; CREATE VIEW %t WITH (security_barrier) AS SELECT *, %w AS more FROM hostile_table.moved',
	'a materialized view' => 'ALTER TABLE %t RENAME TO moved; CREATE MATERIALIZED VIEW %t AS SELECT * FROM hostile_table.moved; CREATE INDEX ON %t ((%w))',
	'a foreign reference' => 'ALTER TABLE %t ADD UNIQUE (%c); CREATE TABLE hostile_table.other (LIKE %t); ALTER TABLE hostile_table.other ADD FOREIGN KEY (%c) REFERENCES %t (%c)');

# Statements of the superuser while he waits; %t as above.
my %calls = (
	'adopt()' => 'SELECT * FROM migrate.adopt()',
	'a dry run' => 'SELECT * FROM migrate.adopt(dry_run => true)',
	'adopt(table)' => q{SELECT * FROM migrate.adopt('%t')},
	'a dry run of adopt(table)' => q{SELECT * FROM migrate.adopt('%t', dry_run => true)},
	'adopt(table, column)' => q{SELECT * FROM migrate.adopt('%t', version_column => '%c')});

my $node = Attack::start_server();

Attack::plant($node, 'lower');
Attack::create_extension($node);

my $mallory = Attack::session($node, 'mallory');
my $watcher = Attack::session($node);

$watcher->query_safe(q{
	CREATE PROCEDURE watch(INOUT waits boolean DEFAULT false) LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. 50 LOOP
			PERFORM pg_stat_clear_snapshot();
			waits := EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'boss' AND state = 'active'
			                    AND wait_event_type IN ('Lock', 'Extension'));
			EXIT WHEN waits;
			PERFORM pg_sleep(0.002);
		END LOOP;
	END $$});

sub fill
{
	my ($text, $table, $column) = @_;
	my %values = (t => $table, c => $column, w => sprintf($sing, 'reading'));

	return $text =~ s/%([tcw])/$values{$1}/gr;
}

# Until the superuser waits for a lock, polls for one, or has ended already.
sub wait_for_victim
{
	my ($psql) = @_;

	for (1 .. 100)
	{
		return if $watcher->query_safe('CALL watch()') eq 't';
		$psql->{run}->pump_nb;
		return if !$psql->{run}->pumpable;
	}
	die 'the superuser neither waits nor ends';
}

# What he holds until he has changed the table.
my %locks = (
	'his table' => 'LOCK TABLE %t IN ACCESS EXCLUSIVE MODE',

	# of node-pg-migrate
	'the lock of the tool' => 'SELECT pg_advisory_xact_lock(7241865325823964)');

sub swap
{
	my ($layout, $swap, $call, $lock) = @_;
	my ($tool, $name, $columns) = @$layout;
	my $table = "hostile_table.$name";
	my ($column) = $columns =~ /^(\w+)/;
	my $change = fill($swaps{$swap}, $table, $column);
	my $title = "$tool, $call, $swap" . ($lock ? ", behind $lock" : '');

	$mallory->query_safe("DROP SCHEMA IF EXISTS hostile_table CASCADE; CREATE SCHEMA hostile_table;"
		  . 'GRANT USAGE ON SCHEMA hostile_table TO PUBLIC;' . States::layout_table($layout, 'hostile_table'));
	$mallory->query_safe('BEGIN');
	$mallory->query_safe(fill($locks{$lock}, $table)) if $lock;

	my $psql;
	$psql = Attack::start_psql($node, 'boss',
		q{SET dbmigrate.lock_wait = '10s'}, 'BEGIN', fill($calls{$call}, $table, $column), 'ROLLBACK')
	  if $lock;
	wait_for_victim($psql) if $psql;
	my (undef, $failed) = $mallory->query("$change; COMMIT");
	is($mallory->{stderr}, '', "$title: the table is changed");
	$mallory->{stderr} = '';
	$mallory->query_safe('ROLLBACK') if $failed;
	$psql //= Attack::start_psql($node, 'boss', 'BEGIN', fill($calls{$call}, $table, $column), 'ROLLBACK');
	$psql->{run}->finish;
	is(Attack::songs($node), '', "$title: nothing runs as the superuser") or diag($psql->{stderr});
	unlike($psql->{stderr}, qr/ERROR/, "$title: the history is read") if $swap eq 'nothing';
	return;
}

# They do sing.
$mallory->query_safe('CREATE SCHEMA hostile_table; CREATE TABLE hostile_table.t (a integer); GRANT ALL ON SCHEMA hostile_table TO PUBLIC; GRANT ALL ON hostile_table.t TO PUBLIC');
$mallory->query_safe(fill($swaps{'an index expression'}, 'hostile_table.t', 'a'));
Attack::run_psql($node, 'boss', 'SELECT * FROM hostile_table.t');
like(Attack::songs($node), qr/^reading sang for boss/, 'a superuser who reads the table runs what is planted there');

my ($node_pg_migrate) = grep { $_->[0] eq 'NODE_PG_MIGRATE' } States::layouts();

foreach my $swap (sort keys %swaps)
{
	swap($node_pg_migrate, $swap, $_, 'his table') foreach 'a dry run', 'adopt(table)';
	next unless Attack::everything();
	foreach my $call (sort keys %calls)
	{
		swap($node_pg_migrate, $swap, $call, $_) foreach sort keys %locks;
		swap($node_pg_migrate, $swap, $call, undef);
	}
	foreach my $layout (States::layouts())
	{
		swap($layout, $swap, $_, 'his table') foreach 'a dry run', 'adopt(table)';
		swap($layout, $swap, 'a dry run', undef);
	}
}
swap($node_pg_migrate, $_, 'adopt()', 'the lock of the tool')
  foreach 'an index expression', 'a table that became a view';

$mallory->quit;
$watcher->quit;
$node->stop;
done_testing();
