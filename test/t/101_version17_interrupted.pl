# Version 17, interrupted: at each phase and at each statement of its own, at once and online. What is kept
# is what the phases before it give, the next call ends in the same schema, and a call of version 16 ends at
# 16. Whatever is damaged of what it adds is found, refused and repaired.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Test::More;
use Versions;

my $node = start_node('interrupted17');
my $quiet = 'SET client_min_messages = error;';
create_v15($node, 'v15', n => 120);
my $v15 = schema_dump($node, 'v15');
load_reference($node, 'v15');

sub copy
{
	my ($from, $to) = @_;
	copy_database($node, $from, $to);
	return $to;
}

sub migrated
{
	my ($from, $to, $call) = @_;
	copy($from, $to);
	$node->safe_psql($to, "$quiet $call");
	return schema_dump($node, $to);
}
my $v16 = migrated('v15', 'v16', 'SELECT count(*) FROM cowrie_migrate_v16()');
my @added = added_objects($node, 'v16');
my $v17 = migrated('v16', 'v17', 'SELECT count(*) FROM cowrie_migrate_v17()');

# Runs a call that fails at a place; returns what it said.
sub fails_at
{
	my ($database, $place, $call) = @_;
	$node->psql($database, "$quiet SET cowrie_migrate.fail_at = '$place'; \n$call", stderr => \my $errors);
	return $errors;
}

# At once, from 15: each phase fails at its end. What is kept is what is recorded.
my @recorded = ('15', '15 16.1', '15 16.2', '15 16.3', '15 16.4', '16 16.5', '16 17.1', '17 17.2');
my $phases = $#recorded;
foreach my $phase (1 .. $phases)
{
	my $kept = copy('v15', "kept_$phase");
	$node->safe_psql($kept, "$quiet SET cowrie_migrate.fail_at = '$phase.verify'; SELECT count(*) FROM cowrie_migrate_v17(on_failure => 'keep')");
	is(state_of($node, $kept), $recorded[ $phase - 1 ], "phase $phase fails at its end: the phases before it are kept");
	is(schema_dump($node, $kept), $v16, 'and are version 16') if $recorded[ $phase - 1 ] eq '16 16.5';
	next unless $phase =~ /^[1467]$/; # how the others go on has been seen for version 16
	if ($phase == 4)
	{
		$node->safe_psql(copy($kept, 'ends_at_16'), "$quiet SELECT count(*) FROM cowrie_migrate_v16()");
		is(schema_dump($node, 'ends_at_16'), $v16, "after phase $phase: version 16 can be completed by itself");
	}
	$node->safe_psql($kept, "$quiet SELECT count(*) FROM cowrie_migrate_v17()");
	is(schema_dump($node, $kept), $v17, "after phase $phase: the next call completes it");
	is(compare($node, $kept), $no_difference, 'with the rows of the reference');
}

# At once, from 16: at each of its statements. Nothing is left of them.
my $statements = $node->safe_psql(copy('v16', 'each_statement'),
	"LOAD 'cowrie_migrate'; $quiet BEGIN; SELECT FROM cowrie_migrate_v17(); SHOW cowrie_migrate.statements; ROLLBACK") =~ s/\s//gr;
cmp_ok($statements, '>', 10, 'statements from 16 to 17');
my $step = full_counts() ? 1 : 3;
my ($tried, @unlike) = (0);
for (my $statement = 1; $statement <= $statements; $statement += $step)
{
	my $errors = fails_at('each_statement', "#$statement", 'SELECT count(*) FROM cowrie_migrate_v17()');
	$tried++;
	push @unlike, $statement if $errors !~ /injected failure/ || state_of($node, 'each_statement') ne '16 16.5';
}
is("@unlike", '', "$tried of $statements statements have failed, and 16 is recorded as before");
is(schema_dump($node, 'each_statement'), $v16, 'the schema is that of version 16');
figure("version 17, statements from 16 that failed: $tried of $statements");

# Online: right before each of the steps that change the catalog, and some of those that fill.
my @steps = ('1.fill_columns', '3.load_ip_inventory', '5.last_catch_up', '5.set_version', '6.add_columns',
	(map { "7.$_->{name}" } grep { $_->{kind} eq 'index' } @added), '7.set_version');
foreach my $place (@steps)
{
	my $from = $place =~ /^[67]/ ? 'v16' : 'v15';
	(my $online = "online_$place") =~ s/\./_/;
	copy($from, $online);
	my $errors = fails_at($online, $place, 'CALL cowrie_migrate_v17_online(batch_size => 50)');
	like($errors, qr/injected failure at \Q$place\E.*HINT:.*CALL cowrie_migrate_v17_online\(\);/s, "online, $place: fails and says what to call");
	$node->safe_psql($online, "$quiet CALL cowrie_migrate_v17_online(batch_size => 50)");
	is(schema_dump($node, $online), $v17, "online, $place: the next call completes it");
	is(compare($node, $online), $no_difference, 'with the rows of the reference') if $from eq 'v15';
}

