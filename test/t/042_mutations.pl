# Every declared object, damaged in every way that its kind allows: validate reports exactly that
# object, the migration refuses, one repair mends it, and the result is what the reference computes.
# Then random walks: several damages at once, one repair.
#
# What is declared is read from the catalog of a migrated database; there is no list here.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use File::Basename qw(dirname);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('mutations');
my $version = int($node->safe_psql('postgres', 'SHOW server_version_num') / 10_000);
create_v15($node, 'mutated', n => 200);
load_reference($node, 'mutated');
my $before = columns_of_sessions();
my $data = data_hash($node, 'mutated');
$node->safe_psql('mutated', 'SELECT count(*) FROM cowrie_migrate_v16()');
is(compare($node, 'mutated'), $no_difference, 'migrated');

sub columns_of_sessions
{
	return join ',', map { "'$_'" } split /\n/, $node->safe_psql('mutated',
		"SELECT attname FROM pg_attribute WHERE attrelid = 'session_summaries'::regclass AND attnum > 0");
}

# The declared objects: kind|table|name|definition, as the server writes it.
my $tables = "'session_summaries', 'asn_inventory', 'ip_inventory', 'ip_asn_history'";
my $objects_sql = <<"END";
SELECT 'column|' || c.relname || '|' || a.attname || '|' || format_type(a.atttypid, a.atttypmod)
       || CASE WHEN a.attcollation <> y.typcollation THEN ' collated' ELSE '' END
       || '#' || CASE WHEN a.attnotnull THEN 'NOT NULL' ELSE '' END
       || CASE WHEN a.attidentity <> '' THEN ' IDENTITY' ELSE '' END || '#' || a.attgenerated::text
       || '#' || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type y ON y.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relname IN ($tables) AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0
AND NOT a.attisdropped AND NOT (c.relname = 'session_summaries' AND a.attname IN ($before))
UNION ALL
SELECT 'constraint|' || c.relname || '|' || k.conname || '|' || pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE c.relname IN ($tables) AND c.relnamespace = 'public'::regnamespace AND k.contype IN ('p', 'c', 'f') AND k.conname <> 'pk_session_summaries'
UNION ALL
SELECT 'index|' || c.relname || '|' || x.relname || '|'
       || regexp_replace(pg_get_indexdef(i.indexrelid), ' INDEX .* ON ', ' ')
       || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
WHERE c.relname IN ($tables) AND c.relnamespace = 'public'::regnamespace AND x.relname LIKE 'idx%'
UNION ALL
SELECT 'table|' || c.relname || '|' || c.relname || '|' || c.relpersistence::text FROM pg_class c
WHERE c.relname IN ($tables) AND c.relname <> 'session_summaries'
AND c.relnamespace = 'public'::regnamespace
ORDER BY 1
END
my @objects = map { my %o; @o{qw(kind table name definition)} = split /\|/, $_, 4; \%o }
  split /\n/, $node->safe_psql('mutated', "SELECT replace(line, E'\\n', ' ') FROM ($objects_sql) AS o (line)");

