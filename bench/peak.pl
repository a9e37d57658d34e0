#!/usr/bin/perl
#
# bench/peak.pl PID FILE
#
# Watches a process until it ends, and writes to FILE the most private memory
# (RssAnon, in kB) that it had.  VmHWM would count the pages of shared_buffers
# it touched, and does not say how many of them were there at the peak.  A look
# takes microseconds, so a look every 5 ms does not disturb what is measured.

use strict;
use warnings;

my ($pid, $file) = @ARGV;
my $peak = 0;

while (open my $status, '<', "/proc/$pid/status") {
	while (my $line = <$status>) {
		next unless $line =~ /^RssAnon:\s+(\d+)/;
		$peak = $1 if $1 > $peak;
		last;
	}
	close $status;
	select undef, undef, undef, 0.005;
}

# in one step: who waits for the file must not see half of it
open my $out, '>', "$file.new" or die "$file.new: $!\n";
print $out "$peak\n";
close $out or die "$file.new: $!\n";
rename "$file.new", $file or die "$file: $!\n";
