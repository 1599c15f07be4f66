# What logical replication sees of a run: nothing of schema_state, of the work tables and of the ledger of
# another database; and, of what it must not see and cannot be kept from it, that it is refused, in the words
# of the preflight, with commands that are pasted here.

use strict;
use warnings;

use CowrieTest;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $node = start_node('decoded', 'wal_level = logical', 'max_replication_slots = 10', 'max_wal_senders = 10',
	'wal_retrieve_retry_interval = 100ms');
my $quiet = 'SET client_min_messages = error';
create_v15($node, 'template15', n => 400);

sub database
{
	my ($name) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template15");
	return sub { return $node->safe_psql($name, "$quiet; $_[0]") };
}

# The refusal of a call: its message, DETAIL and HINT. Dies when the call succeeds.
sub refusal
{
	my ($name, $call) = @_;
	my ($status, $out, $err) = $node->psql($name, "$quiet; $call");
	die "not refused: $call" if $status == 0;
	return $err =~ s/^.*?ERROR:  //sr =~ s/\nCONTEXT:.*//sr =~ s/\s+\z//r;
}

# What the preflight says of it, in the same form.
sub announced
{
	my ($app) = @_;
	return $app->(q{SELECT hazard || E'\nDETAIL:  ' || detail || E'\nHINT:  ' || remedy
FROM cowrie_preflight_v16() WHERE severity = 'blocker'});
}

my $migrate = 'SELECT count(*) FROM cowrie_migrate_v16()';
my $online = 'CALL cowrie_migrate_v16_online(batch_size => 50)';

# What is decoded ---------------------------------------------------------------------------------

foreach my $what ('ALL TABLES', 'TABLES IN SCHEMA public')
{
	my $name = $what =~ /ALL/ ? 'decoded_all' : 'decoded_schema';
	my $app = database($name);
	$app->("CREATE PUBLICATION p FOR $what; SELECT pg_create_logical_replication_slot('$name', 'test_decoding')");
	my @calls = ($migrate, 'SELECT count(*) FROM cowrie_cleanup_v16()', $online);
	foreach my $call (@calls)
	{
		$node->safe_psql($name, $call);
		my %tables;
		++$tables{$_} foreach grep { !/^(?:session_summaries|(?:asn|ip)_inventory|ip_asn_history|cowrie_migration_log)$/ } split /\n/,
		  $app->("SELECT substring(data from '^table public\\.([^:]+):') FROM pg_logical_slot_get_changes('$name', NULL, NULL) WHERE data ~ '^table'");
		is(join(' ', map { "$_: $tables{$_}" } sort keys %tables), '', "$what: $call: decoded");
	}
	is($app->('SELECT count(*) FROM cowrie_validate_schema()'), '0', "$what: and version 16 is there");
	is($app->(q{SELECT relpersistence FROM pg_class WHERE relname = 'schema_state'}), 'p', "$what: schema_state is logged");
	$app->("SELECT pg_drop_replication_slot('$name')");
}

# A crash in the middle ---------------------------------------------------------------------------

{
	my $app = database('crashed');
	$app->('CREATE PUBLICATION p FOR ALL TABLES');
	my ($status, $out, $err) = $node->psql('crashed', "SET cowrie_migrate.fail_at = '5.cut_over'; $online");
	isnt($status, 0, 'crash: interrupted before the cut-over');
	$app->(q{UPDATE session_summaries SET last_event_at = last_event_at + interval '1 second'});
	my $notes = $app->('SELECT count(*) FROM cowrie_migrate_changes');
	cmp_ok($notes, '>', 300, 'crash: changed sessions are noted');
	$node->stop('immediate');
	$node->start;
	is($app->('SELECT count(*) FROM cowrie_migrate_changes'), $notes, 'crash: the notes are still there');
	is($app->('SELECT count(*) FROM cowrie_migrate_queue'), '400', 'crash: so is the queue');
	$node->psql('crashed', $online, stderr => \$err);
	like($err, qr/resuming the online migration after all sessions were filled/, 'crash: it goes on where it was');
	is($app->('SELECT count(*) FROM cowrie_validate_schema()'), '0', 'crash: and ends');
}

# The context of an error -------------------------------------------------------------------------

