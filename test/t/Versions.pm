# What the tests of version 17 share: what that version adds, as validate tells it of a database at version
# 16, and what the application's own migration makes of it. Its objects are named nowhere else.
package Versions;

use strict;
use warnings;

use CowrieTest;
use Exporter 'import';

our @EXPORT = qw(added_objects application_upgrade value_of_the_application state_of refusal_of);

# The columns and indexes that version 17 adds: hashes of kind, name and the SQL that makes one.
sub added_objects
{
	my ($node, $database) = @_;
	return map { my %o; @o{qw(kind name sql)} = split /\|/; \%o } split /\n/, $node->safe_psql($database, q{
SELECT object_type, split_part(object_name, '.', CASE object_type WHEN 'column' THEN 2 ELSE 1 END), remedy
FROM cowrie_validate_schema(version => 17) WHERE object_type IN ('column', 'index') AND problem = 'missing'});
}

# What the application does from 16 to 17: the same columns, empty, and indexes with the names that its ORM
# gives.
sub application_upgrade
{
	my (@objects) = @_;
	my @statements;
	foreach my $object (@objects)
	{
		(my $sql = $object->{sql}) =~ s/"idx_session_/"ix_session_summaries_/;
		push @statements, $sql;
	}
	return join(';', @statements, q{UPDATE schema_state SET value = '17' WHERE key = 'schema_version';});
}

# Gives one session a value in one of the columns.
sub value_of_the_application
{
	my (@objects) = @_;
	my ($column) = grep { $_->{kind} eq 'column' } @objects;
	return "UPDATE session_summaries SET $column->{name} = 'x' WHERE session_id = (SELECT min(session_id) FROM session_summaries)";
}

# `17 17.2`: the version and the phase that are recorded.
sub state_of
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, q{
SELECT string_agg(value, ' ' ORDER BY key DESC) FROM schema_state WHERE key IN ('schema_version', 'schema_subphase')});
}

# SQLSTATE, message and HINT with which a statement is refused.
sub refusal_of
{
	my ($node, $database, $sql, @options) = @_;
	$node->psql($database, "\\set VERBOSITY verbose\n$sql", stderr => \my $errors, extra_params => \@options);
	my ($state, $message) = $errors =~ /ERROR:  (\w{5}): (.*)/;
	my ($hint) = $errors =~ /HINT:  (.*)/;
	return ($state // 'not refused', $message // '', $hint // '');
}

1;
