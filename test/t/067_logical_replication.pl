# Logical replication between two servers: every form of a publication, publisher or subscriber first, at
# once or online, with writers at work on the publisher. Afterwards both are version 16 and equal in
# every tier that is published, and replication goes on. The order and the commands are those of
# docs/RECOVERY.md, "Logical replication". Without COWRIE_FULL a sample that has every value of each.

use strict;
use warnings;

use CowrieTest;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use Time::HiRes qw(sleep time);

my @settings = ('wal_level = logical', 'max_replication_slots = 30', 'max_wal_senders = 30',
	'max_logical_replication_workers = 12', 'max_worker_processes = 30', 'wal_retrieve_retry_interval = 100ms',
	'max_sync_workers_per_subscription = 4', 'wal_writer_delay = 10ms', 'wal_receiver_status_interval = 1s');
my $publisher = start_node('publisher', @settings);
my $subscriber = start_node('subscriber', @settings);
my $quiet = 'SET client_min_messages = error';

my $v15 = join ', ', qw(session_id first_event_at last_event_at event_count command_count file_downloads
  login_attempts vt_flagged dshield_flagged risk_score matcher source_files enrichment created_at updated_at
  ssh_key_injections unique_ssh_keys);
my $v16 = "$v15, source_ip, enrichment_at, snapshot_asn, snapshot_country, snapshot_ip_type";
my $inventories = 'asn_inventory, ip_inventory, ip_asn_history';
my $filter = q{session_id < 'c'};

# What is published; which columns and rows of the sessions arrive. Where updates or deletes are not sent, the
# sessions differ, and each side keeps inventories of its own.
my %forms = (
	'all tables' => { what => 'ALL TABLES', inventories => 1 },
	'in schema' => { what => 'TABLES IN SCHEMA public', inventories => 1 },
	'by name' => { what => 'TABLE session_summaries, raw_events' },
	'row filter' => { what => "TABLE session_summaries WHERE ($filter), raw_events", rows => $filter },
	'column list' => { what => "TABLE session_summaries ($v15), raw_events", columns => $v15 },
	'inserts only' => { what => q{ALL TABLES WITH (publish = 'insert')}, inventories => 1, differs => 1 },
	'inserts and updates' => { what => q{TABLE session_summaries, raw_events WITH (publish = 'insert, update')},
		differs => 1 },
);

# The same tables on both sides. What writes is an application that knows nothing of version 16.
sub prepare
{
	foreach my $node ($publisher, $subscriber)
	{
		create_v15($node, 'template15', n => 400);
		$node->safe_psql('template15', q{
CREATE TABLE donors AS SELECT row_number() OVER (ORDER BY session_id) AS id, enrichment
FROM session_summaries WHERE (cowrie_enrichment_facts(enrichment)).source_ip IS NOT NULL;
ALTER TABLE donors ADD PRIMARY KEY (id);
CREATE TABLE enough (id integer PRIMARY KEY);
CREATE PROCEDURE write_sessions(seed integer) LANGUAGE plpgsql AS $$
DECLARE
  begun timestamptz := clock_timestamp();
  most integer := (SELECT count(*) FROM donors);
  key text;
BEGIN
  FOR i IN 1..100000 LOOP
    EXIT WHEN EXISTS (SELECT FROM enough) OR clock_timestamp() > begun + interval '120 seconds';
    key := format('%s-new-%s', (ARRAY['a', 'b', 'd'])[1 + i % 3], seed * 100000 + i);
    INSERT INTO session_summaries (session_id, first_event_at, last_event_at, enrichment)
    SELECT key, now(), now(), enrichment FROM donors WHERE id = 1 + i % most;
    INSERT INTO raw_events (id, source, payload, session_id, event_type, event_timestamp)
    SELECT 1000000 * seed + i, 'writer', '{"src_ip": "203.0.113.7"}', key, 'cowrie.session.connect', now();
    UPDATE session_summaries SET enrichment = (SELECT enrichment FROM donors WHERE id = 1 + i * 7 % most)
    WHERE session_id = (SELECT min(session_id) FROM session_summaries WHERE session_id > md5(i::text)
      AND (cowrie_enrichment_facts(enrichment)).source_ip IS NOT NULL);
    UPDATE session_summaries SET last_event_at = last_event_at + interval '1 second'
    WHERE session_id = (SELECT min(session_id) FROM session_summaries WHERE session_id > md5((i * 3)::text));
    IF i % 5 = 0 THEN
      DELETE FROM session_summaries WHERE session_id = (SELECT max(session_id) FROM session_summaries
        WHERE session_id LIKE '%-new-%' AND session_id <> key);
    END IF;
    COMMIT;
    PERFORM pg_sleep(0.005);
  END LOOP;
END $$});
	}
	return;
}
prepare();

# One pair of databases ---------------------------------------------------------------------------

my $number = 0;
my %sessions;    # that stay open: connecting takes longer than most of what is asked