{
	my $app = database('context');
	$node->psql('context', "SET cowrie_migrate.fail_at = '5.catch_up'; $online");
	$app->(q{UPDATE session_summaries SET last_event_at = last_event_at + interval '1 second';
CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;
CREATE TRIGGER fails BEFORE DELETE ON cowrie_migrate_staging FOR EACH STATEMENT EXECUTE FUNCTION fails()});
	my ($status, $out, $err) = $node->psql('context', "SET client_min_messages = error; $online");
	like($err, qr/not this one/, 'context: a statement over all keys fails');
	like($err, qr/SQL statement "DELETE FROM .* \.\.\.$/m, 'context: names the statement, cut');
	cmp_ok(length($err), '<', 4000, 'context: and not every key');
	$app->('DROP FUNCTION fails CASCADE');
	$app->($online);
	is($app->('SELECT count(*) FROM cowrie_validate_schema()'), '0', 'context: without it the run ends');
}

# The online mode refuses in the same words; its HINT names its own call.
sub same_online
{
	my ($said, $words, $what) = @_;
	my ($facts, $hint) = split /\nHINT:  /, $said;
	is($facts, $words =~ s/\nHINT:.*//sr, "$what: online with the same words");
	like($hint, qr/CALL cowrie_migrate_v16_online\(/, "$what: and its own call");
	return;
}

# schema_state by name ----------------------------------------------------------------------------

{
	my $app = database('by_name');
	$app->(q{CREATE PUBLICATION cdc FOR TABLE session_summaries, schema_state (key, value) WHERE (key <> 'x');
CREATE PUBLICATION "other one" FOR TABLE schema_state WITH (publish = 'insert')});
	my $words = refusal('by_name', $migrate);
	like($words, qr/^"public"."schema_state" is published by name\n/, 'by name: refused');
	same_online(refusal('by_name', $online), $words, 'by name');
	is(announced($app), $words, 'by name: which the preflight has said before');
	$app->($_) foreach $words =~ /(ALTER PUBLICATION \S+(?: one")? DROP TABLE [^;]+;)/g;
	is(announced($app), '', 'by name: its first commands remedy it');
	$app->($migrate);
	$app->($_) foreach $words =~ /(ALTER PUBLICATION \S+(?: one")? ADD TABLE [^;]+;)/g;
	is($app->(q{SELECT pubname, attnames, rowfilter FROM pg_publication_tables WHERE tablename = 'schema_state' ORDER BY 1}),
		qq{cdc|{key,value}|((key)::text <> 'x'::text)\nother one|{key,value}|}, 'by name: the others put it back as it was');
	is($app->('SELECT status FROM cowrie_migrate_v16()'), 'skipped', 'by name: nothing to do is not refused');
	like(refusal('by_name', 'SELECT count(*) FROM cowrie_cleanup_v16()'), qr/is published by name/, 'by name: cleanup is');
}
{
	my $app = database('referred');
	$app->(q{CREATE PUBLICATION cdc FOR ALL TABLES; CREATE TABLE settings (k varchar(128) REFERENCES schema_state)});
	my $words = refusal('referred', $migrate);
	like($words, qr/^"public"."schema_state" is published, and foreign keys refer to it\n/, 'foreign key: refused');
	is(announced($app), $words, 'foreign key: which the preflight has said before');
	$app->($words =~ /(ALTER TABLE \S*settings DROP CONSTRAINT [^;]+;)/);
	is(announced($app), '', 'foreign key: its first command remedies it');
	$app->($migrate);
	$app->($words =~ /(ALTER TABLE \S*settings ADD CONSTRAINT [^;]+;)/);
	is($app->(q{SELECT count(*) FROM pg_constraint WHERE conrelid = 'settings'::regclass}), '1', 'foreign key: the other puts it back');
}

# Inventories that are subscribed to --------------------------------------------------------------

{
	my $publisher = database('source');
	my $app = database('subscribed');
	run_script($node, $_, 'states/orm_empty.sql', schema => 'public') foreach ('source', 'subscribed');
	$publisher->(q{CREATE PUBLICATION cdc FOR ALL TABLES; SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')});
	$app->('CREATE SUBSCRIPTION s CONNECTION ' . quote_text($node->connstr('source'))
		  . q{ PUBLICATION cdc WITH (create_slot = false, slot_name = 'cdc', copy_data = false)});
	my $words = refusal('subscribed', 'SELECT count(*) FROM cowrie_migrate_v16(repair => true)');
	like($words, qr/^a subscription writes to the inventories\n/, 'subscribed: refused');
	same_online(refusal('subscribed', 'CALL cowrie_migrate_v16_online(repair => true)'), $words, 'subscribed');
	like(announced($app), qr/\Q$words\E/, 'subscribed: which the preflight has said before');
	$app->($words =~ /(SELECT \* FROM \S*cowrie_cleanup_v16\([^;]*\);)/);
	unlike(announced($app), qr/subscription/, 'subscribed: its command remedies it');
	$app->($migrate);
	$publisher->('SELECT count(*) FROM cowrie_migrate_v16(repair => true)');
	my $lsn = $publisher->('SELECT pg_current_wal_lsn()');
	$node->poll_query_until('postgres', "SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = 'cdc'");
	is($app->('SELECT apply_error_count FROM pg_stat_subscription_stats'), '0', 'subscribed: the rows of the publisher stop nobody');
	is(migrated_hash($node, 'subscribed'), migrated_hash($node, 'source'), 'subscribed: both are the same');
	$app->('ALTER SUBSCRIPTION s DISABLE');
	$app->('ALTER SUBSCRIPTION s SET (slot_name = NONE)');
	$app->('DROP SUBSCRIPTION s');
}

$node->stop;
done_testing();
