#!/usr/bin/perl
#
# bench/generate.pl KIND SIZE ...    writes SQL to standard output
#
#   small N           N migrations of one or two statements, as one script
#   register N        the same N migrations as calls of migrate.add()
#   copy BYTES BLOCKS a table and that much COPY data, in so many blocks
#   inserts BYTES     the table and about the same rows, one INSERT each
#
# The output is the same every time: the random numbers have a fixed seed.

use strict;
use warnings;

my ($kind, $size, $blocks) = @ARGV;
srand(42);

# What people write: every fifth migration makes a table, the next four change it.
sub migration {
	my ($number) = @_;
	my $table = 'item_' . int($number / 5);
	return (
		"CREATE TABLE $table (\n    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
		  . "    name text NOT NULL,\n    created_at timestamptz NOT NULL DEFAULT now()\n);\n"
		  . "COMMENT ON TABLE $table IS 'what is sold, part $number';\n",
		"ALTER TABLE $table ADD COLUMN price numeric(12,2) NOT NULL DEFAULT 0;\n",
		"CREATE INDEX ${table}_name_idx ON $table (name);\n",
		"INSERT INTO $table (name, price) VALUES ('apple', 1.20), ('pear', 1.40), ('plum', 0.30);\n",
		"ALTER TABLE $table ADD CHECK (price >= 0);\n"
		  . "UPDATE $table SET price = price + 1 WHERE name = 'pear';\n"
	)[ $number % 5 ];
}

my @letters = ('a' .. 'z');
sub word { return join '', map { $letters[ rand 26 ] } 1 .. $_[0] }

sub row {
	my ($id) = @_;
	return ($id, word(12), word(9) . '@example.com', sprintf('%.2f', rand 10_000),
		sprintf('2024-%02d-%02d %02d:%02d:%02d+00', 1 + rand 12, 1 + rand 28, rand 24, rand 60, rand 60));
}

my $table = "CREATE TABLE customer (id bigint, name text, email text, balance numeric, seen timestamptz);\n";

if ($kind eq 'small') {
	print migration($_) for 0 .. $size - 1;
}
elsif ($kind eq 'register') {
	printf "SELECT migrate.add('%05d', 'step_%d', \$script\$%s\$script\$);\n", $_, $_, migration($_)
	  for 0 .. $size - 1;
}
elsif ($kind eq 'copy') {
	my ($written, $id) = (0, 0);
	print $table;
	for my $block (1 .. $blocks) {
		print "COPY customer FROM stdin;\n";
		while ($written < $size * $block / $blocks) {
			my $line = join("\t", row(++$id)) . "\n";
			$written += length $line;
			print $line;
		}
		print "\\.\n\n";
	}
}
elsif ($kind eq 'inserts') {
	my ($written, $id) = (0, 0);
	print $table;
	while ($written < $size) {
		my $line = sprintf "INSERT INTO customer VALUES (%d, '%s', '%s', %s, '%s');\n", row(++$id);
		$written += length $line;
		print $line;
	}
}
else {
	die "unknown kind\n";
}
