# A generator of databases that people have lived in: at random it piles up what users do to the tables of
# version 15, then a whole walk is made: preflight, migrate (at once or online), validate, checkpoint,
# cleanup, migrate. Each walk ends in version 16 without findings and with everything of the user's as
# before, or in a refusal that the preflight has announced and after which nothing has changed.
#
# COWRIE_SEED chooses other walks, COWRIE_WALK one of them alone: the names in a failing test say which.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Pieces;
use Test::More;

my $seed = $ENV{COWRIE_SEED} // 16;
my $walks = full_counts() ? 500 : 25;

my $node = start_node('walks', 'wal_level = logical', 'autovacuum = off');
create_v15($node, 'origin', owner => 'app_owner', n => 60);
$node->safe_psql('postgres', 'CREATE ROLE analyst');
$node->safe_psql('origin', 'GRANT ALL ON SCHEMA public TO app_owner');

my $database;

# Runs SQL as the owner of the tables: (status, out, err).
sub run
{
	my ($sql) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql($database, "SET client_min_messages = error;\n$sql", stdout => \$out, stderr => \$err,
		extra_params => [ '-U', 'app_owner' ]);
	return ($status, $out, $err);
}

# Everything that users have made, a line each: definitions, in the server's words.
sub catalog
{
	return { map { $_ => 1 } split /\n/, $node->safe_psql($database, $Pieces::catalog) };
}

sub all_there
{
	my ($before, $after, $name) = @_;
	my @gone = grep { !$after->{$_} } sort keys %$before;
	is(join("\n", @gone), '', "$name: everything of the user's is as before");
	return;
}

# The message of a refusal is announced: as a blocker, or for the online mode as a warning.
sub announced
{
	my ($err, $preflight, $name) = @_;
	my ($message) = $err =~ /ERROR:  (.*)/;
	my @announced = grep { index($_, $message // '?') >= 0 } split /\n/, $preflight;
	ok(scalar(@announced), "$name: the refusal was announced") or diag("$err\nthe preflight: $preflight");
	return;
}

sub migrate
{
	my ($online) = @_;
	return run($online ? 'CALL cowrie_migrate_v16_online(batch_size => 25)' : 'SELECT count(*) FROM cowrie_migrate_v16()');
}

my ($migrated, $refused, $kept) = (0, 0, 0);

sub walk
{
	my ($number) = @_;
	srand($seed * 1000 + $number);
	$database = "walk_$number";
	copy_database($node, 'origin', $database, owner => 'app_owner');
	my @pieces;
	foreach (1 .. 1 + int rand 5)
	{
		my $piece = $Pieces::names[ rand @Pieces::names ];
		next if grep { $_ eq $piece } @pieces;
		# What does not go with the pieces before is left out.
		my $sql = $Pieces::pieces{$piece};
		my $as = $sql =~ s/^superuser: // ? '' : 'SET ROLE app_owner;';
		push @pieces, $piece if $node->psql($database, "BEGIN; $as $sql; COMMIT", stderr => \my $ignored) == 0;
	}
	my $online = rand() < 0.5;
	my $name = "walk $number of seed $seed (" . join(', ', $online ? 'online' : 'at once', @pieces) . ')';
	my $before = catalog();
	my $dump = schema_dump($node, $database);
	my $hash = data_hash($node, $database);

	my (undef, $preflight) = run(q{SELECT concat_ws(': ', severity, hazard, replace(detail, E'\n', ' '))
FROM cowrie_preflight_v16() WHERE severity = 'blocker' OR hazard = 'online migration'});
	my ($status, undef, $err) = migrate($online);
	if ($status != 0)
	{
		$refused++;
		announced($err, $preflight, $name);
		is(schema_dump($node, $database), $dump, "$name: nothing has changed");
	}
	else
	{
		$migrated++;
		unlike($preflight, qr/^blocker/m, "$name: what is refused is refused");
		is(join('|', run('SELECT count(*) FROM cowrie_validate_schema()')), '0|0|', "$name: no findings");
		my (undef, $lost, $problem) = run(q{SELECT passed FROM cowrie_checkpoint_v16() WHERE criterion IN
('zero_data_loss', 'schema_complete', 'no_orphans', 'constraints_validated')});
		is($lost, "t\nt\nt\nt", "$name: checkpoint") or diag($problem);
		all_there($before, catalog(), $name);
		($status, undef, $err) = run('SELECT count(*) FROM cowrie_cleanup_v16()');
		if ($status != 0)
		{
			like($err, qr/ERROR:  other objects depend on objects that cleanup would drop/, "$name: cleanup is refused");
			$kept++;
			all_there($before, catalog(), $name);
		}
		else
		{
			is(join("\n", sort keys %{ catalog() }), join("\n", sort keys %$before), "$name: back to version 15");
			($status, undef, $err) = migrate($online);
			is($status, 0, "$name: and migrated once more") or diag($err);
		}
		is($node->safe_psql($database, q{SELECT value FROM schema_state WHERE key = 'schema_version'}), '16',
			"$name: version 16");
	}
	is(data_hash($node, $database), $hash, "$name: the data is as before");
	$node->safe_psql('postgres', "DROP DATABASE $database");
	return;
}

walk($_) foreach defined $ENV{COWRIE_WALK} ? $ENV{COWRIE_WALK} : 1 .. $walks;

figure("lived-in databases: $migrated of " . ($migrated + $refused)
	  . " walks at version 16 ($kept that cleanup leaves there), $refused refused as announced, of " . scalar(@Pieces::names) . ' pieces');
$node->stop;
done_testing();
