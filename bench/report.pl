# Makes out of a CSV file of bench.pl the table that is read first, ratios first, and the plot.
#
#   perl report.pl RESULTS.csv PLOT.svg TITLE
use strict;
use warnings;

my ($csv, $svg, $title) = @ARGV;
my %median;    # scale => contender => measure => value
open(my $in, '<', $csv) or die "$csv: $!";
my $header = <$in>;
while (<$in>)
{
	chomp;
	my ($scale, $contender, $measure, $median) = split /,/;
	$median{$scale}{$contender}{$measure} = $median;
}
close $in;
my @scales = sort { $a <=> $b } keys %median;

sub value { my ($scale, $contender, $measure) = @_; return $median{$scale}{$contender}{$measure}; }
sub seconds { my $ms = value(@_, 'milliseconds'); return defined $ms ? $ms / 1000 : undef; }

sub line
{
	my ($what, $a, $b, $target) = @_;
	return unless defined $a && defined $b && $b > 0;
	printf "%-58s %8.3g   %s\n", $what, $a / $b, $target;
	return;
}

#--------------------------------------------------------------------------------------------------
# The table
#--------------------------------------------------------------------------------------------------

print "$title\n\n";
foreach my $scale (@scales)
{
	my %s = map { $_ => scalar seconds($scale, $_) } keys %{ $median{$scale} };
	printf "%-58s %8s   %s\n", "ratios at $scale sessions", 'measured', 'target';
	line('atomic / VACUUM FULL', $s{atomic}, $s{rewrite}, 'at most 1.7');
	line('atomic by ALTER TABLE / VACUUM FULL', $s{alter_table}, $s{rewrite}, '');
	foreach my $way ('atomic', 'alter_table')
	{
		my $name = $way eq 'atomic' ? 'atomic' : 'atomic by ALTER TABLE';
		my $of = sub { return value($scale, $way, $_[0]), value($scale, 'rewrite', $_[0]) };
		my $fill = value($scale, $way, 'step_fill_columns_milliseconds');
		line("fill_columns, $name / VACUUM FULL", $fill / 1000, $s{rewrite}, $way eq 'atomic' ? 'at most 0.75' : '')
		  if defined $fill;
		line("WAL, $name / VACUUM FULL", $of->('wal_bytes'), $way eq 'atomic' ? 'at most 0.55' : '');
		line("extra disk at peak, $name / VACUUM FULL", $of->('extra_bytes'), $way eq 'atomic' ? 'at most 0.45' : '');
	}
	my $gate = value($scale, 'atomic', 'step_zero_loss_gate_milliseconds');
	line('atomic without the zero-loss gate / VACUUM FULL', $s{atomic} - $gate / 1000, $s{rewrite},
		'at most 1.5') if defined $gate && defined $s{atomic};
	my $recording = value($scale, 'atomic', 'step_recording_milliseconds');
	line('recording and gate / atomic', ($recording + $gate) / 1000, $s{atomic}, 'at most 0.25')
	  if defined $recording && defined $gate;
	line("the application's statements / atomic", $s{python}, $s{atomic}, 'at least 10');
	line('best plain SQL / atomic', $s{plain}, $s{atomic}, 'at least 3');
	line('throughput online / atomic', $s{atomic}, $s{online}, 'at least 0.35');
	line('throughput online / batched UPDATE in plain SQL', $s{batched}, $s{online}, '');
	line("heap, TOAST, indexes: $_ / before, autovacuum on",
		value($scale, $_, 'table_bytes') + value($scale, $_, 'index_bytes'),
		value($scale, 'before', 'table_bytes') + value($scale, 'before', 'index_bytes'), '')
	  foreach grep { defined $s{$_} } qw(online batched);
	line("$_ partitions / one table", seconds($scale, "partitions_$_"), $s{atomic}, $_ == 16 ? 'at most 1.15' : '')
	  foreach sort { $a <=> $b } map { /^partitions_(\d+)$/ ? $1 : () } keys %s;
	line('heap and TOAST: atomic / VACUUM FULL', value($scale, 'atomic', 'table_bytes'),
		value($scale, 'rewrite', 'table_bytes'), 'at most 1.06');
	line('WAL of atomic / what it wrote', value($scale, 'atomic', 'wal_bytes'),
		value($scale, 'atomic', 'written_bytes'), 'at most 1.3');
	line('queries by JSON / by snapshot', $s{queries_json}, $s{queries_snapshot}, 'at least 10');
	line('facts of a document / fetching and decompressing it', $s{facts}, $s{text}, 'at most 1.5');
	line('facts of a document / the same by operators', $s{facts}, $s{operators}, 'at most 0.125');
	if ($scale != $scales[0])
	{
		line("cost of a session: $scale / $scales[0]", $s{atomic} / $scale,
			seconds($scales[0], 'atomic') / $scales[0], 'at most 1.15') if defined $s{atomic};
	}
	print "\n";

	my $mib = sub { my ($bytes) = @_; return defined $bytes ? sprintf('%.0f', $bytes / 1048576) : ''; };
	printf "%-24s %9s %8s %8s %8s %8s %8s %8s %8s\n", "$scale sessions", 'seconds', 'WAL MiB', 'temp MiB',
	  'heap MiB', 'TOAST', 'indexes', 'backend', 'peak MiB';
	foreach my $contender (qw(before rewrite read indexes plain python batched atomic alter_table online))
	{
		next unless $median{$scale}{$contender};
		my $m = $median{$scale}{$contender};
		my $toast = $m->{toast_bytes} // ($m->{table_bytes} // 0) - ($m->{heap_bytes} // 0);
		my $sized = defined $m->{table_bytes};
		printf "%-24s %9s %8s %8s %8s %8s %8s %8s %8s\n", $contender,
		  defined $s{$contender} ? sprintf('%.2f', $s{$contender}) : '', $mib->($m->{wal_bytes}),
		  $mib->($m->{temp_bytes}), $mib->($m->{heap_bytes}), $sized ? $mib->($toast) : '',
		  $mib->($m->{index_bytes}), $mib->($m->{memory_bytes}), $mib->($m->{extra_bytes});
	}
	foreach my $contender (grep { defined $median{$scale}{$_}{vacuum_milliseconds} } qw(rewrite atomic alter_table))
	{
		printf "%-24s %s\n", "after $contender", join ', ',
		  map { sprintf '%s %.2f s', s/_/ /r, value($scale, $contender, "${_}_milliseconds") / 1000 }
		  qw(first_scan vacuum checkpoint);
	}
	foreach my $contender (qw(atomic alter_table online), grep { /^partitions_/ } sort keys %s)
	{
		next unless $median{$scale}{$contender};
		my $m = $median{$scale}{$contender};
		printf "%-24s %s\n", "$contender, by phase",
		  join ', ', map { sprintf '%d: %.2f s', $_, $m->{"phase_${_}_milliseconds"} / 1000 }
		  grep { defined $m->{"phase_${_}_milliseconds"} } 1 .. 5;
	}
	foreach my $contender (qw(atomic online))
	{
		my @seen = grep { defined value($scale, $contender, "eta_error_at_$_") } (25, 50, 75);
		printf "%-24s %s\n", "$contender, end foreseen",
		  join ', ', map { sprintf '%+d %% of the duration off at %d %%', value($scale, $contender, "eta_error_at_$_"), $_ }
		  @seen
		  if @seen;
	}
	print "\n";
}