sub on
{
	my ($node, $sql) = @_;
	$sessions{ $node->name } //= Session->new($node, "c$number");
	return $sessions{ $node->name }->run($sql);
}
sub on_publisher { return on($publisher, $_[0]) }
sub on_subscriber { return on($subscriber, $_[0]) }

# Until a query says true; generous, as a busy machine is slow.
sub wait_until
{
	my ($node, $sql) = @_;
	foreach (1 .. 3600)
	{
		return if on($node, $sql) eq 't';
		sleep 0.05;
	}
	die $node->name . " stays as it is: $sql\n" . substr(slurp_file($node->logfile), -2000);
}

sub begin_pair
{
	my ($form) = @_;
	++$number;
	$_->safe_psql('postgres', "CREATE DATABASE c$number TEMPLATE template15") foreach ($publisher, $subscriber);
	on_publisher("CREATE PUBLICATION p$number FOR $form->{what}");
	on_subscriber("DELETE FROM session_summaries WHERE NOT ($form->{rows})") if $form->{rows};
	subscribe();
	return;
}

sub subscribe
{
	on_subscriber("CREATE SUBSCRIPTION s$number CONNECTION "
		  . quote_text($publisher->connstr("c$number")) . " PUBLICATION p$number WITH (copy_data = false)");
	return;
}

sub end_pair
{
	on_subscriber("DROP SUBSCRIPTION s$number");
	$_->close foreach values %sessions;
	%sessions = ();
	return;
}

# What the publisher has committed so far has been applied.
sub caught_up
{
	my $lsn = on_publisher('SELECT pg_current_wal_lsn()');
	wait_until($publisher, "SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = 's$number'");
	return;
}

# It has, or it has met a row that it cannot take.
sub caught_up_or_stopped
{
	my $lsn = on_publisher('SELECT pg_current_wal_lsn()');
	foreach (1 .. 3600)
	{
		return 'caught up' if on_publisher(
			"SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = 's$number'") eq 't';
		return 'stopped' if on_subscriber('SELECT apply_error_count > 0 FROM pg_stat_subscription_stats') eq 't';
		sleep 0.05;
	}
	die 'the subscriber neither catches up nor stops';
}

