# What an attacker can plant in a table of hers, as SQL that she runs. Each object runs evil.attack() of
# Hostile.pm when the server touches it.
package Planting;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(planted_objects planting prelude tables_of work_tables);

# The tables that one owns, an added column aside: a column of text, and one that we name, whose type can
# be changed: its type, and a value for it where it is planted as an enum.
my %columns = (
	session_summaries => { text => 'matcher', key => 'session_id', named => 'created_at', type => 'timestamptz' },
	raw_events => { text => 'event_type', key => 'id', named => 'payload', type => 'json' },
	schema_state => { text => 'value', key => 'key', named => 'value', type => 'varchar(256)' },
	asn_inventory => { text => 'organization_name', key => 'asn_number', named => 'organization_name', type => 'text' },
	ip_inventory => { text => 'enrichment_version', key => 'ip_address', named => 'asn_last_verified', type => 'timestamptz' },
	ip_asn_history => { text => 'verification_source', key => 'ip_address', named => 'verification_source', type => 'varchar(50)' },
	cowrie_migration_log => { text => 'detail', key => 'log_id', named => 'detail', type => 'text' },
	password_session_usage => { text => 'username', key => 'id', named => 'username', type => 'varchar(256)' },
	(map { $_ => { text => 'session_id', key => 'session_id', named => 'session_id', type => 'varchar(64)' } } work_tables()));

# Names that the statements of a migration use for tables of their own.
sub work_tables
{
	return map { "cowrie_migrate_$_" } qw(staging events chosen changes queue delta);
}

# The tables that a value of the axis "table" stands for.
sub tables_of
{
	my ($table) = @_;
	return $table eq 'work tables' ? work_tables() : $table eq 'ledger' ? 'cowrie_migration_log' : $table;
}