#--------------------------------------------------------------------------------------------------
# The plot: a bar per contender, grouped by scale; the atomic one in its phases
#--------------------------------------------------------------------------------------------------

my %words = (
	rewrite => 'VACUUM FULL (the floor)',
	plain => 'best plain SQL',
	batched => 'batched UPDATE in plain SQL',
	python => "the application's statements",
	atomic => 'cowrie_migrate_v16()',
	alter_table => 'the same by ALTER TABLE',
	online => 'cowrie_migrate_v16_online()');
my @colours = ('#2166ac', '#4393c3', '#92c5de', '#d1e5f0', '#f4a582');
my ($left, $width, $bar, $y) = (210, 520, 20, 40);
my @shapes;
foreach my $scale (@scales)
{
	my @there = grep { defined seconds($scale, $_) } qw(rewrite atomic alter_table online plain batched python);
	next unless @there;
	my ($longest) = sort { $b <=> $a } map { seconds($scale, $_) } @there;
	my $floor = seconds($scale, 'rewrite');
	push @shapes, qq{<text x="10" y="$y" font-weight="bold">$scale sessions</text>};
	$y += 10;
	foreach my $contender (@there)
	{
		my $took = seconds($scale, $contender);
		my $middle = $y + $bar * 0.7;
		push @shapes, qq{<text x="@{[$left - 8]}" y="$middle" text-anchor="end">$words{$contender}</text>};
		my $x = $left;
		my $m = $median{$scale}{$contender};
		my @parts = grep { defined } map { $m->{"phase_${_}_milliseconds"} } 1 .. 5;
		@parts = ($took * 1000) unless @parts;
		foreach my $i (0 .. $#parts)
		{
			my $w = sprintf '%.1f', $parts[$i] / 1000 / $longest * $width;
			my $colour = @parts > 1 ? $colours[$i] : '#bababa';
			push @shapes, qq{<rect x="$x" y="$y" width="$w" height="@{[$bar - 4]}" fill="$colour"/>};
			$x += $w;
		}
		my $label = sprintf '%.1f s', $took;
		$label .= sprintf ' (%.1f)', $took / $floor if $floor;
		push @shapes, qq{<text x="@{[$x + 6]}" y="$middle">$label</text>};
		$y += $bar;
	}
	$y += 30;
}
my @legend = map { qq{<rect x="@{[$left + ($_ - 1) * 70]}" y="@{[$y - 12]}" width="12" height="12" }
	  . qq{fill="$colours[$_ - 1]"/><text x="@{[$left + ($_ - 1) * 70 + 16]}" y="@{[$y - 2]}">phase $_</text>} }
  1 .. 5;
open(my $out, '>', $svg) or die "$svg: $!";
print $out qq{<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 @{[$y + 20]}" }
  . qq{font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n}
  . qq{<text x="10" y="18" font-size="13">Seconds for one migration, medians; in brackets: times VACUUM FULL</text>\n},
  join("\n", @shapes, @legend), "\n</svg>\n";
close $out;
