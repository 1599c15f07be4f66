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
	{ name => 'json_timestamptz', zone => 'America/New_York', parallel => 1 },
	{ name => 'json_timestamp', event_type => 'timestamp', zone => 'Asia/Kathmandu', memory => '64kB' },
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
	# Migrates with everything in parallel that can be, however small, and prints the plans.
	my $parallel = delete $options{parallel};
	# And with less memory than a hash of the addresses needs.
	my $memory = delete $options{memory};
	my $count = $memory ? $sessions + 2_000 : $sessions;
	my $messages;

	# Calls as the owner of the tables, with a session time zone that must not matter.
	my $call = sub {
		my ($function) = @_;
		my ($stdout, $stderr) = ('', '');
		my $settings = $parallel && $function eq 'cowrie_migrate_v16'
		  ? 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
		     SET debug_print_plan = on; SET client_min_messages = log;'
		  : $memory ? "SET work_mem = '$memory'; SET hash_mem_multiplier = 1;"
		  : '';
		my $status = $node->psql(
			$database, "$settings SET timezone = '$zone'; SELECT count(*) FROM $function($argument);",
			stdout => \$stdout,
			stderr => \$stderr,
			extra_params => defined $user ? [ '-U', $user ] : []);
		is($status, 0, "$database: $function succeeds") or diag($stderr);
		$messages = $stderr;
		return $stdout;
	};

	create_v15($node, $database, n => $count, %options);
	load_reference($node, $database, $schema);
	my $data = data_hash($node, $database, $schema);
	my $dump = schema_dump($node, $database, $schema);
	like($data, qr/^$count\|/, "$database: $count sessions");

	foreach my $round ('first', 'second')
	{
		cmp_ok($call->('cowrie_migrate_v16') || 0, '>', 0, "$database: $round migration, steps");
		if ($parallel)
		{
			my @plans = grep { /:parallelModeNeeded true/ } split(/LOG:  plan:/, $messages);
			foreach my $column (qw(current_asn observed_at))
			{
				my $found = grep { /:resname $column\s/ } @plans;
				cmp_ok($found, '>', 0, "$database: $round, the rows with $column come in parallel");
			}
		}
		is(compare($node, $database, $schema), $no_difference, "$database: $round, as the reference");
		is(data_hash($node, $database, $schema), $data, "$database: $round, data unchanged");
		cmp_ok($node->safe_psql($database, 'SELECT count(*) * 90 FROM ip_inventory'),
			'>', 65536 / 1.25, "$database: $round, its addresses are more than fit") if $memory;
		is($call->('cowrie_validate_schema'), '0', "$database: $round, no findings");
		next if $round eq 'second';

		cmp_ok($call->('cowrie_cleanup_v16') || 0, '>', 0, "$database: cleanup, steps");
		is(schema_dump($node, $database, $schema), $dump, "$database: cleaned up, schema as before");
		is(data_hash($node, $database, $schema), $data, "$database: cleaned up, data unchanged");
	}
	$node->safe_psql('postgres', 'DROP DATABASE ' . quote_name($database));
}

# Whoever watches a new table (an event trigger of the DBA's, say) is told of its rows.
create_v15($node, 'watched', n => 500);
$node->safe_psql('watched', q{
CREATE TABLE told (table_name name);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN INSERT INTO public.told VALUES (TG_TABLE_NAME); RETURN NEW; END$$;
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE made text;
BEGIN
  FOR made IN SELECT object_identity FROM pg_event_trigger_ddl_commands()
              WHERE object_identity ~ '^public[.](asn_inventory|ip_inventory|ip_asn_history)$' LOOP
    EXECUTE format('CREATE TRIGGER tells AFTER INSERT ON %s FOR EACH ROW EXECUTE FUNCTION public.tell()', made);
  END LOOP;
END
$$;
CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION watch();
SELECT count(*) FROM cowrie_migrate_v16();
});
is($node->safe_psql('watched', 'SELECT table_name, count(*) FROM told GROUP BY 1 ORDER BY 1'),
	$node->safe_psql('watched', join ' UNION ALL ', map { "SELECT '$_', count(*) FROM $_" }
	  qw(asn_inventory ip_asn_history ip_inventory)), 'triggers of a new table fire for every row');

$node->stop;
done_testing();