my %objects = (
	'row trigger' => sub {
		my ($t) = @_;
		return "CREATE TRIGGER a_evil BEFORE INSERT OR UPDATE OR DELETE ON public.$t FOR EACH ROW EXECUTE FUNCTION evil.trg('row trigger');
CREATE TRIGGER b_evil AFTER INSERT OR UPDATE OR DELETE ON public.$t FOR EACH ROW EXECUTE FUNCTION evil.trg('row trigger');
ALTER TABLE public.$t ENABLE ALWAYS TRIGGER a_evil; ALTER TABLE public.$t ENABLE ALWAYS TRIGGER b_evil;";
	},
	'statement trigger' => sub {
		my ($t) = @_;
		return join '', map { "CREATE TRIGGER evil_$_ $_ INSERT OR UPDATE OR DELETE OR TRUNCATE ON public.$t
FOR EACH STATEMENT EXECUTE FUNCTION evil.trg('statement trigger');" } qw(BEFORE AFTER);
	},
	'deferred trigger' => sub {
		my ($t) = @_;
		return "CREATE CONSTRAINT TRIGGER evil AFTER INSERT OR UPDATE OR DELETE ON public.$t
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION evil.trg('deferred trigger');";
	},
	'rule' => sub {
		my ($t) = @_;
		return join '', map { "CREATE RULE evil_$_ AS ON $_ TO public.$t DO ALSO SELECT evil.attack('rule');" } qw(INSERT UPDATE DELETE);
	},
	'index expression' => sub {
		my ($t, $c) = @_;
		return "CREATE INDEX ON public.$t ((evil.imm('constant index expression')));
CREATE INDEX ON public.$t ((evil.imm($c->{text}::text)));";
	},
	'index predicate' => sub {
		my ($t, $c) = @_;
		return "CREATE INDEX ON public.$t ($c->{key}) WHERE evil.imm_bool('index predicate');";
	},
	'extended statistics' => sub {
		my ($t, $c) = @_;
		return "CREATE STATISTICS evil.s_$t ON (evil.imm('statistics')), (evil.imm($c->{text}::text)) FROM public.$t;";
	},
	'check' => sub {
		my ($t, $c) = @_;
		return "ALTER TABLE public.$t ADD CHECK (evil.imm_bool('check')), ADD CHECK (evil.attack_bool($c->{text}::text));";
	},
	'default' => sub {
		my ($t, $c) = @_;
		return "ALTER TABLE public.$t ADD COLUMN planted text; ALTER TABLE public.$t ALTER COLUMN planted SET DEFAULT evil.attack('default');"
		  . ($c->{type} =~ /text|varchar/ ? "ALTER TABLE public.$t ALTER COLUMN $c->{named} SET DEFAULT evil.attack('default');" : '');
	},
	'generated column' => sub {
		my ($t, $c) = @_;
		return "ALTER TABLE public.$t ADD COLUMN planted text GENERATED ALWAYS AS (evil.imm($c->{key}::text)) STORED;";
	},
	'domain' => sub {
		my ($t, $c) = @_;
		return "CREATE DOMAIN evil.d_$t AS $c->{type} CHECK (evil.attack_bool('domain'));
ALTER TABLE public.$t ALTER COLUMN $c->{named} TYPE evil.d_$t;";
	},
	# A base type's functions are a superuser's. What anybody has is a domain that is read inside another
	# type, and a range with a function.
	'type input' => sub {
		my ($t) = @_;
		return "CREATE DOMAIN evil.i_$t AS text CHECK (evil.imm_bool('type input'));
CREATE TYPE evil.c_$t AS (a evil.i_$t);
ALTER TABLE public.$t ADD COLUMN planted evil.c_$t; ALTER TABLE public.$t ALTER COLUMN planted SET DEFAULT '(x)';
ALTER TABLE public.$t ADD COLUMN planted_array evil.i_$t\[] DEFAULT NULL;";
	},
	'cast' => sub {
		my ($t, $c) = @_;
		my $sql = "CREATE TYPE evil.mt_$t AS ENUM ('a');";
		my %value = (json => q{'{}'}, timestamptz => 'now()', text => q{'a'}, varchar => q{'a'}, integer => 1, bytea => q{''}, boolean => 'true');
		foreach my $type (sort keys %value)
		{
			$sql .= "CREATE FUNCTION evil.cast_$type(evil.mt_$t) RETURNS $type LANGUAGE plpgsql
AS \$\$ BEGIN PERFORM evil.attack('cast to $type'); RETURN $value{$type}; END \$\$;
CREATE CAST (evil.mt_$t AS $type) WITH FUNCTION evil.cast_$type(evil.mt_$t) AS IMPLICIT;";
		}
		return "$sql ALTER TABLE public.$t ALTER COLUMN $c->{named} DROP DEFAULT;
ALTER TABLE public.$t ALTER COLUMN $c->{named} TYPE evil.mt_$t USING 'a'::evil.mt_$t;";
	},
	'policy' => sub {
		my ($t) = @_;
		return "ALTER TABLE public.$t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY evil ON public.$t USING (evil.attack_bool('policy')) WITH CHECK (evil.attack_bool('policy'));";
	},
	'view' => sub {
		my ($t) = @_;
		return "ALTER TABLE public.$t RENAME TO ${t}_aside;
CREATE VIEW public.$t AS SELECT * FROM public.${t}_aside WHERE evil.attack_bool('view') AND evil.imm_bool('view');
CREATE TRIGGER evil INSTEAD OF INSERT OR UPDATE OR DELETE ON public.$t FOR EACH ROW EXECUTE FUNCTION evil.trg('trigger of a view');";
	},
	'child' => sub {
		my ($t, $c) = @_;
		return "CREATE TABLE evil.child_$t () INHERITS (public.$t);
CREATE INDEX ON evil.child_$t ((evil.imm('index of a child'))); ALTER TABLE evil.child_$t ADD CHECK (evil.imm_bool('check of a child'));
CREATE TRIGGER evil BEFORE INSERT OR UPDATE OR DELETE ON evil.child_$t FOR EACH ROW EXECUTE FUNCTION evil.trg('trigger of a child');";
	},
	'partition' => sub {
		my ($t, $c) = @_;
		return "ALTER TABLE public.$t RENAME TO ${t}_aside;
CREATE TABLE public.$t (LIKE public.${t}_aside INCLUDING DEFAULTS) PARTITION BY HASH ($c->{key});
CREATE TABLE evil.part_$t PARTITION OF public.$t FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO public.$t SELECT * FROM public.${t}_aside;
CREATE INDEX ON evil.part_$t ((evil.imm('index of a partition'))); ALTER TABLE evil.part_$t ADD CHECK (evil.imm_bool('check of a partition'));
CREATE TRIGGER evil BEFORE INSERT OR UPDATE OR DELETE ON evil.part_$t FOR EACH ROW EXECUTE FUNCTION evil.trg('trigger of a partition');";
	},
	'operator' => sub {
		my $sql = '';
		my $number = 0;
		foreach (map { my $name = $_; map { [ $name, @$_ ] } [qw(varchar varchar)], [qw(text text)], [qw(name name)], [qw(name text)],
				[qw(varchar text)], [qw(integer bigint)], [qw(bigint integer)], [qw(json text)], [qw(oid oid)] } qw(= <> < ||))
		{
			my ($name, $left, $right) = @$_;
			my $result = $name eq '||' ? 'text' : 'boolean';
			++$number;
			$sql .= "CREATE FUNCTION evil.op_$number($left, $right) RETURNS $result LANGUAGE plpgsql
AS \$\$ BEGIN PERFORM evil.attack('operator'); RETURN NULL; END \$\$;"
			  . join '', map { "CREATE OPERATOR $_.$name (FUNCTION = evil.op_$number, LEFTARG = $left, RIGHTARG = $right);" } qw(evil public);
		}
		return $sql;
	},
	'function like ours' => sub {
		my $sql = '';
		foreach ('cowrie_provider_data(json, text) RETURNS jsonb', 'cowrie_fingerprint(text, json, timestamptz, timestamptz, boolean) RETURNS text',
			'cowrie_staged_facts(json, text, integer) RETURNS text', 'cowrie_needs_event(text) RETURNS boolean', 'cowrie_step_name(integer) RETURNS text',
			'cowrie_derived_facts(json, text, json) RETURNS text', 'cowrie_validate_schema(text) RETURNS text', 'cowrie_as_jsonb(text) RETURNS jsonb',
			'cowrie_sqlstate_text(integer) RETURNS text', 'lower(text) RETURNS text', 'upper(text) RETURNS text', 'setval(regclass, bigint) RETURNS bigint',
			'nextval(regclass) RETURNS bigint', 'now() RETURNS timestamptz', 'format_type(oid, integer) RETURNS text', 'pg_get_expr(pg_node_tree, oid) RETURNS text',
			'count(integer) RETURNS bigint', 'quote_ident(text) RETURNS text', 'clock_timestamp() RETURNS timestamptz', 'pg_relation_size(regclass) RETURNS bigint',
			'round(double precision) RETURNS numeric', 'to_timestamp(numeric) RETURNS timestamptz', 'rpad(text, integer, text) RETURNS text')
		{
			foreach my $schema ('evil', 'public')
			{
				my $declared = /^(?:count|now|round)/ && $schema eq 'public' ? next : $_;
				my ($head, $result) = $declared =~ /^(.*) RETURNS (.*)$/;
				$sql .= "CREATE FUNCTION $schema.$head RETURNS $result LANGUAGE plpgsql
AS \$\$ BEGIN PERFORM evil.attack('function like ours'); RETURN NULL; END \$\$;";
			}
		}
		return $sql;
	},
	'temporary table' => sub { return '' },
	'event trigger' => sub { return '' });

sub planted_objects
{
	return sort keys %objects;
}

# SQL that plants an object in a table, as the author, who owns it.
sub planting
{
	my ($object, $table) = @_;
	return join "\n", map { $objects{$object}->($_, $columns{$_}) } tables_of($table);
}

# What the caller has done in her session before, in the same transaction.
sub prelude
{
	my ($object) = @_;
	return 'SET LOCAL search_path = evil, public, pg_catalog;' if $object =~ /^(?:operator|function like ours)$/;
	return '' if $object ne 'temporary table';
	my @tables = qw(session_summaries schema_state raw_events asn_inventory ip_inventory cowrie_migration_log);
	return join '', map { "CREATE TEMP TABLE $_ (LIKE shape.$_); CREATE INDEX ON pg_temp.$_ ((evil.imm('index of a temporary table')));
CREATE TRIGGER evil BEFORE INSERT OR UPDATE OR DELETE ON pg_temp.$_ FOR EACH ROW EXECUTE FUNCTION evil.trg('trigger of a temporary table');" } @tables;
}

1;