# What one mode has begun the other ends, and what was begun for 17 ends at 16 where that is asked for.
copy('v15', 'other_mode');
fails_at('other_mode', '7.set_version', 'CALL cowrie_migrate_v17_online(batch_size => 50)');
is(state_of($node, 'other_mode'), '16 17.1', 'online from 15, interrupted at the last step');
$node->safe_psql('other_mode', "$quiet SELECT count(*) FROM cowrie_cleanup_v17(); SELECT count(*) FROM cowrie_migrate_v17()");
is(schema_dump($node, 'other_mode'), $v17, 'given up, and migrated at once');
is($node->safe_psql('other_mode', q{SELECT passed FROM cowrie_checkpoint_v17() WHERE criterion = 'zero_data_loss'}), 't',
	'what the online run has proved is known');
copy('v15', 'other_version');
fails_at('other_version', '3.load_ip_inventory', 'CALL cowrie_migrate_v17_online(batch_size => 50)');
$node->safe_psql('other_version', "$quiet CALL cowrie_migrate_v16_online(batch_size => 50)");
is(schema_dump($node, 'other_version'), $v16, 'begun for 17, ended by the call for 16');

# An index that was left INVALID, as by a kill during CREATE INDEX CONCURRENTLY: the call makes it again.
my ($first_index) = map { $_->{name} } grep { $_->{kind} eq 'index' } @added;
copy('v16', 'invalid');
fails_at('invalid', $steps[-2], 'CALL cowrie_migrate_v17_online()');
$node->safe_psql('invalid', "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '$first_index'::regclass");
my @refusal = refusal_of($node, 'invalid', 'SELECT * FROM cowrie_migrate_v17()');
is("@refusal[0, 1]", '55000 incomplete v17 schema detected', 'half of version 17 is refused at once');
like($refusal[2], qr/to return to version 16, run SELECT \* FROM cowrie_cleanup_v17\(\);/, 'with both ways out');
$node->safe_psql('invalid', "$quiet CALL cowrie_migrate_v17_online()");
is(schema_dump($node, 'invalid'), $v17, 'an INVALID index of an interrupted call is made again');

# Damages ---------------------------------------------------------------------------------------------

sub damages
{
	my ($object) = @_;
	my ($name) = $object->{name};
	my $alter = 'ALTER TABLE session_summaries';
	return ([ 'dropped', "$alter DROP COLUMN $name" ], [ 'renamed', "$alter RENAME COLUMN $name TO was_$name" ],
		[ 'of another type', "$alter ALTER COLUMN $name TYPE varchar(500)" ], [ 'not null', "UPDATE session_summaries SET $name = ''; $alter ALTER COLUMN $name SET NOT NULL" ],
		[ 'with a default', "$alter ALTER COLUMN $name SET DEFAULT 'x'" ])
	  if $object->{kind} eq 'column';
	return ([ 'dropped', "DROP INDEX $name" ], [ 'on another column', "DROP INDEX $name; CREATE INDEX $name ON session_summaries (matcher)" ],
		[ 'invalid', "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '$name'::regclass" ]);
}

my $count = 0;
foreach my $object (@added)
{
	my @damages = damages($object);
	my $number = $count++;
	# of each kind of object every damage, of each object at least one
	@damages = map { $damages[ ($number + $_) % @damages ] } 0 .. 1 unless full_counts();
	foreach my $damage (@damages)
	{
		my ($way, $sql) = @$damage;
		my $what = "$object->{name} $way";
		my $damaged = copy('v17', 'damaged');
		$node->safe_psql($damaged, "$quiet $sql");
		cmp_ok($node->safe_psql($damaged, qq{
SELECT count(*) FROM cowrie_validate_schema(version => 17) WHERE object_name IN ('$object->{name}', 'session_summaries.$object->{name}')}),
			'>', 0, "$what: found");
		is($node->safe_psql($damaged, q{SELECT count(*) FROM cowrie_validate_schema() WHERE severity = 'error'}), 0, 'version 16 is as it was');
		@refusal = refusal_of($node, $damaged, 'SELECT * FROM cowrie_migrate_v17()');
		is("@refusal[0, 1]", '55000 incomplete v17 schema detected', 'refused without repair');
		$node->safe_psql($damaged, "$quiet SELECT count(*) FROM cowrie_migrate_v17(repair => true)");
		is($node->safe_psql($damaged, 'SELECT count(*) FROM cowrie_validate_schema(version => 17)'), 0, 'repaired');
		is(compare($node, $damaged), $no_difference, 'the rows are as they were');
		is(state_of($node, $damaged), '17 17.2', 'recorded');
		$node->safe_psql('postgres', 'DROP DATABASE damaged');
	}
}
figure("version 17, damages found and repaired: $count objects");

# A value that does not fit is not lost.
my $column = (grep { $_->{kind} eq 'column' && $_->{sql} =~ /\(64\)/ } @added)[0]{name};
copy('v17', 'too_long');
$node->safe_psql('too_long', "ALTER TABLE session_summaries ALTER COLUMN $column TYPE text; UPDATE session_summaries SET $column = repeat('x', 100)");
@refusal = refusal_of($node, 'too_long', 'SELECT * FROM cowrie_migrate_v17(repair => true)');
is("@refusal[0, 1]", '55000 repair would lose data', 'values that are too long');
@refusal = refusal_of($node, 'too_long', 'CALL cowrie_migrate_v17_online(repair => true)');
isnt($refusal[0], 'not refused', 'nor online');

done_testing();