sub hash_of
{
	my ($node, $columns, $table, $where) = @_;
	return on($node, qq{SET timezone = 'UTC';
SELECT count(*), md5(string_agg(md5(r::text), '' ORDER BY md5(r::text)))
FROM (SELECT $columns FROM $table WHERE } . ($where // 'true') . q{) AS r});
}

# Row by row, where a hash is not enough to see what is wrong.
sub differing
{
	my ($columns, $table) = @_;
	my %rows;
	foreach my $node ($publisher, $subscriber)
	{
		$rows{$_} .= $node->name . ' ' foreach split /\n/, on($node, "SET timezone = 'UTC'; SELECT left(r::text, 40) || md5(r::text) || right(r::text, 100) FROM (SELECT $columns FROM $table) AS r");
	}
	return join "\n", map { "$rows{$_}: $_" } grep { $rows{$_} !~ / .* / } sort keys %rows;
}

sub equal
{
	my ($name, $form) = @_;
	my $columns = $form->{columns} // $v16;
	return if $form->{differs};    # it cannot be
	is(hash_of($subscriber, $columns, 'session_summaries', $form->{rows}),
		hash_of($publisher, $columns, 'session_summaries', $form->{rows}), "$name: equal sessions")
	  or diag(substr(differing($columns, 'session_summaries'), 0, 3000));
	# what is not sent of the sessions its repair has derived from its own
	return if $form->{columns} && $name =~ /later/;
	foreach my $table (split /, /, $inventories)
	{
		is(hash_of($subscriber, '*', $table), hash_of($publisher, '*', $table), "$name: equal $table")
		  or diag(substr(differing('*', $table), 0, 3000));
	}
	return;
}

# What the guide says -----------------------------------------------------------------------------

my $at_once = "$quiet; SELECT count(*) FROM cowrie_migrate_v16()";
my $online = "$quiet; CALL cowrie_migrate_v16_online(batch_size => 20, target_batch => '0', pause => '1 ms')";

sub take_inventories
{
	my ($form) = @_;
	on_publisher("ALTER PUBLICATION p$number ADD TABLE $inventories") unless $form->{inventories};
	caught_up();
	on_subscriber(q{SET session_replication_role = replica;
DELETE FROM ip_asn_history;
DELETE FROM ip_inventory;
DELETE FROM asn_inventory;
RESET session_replication_role});
	on_subscriber("ALTER SUBSCRIPTION s$number REFRESH PUBLICATION");
	wait_until($subscriber, q{SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel});
	return;
}

sub publisher_first
{
	my ($form, $way) = @_;
	on_publisher($way);
	my $outcome = caught_up_or_stopped();
	on_subscriber("ALTER SUBSCRIPTION s$number DISABLE");
	on_subscriber($at_once);
	on_subscriber("ALTER SUBSCRIPTION s$number ENABLE");
	return $outcome;
}

sub subscriber_first
{
	my ($form, $way) = @_;
	if ($way eq $online)
	{
		on_subscriber($at_once);
		on_publisher($way);
		return 'caught up';
	}
	# At once: as if the application had stopped.
	my $session = Session->new($publisher, "c$number");
	$session->run('BEGIN; LOCK TABLE session_summaries, raw_events IN EXCLUSIVE MODE');
	caught_up();
	on_subscriber($at_once);
	$session->run("$way; COMMIT");
	$session->close;
	return 'caught up';
}

# A combination -----------------------------------------------------------------------------------

sub combination
{
	my ($form_name, $order, $mode) = @_;
	my $name = "$form_name, $order, $mode";
	my $form = $forms{$form_name};
	my $begun = time;
	begin_pair($form);
	my @writers = map { my $writer = Session->new($publisher, "c$number"); $writer->begin("CALL write_sessions($_)"); $writer } (1, 2);
	wait_until($publisher, q{SELECT count(*) > 20 FROM session_summaries WHERE session_id LIKE '%-new-%'});
	my $errors = -s $subscriber->logfile;
	my $way = $mode eq 'online' ? $online : $at_once;
	my $outcome = $order eq 'publisher first' ? publisher_first($form, $way) : subscriber_first($form, $way);
	my $then = on_publisher(q{SELECT count(*) FROM session_summaries});
	wait_until($publisher, "SELECT count(*) <> $then FROM session_summaries");
	on_publisher('INSERT INTO enough VALUES (1)');
	wait_until($publisher, q{SELECT count(*) = 0 FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'CALL write_sessions%' AND state = 'active'});
	take_inventories($form) unless $form->{differs};
	caught_up();
	foreach my $node ($publisher, $subscriber)
	{
		is(on($node,
				q{SELECT string_agg(key || ' ' || value, ', ' ORDER BY key) FROM schema_state WHERE key LIKE 'schema%'}),
			'schema_subphase 16.5, schema_version 16', "$name: version 16 on the " . $node->name);
		is(on($node,
				q{SELECT count(*) FROM cowrie_validate_schema() WHERE severity = 'error'}),
			'0', "$name: validated on the " . $node->name)
		  unless $form->{differs} || $form->{columns};    # not before its repair
	}
	equal($name, $form);

	# It goes on: an application of version 16, and what is still unfilled of what that of 15 has written.
	on_publisher(q{INSERT INTO ip_inventory (ip_address, first_seen, last_seen) VALUES ('198.51.100.250', now(), now());
INSERT INTO session_summaries (session_id, source_ip, snapshot_country) VALUES ('a-v16', '198.51.100.250', 'NL')});
	my @old = split /\n/, slurp_file($subscriber->logfile, $errors);
	caught_up();
	foreach my $node ($publisher, $form->{columns} || $form->{differs} ? $subscriber : ())
	{
		on($node, "$quiet; SELECT count(*) FROM cowrie_migrate_v16(repair => true)");
		caught_up();
	}
	is(on($_, 'SELECT count(*) FROM cowrie_validate_schema()'),
		'0', "$name: no finding on the " . $_->name) foreach ($publisher, $subscriber);
	is(on_subscriber(q{SELECT count(*) FROM session_summaries WHERE session_id = 'a-v16'}), '1', "$name: replication goes on");
	equal("$name: later", $form);
	is(join("\n", grep { /ERROR:/ && !/is missing replicated column|"public.asn_inventory" does not exist|origin with ID \d+ is already active|slot "\w+" is active for PID/ } @old), '', "$name: no other error on the subscriber");
	is(on_subscriber(q{SELECT string_agg(DISTINCT mode, ' ') FROM cowrie_migration_log}), 'atomic',
		"$name: the ledger of the subscriber tells of its own runs");
	$_->close foreach @writers;
	end_pair();
	note(sprintf '%s: %s, %.1f s', $name, $outcome, time - $begun);
	return;
}

my @combinations = (
	[ 'all tables', 'publisher first', 'online' ],
	[ 'all tables', 'subscriber first', 'at once' ],
	[ 'in schema', 'publisher first', 'at once' ],
	[ 'by name', 'subscriber first', 'online' ],
	[ 'row filter', 'publisher first', 'online' ],
	[ 'column list', 'subscriber first', 'at once' ],
	[ 'inserts only', 'publisher first', 'at once' ]);
if (full_counts())
{
	@combinations = ();
	foreach my $form (sort keys %forms)
	{
		foreach my $order ('publisher first', 'subscriber first')
		{
			push @combinations, map { [ $form, $order, $_ ] } ('at once', 'online');
		}
	}
}
combination(@$_) foreach @combinations;
figure(scalar(@combinations) . ' of ' . 4 * keys(%forms) . ' combinations of publication, order and mode: both at version 16');

$publisher->stop;
$subscriber->stop;
done_testing();
