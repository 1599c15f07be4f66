# The migration gives exactly what the independent reference computes, in every kind of v15
# database, and touches nothing else; cleanup takes back all of it; migrating again gives the same.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Test::More;

my $sessions = full_counts() ? 100_000 : 3_000;
my $node = start_node('reference');

my @variants = (
	{ name => 'json_timestamptz', zone => 'America/New_York' },
	{ name => 'json_timestamp', event_type => 'timestamp', zone => 'Asia/Kathmandu' },
	{ name => 'jsonb_timestamptz', doc_type => 'jsonb', column_order => 'reversed' },
	{ name => 'owned', owner => 'o\'wn"er', schema => 'x\'y"z', zone => 'America/New_York' });

foreach my $variant (@variants)
{
	my %options = %$variant;
	my $database = delete $options{name};
	my $zone = delete $options{zone} // 'UTC';
	my $schema = $options{schema} // 'public';
	my $argument = exists $options{schema} ? quote_text($schema) : '';
	my $user = $options{owner};

	# Calls as the owner of the tables, with a session time zone that must not matter.
	my $call = sub {
		my ($function) = @_;
		my ($stdout, $stderr) = ('', '');
		my $status = $node->psql(
			$database, "SET timezone = '$zone'; SELECT count(*) FROM $function($argument);",
			stdout => \$stdout,
			stderr => \$stderr,
			extra_params => defined $user ? [ '-U', $user ] : []);
		is($status, 0, "$database: $function succeeds") or diag($stderr);
		return $stdout;
	};

	create_v15($node, $database, n => $sessions, %options);
	load_reference($node, $database, $schema);
	my $data = data_hash($node, $database, $schema);
	my $dump = schema_dump($node, $database, $schema);
	like($data, qr/^$sessions\|/, "$database: $sessions sessions");

	foreach my $round ('first', 'second')
	{
		cmp_ok($call->('cowrie_migrate_v16') || 0, '>', 0, "$database: $round migration, steps");
		is(compare($node, $database, $schema), $no_difference, "$database: $round, as the reference");
		is(data_hash($node, $database, $schema), $data, "$database: $round, data unchanged");
		is($call->('cowrie_validate_schema'), '0', "$database: $round, no findings");
		next if $round eq 'second';

		cmp_ok($call->('cowrie_cleanup_v16') || 0, '>', 0, "$database: cleanup, steps");
		is(schema_dump($node, $database, $schema), $dump, "$database: cleaned up, schema as before");
		is(data_hash($node, $database, $schema), $data, "$database: cleaned up, data unchanged");
	}
	$node->safe_psql('postgres', 'DROP DATABASE ' . quote_name($database));
}

$node->stop;
done_testing();
