# What two databases with the extension are compared by.

package Compare;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use Test::More;

our @EXPORT = qw(catalogs same_catalogs %rows rows same_rows);

# The catalogs: everything in schema migrate, with names in place of OIDs.
my $in_schema = q{= 'migrate'::regnamespace};
my $comment = sub { "obj_description($_[0].oid, '$_[1]')" };
my $acl = sub { "(SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM unnest($_[0]) x)" };
my %catalogs = (
	'functions' => qq{
		SELECT p.oid::regprocedure, pg_get_functiondef(p.oid), p.procost, p.prorows, p.proowner::regrole,
		       @{[ $acl->('p.proacl') ]}, @{[ $comment->('p', 'pg_proc') ]}
		  FROM pg_proc p WHERE p.pronamespace $in_schema ORDER BY p.oid::regprocedure::text},
	'relations' => qq{
		SELECT c.oid::regclass, c.relkind, c.relpersistence, c.relowner::regrole, c.relreplident, c.reloptions, c.relrowsecurity,
		       c.relhasrules, c.relhastriggers, CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid) END,
		       @{[ $acl->('c.relacl') ]}, @{[ $comment->('c', 'pg_class') ]}
		  FROM pg_class c WHERE c.relnamespace $in_schema ORDER BY c.oid::regclass::text},
	'columns' => qq{
		SELECT c.oid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation, a.attnotnull,
		       pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attstorage, a.attcompression, a.attstattarget,
		       @{[ $acl->('a.attacl') ]}, col_description(c.oid, a.attnum)
		  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		 WHERE c.relnamespace $in_schema ORDER BY c.oid::regclass::text, a.attnum},
	'types' => qq{
		SELECT t.oid::regtype, t.typtype, t.typcategory, t.typowner::regrole, @{[ $acl->('t.typacl') ]}, @{[ $comment->('t', 'pg_type') ]}
		  FROM pg_type t WHERE t.typnamespace $in_schema ORDER BY t.oid::regtype::text},
	'indexes' => qq{
		SELECT pg_get_indexdef(i.indexrelid), i.indisunique, i.indisprimary, i.indisvalid, i.indisready
		  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace $in_schema ORDER BY 1},
	'constraints' => qq{
		SELECT n.conrelid::regclass, n.conname, pg_get_constraintdef(n.oid), n.convalidated
		  FROM pg_constraint n WHERE n.connamespace $in_schema ORDER BY n.conrelid::regclass::text, n.conname},
	'sequences' => qq{
		SELECT s.seqrelid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle
		  FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid WHERE c.relnamespace $in_schema ORDER BY s.seqrelid::regclass::text},
	'the extension' => qq{
		SELECT e.extversion, e.extowner::regrole, e.extrelocatable, e.extconfig::regclass[], e.extcondition,
		       n.nspowner::regrole, @{[ $acl->('n.nspacl') ]}, @{[ $comment->('n', 'pg_namespace') ]}
		  FROM pg_extension e, pg_namespace n WHERE e.extname = 'dbmigrate' AND n.oid $in_schema},

	# members, too
	'dependencies' => q{
		SELECT regexp_replace(x.object, 'pg_toast_\d+', 'pg_toast_n'), x.needs, x.deptype, count(*) FROM (
		    SELECT pg_describe_object(classid, objid, objsubid) AS object,
		           pg_describe_object(refclassid, refobjid, refobjsubid) AS needs, deptype FROM pg_depend) x
		 WHERE (x.object || x.needs) ~ 'migrate' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3},

	# what a dump takes for granted and leaves out
	'initial privileges' => qq{
		SELECT pg_describe_object(i.classoid, i.objoid, i.objsubid), i.privtype, @{[ $acl->('i.initprivs') ]}
		  FROM pg_init_privs i WHERE pg_describe_object(i.classoid, i.objoid, i.objsubid) ~ 'migrate' ORDER BY 1});

# What people have in the tables; the next version adds an empty column.
our %rows = (
	'registered' => q{SELECT to_jsonb(m) FROM migrate.migration m ORDER BY project, id},
	'approved' => q{SELECT to_jsonb(p) FROM migrate.approval p ORDER BY project, migration, script, approved_by},
	'applied' => q{SELECT to_jsonb(a) - 'remark' FROM migrate.applied a ORDER BY target_schema, position},
	'history' => q{SELECT to_jsonb(h) FROM migrate.history h ORDER BY id},
	'target schemas' => q{SELECT to_jsonb(t) FROM migrate.target_schema t ORDER BY schema},
	'sequences' => q{SELECT r.last_value, h.last_value FROM migrate.run_seq r, migrate.history_id_seq h});

sub answers
{
	my ($node, $database, $queries) = @_;

	return map { $_ => $node->safe_psql($database, $queries->{$_}) } keys %$queries;
}

sub same
{
	my ($got, $expected, $what) = @_;

	is($got->{$_}, $expected->{$_}, "$what: $_") foreach sort keys %$expected;
	return;
}

sub catalogs
{
	my ($node, $database) = @_;

	return answers($node, $database, \%catalogs);
}

sub rows
{
	my ($node, $database) = @_;

	return answers($node, $database, \%rows);
}

sub same_catalogs
{
	my ($node, $database, $expected, $what) = @_;

	same({ catalogs($node, $database) }, $expected, $what);
	return;
}

sub same_rows
{
	my ($node, $database, $expected, $what) = @_;

	same({ rows($node, $database) }, $expected, $what);
	return;
}

1;