# The ways to damage an object: [name, SQL].
my $generated_gone = join ' ', map { "ALTER TABLE ip_inventory DROP COLUMN $_->{name};" }
  grep { $_->{kind} eq 'column' && $_->{definition} =~ /#s#/ } @objects;

sub damages
{
	my ($o) = @_;
	my ($table, $name, $definition) = @{$o}{qw(table name definition)};
	my $alter = "ALTER TABLE $table";
	my @ways;
	if ($o->{kind} eq 'table')
	{
		push @ways, [ 'dropped', "DROP TABLE $table CASCADE" ];
		# No permanent table may refer to an unlogged one.
		my $links = join ' ', map { "ALTER TABLE $_->{table} DROP CONSTRAINT $_->{name};" }
		  grep { $_->{kind} eq 'constraint' && $_->{definition} =~ /REFERENCES $table/ } @objects;
		push @ways, [ 'unlogged', "$links $alter SET UNLOGGED" ];
	}
	elsif ($o->{kind} eq 'column')
	{
		my ($type, $not_null, $generated, $expression) = split /#/, $definition, 4;
		push @ways, [ 'dropped', "$alter DROP COLUMN $name CASCADE" ];
		push @ways, [ 'renamed', ($name eq 'enrichment' && $table eq 'ip_inventory' ? $generated_gone : '')
			  . "$alter RENAME COLUMN $name TO was_$name" ];
		my %other = (
			'integer' => [ 'bigint', $name ],
			'text' => [ 'varchar(2000)', $name ],
			'boolean' => [ 'text', "$name\:\:text" ],
			'text[]' => [ 'varchar[]', "$name\:\:varchar[]" ],
			'jsonb' => [ 'json', "$name\:\:json" ],
			'timestamp with time zone' => [ 'timestamp(6)', "$name AT TIME ZONE 'UTC'" ]);
		my ($to, $using) = @{ $other{$type} // [ 'text', $name ] };
		my $default = $expression ne '' && !$generated ? "$alter ALTER COLUMN $name DROP DEFAULT;" : '';
		if ($generated)
		{
			push @ways, [ 'plain', "$alter ALTER COLUMN $name DROP EXPRESSION" ];
			push @ways, [ 'other expression', "$alter DROP COLUMN $name; "
				  . "$alter ADD COLUMN $name $type GENERATED ALWAYS AS (NULL\:\:$type) STORED" ];
			push @ways, [ 'other type', "$alter ALTER COLUMN $name TYPE $to" ] if $type ne 'text[]' && $type ne 'boolean';
			return @ways;
		}
		push @ways, [ 'other type', ($name eq 'enrichment' && $table eq 'ip_inventory' ? $generated_gone : '')
			  . "$default $alter ALTER COLUMN $name TYPE $to USING $using" ];
		push @ways, [ 'other collation', "$alter ALTER COLUMN $name TYPE $type COLLATE \"C\"" ]
		  if $type =~ /^(text|character varying.*)$/ && $name !~ /_ip$|^ip_/;
		push @ways, [ 'default', $default
			  || "$alter ALTER COLUMN $name SET DEFAULT " . ($type eq 'integer' ? '42'
				: $type =~ /^timestamp/ ? "'epoch'" : "'x'") ];
		# Numbers that the server gives; rows that are there may have nulls.
		my $no_nulls = "UPDATE pg_attribute SET attnotnull = true WHERE attrelid = '$table'\:\:regclass AND attname = '$name';";
		push @ways, [ 'identity', ($not_null ? '' : $no_nulls) . "$default $alter ALTER COLUMN $name ADD GENERATED ALWAYS AS IDENTITY" ]
		  if $type eq 'integer' && ($not_null || $version < 18);
		if ($not_null)
		{
			my $keyed = grep { $_->{kind} eq 'constraint' && $_->{table} eq $table
				  && $_->{definition} =~ /^PRIMARY KEY.*\b$name\b/ } @objects;
			push @ways, [ 'nullable', "$alter ALTER COLUMN $name DROP NOT NULL; "
				  . "UPDATE $table SET $name = NULL" ] unless $keyed;
		}
		elsif ($name ne 'organization_name')
		{
			# Rows that are there have nulls. From PostgreSQL 18 on NOT NULL is a constraint.
			push @ways, [ 'not null', $version >= 18
				? "$alter ADD CONSTRAINT forbidden NOT NULL $name NOT VALID"
				: "$alter ADD CONSTRAINT helper CHECK ($name IS NOT NULL) NOT VALID;"
				  . "$alter DROP CONSTRAINT helper; UPDATE pg_attribute SET attnotnull = true"
				  . " WHERE attrelid = '$table'\:\:regclass AND attname = '$name'" ];
		}
	}
	elsif ($o->{kind} eq 'constraint')
	{
		push @ways, [ 'dropped', "$alter DROP CONSTRAINT $name CASCADE" ];
		push @ways, [ 'renamed', "$alter RENAME CONSTRAINT $name TO another_name", 'harmless' ];
		if ($definition !~ /^PRIMARY/)
		{
			push @ways, [ 'not valid', "$alter DROP CONSTRAINT $name; "
				  . "$alter ADD CONSTRAINT $name $definition NOT VALID" ];
			push @ways, [ 'not valid under another name', "$alter DROP CONSTRAINT $name; "
				  . "$alter ADD CONSTRAINT mine $definition NOT VALID" ];
		}
		push @ways, [ 'other definition', "$alter DROP CONSTRAINT $name CASCADE; $alter ADD CONSTRAINT $name "
			  . ($definition =~ /^CHECK/ ? 'CHECK (true)'
				: $definition =~ /^FOREIGN/ ? "$definition ON DELETE CASCADE" : "$definition DEFERRABLE") ];
	}
	else
	{
		push @ways, [ 'dropped', "DROP INDEX $name" ];
		push @ways, [ 'renamed', "ALTER INDEX $name RENAME TO another_name", 'harmless' ];
		push @ways, [ 'invalid', "UPDATE pg_index SET indisvalid = false WHERE indexrelid = '$name'\:\:regclass" ];
		my ($column) = $definition =~ /\((\w+)/;
		push @ways, [ 'other definition', "DROP INDEX $name; CREATE INDEX $name ON $table USING hash ($column)" ];
	}
	return @ways;
}

# One script, one session: each damage in a transaction that is rolled back.
my $fixtures = dirname(dirname(__FILE__)) . '/fixtures';
sub block
{
	my ($label, $sql) = @_;
	return <<"END";
\\echo === $label
BEGIN;
$sql;
\\echo --- left
SELECT replace(line, E'\\n', ' ') FROM ($objects_sql) AS o (line);
\\echo --- findings
SELECT object_type || '|' || object_name FROM cowrie_validate_schema()
WHERE object_type NOT IN ('version', 'data');
SAVEPOINT refused;
\\echo --- refused
SELECT status FROM cowrie_migrate_v16();
\\echo :SQLSTATE
ROLLBACK TO refused;
\\echo --- repaired
SELECT count(*) FROM cowrie_migrate_v16(repair => true) WHERE status NOT IN ('done', 'skipped');
\\echo :SQLSTATE
\\echo --- after
SELECT object_type || '|' || object_name || '|' || coalesce(actual, '') FROM cowrie_validate_schema();
\\echo --- difference
\\i '$fixtures/compare.sql'
\\echo --- end
ROLLBACK;
END
}

sub run_blocks
{
	my ($name, @blocks) = @_;
	my $file = $node->basedir . "/$name.sql";
	append_to_file($file, join '', 'SET client_min_messages = error;', "\n", @blocks);
	my ($out, $err) = run_command(
		[ 'psql', '-XAtq', '-d', $node->connstr('mutated'), '-f', $file ]);
	my %result;
	for my $part (split /^=== /m, $out)
	{
		my ($label) = $part =~ /^(.*)\n/ or next;
		my %sections;
		while ($part =~ /^--- (\w+)\n(.*?)(?=^--- )/msg)
		{
			$sections{$1} = $2;
		}
		$result{$label} = \%sections;
	}
	return (\%result, $err);
}

sub check_repaired
{
	my ($label, $got, $err) = @_;
	is($got->{refused}, "55000\n", "$label: refused without repair") or return;
	my $fine = is($got->{repaired}, "0\n00000\n", "$label: repaired");
	$fine &&= is($got->{after}, '', "$label: no findings afterwards");
	$fine &&= is($got->{difference}, "$no_difference\n", "$label: as the reference");
	return $fine;
}

# The damages, one by one.
my (@blocks, @plan);
for my $object (@objects)
{
	for my $way (damages($object))
	{
		my $label = "$object->{kind} $object->{table}.$object->{name} $way->[0]";
		push @plan, { label => $label, object => $object, way => $way };
		push @blocks, block($label, $way->[1]);
	}
}
$node->append_conf('postgresql.conf', 'allow_system_table_mods = on');
$node->restart;
my ($result, $err) = run_blocks('single', @blocks);

my $good = 0;
for my $each (@plan)
{
	my ($label, $object, $way) = @{$each}{qw(label object way)};
	my $got = $result->{$label};
	if ($way->[2])
	{
		$good++ if is($got->{findings} // 'nothing', '', "$label: harmless");
		next;
	}
	# What has gone or is defined otherwise; names of indexes and constraints do not matter. An
	# expression over a column of another type is not judged before the column is mended.
	my %left = map { my @o = split /\|/, $_, 4; ("$o[0]|$o[1]|" . ($o[0] =~ /^(column|table)$/ ? $o[2] : '') . "|$o[3]" => 1) }
	  split /\n/, $got->{left} // '';
	my %names = map { my @o = split /\|/, $_, 4; ("$o[0]|$o[1]|$o[2]" => 1) } split /\n/, $got->{left} // '';
	my $gone_table = $object->{kind} eq 'table' && $way->[0] eq 'dropped';
	my @expected;
	for my $o (@objects)
	{
		my $key = "$o->{kind}|$o->{table}|" . ($o->{kind} =~ /^(column|table)$/ ? $o->{name} : '') . "|$o->{definition}";
		next if $left{$key};
		next if $gone_table && $o->{table} eq $object->{table} && $o->{kind} ne 'table';
		next if $way->[0] =~ /^other (type|collation)$/ && $o != $object && $names{"$o->{kind}|$o->{table}|$o->{name}"}
		  && $o->{kind} ne 'column';
		push @expected, "$o->{kind}|" . ($o->{kind} eq 'column' ? "$o->{table}.$o->{name}" : $o->{name});
	}
	push @expected, "column|$object->{table}.was_$object->{name}"
	  if $way->[0] eq 'renamed' && $object->{definition} =~ /#NOT NULL##$/;
	my $found = join "\n", sort split /\n/, $got->{findings} // 'nothing';
	my $fine = is($found, join("\n", sort @expected), "$label: exactly what was damaged");
	$fine = check_repaired($label, $got) && $fine;
	$good++ if $fine;
	diag($way->[1]) unless $fine;
}
is($good, scalar @plan, "$good of " . scalar(@plan) . ' damages found and mended');
note("$good of " . scalar(@plan) . ' damages of ' . scalar(@objects) . ' objects found and mended');
is(data_hash($node, 'mutated'), $data, 'data unchanged');
diag(substr($err, 0, 3000)) if $good < @plan;

# Random walks.
my $walks = full_counts() ? 200 : 25;
my $seed = $ENV{COWRIE_SEED} // 20240101;
srand($seed);
# A column that claims to have no NULL and has some is a state of the catalog alone: whatever rewrites
# the table fails on it.
my @damaging = grep { !$_->{way}[2] && !($_->{way}[0] eq 'not null' && $_->{object}{table} eq 'session_summaries') } @plan;
@blocks = ();
for my $walk (1 .. $walks)
{
	my @steps;
	for (1 .. 1 + int(rand(6)))
	{
		my $step = $damaging[ int(rand(@damaging)) ];
		# A damage may be impossible after another one: then it is left out.
		push @steps, "SAVEPOINT s;\n$step->{way}[1];\n\\if :ERROR\nROLLBACK TO s;\n\\endif\n";
	}
	push @blocks, block("walk $walk", join '', @steps);
}
($result, $err) = run_blocks('walks', @blocks);
$good = grep { check_repaired("walk $_ (seed $seed)", $result->{"walk $_"}) } 1 .. $walks;
is($good, $walks, "$good of $walks random walks repaired in one call");
note("$good of $walks random walks repaired");
is(data_hash($node, 'mutated'), $data, 'data unchanged');

$node->stop;
done_testing();
